//! How long a recipient may take, how often it is tried and with what pauses: each bound set in the configuration. Time
//! itself is the subject, so what is short is asserted against what would be far longer.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use waybill::{
    app::kafka_out_limits,
    config::{Config, Limits},
    domain::agency::{AgencyId, SystemId},
};
use waybill_proto::v1;

use super::calls::Recipient;
use crate::{
    deliveries,
    scene::{Scene, context},
};

const CLAIMS: &str = "benefit/claims";
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A recipient with one delivery before it.
async fn delivered(limits: Limits) -> (Scene, Recipient, v1::Delivery) {
    let scene = Scene::with_limits(limits).await;
    scene.push(scene.record(0, "identity/address")).await.unwrap();
    let (mut benefit, _) = Recipient::with_credit(&scene, CLAIMS, 8).await;
    let delivery = benefit.next().await;
    (scene, benefit, delivery)
}

/// Says that it cannot take it now, and waits until it comes again; how long that took.
async fn again(benefit: &mut Recipient, delivery: &v1::Delivery) -> Duration {
    let begun = Instant::now();
    benefit.reject(delivery, v1::RejectionReason::TryAgain).await;
    assert_eq!(benefit.next().await.transfer_id, delivery.transfer_id);
    begun.elapsed()
}

/// Waits until the delivery has come to an end.
async fn ended(scene: &Scene, delivery: &v1::Delivery) -> v1::DeliveryState {
    let mut exchange = scene.exchange(CLAIMS).await;
    loop {
        let asked = v1::GetTransferRequest { transfer_id: delivery.transfer_id.clone(), context: context() };
        match exchange.get_transfer(asked).await.unwrap().into_inner().state() {
            v1::DeliveryState::Due | v1::DeliveryState::Claimed => tokio::time::sleep(10 * MS).await,
            ended => return ended,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_between_attempts_begin_at_the_least_and_end_at_the_longest_that_the_limits_say() {
    let (least, longest) = (100 * MS, 200 * MS);
    let limits =
        Limits { delivery_attempts_max: 8, backoff_ms_min: least, backoff_ms_max: longest, ..Limits::default() };
    let (scene, mut benefit, delivery) = delivered(limits).await;
    for failed in 1..8 {
        let pause = again(&mut benefit, &delivery).await;
        // Of each pause, up to a half is left to chance.
        let shortest = (least * (1 << (failed - 1))).min(longest) / 2;
        assert!(pause >= shortest, "{pause:?} after {failed} attempts");
        // Without the longest, the last would be 3.2 s at least.
        assert!(failed < 7 || pause < 32 * least, "{pause:?} after {failed} attempts");
    }
    benefit.reject(&delivery, v1::RejectionReason::TryAgain).await;
    assert_eq!(ended(&scene, &delivery).await, v1::DeliveryState::DeadLettered, "after eight attempts");
    assert!(benefit.has_nothing_more(), "there is no ninth");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pause_is_as_short_as_the_limit_says() {
    let (_scene, mut benefit, delivery) = delivered(Limits { backoff_ms_min: MS, ..Limits::default() }).await;
    let mut pauses = Duration::ZERO;
    for _ in 1..4 {
        pauses += again(&mut benefit, &delivery).await;
    }
    // As it is by default, these three would be 3.5 s at least.
    let least = Limits::default().backoff_ms_min / 2 * 7;
    assert!(pauses < least, "{pauses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_may_take_as_long_as_the_limit_says_before_it_gets_a_delivery_again() {
    let within = 500 * MS;
    let limits = Limits { delivery_ms_max: within, backoff_ms_min: MS, backoff_ms_max: MS, ..Limits::default() };
    let begun = Instant::now();
    let (scene, mut benefit, delivery) = delivered(limits).await;
    assert_eq!(benefit.next().await.transfer_id, delivery.transfer_id);
    let came = begun.elapsed();
    assert!(came >= within && came < Limits::default().delivery_ms_max, "{came:?}");
    benefit.acknowledge(&delivery).await;
    assert_eq!(ended(&scene, &delivery).await, v1::DeliveryState::Acknowledged, "within the time");
}

/// A minute at the least, so the time is the runtime's own, which goes on to the next timer when nothing else happens.
#[tokio::test(start_paused = true)]
async fn what_is_not_answered_on_kafka_comes_again_after_the_time_that_the_limit_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = std::fs::read_to_string(root.join("deploy/waybill.toml")).unwrap();
    for seconds in [60, 3_600] {
        let text = sample.replace("kafka_answer_s_max = 86_400", &format!("kafka_answer_s_max = {seconds}"));
        let config = Config::parse(&text, "the sample", root).unwrap();
        let terms = kafka_out_limits(&config.limits).terms(SystemId::new(CLAIMS).unwrap());
        let scene = deliveries::Scene::new().await;
        scene.move_citizen(0, 1).await;
        let mut link = scene.relay.connect(&AgencyId::new("benefit").unwrap(), &terms).unwrap();
        let first = link.next().await.unwrap();
        let (begun, within) = (tokio::time::Instant::now(), Duration::from_secs(seconds));
        let early = tokio::time::timeout(within.saturating_sub(10 * MS), link.next()).await;
        assert!(early.is_err(), "{:?} before its time", begun.elapsed());
        let again = link.next().await.unwrap();
        assert_eq!((again[0].content.id, again[0].attempt), (first[0].content.id, 2));
        assert!(begun.elapsed() < within + 10 * SECOND, "{:?} and not {within:?}", begun.elapsed());
    }
}
