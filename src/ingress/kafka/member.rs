//! One member of the consumer group, on a thread of its own: it joins and reads what its partitions have room for. Where
//! each begins is `assignment.rs`'s matter, what happens to a record `partition.rs`'s.
//!
//! Back-pressure: a partition whose records wait for its task is paused, and the library fetches no more of it.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::{
    Message as _,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    assignment::{ANSWER_MAX, Consumer, Context, inbound},
    attributes::{Attributes, unreadable},
    partition::{Arrived, Incoming},
    read::{AROUND_EVENT_BYTES, EventName, ReadEvent, Reading},
};
use crate::{
    catalogue::Catalogue,
    desk::{Arrival, Malformed},
    domain::{
        refusal::{Refusal, RefusalCode, Violation},
        time::Moment,
    },
    kafka::{Told, Topic},
};

/// How often partitions are looked after.
const LOOK_AFTER: Duration = Duration::from_millis(50);

/// When it is asked again who is in the group, if the brokers did not say.
const ASK_AGAIN: Duration = Duration::from_mins(1);

pub(super) struct Member {
    shared: Arc<Shared>,
    number: usize,
    runtime: Handle,
    stop: CancellationToken,
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, number: usize, runtime: Handle, stop: CancellationToken) -> Self {
        Self { shared, number, runtime, stop }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(self) {
        while !self.stop.is_cancelled() {
            match self.join() {
                Ok(Some(consumer)) => {
                    if !self.consume(&consumer) {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "the brokers cannot be reached; trying again");
                    self.rest(Duration::from_secs(1));
                }
            }
        }
    }

    fn rest(&self, time: Duration) {
        let stop = &self.stop;
        let _ = self.runtime.block_on(async { tokio::time::timeout(time, stop.cancelled()).await }); // either will do
    }

    /// Connects, and only then joins; `None` where somebody else reads.
    fn join(&self) -> Result<Option<Consumer>, KafkaError> {
        let shared = &self.shared;
        let mut config = shared.connection.consumer(&shared.group.client_id(self.number));
        config
            .set("group.id", &shared.group.name)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("enable.auto.offset.store", "false")
            .set("session.timeout.ms", "10000")
            .set("statistics.interval.ms", "5000")
            // What is fetched ahead of a pause is thrown away, so it is not much; and the library does not rest for a second
            // whenever there is so much of it.
            .set("fetch.queue.backoff.ms", "10");
        let probe: BaseConsumer<Told> = config.create_with_context(Told::of(&config))?;
        probe.fetch_metadata(None, ANSWER_MAX)?;
        // Partitions are known by it: a wrong name for it would begin all of them anew.
        let cluster = probe.client().fetch_cluster_id(ANSWER_MAX).filter(|id| !id.is_empty());
        let unnamed = || KafkaError::ClientCreation("the brokers do not say which cluster they are".to_owned());
        let cluster = cluster.ok_or_else(unnamed)?;
        if shared.group.is_ours(probe.client(), &shared.conflicts) == Some(false) {
            return Ok(None);
        }
        drop(probe);
        shared.connection.hook().before_join();
        let context = Context {
            told: Told::of(&config),
            shared: Arc::clone(shared),
            runtime: self.runtime.clone(),
            cluster,
            partitions: Mutex::default(),
        };
        config.create_with_context(context).map(Some)
    }

    /// Reads until it is told to stop; `false` where somebody else reads.
    fn consume(&self, consumer: &Consumer) -> bool {
        let (mut subscribed, mut is_ours, mut ask) = (Vec::new(), None, Instant::now());
        while !self.stop.is_cancelled() && is_ours != Some(false) {
            self.subscribe(consumer, &mut subscribed);
            look_after(consumer);
            if is_ours.is_none() && Instant::now() >= ask && !consumer.context().partitions.lock().is_empty() {
                is_ours = self.shared.group.is_ours(consumer.client(), &self.shared.conflicts);
                ask = Instant::now() + ASK_AGAIN;
            } else {
                self.read(consumer, Instant::now() + LOOK_AFTER);
            }
        }
        if let Ok(all) = consumer.assignment() {
            consumer.context().revoked(consumer, &all);
        }
        consumer.unsubscribe();
        is_ours != Some(false)
    }

    fn subscribe(&self, consumer: &Consumer, subscribed: &mut Vec<String>) {
        let wanted = inbound(&self.shared.desk.catalogue());
        if wanted == *subscribed {
            return;
        }
        let topics: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let done = if topics.is_empty() {
            consumer.unsubscribe();
            Ok(())
        } else {
            consumer.subscribe(&topics)
        };
        match done {
            Ok(()) => *subscribed = wanted,
            Err(error) => tracing::warn!(%error, "inbound topics cannot be subscribed to"),
        }
    }

    /// Reads until it is time to look after the partitions.
    fn read(&self, consumer: &Consumer, until: Instant) {
        let catalogue = self.shared.desk.catalogue();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match consumer.poll(left) {
                Some(Ok(message)) => {
                    self.shared.connection.hook().consumed(message.topic());
                    let Some(incoming) = self.incoming(&catalogue, &message) else { continue };
                    let place = (message.topic().to_owned(), message.partition());
                    if let Some(slot) = consumer.context().partitions.lock().get_mut(&place) {
                        slot.take(consumer, &place, incoming, &self.shared);
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "reading"),
                None => return,
            }
        }
    }

    /// Reads one message; `None` only when its topic is no longer bound.
    fn incoming(&self, catalogue: &Catalogue, message: &BorrowedMessage<'_>) -> Option<Incoming> {
        let topic = Topic::parse(message.topic())?;
        let kafka = catalogue.agency(&topic.agency)?.kafka.as_ref()?;
        let offset = u64::try_from(message.offset()).ok()?;
        let time = Moment(message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default());
        let desk = &self.shared.desk;
        let key = |name: &EventName| desk.event_key(&[name.source.as_bytes(), name.id.as_bytes()], time);
        let record_bytes_max = self.shared.record_bytes_max;
        let reading = Reading { agency: &topic.agency, kafka, record_bytes_max, key: &key };
        let value = message.payload().unwrap_or_default();
        let read = || {
            reading.fits(value.len())?;
            reading.event(Attributes::read(message.headers(), value)?)
        };
        // What makes the hub panic while it is read is one more event that nobody can read: it must not end the member.
        let read = std::panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(unreadable("", "format")));
        let (event, bytes, arrival) = match read {
            Ok(ReadEvent { name, submission, bytes }) => (Ok(name), bytes, Arrival::Submission(submission)),
            Err(why) => {
                let (partition, place) = (message.partition().to_be_bytes(), offset.to_be_bytes());
                // Its place names it. What is too large is not kept until its turn comes.
                let content = match reading.fits(value.len()) {
                    Ok(()) => Bytes::copy_from_slice(value),
                    Err(_) => Bytes::copy_from_slice(&value.len().to_be_bytes()),
                };
                let malformed = Malformed {
                    key: desk.event_key(&[b"", message.topic().as_bytes(), &partition, &place], time),
                    content,
                    refusal: Refusal {
                        code: RefusalCode::CallMalformed,
                        violations: vec![Violation { pointer: why.pointer.into(), keyword: why.keyword }],
                    },
                };
                (Err(why), AROUND_EVENT_BYTES + malformed.content.len(), Arrival::Malformed(malformed))
            }
        };
        Some(Incoming { offset, arrived: Arrived { time, event, bytes }, arrival })
    }
}

fn look_after(consumer: &Consumer) {
    let context = consumer.context();
    for (place, slot) in context.partitions.lock().iter_mut() {
        slot.look_after(context, consumer, place);
    }
}
