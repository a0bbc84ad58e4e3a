//! Kafka as a way out: deliveries go to `waybill.out.<agency>`, and count when the brokers have them or, where that is
//! agreed, when the recipient has answered on `waybill.acks.<agency>`. What is delivered is not decided here.
//!
//! Handing a delivery to the library is its release: the relay is asked just before, and again before each try while the
//! library takes no more. The library keeps the order of each key (an idempotent producer, at most five requests in
//! flight) and never gives up by itself, so brokers that are away cost an attempt only as often as `kafka_answer_s_max`
//! passes (a day by default). When it can no longer keep the order, or the topic cannot be written to, the link is dropped,
//! the producer made anew, and what was not reported is handed over again. That is no delivery's fault, and costs none an
//! attempt.
//!
//! | question | file |
//! |---|---|
//! | how is a delivery handed over and reported? | `send.rs`, how is it written `message.rs` |
//! | how does a recipient answer? | `acks.rs` |
//! | and if nobody can read it? | `dead.rs` |

mod acks;
mod dead;
mod message;
mod send;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};
use tokio::{
    sync::mpsc,
    task::{self, JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use self::send::{Sending, Sent, Written, tell};
use super::{LinkTerms, OrderRule};
use crate::{
    domain::agency::{AgencyId, SystemId},
    kafka::{AROUND_RECORD_BYTES_MAX, Conflicts, Connection, Producer, Told, Topic, TopicKind, hub_source},
    relay::{Registry, Stopping},
};

/// How often it is looked who receives on Kafka now.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a recipient's link is left alone after it was lost; it doubles up to the longest.
const REST: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);
/// How long the brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A recipient on Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    /// The recipient.
    pub agency: AgencyId,
    /// Its system, whose word its answers are.
    pub system: SystemId,
    /// Whether any agreement asks for its answer.
    pub answers: bool,
}

/// What the way out is made of.
pub struct KafkaOutParts {
    /// Where links get in.
    pub relay: Arc<Registry>,
    /// Where the brokers are.
    pub connection: Connection,
    /// The hub's name.
    pub hub: String,
    /// Its ledger's id: one group of answers serves one ledger.
    pub ledger: String,
    /// Where it says that the hub must not go on.
    pub conflicts: Arc<Conflicts>,
    /// Who receives on Kafka now.
    pub recipients: Box<dyn Fn() -> Vec<Recipient> + Send + Sync>,
    /// Bounds.
    pub limits: KafkaOutLimits,
}

/// Bounds of the way out; defaults and documentation are in the table of limits.
#[derive(Debug, Clone, Copy)]
pub struct KafkaOutLimits {
    /// Deliveries to one recipient that are not reported or answered.
    pub in_flight_max: usize,
    /// How long that may take.
    pub answer_within: Duration,
    /// A record's JSON, in bytes.
    pub record_bytes_max: usize,
}

impl KafkaOutLimits {
    /// What a link to this system's topic can do.
    pub const fn terms(&self, system: SystemId) -> LinkTerms {
        let Self { in_flight_max, answer_within, .. } = *self;
        LinkTerms { system, credit: in_flight_max, order: OrderRule::Pipelined, report_within: answer_within }
    }
}

/// The running way out.
#[derive(Debug)]
pub struct KafkaOut {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl KafkaOut {
    /// Starts it. Links connect as soon as there are brokers.
    pub fn start(parts: KafkaOutParts) -> Self {
        let stop = CancellationToken::new();
        let parts = Arc::new(parts);
        let known = Arc::clone(&parts);
        let wanted = move || (known.recipients)();
        let link = move |recipient, stop| Link { parts: Arc::clone(&parts), recipient, stop }.run();
        let task = tokio::spawn(supervise(wanted, link, stop.clone()));
        Self { stop, task }
    }

