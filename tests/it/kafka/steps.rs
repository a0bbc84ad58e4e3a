//! The hub is killed between every two steps of the way in and of the way out. Whichever it is, after a restart every
//! event has exactly one entry for each recipient, and its delivery reached the topic, once after de-duplication.
//!
//! All hubs of the table are there at once, each under a name, in a group and with a ledger of its own, and consume the
//! same three events: one as a warm-up, one at which each stops where its row says and is killed, and one after that.
//! So the 10 seconds until the brokers take a dead member for dead pass once.

pub mod held;

use std::{collections::BTreeSet, ops::RangeInclusive};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use waybill::app::verify_data;

use self::held::Held;
use super::{
    load::{assert_comes_to, ledger_size, outcomes},
    scene::{Event, Read, Scene},
};
use crate::crash::scene::{PATIENCE, Scene as Hub, Served, copy_folder, until};

const IN: &str = "waybill.in.identity";
/// The events, each with its partition: the one at which hubs are killed is the first of its own.
const EVENTS: [(&str, i32); 3] = [("before", 0), ("killed", 1), ("after", 1)];
/// Entries of the ledger: the catalogue; and of each event two decisions, and the acknowledgement of what went to benefit.
const BEFORE: usize = 1 + 3;
const DECIDED: usize = BEFORE + 2;
const ACKNOWLEDGED: usize = DECIDED + 1;
const ALL: usize = 1 + 3 * EVENTS.len();

/// A place at which a hub can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Of a commit, counted from the second event on: the first records it, the second claims its delivery, the third
    /// records that it was acknowledged.
    BeforeSlots(usize),
    BeforeBatch(usize),
    AfterBatch(usize),
    BeforeJoin,
    Consumed,
    BeforeProduce(Kind),
    AfterProduce(Kind),
    BeforeReport(Kind),
    BeforeOffset,
    /// Nobody is held: the group's offset lies past the event.
    OffsetMoved,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Outcome,
    Delivery,
    Other,
}

fn kind(topic: &str) -> Kind {
    match topic {
        "waybill.outcomes.identity" => Kind::Outcome,
        "waybill.out.benefit" => Kind::Delivery,
        _ => Kind::Other,
    }
}

/// What lies behind the hub and what before it when it is killed; where; and the entries that the ledger then has: while
/// the way in is held, the way out may go on.
const TABLE: [(&str, Step, RangeInclusive<usize>); 16] = [
    // The way in.
    ("consumed-prepared", Step::Consumed, BEFORE..=BEFORE),
    ("prepared-keyed", Step::BeforeSlots(1), BEFORE..=BEFORE),
    ("keyed-committed", Step::BeforeBatch(1), BEFORE..=BEFORE),
    ("committed-shown", Step::AfterBatch(1), DECIDED..=DECIDED),
    ("shown-outcome-produced", Step::BeforeProduce(Kind::Outcome), DECIDED..=ACKNOWLEDGED),
    ("outcome-produced-written", Step::AfterProduce(Kind::Outcome), DECIDED..=ACKNOWLEDGED),
    ("outcome-written-reported", Step::BeforeReport(Kind::Outcome), DECIDED..=ACKNOWLEDGED),
    ("outcome-reported-offset-moved", Step::BeforeOffset, DECIDED..=ACKNOWLEDGED),
    ("offset-moved", Step::OffsetMoved, DECIDED..=ACKNOWLEDGED),
    // The way out.
    ("shown-claimed", Step::BeforeBatch(2), DECIDED..=DECIDED),
    ("claimed-opened", Step::AfterBatch(2), DECIDED..=DECIDED),
    ("opened-produced", Step::BeforeProduce(Kind::Delivery), DECIDED..=DECIDED),
    ("produced-written", Step::AfterProduce(Kind::Delivery), DECIDED..=DECIDED),
    ("written-reported", Step::BeforeReport(Kind::Delivery), DECIDED..=DECIDED),
    ("reported-recorded", Step::BeforeBatch(3), DECIDED..=DECIDED),
    ("recorded-shown", Step::AfterBatch(3), ACKNOWLEDGED..=ACKNOWLEDGED),
];
const JOINING: (&str, Step) = ("looked-joined", Step::BeforeJoin);

fn named(name: &str) -> Step {
    let found = TABLE.iter().map(|(known, step, _)| (*known, *step)).chain([JOINING]).find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no step is called {name}")).1
}

fn assert_named() {
    for (place, (name, step, _)) in TABLE.iter().enumerate() {
        assert!(!TABLE[..place].iter().any(|(_, other, _)| other == step), "{name} is in the table twice");
        assert_eq!(named(name), *step, "another step is called {name}, too");
    }
}

/// One row of the table.
struct Row {
    step: Step,
    left: RangeInclusive<usize>,
    hub: Hub,
    source: String,
    /// A client that asks how far the group is, and never joins it.
    group: BaseConsumer,
}

