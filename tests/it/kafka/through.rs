//! From topic to topic: what an agency writes is decided, recorded, told and delivered, with all that is said of it.

use std::{fs, sync::Arc};

use serde_json::{Value, json};
use waybill::cli::demo::systems::{Inbox, receive, submission};
use waybill_proto::v1;

use super::{
    forms::{answer, ask_for_answers},
    scene::{Event, Read, Scene},
};
use crate::crash::scene::{connect, until};

const IN: &str = "waybill.in.identity";
const OUT: &str = "waybill.out.benefit";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What is said of some deliveries only.
const AT_TIMES: [&str; 4] = ["ce_traceparent", "ce_copyof", "ce_replayed", "ce_answerrequired"];

/// Which of them is said of this one.
fn said_of(delivery: &Read) -> Vec<&'static str> {
    AT_TIMES.into_iter().filter(|name| delivery.headers.contains_key(*name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_goes_from_topic_to_topic_through_the_ledger() {
    let scene = Scene::new().await;
    let hub = scene.start();
    let producer = scene.producer();
    let citizen = scene.people.citizen(1).unwrap();
    let record = citizen.records().into_iter().find(|record| record.record_type == "identity/address").unwrap();
    Event::of(&record, "event 1").with("ce_traceparent", TRACE).send(&producer, IN).await;

    let outcome = scene.read_some("waybill.outcomes.identity", 1).await.remove(0);
    assert_eq!((outcome.header("ce_type"), outcome.header("ce_outcome")), ("waybill.outcome.v1", "recorded"));
    assert_eq!(outcome.header("ce_eventid"), "event 1");
    let said = outcome.json();
    assert_eq!(said["event"]["source"], "urn:registry");
    let recipients = said["recipients"].as_array().unwrap();
    let benefit = recipients.iter().find(|one| one["recipient"] == "benefit").unwrap();

    let delivery = scene.read_some(OUT, 1).await.remove(0);
    assert_eq!(delivery.header("ce_id"), benefit["transferId"]);
    assert_eq!(delivery.header("ce_index"), benefit["index"].to_string());
    assert_eq!(delivery.header("ce_dataschema"), "identity/address/1.0");
    assert_eq!(delivery.header("ce_agreement"), "identity-address-to-benefit");
    assert_eq!(delivery.header("ce_purpose"), "benefit-administration");
    let basis: Value = serde_json::from_str(delivery.header("ce_basis")).unwrap();
    assert_eq!(basis, json!({ "article": "6(1)(e)", "law": "Act on Social Benefits (invented), s. 40" }));
    let five_years = 5 * 365 * 24 * 60 * 60;
    assert_eq!(delivery.header("ce_keepseconds"), five_years.to_string());
    assert_eq!(delivery.header("ce_subject"), record.id);
    assert_eq!((delivery.header("ce_change"), delivery.header("ce_revision")), ("changed", "1"));
    assert_eq!((delivery.header("ce_traceparent"), said_of(&delivery)), (TRACE, vec!["ce_traceparent"]));
    assert_eq!(delivery.key, delivery.header("ce_partitionkey"));
    let number = citizen.national_number().unwrap();
    assert!(!delivery.key.contains(number) && delivery.json().is_object());

    // Trace context that is malformed is passed over.
    Event::of(&record, "event 2").with("ce_traceparent", "x").send(&producer, IN).await;
    assert_eq!(said_of(&scene.read_some(OUT, 2).await[1]), [""; 0]);
    assert!(hub.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_replayed_says_so_and_keeps_its_place() {
    let scene = Scene::with(1, "[limits]\ndelivery_attempts_max = 1\n").await;
    ask_for_answers(&scene.hub);
    let hub = scene.start();
    let producer = scene.producer();
    let record = scene.people.citizen(1).unwrap().moved_record(1);
    Event::of(&record, "one").with("ce_traceparent", TRACE).send(&producer, IN).await;
    let first = scene.read_some(OUT, 1).await.remove(0);
    let transfer_id = first.header("ce_id").to_owned();
    answer(&transfer_id, "failed").send(&producer, "waybill.acks.benefit").await;

    let operator = connect(&scene.hub.place, "hub/operator").await.operator;
    let letters = async || {
        let list = v1::ListDeadLettersRequest { recipient: "benefit".into(), ..Default::default() };
        operator.clone().list_dead_letters(list).await.unwrap().into_inner().dead_letters
    };
    until("it is a dead letter", async || letters().await.len() == 1).await;
    let idempotency_key = uuid::Uuid::now_v7().to_string();
    let reason = "mended".to_owned();
    let replay = v1::ReplayDeadLetterRequest { idempotency_key, transfer_id, reason };
    operator.clone().replay_dead_letter(replay).await.unwrap();

    let again = scene.read_some(OUT, 2).await.remove(1);
    assert_eq!(said_of(&first), ["ce_traceparent", "ce_answerrequired"]);
    assert_eq!(said_of(&again), ["ce_traceparent", "ce_replayed", "ce_answerrequired"]);
    assert_eq!((again.header("ce_replayed"), again.header("ce_traceparent")), ("true", TRACE));
    for same in ["ce_id", "ce_index", "ce_partitionkey", "ce_subject"] {
        assert_eq!(again.header(same), first.header(same), "{same}");
    }
    assert_eq!((&again.key, again.partition, &again.value), (&first.key, first.partition, &first.value));
    assert!(hub.stop().await.success());
}

/// Tax gives its residencies to identity, which may pass them on, and does, to benefit.
fn pass_residencies_on(scene: &Scene) {
    let catalogue = scene.hub.place.folder.join("catalogue");
    let read = |file: &str| fs::read_to_string(catalogue.join(file)).unwrap();
    let direct = read("agreements/tax-residency-to-benefit.toml");
    let to_identity = direct.replace("recipient = \"benefit\"", "recipient = \"identity\"\nonward = true");
    let from_identity = direct.replace("source = \"tax\"", "source = \"identity\"");
    let registry = read("agencies/identity.toml").replace("\"provide\"]", "\"provide\", \"receive\"]");
    fs::write(catalogue.join("agreements/tax-residency-to-identity.toml"), to_identity).unwrap();
    fs::write(catalogue.join("agreements/identity-residency-to-benefit.toml"), from_identity).unwrap();
    fs::write(catalogue.join("agencies/identity.toml"), registry).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_says_which_transfer_it_copies_and_is_refused_without() {
    let scene = Scene::new().await;
    pass_residencies_on(&scene);
    let hub = scene.start();
    let producer = scene.producer();
    let records = scene.people.citizen(1).unwrap().records();
    let residency = records.iter().find(|record| record.record_type == "tax/residency").unwrap();
    let tax = connect(&scene.hub.place, "tax/registry").await;
    let made = v1::SubmitRequest { submission: Some(submission(residency, v1::Change::Changed, "")) };
    let recorded = tax.exchange.clone().submit(made).await.unwrap().into_inner().outcome.unwrap().recipients;
    let original = recorded.iter().find(|one| one.recipient == "identity").unwrap().transfer_id.clone();
    let inbox = Arc::new(Inbox::default());
    receive(&connect(&scene.hub.place, "identity/registry").await, Arc::clone(&inbox)).await.unwrap();
    inbox.transfer(&original).await.unwrap();
    let own_name = Event::of(residency, "own name");
    own_name.send(&producer, IN).await;
    own_name.with("ce_id", "copy").with("ce_copyof", &original).send(&producer, IN).await;

    let outcomes = scene.read_some("waybill.outcomes.identity", 2).await;
    let of = |id: &str| outcomes.iter().find(|one| one.header("ce_eventid") == id).unwrap();
    let refusal = &of("own name").json()["refusal"];
    assert_eq!(refusal["code"], "call.malformed");
    assert_eq!(refusal["violations"][0]["pointer"], "/record/copy_of_transfer_id", "{refusal}");
    assert_eq!(of("copy").header("ce_outcome"), "recorded");
    // The first is tax's own.
    let out = scene.read_some(OUT, 2).await;
    let delivery = out.iter().find(|one| one.header("ce_agreement") == "identity-residency-to-benefit").unwrap();
    assert_eq!((delivery.header("ce_copyof"), said_of(delivery)), (&*original, vec!["ce_copyof"]));
    assert!(hub.stop().await.success());
}
