//! The hub is killed, brokers are stopped, paused and killed, members come and go, all under load: nothing is lost and
//! nothing happens twice.

use std::{ops::Range, time::Duration};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    producer::FutureProducer,
};

use super::{
    forms::ask_for_answers,
    load::{Load, assert_once, ledger_size},
    scene::{Event, Read, Scene},
    steps::held::Held,
};
use crate::crash::{
    canary::metrics,
    scene::{Scene as Hub, until},
};

/// Far more than a window of one.
const EVENTS: usize = 60;

fn kills() -> usize {
    std::env::var("WAYBILL_KILLS").map_or(6, |text| text.parse().expect("WAYBILL_KILLS is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_under_load_loses_nothing_and_does_nothing_twice() {
    let scene = Scene::new().await;
    let mut hub = scene.start();
    let load = Load::start(&scene);
    for kill in 0..kills() {
        // By turns: soon after the start, while it catches up, and later.
        tokio::time::sleep(Duration::from_millis([900, 2500, 400, 1500][kill % 4])).await;
        hub.kill();
        hub = scene.start();
    }
    load.more(100).await;
    let events = load.finish().await;
    assert_once(&scene, hub, events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_paused_or_started_again_loses_nothing() {
    let scene = Scene::new().await;
    let hub = scene.start();
    let load = Load::start(&scene);
    load.more(200).await;
    scene.brokers.signal(1, "STOP");
    tokio::time::sleep(Duration::from_secs(4)).await;
    scene.brokers.signal(1, "CONT");
    load.more(200).await;
    scene.brokers.stop(1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.brokers.start_again(1);
    load.more(200).await;
    let events = load.finish().await;
    assert_once(&scene, hub, events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_brokers_is_killed_under_load() {
    let scene = Scene::with(3, "").await;
    let hub = scene.start();
    let load = Load::start(&scene);
    load.more(200).await;
    scene.brokers.signal(2, "KILL");
    load.more(300).await;
    let events = load.finish().await;
    assert_once(&scene, hub, events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_come_and_go_under_load_neither_lose_nor_double() {
    let scene = Scene::with(1, "members = 3\n").await;
    let hub = scene.start();
    let load = Load::start(&scene);
    for _ in 0..3 {
        load.more(100).await;
        // Takes some of the partitions away, and goes without having read anything.
        let mut client = scene.client.clone();
        client
            .set("group.id", format!("waybill.{}", scene.hub.place.config.hub))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false");
        let passing: BaseConsumer = client.create().unwrap();
        passing.subscribe(&["waybill.in.identity", "waybill.in.benefit"]).unwrap();
        let left = tokio::task::spawn_blocking(move || {
            for _ in 0..30 {
                drop(passing.poll(Duration::from_millis(100)));
            }
        });
        load.more(100).await;
        left.await.unwrap();
    }
    let events = load.finish().await;
    assert_once(&scene, hub, events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_another_ledger_in_the_group_refuses_to_run_and_disturbs_nobody() {
    let scene = Scene::new().await;
    let hub = scene.start();
    let producer = scene.producer();
    let record = |citizen: usize| scene.people.citizen(citizen).unwrap().moved_record(1);
    Event::of(&record(0), "before").send(&producer, "waybill.in.identity").await;
    scene.read_some("waybill.outcomes.identity", 1).await;

    let second = scene.second_hub();
    let refuses = async |why: &str| {
        let status = second.start().ended().await;
        assert!(!status.success(), "it runs beside the first");
        assert!(second.log().contains(why), "{}", second.log());
    };
    refuses("of another hub with a ledger of its own").await;
    Event::of(&record(1), "after").send(&producer, "waybill.in.identity").await;
    let outcomes = scene.read_some("waybill.outcomes.identity", 2).await;
    let told: Vec<&str> = outcomes.iter().map(|one| one.header("ce_eventid")).collect();
    assert_eq!(told, ["before", "after"], "the first goes on, and each event has one outcome");

    // Nobody is there any more, but somebody was.
    assert!(hub.stop().await.success());
    refuses("another hub, with another store, is or was in the group").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hubs_that_come_at_once_one_sees_the_other_when_it_has_joined() {
    let scene = Scene::new().await;
    let later = scene.second_hub();
    // It has looked who is in the group, and nobody was; so will the other.
    let mut held = Held::start(&later, "looked-joined");
    tokio::task::block_in_place(|| held.wait_for("reached"));
    let _hub = scene.start();
    scene.group_has_members("").await;
    held.release();
    // Nothing was consumed yet, so only who is there can keep either away; and which looks first is open.
    let sees = |hub: &Hub| hub.log().contains("of another hub with a ledger of its own");
    until("one of them refuses", async || sees(&scene.hub) || sees(&later)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_another_ledger_that_reads_the_same_answers_refuses_to_run() {
    let scene = Scene::new().await;
    let second = scene.second_hub();
    for hub in [&scene.hub, &second] {
        ask_for_answers(hub);
        // Nobody submits on Kafka, so there is no other group to meet in.
        for agency in ["identity", "benefit"] {
            let file = hub.place.folder.join(format!("catalogue/agencies/{agency}.toml"));
            let text = std::fs::read_to_string(&file).unwrap();
            let (others, _) = text.split_once("[kafka]").unwrap();
            let receives = if agency == "benefit" { "[kafka]\nreceives = \"benefit/claims\"\n" } else { "" };
            std::fs::write(&file, format!("{others}{receives}")).unwrap();
        }
    }
    let hub = scene.start();
    scene.group_has_members(".acks.benefit").await;
    assert!(!second.start().ended().await.success(), "it runs beside the first");
    for wanted in ["of another hub with a ledger of its own", ".acks.benefit"] {
        assert!(second.log().contains(wanted), "{wanted}: {}", second.log());
    }
    assert!(hub.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_with_a_window_of_one_is_paused_and_resumed_and_loses_nothing() {
    loses_nothing("kafka_window_max = 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_with_few_bytes_is_paused_and_resumed_and_loses_nothing() {
    // Of each partition some 30 records.
    loses_nothing("kafka_window_bytes_max = 65536").await;
}

async fn loses_nothing(limit: &str) {
    let scene = Scene::with(1, &format!("[limits]\n{limit}\n")).await;
    let producer = scene.producer();
    for number in 0..EVENTS {
        let record = scene.people.citizen(number).unwrap().moved_record(1);
        Event::of(&record, &number.to_string()).send(&producer, "waybill.in.identity").await;
    }
    // All of it lies there before anybody reads: far more than a window.
    let hub = scene.start();
    let outcomes = scene.read_some("waybill.outcomes.identity", EVENTS).await;
    let told = |one: &Read| (one.key.clone(), one.header("ce_eventid").parse::<usize>().unwrap());
    let told: Vec<(String, usize)> = outcomes.iter().map(told).collect();
    for (partition, _) in &told {
        let of_one = told.iter().filter(|(key, _)| key == partition).map(|(_, event)| event);
        assert!(of_one.is_sorted(), "the outcomes of partition {partition} keep its order: {told:?}");
    }
    let mut events: Vec<usize> = told.iter().map(|(_, event)| *event).collect();
    events.sort_unstable();
    assert_eq!(events, (0..EVENTS).collect::<Vec<_>>(), "each has one outcome");
    assert!(hub.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_the_catalogue_binds_anew_is_another_systems_word_from_then_on() {
    let scene = Scene::new().await;
    let hub = scene.start();
    let producer = scene.producer();
    let mut sent = 0;
    let mut outcome = async || {
        let (record, id) = (scene.people.citizen(sent).unwrap().moved_record(1), format!("event {sent}"));
        Event::of(&record, &id).send(&producer, "waybill.in.identity").await;
        sent += 1;
        let told = scene.read_some("waybill.outcomes.identity", sent).await;
        let told = told.into_iter().find(|one| one.header("ce_eventid") == id).unwrap();
        told.header("ce_outcome").to_owned()
    };
    assert_eq!(outcome().await, "recorded");

    // The system that stood for the topic is no more; another stands for it.
    let file = scene.hub.place.folder.join("catalogue/agencies/identity.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("name = \"registry\"", "name = \"gate\"").replace("identity/registry", "identity/gate");
    std::fs::write(&file, text).unwrap();
    // The catalogue, two decisions, the one that is on Kafka acknowledged.
    until("nothing more is to come", async || ledger_size(&scene.hub.place).await == 4).await;
    hub.signal("HUP");
    until("the catalogue is published", async || ledger_size(&scene.hub.place).await == 5).await;
    // What was read before it was bound anew is still the old one's word, and refused.
    until("what comes is the new one's word", async || outcome().await == "recorded").await;
    assert_eq!(outcome().await, "recorded");
    assert!(hub.stop().await.success());
}

/// Events of one partition, and what was deleted of it before it was read.
struct Deleted {
    scene: Scene,
    producer: FutureProducer,
}

impl Deleted {
    const IN: &str = "waybill.in.identity";

    async fn new() -> Self {
        let scene = Scene::new().await;
        Self { producer: scene.producer(), scene }
    }

    async fn send(&self, numbers: Range<usize>) {
        for number in numbers {
            let record = self.scene.people.citizen(number).unwrap().moved_record(1);
            Event::of(&record, &number.to_string()).send_to(&self.producer, Self::IN, Some(0)).await;
        }
    }

    /// Waits until these have outcomes, and no others.
    async fn told(&self, wanted: &[&str]) {
        let outcomes = self.scene.read_some("waybill.outcomes.identity", wanted.len()).await;
        let told: Vec<&str> = outcomes.iter().map(|one| one.header("ce_eventid")).collect();
        assert_eq!(told, wanted);
    }

    /// It is said and counted that the third to fifth event are missing.
    async fn third_to_fifth_are_missed(&self) {
        let counted = async || {
            let metrics = metrics(&self.scene.hub).await;
            let counted = metrics.lines().find(|line| line.starts_with("waybill_kafka_deleted_unread_total{"));
            counted.map(ToOwned::to_owned)
        };
        until("it is counted", async || counted().await.is_some()).await;
        let counted = counted().await.unwrap();
        assert!(counted.contains(Self::IN) && counted.ends_with(" 3"), "{counted}");
        let log = self.scene.hub.log();
        let said = log.lines().find(|line| line.contains("the brokers have deleted what the hub had not read"));
        for wanted in [Self::IN, "partition=0", "from=2", "below=5"] {
            assert!(said.is_some_and(|said| said.contains(wanted)), "{wanted}: {log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_brokers_deleted_while_the_hub_was_away_is_said_and_counted_and_gone_past() {
    let deleted = Deleted::new().await;
    let hub = deleted.scene.start();
    deleted.send(0..2).await;
    deleted.told(&["0", "1"]).await;
    assert!(hub.stop().await.success());
    deleted.send(2..5).await;
    deleted.scene.delete_below(Deleted::IN, 0, 5).await;
    deleted.send(5..6).await;
    let hub = deleted.scene.start();
    deleted.told(&["0", "1", "5"]).await;
    deleted.third_to_fifth_are_missed().await;
    assert!(hub.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_brokers_deleted_under_a_hub_that_reads_too_slowly_is_said_and_counted_and_gone_past() {
    let deleted = Deleted::new().await;
    let hub = deleted.scene.start();
    deleted.send(0..2).await;
    deleted.told(&["0", "1"]).await;
    // For a moment only: it stays a member of its group. What it had asked the broker for is answered before.
    hub.signal("STOP");
    tokio::time::sleep(Duration::from_secs(2)).await;
    deleted.send(2..5).await;
    deleted.scene.delete_below(Deleted::IN, 0, 5).await;
    deleted.send(5..6).await;
    hub.signal("CONT");
    deleted.told(&["0", "1", "5"]).await;
    deleted.third_to_fifth_are_missed().await;
    assert!(hub.stop().await.success());
}
