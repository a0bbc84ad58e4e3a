//! Which partitions a member has, where each begins, and when it begins again. The library calls it back when they
//! change. What is read of them is `member.rs`'s matter.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    partition::{self, Failed, Incoming, Parts, Progress},
};
use crate::{
    catalogue::Catalogue,
    desk::{CallError, ReceiptDetail},
    domain::agency::SystemId,
    kafka::{Told, Topic, TopicKind},
    store::{PartitionKey, Position},
};

/// How long a partition rests after a failure; it doubles up to the longest.
const REST: Duration = Duration::from_millis(200);
const REST_MAX: Duration = Duration::from_secs(5);
/// How long a revoked partition may take to tell what was decided.
const RELEASE_MAX: Duration = Duration::from_secs(10);
/// How long the brokers may take to answer.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The system that an inbound topic is bound to, and how much of a receipt its outcomes carry.
type Binding = (SystemId, ReceiptDetail);

/// A topic and one of its partitions.
pub(super) type Place = (String, i32);

/// What the member knows of its partitions. The library calls it back when they change.
pub(super) struct Context {
    pub told: Told,
    pub shared: Arc<Shared>,
    pub runtime: Handle,
    pub cluster: String,
    pub partitions: Mutex<HashMap<Place, Slot>>,
}

pub(super) type Consumer = BaseConsumer<Context>;

/// A partition that the member has.
pub(super) struct Slot {
    pub state: State,
    /// Whether the library has been told to fetch no more of it.
    paused: bool,
    failures: u32,
    /// Below this offset everything has been told.
    told: u64,
}

pub(super) enum State {
    Running(Running),
    /// Until then it is left alone.
    Resting(Instant),
}

pub(super) struct Running {
    pub incoming: mpsc::UnboundedSender<Incoming>,
    pub progress: Arc<Progress>,
    /// Whose word its records are, as long as it runs.
    bound: Binding,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Failed>>,
}

/// Where a partition begins.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    key: PartitionKey,
    position: Position,
    /// What comes first: everything below has been told.
    told: u64,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.told.log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        for (topic, known) in &statistics.topics {
            for partition in known.partitions.values().filter(|one| one.partition >= 0 && one.consumer_lag >= 0) {
                let labels = [("topic", topic.clone()), ("partition", partition.partition.to_string())];
                metrics::gauge!("waybill_kafka_lag", &labels).set(partition.consumer_lag as f64);
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.told.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &Consumer, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let changed = if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, list)
        } else {
            self.revoked(consumer, list);
            consumer.incremental_unassign(list)
        };
        if let Err(error) = changed {
            tracing::error!(%error, "partitions could not be taken or given back");
        }
    }
}

impl Context {
    /// Takes the partitions, each where the store says.
    fn assigned(&self, consumer: &Consumer, list: &mut TopicPartitionList) -> KafkaResult<()> {
        let mut slots = self.partitions.lock();
        let mut paused = TopicPartitionList::new();
        for mut element in list.elements() {
            let place = (element.topic().to_owned(), element.partition());
            let (offset, state) = match self.beginning(consumer, &place, None) {
                Ok(beginning) => {
                    let running = self.begin(&place, beginning);
                    (beginning.told, running.map_or_else(|| State::Resting(Instant::now() + REST_MAX), State::Running))
                }
                Err(error) => {
                    tracing::warn!(%error, topic = place.0, partition = place.1, "a partition cannot begin yet");
                    (0, State::Resting(Instant::now() + REST))
                }
            };
            element.set_offset(Offset::Offset(offset.cast_signed()))?;
            tracing::info!(topic = place.0, partition = place.1, offset, "a partition was assigned");
            let rests = matches!(state, State::Resting(_));
            if rests {
                paused.add_partition(&place.0, place.1);
            }
            slots.insert(place, Slot { state, paused: rests, failures: 0, told: offset });
        }
        consumer.incremental_assign(list)?;
        if paused.count() > 0 { consumer.pause(&paused) } else { Ok(()) }
    }

    /// Gives the partitions back: what was taken up is told, as far as there is time.
    pub(super) fn revoked(&self, consumer: &Consumer, list: &TopicPartitionList) {
        let mut told = TopicPartitionList::new();
        for element in list.elements() {
            let place = (element.topic().to_owned(), element.partition());
            let slot = self.partitions.lock().remove(&place);
            let Some(slot) = slot else { continue };
            let offset = self.release(slot);
            if offset == 0 {
                continue; // nothing is known to have been told: what the group has noted stays
            }
            tracing::info!(topic = place.0, partition = place.1, offset, "a partition was given back");
            if let Err(error) = told.add_partition_offset(&place.0, place.1, Offset::Offset(offset.cast_signed())) {
                tracing::warn!(%error, "an offset cannot be written");
            }
        }
        if !consumer.assignment_lost()
            && told.count() > 0
            && let Err(error) = consumer.commit(&told, CommitMode::Sync)
        {
            tracing::warn!(%error, "what was told is not noted in the group: it is told again");
        }
    }