impl Row {
    fn new(scene: &Scene, (name, step, left): (&str, Step, RangeInclusive<usize>)) -> Self {
        let hub_name = format!("{name}.invalid");
        let mut client = scene.client.clone();
        let group = client.set("group.id", format!("waybill.{hub_name}")).create().unwrap();
        let source = format!("urn:waybill:hub:{hub_name}");
        Self { step, left, hub: scene.hub_named(&hub_name), source, group }
    }

    /// Up to where the group has come in an event's partition.
    fn offset(&self, event: usize) -> i64 {
        let (partition, mut asked) = (EVENTS[event].1, TopicPartitionList::new());
        asked.add_partition(IN, partition);
        let committed = self.group.committed_offsets(asked, PATIENCE).unwrap();
        match committed.find_partition(IN, partition).map(|found| found.offset()) {
            Some(Offset::Offset(next)) => next,
            _ => 0,
        }
    }

    /// Waits until the group is past the first event of a partition.
    async fn group_is_past(&self, event: usize) {
        until("the group's offset moves", async || tokio::task::block_in_place(|| self.offset(event)) > 0).await;
    }

    /// Has the hub stop at its step, and kills it there.
    async fn kill(&self, held: Held) {
        if self.step == Step::OffsetMoved {
            self.group_is_past(1).await;
        } else {
            tokio::task::block_in_place(|| held.wait_for("reached"));
        }
        held.kill();
        let (place, copy) = (&self.hub.place, self.hub.beside("copy"));
        copy_folder(&place.config.paths.data, &copy);
        let report = verify_data(&copy, &[place.verifier_key.parse().unwrap()], |_| ()).unwrap();
        let left = report.size as usize;
        assert!(report.fault.is_none() && self.left.contains(&left), "{}: {report:?}", self.source);
    }

    /// Each event was decided once, and delivered once to whoever takes each transfer once.
    async fn assert_once(&self, outcomes_read: &[Read], deliveries: &[Read], hub: Served) {
        let mine = |read: &&Read| read.header("ce_source") == self.source;
        let told = outcomes(outcomes_read.iter().filter(mine));
        assert!(told.keys().eq(BTreeSet::from(EVENTS.map(|(event, _)| event))), "{}: {told:?}", self.source);
        let (mut indices, mut transfers) = (BTreeSet::new(), BTreeSet::new());
        for (event, said) in &told {
            assert_eq!(said.len(), 1, "{}: {event} has one outcome, however often it is told: {said:?}", self.source);
            let recipients: serde_json::Value = serde_json::from_str(said.first().unwrap()).unwrap();
            for one in recipients.as_array().unwrap() {
                assert!(indices.insert(one["index"].as_u64().unwrap()), "{}: an entry answers two events", self.source);
                if one["recipient"] == "benefit" {
                    transfers.insert(one["transferId"].as_str().unwrap().to_owned());
                }
            }
        }
        let arrived: Vec<String> = deliveries.iter().filter(mine).map(|one| one.header("ce_id").to_owned()).collect();
        println!("{}: {} deliveries of {} transfers", self.source, arrived.len(), transfers.len());
        assert_eq!(BTreeSet::from_iter(arrived), transfers, "{}: what is delivered is what was told", self.source);
        assert_comes_to(&self.hub.place, hub, ALL).await;
    }
}

/// Waits until the topic has, from each hub, so many that differ in this header.
async fn read_of_each(scene: &Scene, topic: &str, header: &'static str) -> Vec<Read> {
    let enough = move |read: &[Read]| {
        let differing: BTreeSet<_> = read.iter().map(|one| (one.header("ce_source"), one.header(header))).collect();
        differing.len() >= TABLE.len() * EVENTS.len()
    };
    scene.read(topic, enough).await
}

async fn send(scene: &Scene, number: usize) {
    let record = scene.people.citizen(1).unwrap().moved_record(1 + number as u32);
    let (id, partition) = EVENTS[number];
    Event::of(&record, id).send_to(&scene.producer(), IN, Some(partition)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_between_any_two_steps_does_everything_once() {
    let scene = Scene::new().await;
    let rows: Vec<Row> = TABLE.into_iter().map(|row| Row::new(&scene, row)).collect();
    let mut held: Vec<Held> = rows.iter().zip(&TABLE).map(|(row, (name, ..))| Held::start(&row.hub, name)).collect();
    send(&scene, 0).await;
    for row in &rows {
        until("the first event is delivered", async || ledger_size(&row.hub.place).await == BEFORE).await;
        row.group_is_past(0).await;
    }
    held.iter_mut().for_each(Held::arm);
    send(&scene, 1).await;
    for (row, held) in rows.iter().zip(held) {
        row.kill(held).await;
    }
    let hubs: Vec<Served> = rows.iter().map(|row| row.hub.start()).collect();
    send(&scene, 2).await;
    let outcomes = read_of_each(&scene, "waybill.outcomes.identity", "ce_eventid").await;
    let deliveries = read_of_each(&scene, "waybill.out.benefit", "ce_id").await;
    for (row, hub) in rows.iter().zip(hubs) {
        row.assert_once(&outcomes, &deliveries, hub).await;
    }
}
