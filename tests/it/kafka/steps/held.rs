//! The hub that is killed: the real one, composed as `serve` composes it, in a process of its own, which stops for good at
//! the step that it is told. Where that is, and what must be so afterwards, is not its matter.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use rdkafka::{Message as _, message::DeliveryResult};
use waybill::{
    app::{Hub, Surroundings},
    config::Config,
    kafka::KafkaHook,
    store::{StoreError, embedded::CommitHook},
};

use super::{Step, named};
use crate::crash::scene::{PATIENCE, Scene, Served};

/// Which configuration the other process serves, and where it stops.
const CONFIG: &str = "WAYBILL_TEST_HELD_CONFIG";
const STEP: &str = "WAYBILL_TEST_HELD_STEP";
/// This program's other role, as it is called among its tests.
const ROLE: &str = "kafka::steps::held::a_hub_stops_where_it_is_told";

/// A hub that is to stop at a step.
pub struct Held {
    served: Served,
    orders: ChildStdin,
    said: mpsc::Receiver<String>,
}

impl Held {
    /// Starts it. Until it is armed it is a hub like any other.
    pub fn start(hub: &Scene, step: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", ROLE, "--nocapture", "--test-threads=1"]);
        command.env(CONFIG, &hub.place.config_file).env(STEP, step);
        let mut served = hub.spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (orders, lines) = served.pipes();
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let _ = tell.send(line); // nobody may listen any more
            }
        });
        Self { served, orders, said }
    }

    /// From now on it stops at its step.
    pub fn arm(&mut self) {
        self.order("arm");
        self.wait_for("armed");
    }

    /// Waits until it says this.
    pub fn wait_for(&self, word: &str) {
        while !self
            .said
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("the hub did not say: {word}"))
            .ends_with(word)
        {}
    }

    /// Lets it go on from its step.
    pub fn release(&mut self) {
        self.order("go on");
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.served.kill();
    }

    fn order(&mut self, word: &str) {
        writeln!(self.orders, "{word}").unwrap();
    }
}

/// Stops whoever reaches the step first, and everybody after.
struct Stop {
    step: Step,
    armed: AtomicBool,
    released: AtomicBool,
    /// Commits since it was armed.
    commits: AtomicUsize,
}

impl Stop {
    fn reach(&self, step: Step) {
        if step != self.step || !self.armed.load(Ordering::SeqCst) {
            return;
        }
        println!("\nreached");
        while !self.released.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    fn commit(&self, begins: bool, step: fn(usize) -> Step) {
        let counts = begins && self.armed.load(Ordering::SeqCst);
        let before = self.commits.fetch_add(usize::from(counts), Ordering::SeqCst);
        self.reach(step(before + usize::from(counts)));
    }
}

impl CommitHook for Stop {
    fn before_slots_sync(&self) -> Result<(), StoreError> {
        self.commit(true, Step::BeforeSlots);
        Ok(())
    }
    fn before_batch(&self) -> Result<(), StoreError> {
        self.commit(false, Step::BeforeBatch);
        Ok(())
    }
    fn after_batch(&self) -> Result<(), StoreError> {
        self.commit(false, Step::AfterBatch);
        Ok(())
    }
}

impl KafkaHook for Stop {
    fn before_join(&self) {
        self.reach(Step::BeforeJoin);
    }
    fn consumed(&self, _: &str) {
        self.reach(Step::Consumed);
    }
    fn before_produce(&self, topic: &str) {
        self.reach(Step::BeforeProduce(super::kind(topic)));
    }
    fn after_produce(&self, topic: &str) {
        self.reach(Step::AfterProduce(super::kind(topic)));
    }
    fn before_report(&self, reported: &DeliveryResult<'_>) {
        let (Ok(message) | Err((_, message))) = reported;
        self.reach(Step::BeforeReport(super::kind(message.topic())));
    }
    fn before_offset(&self, _: &str) {
        self.reach(Step::BeforeOffset);
    }
}

/// Both of this program's roles in the table: without a step it checks that each has a name of its own, by which the
/// other role is told it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_stops_where_it_is_told() {
    let Ok(step) = std::env::var(STEP) else { return super::assert_named() };
    let config = PathBuf::from(std::env::var_os(CONFIG).unwrap());
    let armed = AtomicBool::new(named(&step) == Step::BeforeJoin);
    let (released, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let stop = Arc::new(Stop { step: named(&step), armed, released, commits });
    let surroundings =
        Surroundings { commits: Arc::clone(&stop) as _, kafka: Arc::clone(&stop) as _, ..Surroundings::default() };
    std::thread::spawn(move || {
        for order in std::io::stdin().lines().map_while(Result::ok) {
            match order.as_str() {
                "arm" => {
                    stop.armed.store(true, Ordering::SeqCst);
                    println!("\narmed");
                }
                _ => stop.released.store(true, Ordering::SeqCst),
            }
        }
        // It does not outlive who started it.
        std::process::exit(1);
    });
    let config = Config::load(&config).unwrap();
    waybill::app::start_logging(&config.log);
    PrometheusBuilder::new().with_http_listener(config.metrics.listen).install().unwrap();
    let mut hub = Hub::start(config, surroundings).await.unwrap();
    let error = hub.failed().await;
    eprintln!("{error:#}");
    std::process::exit(1);
}
