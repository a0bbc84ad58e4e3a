//! Kafka as a way in: what agencies write to `waybill.in.<agency>` is submitted, and what became of it is told on
//! `waybill.outcomes.<agency>`. It decides nothing.
//!
//! | question | file |
//! |---|---|
//! | who reads? | `member.rs` |
//! | who has which partition, and where does it begin? | `assignment.rs` |
//! | when does one rest, and begin again? | `slot.rs` |
//! | what happens to the records of one? | `partition.rs` |
//! | and when are there too many? | `queued.rs` |
//! | how is a message read? | `attributes.rs`, `read.rs` |
//! | how is its outcome written? | `write.rs` |
//!
//! The catalogue binds each inbound topic to one system, which is the peer; the brokers bind who may write there. A
//! record's effect and the position after it are one commit of the store; the group's own offsets only say what has been
//! told, and tell other tools how far the hub is.

mod assignment;
mod attributes;
mod member;
mod partition;
mod queued;
mod read;
mod slot;
#[cfg(test)]
mod tests;
mod write;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use self::{assignment::Place, member::Member, partition::Telling};
use crate::{
    desk::Desk,
    kafka::{AROUND_RECORD_BYTES_MAX, Conflicts, Connection, Group, Producer, TopicKind, group, hub_source},
};

/// What the way in is made of.
#[derive(Debug)]
pub struct KafkaParts {
    /// The use cases.
    pub desk: Arc<Desk>,
    /// Where the brokers are.
    pub connection: Connection,
    /// The hub's name.
    pub hub: String,
    /// Its ledger's id: one group serves one ledger.
    pub ledger: String,
    /// Where it says that the hub must not go on.
    pub conflicts: Arc<Conflicts>,
    /// Members of the group in this hub.
    pub members: usize,
    /// Records of a partition that are read and not told.
    pub window_max: usize,
    /// Bytes of a partition that are read and not told.
    pub untold_bytes_max: usize,
    /// A record's JSON, in bytes.
    pub record_bytes_max: usize,
}

/// The running way in.
#[derive(Debug)]
pub struct KafkaIngress {
    members: Vec<std::thread::JoinHandle<()>>,
    stop: CancellationToken,
}

/// What all partitions share.
struct Shared {
    desk: Arc<Desk>,
    connection: Connection,
    group: Group,
    source: String,
    window_max: usize,
    untold_bytes_max: usize,
    record_bytes_max: usize,
    producer: Mutex<Option<Arc<Producer<Telling>>>>,
    conflicts: Arc<Conflicts>,
    /// Up to where it was said of a partition what was deleted before it was read.
    missed: Mutex<HashMap<Place, u64>>,
}

impl KafkaIngress {
    /// Starts the members. They connect by themselves, as soon as there are brokers.
    pub fn start(parts: KafkaParts) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            source: hub_source(&parts.hub),
            desk: parts.desk,
            connection: parts.connection,
            group: Group { name: group(&parts.hub), kind: TopicKind::In, ledger: parts.ledger },
            window_max: parts.window_max,
            untold_bytes_max: parts.untold_bytes_max,
            record_bytes_max: parts.record_bytes_max,
            producer: Mutex::default(),
            conflicts: parts.conflicts,
            missed: Mutex::default(),
        });
        let runtime = tokio::runtime::Handle::current();
        // Where one cannot be started, those that were end.
        let begun = stop.clone().drop_guard();
        let mut members = Vec::with_capacity(parts.members);
        for number in 0..parts.members {
            let member = Member::new(Arc::clone(&shared), number, runtime.clone(), stop.clone());
            members.push(std::thread::Builder::new().name(format!("kafka-in-{number}")).spawn(move || member.run())?);
        }
        Ok(Self { members, stop: begun.disarm() })
    }

    /// Takes up nothing more, tells what has been decided, and leaves the group.
    pub async fn stop(self, within: Duration) {
        self.stop.cancel();
        let members = self.members;
        let joined = tokio::task::spawn_blocking(move || members.into_iter().for_each(|member| drop(member.join())));
        if tokio::time::timeout(within, joined).await.is_err() {
            tracing::warn!("Kafka's members did not end in time: what they did not tell is told after the next start");
        }
    }
}

impl Shared {
    /// The producer of outcomes; a new one if the one before was lost.
    fn producer(&self) -> Result<Arc<Producer<Telling>>, KafkaError> {
        let mut current = self.producer.lock();
        if let Some(producer) = current.as_ref().filter(|producer| !producer.is_lost()) {
            return Ok(Arc::clone(producer));
        }
        let bytes_max = self.record_bytes_max + AROUND_RECORD_BYTES_MAX;
        let made = Arc::new(Producer::new(&self.connection, "waybill-outcomes", bytes_max)?);
        Ok(Arc::clone(current.insert(made)))
    }

    /// What lay in a partition from `next` to below `lowest` was deleted before the hub read it. It is said and counted once
    /// while the hub runs.
    fn missed(&self, place: &Place, next: u64, lowest: u64) {
        let mut missed = self.missed.lock();
        let said = missed.get(place).copied().unwrap_or_default().max(next);
        if lowest > said {
            let (topic, partition) = (&place.0, place.1);
            tracing::error!(
                topic,
                partition,
                from = said,
                below = lowest,
                "the brokers have deleted what the hub had not read: their writers are to send it again"
            );
            let labels = [("topic", topic.clone()), ("partition", partition.to_string())];
            metrics::counter!("waybill_kafka_deleted_unread_total", &labels).increment(lowest - said);
            missed.insert(place.clone(), lowest);
        }
    }
}