    fn release(&self, slot: Slot) -> u64 {
        let Slot { state, told, .. } = slot;
        let State::Running(Running { incoming, progress, stop, task, .. }) = state else { return told };
        drop(incoming);
        stop.cancel();
        // Timers are made inside the runtime: this thread is none of its own.
        let ended = self.runtime.block_on(async { tokio::time::timeout(RELEASE_MAX, task).await });
        if ended.is_err() {
            tracing::warn!("a partition was given back before everything of it was told: it is told again");
        }
        progress.told.load(Ordering::Relaxed)
    }

    /// Takes the partition in the store, and finds where to go on; `told` when that is known.
    fn beginning(&self, consumer: &Consumer, place: &Place, told: Option<u64>) -> Result<Beginning, CallError> {
        let number = u32::try_from(place.1).map_err(|_| CallError::Fault("a partition has no number".into()))?;
        let key = PartitionKey::new(&self.cluster, &place.0, number);
        let position = self.runtime.block_on(self.shared.desk.take_partition(key))?;
        if let Some(told) = told {
            return Ok(Beginning { key, position, told });
        }
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&place.0, place.1);
        let unavailable = |error: KafkaError| CallError::Unavailable(error.to_string());
        let committed = consumer.committed_offsets(asked, ANSWER_MAX).map_err(unavailable)?;
        let committed = match committed.find_partition(&place.0, place.1) {
            Some(found) => found.error().map(|()| found.offset()).map_err(unavailable)?,
            None => Offset::Invalid,
        };
        let told = match committed {
            Offset::Offset(offset) => u64::try_from(offset).unwrap_or(0),
            // Whatever the store is past, nothing is known to have been told: all that is still there is told again.
            _ => 0,
        };
        if told > position.next {
            let why = format!(
                "the group has consumed {} partition {} up to {told}, this store up to {}: another hub, with another store, \
                 is or was in the group {}",
                place.0,
                place.1,
                position.next,
                self.shared.group()
            );
            self.shared.refuse(why.clone());
            return Err(CallError::Unavailable(why));
        }
        Ok(Beginning { key, position, told })
    }

    /// Starts the partition's task; `None` when the catalogue binds the topic to nobody.
    fn begin(&self, place: &Place, beginning: Beginning) -> Option<Running> {
        let topic = Topic::parse(&place.0)?;
        let bound = binding(&self.shared.desk.catalogue(), &topic)?;
        let (system, detail) = bound.clone();
        let (incoming, records) = mpsc::unbounded_channel();
        let progress = Arc::new(Progress::default());
        progress.told.store(beginning.told, Ordering::Relaxed);
        let stop = CancellationToken::new();
        let parts = Parts {
            shared: Arc::clone(&self.shared),
            topic,
            number: place.1,
            key: beginning.key,
            position: beginning.position,
            system,
            detail,
            incoming: records,
            progress: Arc::clone(&progress),
            stop: stop.clone(),
        };
        let task = self.runtime.spawn(partition::run(parts));
        Some(Running { incoming, progress, bound, stop, task })
    }
}

/// The system that the catalogue binds an inbound topic to, and how much of a receipt its outcomes carry.
fn binding(catalogue: &Catalogue, topic: &Topic) -> Option<Binding> {
    let kafka = catalogue.agency(&topic.agency)?.kafka.as_ref().filter(|_| topic.kind == TopicKind::In)?;
    let detail = if kafka.receipts { ReceiptDetail::Proof } else { ReceiptDetail::Index };
    Some((kafka.submits.clone()?, detail))
}

/// The inbound topics of a catalogue.
pub(super) fn inbound(catalogue: &Catalogue) -> Vec<String> {
    let topics = catalogue.agencies().map(|agency| Topic::new(TopicKind::In, agency.id.clone()));
    topics.filter(|topic| binding(catalogue, topic).is_some()).map(|topic| topic.to_string()).collect()
}

