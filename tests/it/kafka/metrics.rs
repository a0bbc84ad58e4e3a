//! What the metrics tell while something waits on Kafka, and that it is nothing again when nothing does.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use rdkafka::producer::FutureProducer;

use super::{
    forms::{answer, ask_for_answers},
    scene::{Event, Scene},
    steps::held::Held,
};
use crate::crash::{
    canary::metrics,
    scene::{connect, until},
};

const IN: &str = "waybill.in.identity";
const OUTCOMES: &str = "waybill.outcomes.identity";
const OUT: &str = "waybill.out.benefit";
const ACKS: &str = "waybill.acks.benefit";

/// What the metrics page tells of this.
async fn told(scene: &Scene, name: &str, labels: &str) -> Option<u64> {
    let line = format!("waybill_{name}{{{labels}}} ");
    metrics(&scene.hub).await.lines().find_map(|known| known.strip_prefix(&line)?.parse().ok())
}

async fn until_told(scene: &Scene, name: &str, labels: &str, value: usize) {
    let mut last = None;
    let what = format!("{name} of {labels} is {value}");
    until(&what, async || {
        let now = told(scene, name, labels).await;
        if now != last {
            println!("{name}: {now:?}");
            last = now;
        }
        now == Some(value as u64)
    })
    .await;
}

/// Sends so many events, about as many people, into the first partition: in one batch, so that who has fetched the first
/// knows of the last.
async fn send(scene: &Scene, people: std::ops::Range<usize>) {
    let producer: FutureProducer = scene.client.clone().set("linger.ms", "1000").create().unwrap();
    let event = |citizen: usize| {
        let record = scene.people.citizen(citizen).unwrap().moved_record(1);
        Event::of(&record, &citizen.to_string())
    };
    let events: Vec<Event> = people.map(event).collect();
    join_all(events.iter().map(|event| event.send_to(&producer, IN, Some(0)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_in_flight_until_they_are_answered_and_one_that_failed_is_a_retry() {
    const EVENTS: usize = 5;
    let scene = Scene::with(1, "[limits]\nkafka_in_flight_max = 3\n").await;
    ask_for_answers(&scene.hub);
    let hub = scene.start();
    send(&scene, 0..EVENTS).await;
    scene.read_some(OUTCOMES, EVENTS).await;
    let benefit = "recipient=\"benefit\"";
    until_told(&scene, "deliveries_in_flight", benefit, 3).await;
    let out = scene.read_some(OUT, 3).await;
    // The catalogue, and of each event two decisions; those up to the third delivery have been looked at.
    let third = out.iter().map(|one| one.header("ce_index").parse::<usize>().unwrap()).max().unwrap();
    let behind = 1 + 2 * EVENTS - (third + 1);
    until_told(&scene, "delivery_lag_entries", benefit, behind).await;
    assert_eq!(told(&scene, "deliveries_retried_total", benefit).await.unwrap_or_default(), 0);

    let (producer, first) = (scene.producer(), out[0].header("ce_id"));
    answer(first, "failed").send(&producer, ACKS).await;
    until_told(&scene, "deliveries_retried_total", benefit, 1).await;
    for one in &out[1..] {
        answer(one.header("ce_id"), "acknowledged").send(&producer, ACKS).await;
    }
    // Each once, and the one that failed once more.
    let all = scene.read_some(OUT, EVENTS + 1).await;
    until_told(&scene, "deliveries_in_flight", benefit, 3).await;
    let ids: BTreeSet<&str> = all.iter().map(|one| one.header("ce_id")).collect();
    assert_eq!(ids.len(), EVENTS);
    for id in ids.into_iter().filter(|id| !out[1..].iter().any(|one| one.header("ce_id") == *id)) {
        answer(id, "acknowledged").send(&producer, ACKS).await;
    }
    for (name, value) in [
        ("deliveries_in_flight", 0),
        ("delivery_lag_entries", 0),
        ("deliveries_acknowledged_total", EVENTS),
        ("deliveries_handed_total", EVENTS + 1),
        ("deliveries_retried_total", 1),
    ] {
        until_told(&scene, name, benefit, value).await;
    }
    assert!(hub.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_is_lag_and_what_waits_for_its_turn_is_queued() {
    const EVENTS: usize = 20;
    let scene = Scene::with(1, "[limits]\nkafka_window_max = 1\n").await;
    // The brokers have the first outcome, and the hub does not hear of it.
    let mut held = Held::start(&scene.hub, "outcome-written-reported");
    held.arm();
    send(&scene, 0..EVENTS).await;
    tokio::task::block_in_place(|| held.wait_for("reached"));
    let partition = format!("topic=\"{IN}\",partition=\"0\"");
    until_told(&scene, "kafka_lag", &partition, EVENTS).await;
    // Four windows: then no more is fetched.
    until_told(&scene, "kafka_queued", &partition, 4).await;
    for other in 1..4 {
        until_told(&scene, "kafka_lag", &format!("topic=\"{IN}\",partition=\"{other}\""), 0).await;
    }
    held.release();
    scene.read_some(OUTCOMES, EVENTS).await;
    until_told(&scene, "kafka_lag", &partition, 0).await;
    until_told(&scene, "kafka_queued", &partition, 0).await;
    held.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_or_a_recipient_that_must_begin_again_is_counted_until_it_can_go_on() {
    let scene = Scene::new().await;
    let takes = async |bytes: &str| {
        for topic in [OUTCOMES, OUT] {
            scene.alter(topic, &[("max.message.bytes", bytes)]).await;
        }
    };
    takes("100").await;
    let hub = scene.start();
    send(&scene, 0..1).await;
    let (of_in, of_out) = (format!("topic=\"{IN}\""), format!("topic=\"{OUT}\""));
    let begins_again = async |times: u64| {
        let (partition, link) =
            (told(&scene, "kafka_retries_total", &of_in), told(&scene, "kafka_links_total", &of_out));
        partition.await.is_some_and(|told| told >= times) && link.await.is_some_and(|told| told >= times)
    };
    drop(connect(&scene.hub.place, "hub/dpo").await);
    until("both have begun again twice", async || begins_again(2).await).await;
    let partition = format!("{of_in},partition=\"0\"");
    until_told(&scene, "kafka_lag", &partition, 1).await;
    takes("1048588").await;
    scene.read_some(OUTCOMES, 1).await;
    scene.read_some(OUT, 1).await;
    until_told(&scene, "kafka_lag", &partition, 0).await;
    until_told(&scene, "deliveries_in_flight", "recipient=\"benefit\"", 0).await;
    let rested = scene.hub.log().matches("a partition rests").count();
    assert_eq!(told(&scene, "kafka_retries_total", &of_in).await, Some(rested as u64));
    assert_eq!(told(&scene, "deliveries_retried_total", "recipient=\"benefit\"").await.unwrap_or_default(), 0);
    assert!(hub.stop().await.success());
}
