//! What forms an event may have, what becomes of one that has none of them, and what a repeat is.

use serde_json::{Value, json};

use super::scene::{Event, Read, Scene};
use crate::crash::scene::Scene as Hub;

const IN: &str = "waybill.in.identity";
/// Bytes that a topic takes, and the hub does not: a record and what may be beside it are less.
const VAST: usize = 500_000;

fn told<'r>(outcomes: &'r [Read], id: &str) -> Vec<&'r Read> {
    outcomes.iter().filter(|one| one.header("ce_eventid") == id).collect()
}

/// The event in structured mode, as somebody else might write it: a number as a number, a parameter in the media type.
pub fn structured(event: &Event, id: &str) -> Event {
    let mut said = serde_json::Map::new();
    for (name, value) in &event.headers {
        if let Some(name) = name.strip_prefix("ce_") {
            said.insert(name.into(), value.as_str().into());
        }
    }
    said.insert("id".into(), id.into());
    said.insert("revision".into(), json!(7));
    said.insert("data".into(), serde_json::from_slice::<Value>(&event.value).unwrap());
    Event {
        key: "one".into(),
        headers: vec![("content-type".into(), "application/cloudevents+json; charset=utf-8".into())],
        value: Value::Object(said).to_string().into_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_is_read_and_what_has_none_is_a_dead_letter_that_holds_up_nothing() {
    let scene = Scene::new().await;
    let hub = scene.start();
    let producer = scene.producer();
    let record = |citizen: usize| scene.people.citizen(citizen).unwrap().moved_record(1);
    // All with one key, so that they follow each other in one partition.
    let same = |mut event: Event| {
        event.key = "one".into();
        event
    };

    let binary = same(Event::of(&record(1), "binary"));
    let mut wire = same(Event::of(&record(2), "wire").without("ce_dataschema"));
    wire.value = [&[0, 0, 0, 0, 17], wire.value.as_slice()].concat();
    let mut unmapped = wire.clone().with("ce_id", "unmapped");
    unmapped.value[4] = 99;
    let structured = structured(&Event::of(&record(3), ""), "structured");
    let nameless = same(Event::of(&record(4), "x").without("ce_id"));
    let mut torn = structured.clone();
    torn.value.truncate(40);
    let mut vast = same(Event::of(&record(4), "vast"));
    vast.value.resize(VAST, b' ');
    let bare = Event { key: "one".into(), headers: Vec::new(), value: b"{}".to_vec() };
    let mut invalid = same(Event::of(&record(5), "invalid"));
    invalid.value = b"{}".to_vec();
    let other = same(Event::of(&record(6), "binary"));
    let stranger = same(Event::of(&record(7), "stranger").with("ce_onbehalfof", "tax"));
    let last = same(Event::of(&record(8), "last"));
    let mixed = [&unmapped, &wire, &nameless, &structured, &torn, &vast, &bare];
    for event in [&[&binary], &mixed[..], &[&invalid, &binary, &other, &stranger, &last]].concat() {
        event.send(&producer, IN).await;
    }

    let outcomes = scene.read("waybill.outcomes.identity", |read| !told(read, "last").is_empty()).await;
    for id in ["binary", "wire", "structured", "last"] {
        let first = told(&outcomes, id)[0];
        assert_eq!(first.header("ce_outcome"), "recorded", "{id}: {}", first.json());
    }
    let code = |read: &Read| read.json()["refusal"]["code"].as_str().map(str::to_owned);
    assert_eq!(code(told(&outcomes, "invalid")[0]).as_deref(), Some("record.invalid"));
    assert_eq!(code(told(&outcomes, "stranger")[0]).as_deref(), Some("peer.not-acting-for"));
    let binary = told(&outcomes, "binary");
    assert_eq!(binary.len(), 3);
    assert_eq!(binary[0].json()["recipients"], binary[1].json()["recipients"], "a repeat has the same outcome");
    assert_eq!(code(binary[2]).as_deref(), Some("key.reused"));

    let dead = scene.read_some("waybill.dead.identity", 5).await;
    let mut reasons: Vec<(String, i64)> = dead
        .iter()
        .map(|one| {
            let said = one.json();
            assert_eq!((said["topic"].as_str(), one.header("ce_type")), (Some(IN), "waybill.dead.v1"));
            let reason = format!("{} {}", said["reason"]["pointer"], said["reason"]["keyword"]);
            (reason.replace('"', ""), said["offset"].as_i64().unwrap())
        })
        .collect();
    reasons.sort_by_key(|(_, offset)| *offset);
    let reasons: Vec<&str> = reasons.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["/dataschema enum", "/id required", " format", "/data maxLength", "/specversion required"]);
    assert!(hub.stop().await.success());
}

/// Addresses that benefit gets are acknowledged by its own answer alone.
pub(super) fn ask_for_answers(hub: &Hub) {
    let agreements = hub.place.folder.join("catalogue/agreements");
    let file = agreements.join("identity-address-to-benefit.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("direction = \"push\"", "direction = \"push\"\nanswer_required = true"))
        .unwrap();
}

