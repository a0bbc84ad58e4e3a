//! Which partitions a member has, and where each begins. The library calls it back when they change. What is read of them
//! is `member.rs`'s matter, when one rests and begins again `slot.rs`'s.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    partition::{self, Parts, Progress},
    slot::{REST, REST_MAX, Running, Slot, State},
};
use crate::{
    catalogue::Catalogue,
    desk::{CallError, ReceiptDetail},
    domain::agency::SystemId,
    kafka::{Told, Topic, TopicKind},
    store::{PartitionKey, Position},
};

/// How long revoked partitions may take, all together, to tell what was decided.
const RELEASE_MAX: Duration = Duration::from_secs(10);
/// How long the brokers may take to answer.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long the broker that leads a partition may: the others wait meanwhile.
const LEADER_ANSWER_MAX: Duration = Duration::from_secs(2);

/// The system that an inbound topic is bound to, and how much of a receipt its outcomes carry.
pub(super) type Binding = (SystemId, ReceiptDetail);

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

/// Where a partition begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    key: PartitionKey,
    position: Position,
    /// What comes first: everything below has been told.
    pub told: u64,
}

impl Beginning {
    /// The first offset that nothing is known of, if anything before it is: what is missing from there on was never read.
    pub(super) fn unread(self) -> Option<u64> {
        (self.position.next > 0).then_some(self.position.next.max(self.told))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.told.log(level, facility, message);
    }

    /// The library's own lag is unknown until something was noted in the group, and so just when nothing can be told.
    fn stats(&self, statistics: Statistics) {
        for ((topic, number), slot) in self.partitions.lock().iter() {
            let known = statistics.topics.get(topic).and_then(|topic| topic.partitions.get(number));
            // Negative until the brokers have said where it ends.
            let Some(end) = known.and_then(|known| u64::try_from(known.ls_offset).ok()) else { continue };
            let labels = [("topic", topic.clone()), ("partition", number.to_string())];
            metrics::gauge!("waybill_kafka_lag", &labels).set(end.saturating_sub(slot.told()) as f64);
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
            let (beginning, state) = match self.beginning(consumer, &place, None) {
                Ok(beginning) => {
                    let running = self.begin(&place, beginning);
                    (Some(beginning), running.map_or_else(|| State::resting(REST_MAX), State::Running))
                }
                Err(error) => {
                    tracing::warn!(%error, topic = place.0, partition = place.1, "a partition cannot begin yet");
                    (None, State::resting(REST))
                }
            };
            let offset = beginning.map_or(0, |beginning| beginning.told);
            element.set_offset(Offset::Offset(offset.cast_signed()))?;
            tracing::info!(topic = place.0, partition = place.1, offset, "a partition was assigned");
            let rests = matches!(state, State::Resting(_));
            if rests {
                paused.add_partition(&place.0, place.1);
            }
            slots.insert(place, Slot::new(state, rests, beginning));
        }
        // The library remembers of a partition that it had before whether it was paused then.
        consumer.resume(list)?;
        consumer.incremental_assign(list)?;
        if paused.count() > 0 { consumer.pause(&paused) } else { Ok(()) }
    }

    /// Gives the partitions back: what was taken up is told, as far as there is time. Others may have them already if the
    /// group has taken this member for dead: then nothing is waited for, and nothing noted.
    pub(super) fn revoked(&self, consumer: &Consumer, list: &TopicPartitionList) {
        let lost = consumer.assignment_lost();
        let slots: Vec<(Place, Slot)> = {
            let mut partitions = self.partitions.lock();
            let places = list.elements().into_iter().map(|one| (one.topic().to_owned(), one.partition()));
            places.filter_map(|place| partitions.remove_entry(&place)).collect()
        };
        let mut told = TopicPartitionList::new();
        for (place, offset) in self.release(slots, lost) {
            tracing::info!(topic = place.0, partition = place.1, offset, lost, "a partition was given back");
            if lost || offset == 0 {
                continue; // what the group has noted stays, too, where nothing is known to have been told
            }
            // The library notes what was stored once more when the partition goes: it must not be less.
            let stored = consumer.store_offset(&place.0, place.1, offset.cast_signed() - 1);
            let added = told.add_partition_offset(&place.0, place.1, Offset::Offset(offset.cast_signed()));
            if let Err(error) = stored.and(added) {
                tracing::warn!(%error, topic = place.0, partition = place.1, "an offset cannot be noted");
            }
        }
        if told.count() > 0
            && let Err(error) = consumer.commit(&told, CommitMode::Sync)
        {
            tracing::warn!(%error, "what was told is not noted in the group: it is told again");
        }
    }

