//! A record that the hub can never record, or that makes it panic, does not hold up what follows it: it is a dead letter,
//! and stays one when its outcome is asked for again.

mod picky;

use std::{path::Path, sync::Arc, time::Duration};

use waybill::{
    app::{Surroundings, desk_limits, sequencer_bounds},
    catalogue::Catalogue,
    config::{Config, Limits},
    desk::{Arrival, CallError, Consumable, Consuming, Desk, DeskParts, NumberedOutcome, ReceiptDetail, SeriesOut},
    domain::{
        agency::SystemId,
        environment::Environment,
        subject::Identifier,
        time::{Clock as _, SystemClock},
    },
    exchange::submission::{PeerName, Submission},
    ingress::kafka::{KafkaIngress, KafkaParts},
    kafka::Connection,
    ledger::{Origin, SignerKey},
    sequencer::{Sequencer, Signing},
    store::{
        Consumed, PartitionKey, Position, Store,
        embedded::{EmbeddedOptions, EmbeddedStore},
    },
    vault::MasterKey,
};

pub use self::picky::How;
use self::picky::{PANIC, Picky};
use super::scene::{Event, Scene};
use crate::crash::core;

const ORIGIN: &str = "hub.test/test/1";
const IN: &str = "waybill.in.identity";
/// Whom the store never takes.
const NEVER: usize = 2;

/// A desk on a store that never takes one person.
pub async fn desk(folder: &Path, catalogue: Catalogue, how: How) -> Arc<Desk> {
    let master = Arc::new(MasterKey::new([2; 32]));
    let never = core::people().citizen(NEVER).unwrap().national_number().unwrap().to_owned();
    let never = master.hasher().identifier(&Identifier::new("national-number", &never).unwrap());
    let mut options = EmbeddedOptions::new(folder.join("data"), Environment::Test, ORIGIN, Arc::clone(&master));
    options.reserve_bytes = 0;
    std::fs::create_dir_all(&options.path).unwrap();
    EmbeddedStore::create(&options).unwrap();
    let store: Arc<dyn Store> = Arc::new(Picky { store: EmbeddedStore::open(options).unwrap(), never, how });
    let Surroundings { clock, random, .. } = Surroundings::default();
    let signer = SignerKey::from_seed(ORIGIN, &[1; 32]).unwrap();
    let signing = Signing { origin: ORIGIN.parse::<Origin>().unwrap(), signer };
    let bounds = sequencer_bounds(&Limits::default());
    let sequencer = Sequencer::start(Arc::clone(&store), signing, Arc::clone(&clock), bounds).await.unwrap();
    let catalogue = Arc::new(catalogue);
    let desk = Arc::new(Desk::new(DeskParts {
        store,
        sequencer,
        catalogue: Arc::clone(&catalogue),
        hasher: master.hasher(),
        clock,
        random,
        environment: Environment::Test,
        limits: desk_limits(&Limits::default()),
    }));
    desk.publish(catalogue).await.unwrap();
    desk
}

fn catalogue() -> Catalogue {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Catalogue::load(&root.join("deploy/demo/catalogue"), &root.join("schemas")).unwrap()
}

fn registry() -> PeerName {
    PeerName::System(SystemId::new("identity/registry").unwrap())
}

/// Three events, the second of which is about whom the store never takes.
fn events(desk: &Desk, how: How) -> Vec<Submission> {
    let event = |citizen: usize| {
        let mut submission = core::address(citizen, 1);
        if (citizen, how) == (NEVER, How::Refused) {
            submission.payload = "{".into();
        }
        submission.key = desk.event_key(&[b"event", &[citizen as u8]], SystemClock.now());
        submission
    };
    [1, NEVER, 3].map(event).into()
}

async fn outcomes(series: &mut SeriesOut, count: usize) -> Vec<NumberedOutcome> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(series.next().await.unwrap());
    }
    all.sort_by_key(|(number, _)| *number);
    all
}