fn acknowledgement(transfer: &str) -> Event {
    answer(transfer, "acknowledged")
}

/// What a recipient answers to a delivery.
pub(super) fn answer(transfer: &str, outcome: &str) -> Event {
    let value = json!({ "transferId": transfer, "outcome": outcome }).to_string().into_bytes();
    Event { key: String::new(), headers: Vec::new(), value }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_deliveries_are_unanswered_as_the_limit_says() {
    for max in [1, 2] {
        let scene = Scene::with(1, &format!("[limits]\nkafka_in_flight_max = {max}\n")).await;
        ask_for_answers(&scene.hub);
        let hub = scene.start();
        let producer = scene.producer();
        for citizen in 0..=max {
            let record = scene.people.citizen(citizen).unwrap().moved_record(1);
            Event::of(&record, &citizen.to_string()).send(&producer, IN).await;
        }
        // All are decided, and there is time for one more to come.
        scene.read_some("waybill.outcomes.identity", max + 1).await;
        let since = std::time::Instant::now();
        let came = move |read: &[Read]| read.len() > max || (read.len() == max && since.elapsed().as_secs() >= 2);
        let out = scene.read("waybill.out.benefit", came).await;
        assert_eq!(out.len(), max);
        acknowledgement(out[0].header("ce_id")).send(&producer, "waybill.acks.benefit").await;
        scene.read_some("waybill.out.benefit", max + 1).await;
        assert!(hub.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_whose_answer_is_asked_for_acknowledges_by_its_answer_alone() {
    let scene = Scene::new().await;
    ask_for_answers(&scene.hub);
    let hub = scene.start();
    let producer = scene.producer();
    let record = scene.people.citizen(1).unwrap().moved_record(1);
    Event::of(&record, "one").send(&producer, IN).await;
    let delivery = scene.read_some("waybill.out.benefit", 1).await.remove(0);
    assert_eq!(delivery.header("ce_answerrequired"), "true");
    let transfer = delivery.header("ce_id").to_owned();

    let claims = crate::crash::scene::connect(&scene.hub.place, "benefit/claims").await;
    let size = || async {
        let asked = waybill_proto::v1::GetCheckpointRequest {};
        let newest = claims.ledger.clone().get_checkpoint(asked).await.unwrap().into_inner().checkpoint;
        newest.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let before = size().await;
    assert_eq!(before, 3, "the catalogue and two decisions; the brokers' word acknowledges nothing");
    let nonsense = Event { key: String::new(), headers: Vec::new(), value: b"yes".to_vec() };
    nonsense.send(&producer, "waybill.acks.benefit").await;
    acknowledgement(&transfer).send(&producer, "waybill.acks.benefit").await;
    crate::crash::scene::until("the answer is an entry", async || size().await == 4).await;
    let dead = scene.read_some("waybill.dead.benefit", 1).await.remove(0).json();
    assert_eq!(
        (dead["topic"].as_str(), dead["reason"]["keyword"].as_str()),
        (Some("waybill.acks.benefit"), Some("format"))
    );
    assert!(dead["offset"].is_u64() && dead["partition"].is_u64() && !dead.to_string().contains("yes"), "{dead}");
    assert!(hub.stop().await.success());
}
