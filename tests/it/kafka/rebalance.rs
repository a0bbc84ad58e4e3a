//! Partitions that are taken from a member, and that come back to it, while what it read cannot be told.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use tempfile::TempDir;
use waybill::{
    config::Config,
    ingress::kafka::{KafkaIngress, KafkaParts},
    kafka::{Connection, KafkaHook},
};

use super::{
    load::Load,
    poison::{How, desk},
    scene::{Event, Scene},
};
use crate::crash::scene::{PATIENCE, until};

const IN: &str = "waybill.in.identity";
const OUTCOMES: &str = "waybill.outcomes.identity";
/// Far more than a window of one, of each partition.
const EVENTS: usize = 120;
/// Four partitions that wait for one another take four times the ten seconds that all of them have together.
const TOGETHER: Duration = Duration::from_secs(36);

/// Nothing that is told gets through while it is shut.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    consumed: AtomicUsize,
}

impl KafkaHook for Gate {
    fn consumed(&self, _: &str) {
        self.consumed.fetch_add(1, Ordering::SeqCst);
    }

    fn before_produce(&self, _: &str) {
        while !self.open.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// It opens at the latest when it is dropped: nobody stands at it for ever.
struct Shut(Arc<Gate>);

impl Shut {
    fn open(&self) {
        self.0.open.store(true, Ordering::SeqCst);
    }
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.open();
    }
}

struct Stuck {
    scene: Scene,
    gate: Shut,
    ingress: KafkaIngress,
    _folder: TempDir,
}

impl Stuck {
    /// A member that can tell nothing and whose partitions are paused, since far more waits in them than it may hold.
    async fn new() -> Self {
        let (scene, folder, gate) = (Scene::new().await, tempfile::tempdir().unwrap(), Shut(Arc::default()));
        let desk = desk(folder.path(), scene.hub.place.catalogue().unwrap(), How::Refused).await;
        let producer = scene.producer();
        for number in 0..EVENTS {
            let event = Event::of(&scene.people.citizen(number).unwrap().moved_record(1), &number.to_string());
            event.send(&producer, IN).await;
        }
        let config = Config::load(&scene.hub.place.config_file).unwrap();
        let ingress = KafkaIngress::start(KafkaParts {
            desk,
            connection: Connection::new(config.kafka.as_ref().unwrap()).hooked(Arc::clone(&gate.0) as _),
            hub: "hub.test".into(),
            ledger: "1".into(),
            conflicts: Arc::default(),
            members: 1,
            window_max: 1,
            untold_bytes_max: config.limits.kafka_window_bytes_max,
            record_bytes_max: config.limits.record_bytes_max,
        });
        let mut consumed = 0;
        until("nothing more is read", async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let before = std::mem::replace(&mut consumed, gate.0.consumed.load(Ordering::SeqCst));
            before > 0 && before == consumed
        })
        .await;
        assert!(consumed < EVENTS, "the partitions are paused");
        Self { scene, gate, ingress: ingress.unwrap(), _folder: folder }
    }

    /// Joins the group until it has partitions, and leaves without having read anything: they come back.
    async fn takes_partitions_away(&self) {
        let mut client = self.scene.client.clone();
        client
            .set("group.id", "waybill.hub.test")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false");
        let passing: BaseConsumer = client.create().unwrap();
        passing.subscribe(&[IN]).unwrap();
        let passed = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            while passing.assignment().unwrap().count() == 0 {
                drop(passing.poll(Duration::from_millis(100)));
                assert!(begun.elapsed() < PATIENCE, "no partition was taken away");
            }
            begun.elapsed()
        });
        let took = passed.await.unwrap();
        assert!(took < TOGETHER, "it took {took:?} to give partitions back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn a_paused_partition_that_is_taken_away_and_comes_back_is_read_on() {
    let stuck = Stuck::new().await;
    stuck.takes_partitions_away().await;
    stuck.gate.open();
    let all = stuck.scene.read(OUTCOMES, |read| {
        let told: BTreeSet<&str> = read.iter().map(|one| one.header("ce_eventid")).collect();
        told.len() == EVENTS
    });
    all.await;
    stuck.ingress.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn partitions_that_cannot_be_told_are_given_back_together() {
    let (stuck, begun) = (Stuck::new().await, Instant::now());
    stuck.ingress.stop(PATIENCE).await;
    let took = begun.elapsed();
    assert!(took < TOGETHER, "it took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hub_has_told_when_it_leaves_is_noted_in_the_group() {
    let scene = Scene::new().await;
    let (hub, load) = (scene.start(), Load::start(&scene));
    load.more(200).await;
    scene.read_some(OUTCOMES, 1).await;
    assert!(hub.stop().await.success());
    load.finish().await;

    let mut client = scene.client.clone();
    let group = format!("waybill.{}", scene.hub.place.config.hub);
    let client: BaseConsumer = client.set("group.id", group).create().unwrap();
    let (written, noted) = tokio::task::block_in_place(|| {
        let end = |partition| client.fetch_watermarks(OUTCOMES, partition, PATIENCE).unwrap().1;
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(IN, 0, 3);
        ((0..4).map(end).sum::<i64>(), client.committed_offsets(asked, PATIENCE).unwrap())
    });
    let outcomes = scene.read_some(OUTCOMES, usize::try_from(written).unwrap()).await;
    for one in noted.elements() {
        let number = one.partition().to_string();
        let told: BTreeSet<&str> =
            outcomes.iter().filter(|outcome| outcome.key == number).map(|outcome| outcome.header("ce_id")).collect();
        let noted = if let Offset::Offset(offset) = one.offset() { usize::try_from(offset).unwrap() } else { 0 };
        assert_eq!(noted, told.len(), "of partition {number}");
    }
}