fn assert_only_the_second_is_dead(outcomes: &[NumberedOutcome]) {
    let recorded: Vec<bool> = outcomes.iter().map(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(recorded, [true, false, true], "{outcomes:?}");
    assert!(matches!(outcomes[1].1, Err(CallError::Unrecordable(_))), "{:?}", outcomes[1]);
}

/// Consumes events as the next of a partition; their outcomes, in order.
pub(super) async fn consume(
    desk: &Arc<Desk>,
    (partition, mut at): (PartitionKey, Position),
    events: impl IntoIterator<Item = Submission>,
) -> Vec<NumberedOutcome> {
    let (series, mut told) = desk.series(registry(), 10);
    let step = |event| {
        let (from, to) = (at, Position { next: at.next + 1, ..at });
        at = to;
        Consumable {
            number: from.next,
            arrival: Arrival::Submission(event),
            consuming: Consuming::Step(Consumed { partition, from, to }),
        }
    };
    let steps: Vec<_> = events.into_iter().map(step).collect();
    let count = steps.len();
    series.consume(steps, ReceiptDetail::Index).await.unwrap();
    outcomes(&mut told, count).await
}

async fn is_gone_past_and_stays_so(how: How) {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path(), catalogue(), how).await;
    let partition = PartitionKey::new("cluster", IN, 0);
    let at = desk.take_partition(partition).await.unwrap();
    let events = events(&desk, how);
    assert_only_the_second_is_dead(&consume(&desk, (partition, at), events.clone()).await);
    assert_eq!(desk.take_partition(partition).await.unwrap().next, 3, "its partition has gone past all of them");

    let (series, mut told) = desk.series(registry(), 10);
    let again = (0..).zip(events).map(|(number, event)| {
        let arrival = Arrival::Submission(event);
        Consumable { number, arrival, consuming: Consuming::Past }
    });
    series.consume(again.collect(), ReceiptDetail::Index).await.unwrap();
    assert_only_the_second_is_dead(&outcomes(&mut told, 3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_recorded_is_gone_past_and_stays_so() {
    is_gone_past_and_stays_so(How::Invalid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_the_hub_panic_is_gone_past_and_stays_so() {
    is_gone_past_and_stays_so(How::LookedFor).await;
    is_gone_past_and_stays_so(How::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_decision_after_the_other_panics_no_record_is_given_up_for_it() {
    const GIVEN_UP: u64 = 3;
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path(), catalogue(), How::LookedFor).await;
    let partition = PartitionKey::new("cluster", IN, 0);
    let event = |number: u64| {
        let key = desk.event_key(&[b"event", &number.to_be_bytes()], SystemClock.now());
        Submission { key, ..core::address(NEVER, 1) }
    };
    let at = desk.take_partition(partition).await.unwrap();
    let consumed = consume(&desk, (partition, at), (0..GIVEN_UP + 2).map(event)).await;
    for (number, outcome) in &consumed {
        let given_up = matches!(outcome, Err(CallError::Unrecordable(_)));
        assert_eq!(given_up, *number < GIVEN_UP, "{number}: {outcome:?}");
    }
    let at = desk.take_partition(partition).await.unwrap();
    assert_eq!(at.next, GIVEN_UP, "the others wait in the log");

    // Once something is decided, it is the record's fault again.
    let peer = registry();
    desk.submit(peer.peer(), core::address(1, 1), ReceiptDetail::Index).await.unwrap();
    let again = consume(&desk, (partition, at), [event(GIVEN_UP)]).await;
    assert!(matches!(again[..], [(GIVEN_UP, Err(CallError::Unrecordable(_)))]), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_the_hub_panic_in_a_stream_fails_alone_and_says_nothing_of_the_person() {
    for how in [How::LookedFor, How::Refused] {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path(), catalogue(), how).await;
        let (series, mut told) = desk.series(registry(), 10);
        let sent = (0..).zip(events(&desk, how).into_iter().map(Arrival::from)).collect();
        series.send(sent, ReceiptDetail::Index).await.unwrap();
        let outcomes = outcomes(&mut told, 3).await;
        let [(_, Ok(first)), (_, Err(CallError::Fault(fault))), (_, Ok(last))] = &outcomes[..] else {
            panic!("{how:?}: {outcomes:?}")
        };
        assert!(first.recipients[0].receipt.index < last.recipients[0].receipt.index, "in the order sent");
        assert!(!fault.contains(PANIC), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_the_hub_panic_once_it_is_recorded_fails_alone_and_stays_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path(), catalogue(), How::ReadAgain).await;
    let (series, mut told) = desk.series(registry(), 10);
    // Decided together, so that each is new; by the second's turn, the first has been recorded under its key.
    let (twice, other) = (core::address(1, 1), core::address(3, 1));
    let sent = (0..).zip([twice.clone(), twice.clone(), other].map(Arrival::from)).collect();
    series.send(sent, ReceiptDetail::Index).await.unwrap();
    let outcomes = outcomes(&mut told, 3).await;
    let [(_, Ok(first)), (_, Err(CallError::Fault(fault))), (_, Ok(last))] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    let [first, last] = [first, last].map(|outcome| outcome.recipients[0].receipt.index);
    assert!(first < last && !fault.contains(PANIC), "{fault}");
    // Neither does it end the task of whoever calls once.
    let peer = registry();
    let again = desk.submit(peer.peer(), twice, ReceiptDetail::Index).await;
    assert!(matches!(again, Err(CallError::Fault(_))), "{again:?}");
    let known = desk.submit(peer.peer(), core::address(4, 1), ReceiptDetail::Index).await.unwrap();
    assert!(known.recipients[0].receipt.index > last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_can_never_be_recorded_is_a_dead_letter_and_what_follows_is_told() {
    is_a_dead_letter(How::Invalid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_makes_the_hub_panic_is_a_dead_letter_and_what_follows_is_told() {
    is_a_dead_letter(How::LookedFor).await;
}

async fn is_a_dead_letter(how: How) {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path(), scene.hub.place.catalogue().unwrap(), how).await;
    let producer = scene.producer();
    for (citizen, id) in [(1, "first"), (NEVER, "never"), (3, "last")] {
        let mut event = Event::of(&core::people().citizen(citizen).unwrap().moved_record(1), id);
        event.key = "one".into();
        event.send(&producer, IN).await;
    }
    let config = Config::load(&scene.hub.place.config_file).unwrap();
    let ingress = KafkaIngress::start(KafkaParts {
        desk,
        connection: Connection::new(config.kafka.as_ref().unwrap()),
        hub: "hub.test".into(),
        ledger: "1".into(),
        conflicts: Arc::default(),
        members: 1,
        window_max: config.limits.kafka_window_max,
        untold_bytes_max: config.limits.kafka_window_bytes_max,
        record_bytes_max: config.limits.record_bytes_max,
    });
    let told = scene.read_some("waybill.outcomes.identity", 2).await;
    let told: Vec<&str> = told.iter().map(|one| one.header("ce_eventid")).collect();
    assert_eq!(told, ["first", "last"]);
    let dead = scene.read_some("waybill.dead.identity", 1).await.remove(0);
    let said = dead.json();
    assert_eq!(said["reason"]["keyword"], "unrecordable");
    assert_eq!((said["topic"].as_str(), said["offset"].as_i64()), (Some(IN), Some(1)));
    assert_eq!((said["event"]["id"].as_str(), dead.header("ce_eventid")), (Some("never"), "never"));
    ingress.unwrap().stop(Duration::from_secs(10)).await;
}
