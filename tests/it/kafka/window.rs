//! The window in which an event is known begins at the time that the brokers give it: what is older is refused, and has no
//! effect.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    message::{Header, OwnedHeaders},
    producer::FutureRecord,
};
use waybill::{
    config::Limits,
    desk::CallError,
    domain::{
        refusal::RefusalCode,
        time::{Clock as _, Moment, SystemClock},
    },
    exchange::submission::Submission,
    store::PartitionKey,
};

use super::{
    load::assert_comes_to,
    poison::consume,
    scene::{Event, Scene},
};
use crate::crash::core;

const IN: &str = "waybill.in.identity";
/// The smallest window.
const BACK: Duration = Duration::from_hours(1);

/// Writes an event with a time of its writer's choice.
async fn send_at(scene: &Scene, citizen: usize, id: &str, time: Moment) {
    let event = Event::of(&scene.people.citizen(citizen).unwrap().moved_record(1), id);
    let with =
        |all: OwnedHeaders, (name, value): &(String, String)| all.insert(Header { key: name, value: Some(value) });
    let headers = event.headers.iter().fold(OwnedHeaders::new(), with);
    let record = FutureRecord::to(IN).key("one").payload(&event.value).headers(headers).timestamp(time.0.cast_signed());
    scene.producer().send(record, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_older_than_the_window_is_refused_and_one_within_is_taken() {
    let scene = Scene::bare("[limits]\nidempotency_back_s_max = 3600\n").await;
    let admin: AdminClient<DefaultClientContext> = scene.client.create().unwrap();
    // Its writers say when.
    let inbound = NewTopic::new(IN, 1, TopicReplication::Fixed(1)).set("message.timestamp.type", "CreateTime");
    admin.create_topics([&inbound], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    scene.create_topics().await;
    let hub = scene.start();
    let now = SystemClock.now();
    // The clock goes on while they are on their way.
    let within = now.before(BACK).after(Duration::from_mins(5));
    send_at(&scene, 1, "older", now.before(BACK)).await;
    send_at(&scene, 2, "within", within).await;
    send_at(&scene, 3, "new", now).await;
    send_at(&scene, 1, "older", now.before(BACK)).await;
    send_at(&scene, 2, "within", now).await;

    let outcomes = scene.read_some("waybill.outcomes.identity", 5).await;
    let told: Vec<(&str, &str)> =
        outcomes.iter().map(|one| (one.header("ce_eventid"), one.header("ce_outcome"))).collect();
    let wanted = [("older", "refused"), ("within", "recorded"), ("new", "recorded")];
    assert_eq!(told, [&wanted[..], &[("older", "refused"), ("within", "recorded")]].concat());
    for older in [&outcomes[0], &outcomes[3]] {
        assert_eq!(older.json()["refusal"]["code"], "key.too-old");
    }
    assert_eq!(outcomes[1].json()["recipients"], outcomes[4].json()["recipients"], "a repeat has the outcome it had");
    // The catalogue, two refusals, of two events two decisions and one acknowledgement each: the older had no effect.
    assert_comes_to(&scene.hub.place, hub, 1 + 2 + 2 * 3).await;
    let out = scene.read_some("waybill.out.benefit", 2).await;
    let mut records: Vec<&str> = out.iter().map(|one| one.header("ce_subject")).collect();
    records.sort_unstable();
    let id = |citizen: usize| scene.people.citizen(citizen).unwrap().moved_record(1).id;
    let mut wanted = [id(2), id(3)];
    wanted.sort_unstable();
    assert_eq!(records, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_taken_to_the_windows_last_moment_and_not_a_moment_longer() {
    let limits = Limits { idempotency_back_s_max: BACK, ..Limits::default() };
    let ahead = limits.idempotency_ahead_s_max;
    let scene = crate::scene::Scene::with_limits(limits).await;
    let (desk, now, ms) = (&scene.core().desk, scene.clock.now(), Duration::from_millis(1));
    let partition = PartitionKey::new("cluster", IN, 0);
    let at = desk.take_partition(partition).await.unwrap();
    let times = [now.before(BACK + ms), now.before(BACK), now.after(ahead), now.after(ahead + ms)];
    let event = |(citizen, time)| {
        let key = desk.event_key(&[b"event", &[citizen as u8]], time);
        Submission { key, ..core::address(citizen, 1) }
    };
    let before = scene.size();
    let outcomes = consume(desk, (partition, at), times.into_iter().enumerate().map(event)).await;
    let refused: Vec<Option<RefusalCode>> = outcomes
        .iter()
        .map(|(_, outcome)| match outcome {
            Ok(_) => None,
            Err(CallError::Refused(refused)) => Some(refused.refusal.code),
            Err(error) => panic!("{error}"),
        })
        .collect();
    assert_eq!(refused, [Some(RefusalCode::KeyTooOld), None, None, Some(RefusalCode::KeyTooNew)]);
    assert_eq!(scene.size(), before + 2 + 2 * 2, "two refusals, and what went to benefit and tax");
    assert_eq!(desk.take_partition(partition).await.unwrap().next, 4, "none holds up what follows");
}