    /// Ends the partitions, all at once; up to where each has been told.
    fn release(&self, slots: Vec<(Place, Slot)>, lost: bool) -> Vec<(Place, u64)> {
        let (mut tasks, mut ending) = (Vec::new(), Vec::with_capacity(slots.len()));
        for (place, slot) in slots {
            let (progress, task) = slot.end();
            tasks.extend(task);
            ending.push((place, progress));
        }
        if !lost {
            // Timers are made inside the runtime: this thread is none of its own.
            let ended = self.runtime.block_on(async { tokio::time::timeout(RELEASE_MAX, join_all(tasks)).await });
            if ended.is_err() {
                tracing::warn!("partitions were given back before everything of them was told: it is told again");
            }
        }
        ending.into_iter().map(|(place, progress)| (place, progress.told.load(Ordering::Relaxed))).collect()
    }

    /// Takes the partition in the store, and finds where to go on; `told` when that is known.
    pub(super) fn beginning(
        &self,
        consumer: &Consumer,
        place: &Place,
        told: Option<u64>,
    ) -> Result<Beginning, CallError> {
        let number = u32::try_from(place.1).map_err(|_| CallError::Fault("a partition has no number".into()))?;
        let key = PartitionKey::new(&self.cluster, &place.0, number);
        let position = self.runtime.block_on(self.shared.desk.take_partition(key))?;
        let unavailable = |error: KafkaError| CallError::Unavailable(error.to_string());
        if position.next > 0 {
            self.shared.missed(place, position.next, Self::lowest(consumer, place).map_err(unavailable)?);
        }
        if let Some(told) = told {
            return Ok(Beginning { key, position, told });
        }
        let committed = consumer.committed_offsets(only(place), ANSWER_MAX).map_err(unavailable)?;
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
                place.0, place.1, position.next, self.shared.group.name
            );
            self.shared.conflicts.found(why.clone());
            return Err(CallError::Unavailable(why));
        }
        Ok(Beginning { key, position, told })
    }

    /// The first offset that the brokers still have.
    pub(super) fn lowest(consumer: &Consumer, place: &Place) -> Result<u64, KafkaError> {
        let (lowest, _) = consumer.fetch_watermarks(&place.0, place.1, LEADER_ANSWER_MAX)?;
        Ok(u64::try_from(lowest).unwrap_or_default())
    }

    /// Starts the partition's task; `None` when the catalogue binds the topic to nobody.
    pub(super) fn begin(&self, place: &Place, beginning: Beginning) -> Option<Running> {
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
pub(super) fn binding(catalogue: &Catalogue, topic: &Topic) -> Option<Binding> {
    let kafka = catalogue.agency(&topic.agency)?.kafka.as_ref().filter(|_| topic.kind == TopicKind::In)?;
    let detail = if kafka.receipts { ReceiptDetail::Proof } else { ReceiptDetail::Index };
    Some((kafka.submits.clone()?, detail))
}

/// The inbound topics of a catalogue.
pub(super) fn inbound(catalogue: &Catalogue) -> Vec<String> {
    let topics = catalogue.agencies().map(|agency| Topic::new(TopicKind::In, agency.id.clone()));
    topics.filter(|topic| binding(catalogue, topic).is_some()).map(|topic| topic.to_string()).collect()
}

/// A list of this partition alone.
pub(super) fn only(place: &Place) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(&place.0, place.1);
    list
}
