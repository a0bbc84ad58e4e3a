//! Brokers that are away for long: what is cancelled meanwhile, and was not in the library's queue, does not leave. The
//! library's own mock cluster plays the brokers.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use uuid::Uuid;

use super::*;
use crate::{
    desk::DeliveryContent,
    domain::agency::SystemId,
    drivers::{Gate, GateFault, LinkId, LinkTerms, Notice, OrderRule, Reported},
    kafka::Connection,
};

const TOPIC: &str = "waybill.out.tax";
const DELIVERIES: u64 = 20;
/// Within which something happens that is to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets through what is not cancelled, and counts how often it is asked.
#[derive(Default)]
struct Hub {
    cancelled: Mutex<BTreeSet<u64>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Gate for Hub {
    async fn pass(&self, indices: &[u64]) -> Result<Vec<bool>, GateFault> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let cancelled = self.cancelled.lock();
        Ok(indices.iter().map(|index| !cancelled.contains(index)).collect())
    }
}

fn id(index: u64) -> TransferId {
    TransferId(Uuid::from_u128(index.into()))
}

/// A link whose library has room for a few deliveries, to a broker that is away.
struct Scene {
    hub: Arc<Hub>,
    cluster: MockCluster<'static, DefaultProducerContext>,
    lost: CancellationToken,
    said: mpsc::UnboundedReceiver<Said>,
    running: tokio::task::JoinHandle<()>,
    _relay: (mpsc::Sender<Vec<Outbound>>, mpsc::UnboundedReceiver<Notice>, mpsc::Receiver<Reported>),
}

impl Scene {
    /// The link, when the library takes no more of its batch.
    async fn full() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        cluster.broker_down(1).unwrap();
        let settings = [("queue.buffering.max.kbytes", "4"), ("reconnect.backoff.max.ms", "200")];
        let connection = Connection::plaintext(&cluster.bootstrap_servers(), &settings);
        let hub = Arc::<Hub>::default();
        let system = SystemId::new("tax/registry").unwrap();
        let terms = LinkTerms { system, credit: 100, order: OrderRule::Pipelined, report_within: PATIENCE };
        let ((notices, noticed), (reports, reported)) = (mpsc::unbounded_channel(), mpsc::channel(1));
        let gate = Arc::clone(&hub) as Arc<dyn Gate>;
        let (mut port, batches) = Port::pair(LinkId(1), &terms, gate, notices, reports);
        let outbound = |index| {
            let payload = vec![b' '; 500].into();
            let content = Box::new(DeliveryContent { payload, ..DeliveryContent::example(id(index), index) });
            Outbound { content, attempt: 1 }
        };
        batches.try_send((0..DELIVERIES).map(outbound).collect()).unwrap();
        let (back, said) = mpsc::unbounded_channel();
        let lost = CancellationToken::new();
        let until = lost.clone();
        let running = tokio::spawn(async move {
            let producer = Producer::new(&connection, "test", 1000).unwrap();
            Sending { producer: &producer, topic: TOPIC, source: "urn:test", back, lost: &until }.run(&mut port).await;
        });
        let scene = Self { hub, cluster, lost, said, running, _relay: (batches, noticed, reported) };
        // When the batch leaves, and then only since it could not.
        until_true(|| scene.hub.asked.load(Ordering::Relaxed) > 2).await;
        scene
    }
}

async fn until_true(is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it happens in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_while_the_brokers_are_away_and_the_queue_is_full_does_not_leave() {
    let mut scene = Scene::full().await;
    scene.hub.cancelled.lock().extend([12, DELIVERIES - 1]);
    scene.cluster.broker_up(1).unwrap();
    let mut written = Vec::new();
    while written.len() < DELIVERIES as usize - 2 {
        let (transfer, answered, said) = tokio::time::timeout(PATIENCE, scene.said.recv()).await.unwrap().unwrap();
        assert_eq!((answered, said), (false, Ok(())));
        written.push(transfer);
    }
    let open: Vec<TransferId> = (0..DELIVERIES).filter(|index| ![12, DELIVERIES - 1].contains(index)).map(id).collect();
    assert_eq!(written, open);
    scene.lost.cancel();
    scene.running.await.unwrap();
    assert_eq!(scene.said.recv().await, None, "nothing else was handed over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_to_end_waits_for_no_room_in_the_queue() {
    let scene = Scene::full().await;
    scene.lost.cancel();
    tokio::time::timeout(PATIENCE, scene.running).await.expect("it ends in time").unwrap();
}