impl Slot {
    /// Hands on one record. What comes while the partition rests comes again.
    pub(super) fn take(&mut self, consumer: &Consumer, place: &Place, incoming: Incoming, shared: &Shared) {
        let State::Running(running) = &self.state else { return };
        let mut queued = running.progress.queued();
        queued.records += 1;
        queued.bytes += incoming.arrived.bytes;
        running.progress.queued.fetch_add(1, Ordering::Relaxed);
        running.progress.untold_bytes.fetch_add(incoming.arrived.bytes, Ordering::Relaxed);
        let _ = running.incoming.send(incoming); // its task may just have ended: then it begins again, and so does this
        if queued.is_full(shared.window_max, shared.untold_bytes_max) {
            self.pause(consumer, place);
        }
    }

    fn pause(&mut self, consumer: &Consumer, place: &Place) {
        if !self.paused {
            match consumer.pause(&only(place)) {
                Ok(()) => self.paused = true,
                Err(error) => tracing::warn!(%error, topic = place.0, partition = place.1, "it cannot be paused"),
            }
        }
    }

    fn resume(&mut self, consumer: &Consumer, place: &Place) {
        if self.paused {
            match consumer.resume(&only(place)) {
                Ok(()) => self.paused = false,
                Err(error) => tracing::warn!(%error, topic = place.0, partition = place.1, "it cannot be resumed"),
            }
        }
    }

    /// Notes what was told, lets the library fetch on, and begins again what has failed.
    pub(super) fn look_after(&mut self, context: &Context, consumer: &Consumer, place: &Place) {
        match &self.state {
            State::Running(running) => {
                let (told, queued) = (running.progress.told.load(Ordering::Relaxed), running.progress.queued());
                let finished = running.task.is_finished();
                let topic = Topic::parse(&place.0);
                let bound = topic.and_then(|topic| binding(&context.shared.desk.catalogue(), &topic));
                if bound.as_ref() != Some(&running.bound) && !running.stop.is_cancelled() {
                    // What was taken up is decided and told; then it begins again, as the catalogue has it now.
                    tracing::info!(topic = place.0, partition = place.1, "the catalogue binds the topic anew");
                    running.stop.cancel();
                }
                metrics::gauge!("waybill_kafka_queued", "topic" => place.0.clone(), "partition" => place.1.to_string())
                    .set(queued.records as f64);
                if told > self.told {
                    self.told = told;
                    self.failures = 0;
                    context.shared.connection.hook().before_offset(&place.0);
                    // Noted with the next automatic commit. Not while the partition is being taken away: it is told again.
                    let _ = consumer.store_offset(&place.0, place.1, told.cast_signed() - 1);
                }
                if finished {
                    self.pause(consumer, place);
                    self.rest(context, place);
                } else if queued.has_room(context.shared.window_max, context.shared.untold_bytes_max) {
                    self.resume(consumer, place);
                }
            }
            State::Resting(until) if *until <= Instant::now() => self.begin_again(context, consumer, place),
            State::Resting(_) => {}
        }
    }

    fn wait(&mut self) -> State {
        let rest = REST.saturating_mul(1 << self.failures.min(10)).min(REST_MAX);
        self.failures += 1;
        State::Resting(Instant::now() + rest)
    }

    fn rest(&mut self, context: &Context, place: &Place) {
        let resting = self.wait();
        metrics::counter!("waybill_kafka_retries_total", "topic" => place.0.clone()).increment(1);
        let State::Running(running) = std::mem::replace(&mut self.state, resting) else { return };
        match context.runtime.block_on(running.task) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, topic = place.0, partition = place.1, "a partition rests"),
            // What a panic says may be personal; where it was is in the log.
            Err(_) => tracing::error!(topic = place.0, partition = place.1, "a partition's task failed"),
        }
    }

    fn begin_again(&mut self, context: &Context, consumer: &Consumer, place: &Place) {
        let begun = context.beginning(consumer, place, (self.told > 0).then_some(self.told)).and_then(|beginning| {
            let offset = Offset::Offset(beginning.told.cast_signed());
            let sought = consumer.seek(&place.0, place.1, offset, ANSWER_MAX);
            sought.map_err(|error| CallError::Unavailable(error.to_string()))?;
            Ok(beginning)
        });
        match begun {
            Ok(beginning) => {
                self.told = beginning.told;
                self.state = match context.begin(place, beginning) {
                    Some(running) => State::Running(running),
                    None => State::Resting(Instant::now() + REST_MAX),
                };
                if let State::Running(_) = self.state {
                    self.resume(consumer, place);
                }
            }
            Err(error) => {
                tracing::warn!(%error, topic = place.0, partition = place.1, "a partition cannot begin again");
                self.state = self.wait();
            }
        }
    }
}

fn only(place: &Place) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(&place.0, place.1);
    list
}