    /// Hands nothing more over, waits for the reports of what is out, at most for `within`, and ends.
    pub async fn stop(self, within: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(within, self.task).await.is_err() {
            tracing::warn!("deliveries to Kafka were not reported in time: they are handed over again");
        }
    }
}

/// Keeps a link for each recipient that the catalogue in force names.
async fn supervise<F: Future<Output = ()> + Send + 'static>(
    wanted: impl Fn() -> Vec<Recipient>,
    link: impl Fn(Recipient, CancellationToken) -> F,
    stop: CancellationToken,
) {
    let mut links: HashMap<Recipient, (task::Id, CancellationToken)> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        while let Some(ended) = tasks.try_join_next_with_id() {
            // One that has panicked has said so, and is started again.
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            links.retain(|_, (link, _)| *link != id);
        }
        let wanted = wanted();
        links.retain(|recipient, (_, stop)| {
            let stays = wanted.contains(recipient);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for recipient in wanted {
            if let Entry::Vacant(none) = links.entry(recipient) {
                let stop = stop.child_token();
                let task = tasks.spawn(link(none.key().clone(), stop.clone()));
                none.insert((task.id(), stop));
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// One recipient's link, made again whenever it is lost.
struct Link {
    parts: Arc<KafkaOutParts>,
    recipient: Recipient,
    stop: CancellationToken,
}

impl Link {
    async fn run(self) {
        let topic = Topic::new(TopicKind::Out, self.recipient.agency.clone()).to_string();
        let mut rest = REST;
        while !self.stop.is_cancelled() {
            match self.serve(&topic).await {
                Ok(Written::Some) => rest = REST,
                Ok(Written::Nothing) => {}
                Err(error) => tracing::warn!(%error, topic, "deliveries wait"),
            }
            metrics::counter!("waybill_kafka_links_total", "topic" => topic.clone()).increment(1);
            let _ = tokio::time::timeout(rest, self.stop.cancelled()).await; // either will do
            rest = (rest * 2).min(REST_MAX);
        }
    }

    /// Serves the link until it is lost, or is to end.
    async fn serve(&self, topic: &str) -> Result<Written, KafkaError> {
        self.probe(topic).await?;
        let parts = &self.parts;
        let bytes_max = parts.limits.record_bytes_max + AROUND_RECORD_BYTES_MAX;
        let producer: Producer<Sent> = Producer::new(&parts.connection, "waybill-out", bytes_max)?;
        let terms = parts.limits.terms(self.recipient.system.clone());
        let Ok(mut port) = parts.relay.connect(&self.recipient.agency, &terms) else {
            let Stopping = Stopping;
            return Ok(Written::Nothing);
        };
        let reporter = port.reporter();
        let lost = self.stop.child_token();
        // However this ends, what was started for it does.
        let _ended = lost.clone().drop_guard();
        let (back, reports) = mpsc::unbounded_channel();
        let telling = tokio::spawn(tell(reports, reporter.clone(), lost.clone(), topic.to_owned()));
        let answers = self.recipient.answers.then(|| {
            let collecting = acks::Collecting {
                connection: parts.connection.clone(),
                hub: parts.hub.clone(),
                ledger: parts.ledger.clone(),
                conflicts: Arc::clone(&parts.conflicts),
                agency: self.recipient.agency.clone(),
                reporter,
                stop: lost.clone(),
            };
            tokio::spawn(collecting.run())
        });
        let source = hub_source(&parts.hub);
        Sending { producer: &producer, topic, source: &source, back, lost: &lost }.run(&mut port).await;
        // What is out is waited for as long as the hub waits for us.
        producer.end(ANSWER_MAX).await;
        let written = telling.await; // ends with the last report
        port.spare();
        lost.cancel();
        if let Some(answers) = answers {
            let _ = answers.await; // told to end
        }
        Ok(written.unwrap_or(Written::Nothing))
    }

    /// Whether there are brokers, and the topic.
    async fn probe(&self, topic: &str) -> Result<(), KafkaError> {
        let config = self.parts.connection.client("waybill-probe");
        let topic = topic.to_owned();
        let probed = tokio::task::spawn_blocking(move || {
            let probe: BaseConsumer<Told> = config.create_with_context(Told::of(&config))?;
            let metadata = probe.fetch_metadata(Some(&topic), ANSWER_MAX)?;
            match metadata.topics().iter().find_map(rdkafka::metadata::MetadataTopic::error) {
                Some(code) => Err(KafkaError::MetadataFetch(code.into())),
                None => Ok(()),
            }
        });
        probed.await.unwrap_or(Err(KafkaError::Canceled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_link_that_panics_is_started_again_and_one_that_runs_is_not() {
        let recipient = |name: &str| Recipient {
            agency: AgencyId::new(name).unwrap(),
            system: SystemId::new(&format!("{name}/registry")).unwrap(),
            answers: false,
        };
        let (started, mut starts) = mpsc::unbounded_channel();
        let (first, stop) = (std::sync::Once::new(), CancellationToken::new());
        let link = move |recipient: Recipient, stop: CancellationToken| {
            started.send(recipient.agency.to_string()).unwrap();
            let mut panics = false;
            if recipient.agency.as_str() == "tax" {
                first.call_once(|| panics = true);
            }
            async move {
                assert!(!panics, "a link that panics, on purpose");
                stop.cancelled().await;
            }
        };
        let wanted = move || vec![recipient("archive"), recipient("tax")];
        let supervising = tokio::spawn(supervise(wanted, link, stop.clone()));
        tokio::time::sleep(LOOK_EVERY * 10).await;
        stop.cancel();
        supervising.await.unwrap();
        let mut all = Vec::new();
        starts.recv_many(&mut all, 10).await;
        assert_eq!(all, ["archive", "tax", "tax"]);
    }
}
