//! One partition, as long as this member has it: its records go to the desk in order, and what became of each is told.
//! Where it begins, and when it begins again, is `member.rs`'s matter.
//!
//! Two positions matter. What lies below the store's has had its effect (it moves in the commit of each record). What lies
//! below the group's has been told, too (it moves after the report of each outcome's delivery). Reading begins at the
//! second: what lies between the two is asked for its outcome again and changes nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Shared, read::EventName, write};
use crate::{
    desk::{Arrival, CallError, Consumable, Consuming, NumberedOutcome, ReceiptDetail, SeriesIn, SubmitOutcome},
    domain::{agency::SystemId, time::Moment},
    exchange::submission::PeerName,
    kafka::{Coordinates, Message, Reason, Report, SendFault, Topic, TopicKind},
    store::{Consumed, PartitionKey, Position},
};

/// Records that are handed to the desk together.
const GATHERED_MAX: usize = 256;

/// One record, read.
pub(super) struct Incoming {
    pub offset: u64,
    pub arrived: Arrived,
    pub arrival: Arrival,
}

/// What its outcome needs to know of a record.
pub(super) struct Arrived {
    pub time: Moment,
    pub event: Result<EventName, Reason>,
    /// What the record takes in memory, until its outcome is told.
    pub bytes: usize,
}

/// What a partition's task is given.
pub(super) struct Parts {
    pub shared: Arc<Shared>,
    pub topic: Topic,
    pub number: i32,
    pub key: PartitionKey,
    /// Where the store says that it stands.
    pub position: Position,
    pub system: SystemId,
    pub detail: ReceiptDetail,
    pub incoming: mpsc::UnboundedReceiver<Incoming>,
    pub progress: Arc<Progress>,
    pub stop: CancellationToken,
}

/// What the member sees of a partition's task.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Records that were read and not yet taken up.
    pub queued: AtomicUsize,
    /// Bytes of the records that were read and are not told.
    pub untold_bytes: AtomicUsize,
    /// Below this offset everything has been told.
    pub told: AtomicU64,
}

/// Why a partition's task has ended without being told to.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failed(String);

/// An outcome on its way.
pub(super) struct Telling {
    offset: u64,
    back: mpsc::UnboundedSender<(u64, Result<(), SendFault>)>,
}

impl Report for Telling {
    fn reported(self, written: Result<(), SendFault>) {
        let _ = self.back.send((self.offset, written)); // the partition may have gone
    }
}

/// What was read and is not told yet, by offset.
struct Untold {
    records: BTreeMap<u64, Arrived>,
    next: u64,
}

impl Untold {
    fn watermark(&self) -> u64 {
        self.records.first_key_value().map_or(self.next, |(offset, _)| *offset)
    }
}

struct Teller {
    shared: Arc<Shared>,
    topic: String,
    number: i32,
    /// What outcomes are keyed by: the partition's number.
    key: String,
    detail: ReceiptDetail,
    outcomes: String,
    dead: String,
    untold: Arc<Mutex<Untold>>,
    progress: Arc<Progress>,
    back: mpsc::UnboundedSender<(u64, Result<(), SendFault>)>,
    /// Outcomes on their way.
    out: usize,
}

/// Runs until it is told to stop, and everything that was taken up is told; or until something keeps it from going on.
pub(super) async fn run(parts: Parts) -> Result<(), Failed> {
    let Parts { shared, topic, number, key, position, system, detail, incoming, progress, stop } = parts;
    let window = shared.window_max;
    let (series, mut outcomes) = shared.desk.series(PeerName::System(system), window);
    let next = progress.told.load(Ordering::Relaxed);
    let untold = Arc::new(Mutex::new(Untold { records: BTreeMap::new(), next }));
    let reader =
        Reader { series, incoming, untold: Arc::clone(&untold), progress: Arc::clone(&progress), key, position };
    let reading = stop.child_token();
    let _guard = reading.clone().drop_guard();
    tokio::spawn(reader.run(detail, reading));
    let (back, mut reports) = mpsc::unbounded_channel();
    let (outcomes_topic, dead) =
        (Topic::new(TopicKind::Outcomes, topic.agency.clone()), Topic::new(TopicKind::Dead, topic.agency.clone()));
    let mut teller = Teller {
        shared,
        topic: topic.to_string(),
        number,
        key: number.to_string(),
        detail,
        outcomes: outcomes_topic.to_string(),
        dead: dead.to_string(),
        untold,
        progress,
        back,
        out: 0,
    };
    let mut decided = true;
    let mut told = Vec::new();
    while decided || teller.out > 0 {
        tokio::select! {
            count = reports.recv_many(&mut told, GATHERED_MAX), if teller.out > 0 => {
                teller.out -= count;
                teller.told(told.drain(..))?;
            }
            some = outcomes.next(), if decided && teller.out < window => match some {
                Some(some) => teller.tell(some).await?,
                None => decided = false,
            },
        }
    }
    Ok(())
}

/// Reads on while the desk takes more.
struct Reader {
    series: SeriesIn,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    untold: Arc<Mutex<Untold>>,
    progress: Arc<Progress>,
    key: PartitionKey,
    position: Position,
}

impl Reader {
    async fn run(mut self, detail: ReceiptDetail, stop: CancellationToken) {
        let mut gathered = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                count = self.incoming.recv_many(&mut gathered, GATHERED_MAX) => if count == 0 { return },
            }
            self.progress.queued.fetch_sub(gathered.len(), Ordering::Relaxed);
            let records = gathered.drain(..).map(|record| self.consumable(record)).collect();
            if self.series.consume(records, detail).await.is_err() {
                return;
            }
        }
    }

    fn consumable(&mut self, record: Incoming) -> Consumable {
        let Incoming { offset, arrived, arrival } = record;
        let mut untold = self.untold.lock();
        untold.records.insert(offset, arrived);
        untold.next = offset + 1;
        let consuming = if offset < self.position.next {
            Consuming::Past
        } else {
            let from = self.position;
            self.position.next = offset + 1;
            Consuming::Step(Consumed { partition: self.key, from, to: self.position })
        };
        Consumable { number: offset, arrival, consuming }
    }
}

impl Teller {
    fn told(&mut self, reports: impl Iterator<Item = (u64, Result<(), SendFault>)>) -> Result<(), Failed> {
        for (offset, written) in reports {
            match written {
                Ok(()) => {}
                Err(SendFault::Message) => {
                    // It would never get through, and must not hold up the others.
                    tracing::error!(topic = self.topic, offset, "an outcome is too large for the brokers: not told");
                }
                Err(SendFault::Producer(code)) => return Err(Failed(format!("an outcome was not told: {code}"))),
            }
            let mut untold = self.untold.lock();
            let bytes = untold.records.remove(&offset).map_or(0, |arrived| arrived.bytes);
            self.progress.untold_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.progress.told.store(untold.watermark(), Ordering::Relaxed);
        }
        Ok(())
    }

    async fn tell(&mut self, outcomes: Vec<NumberedOutcome>) -> Result<(), Failed> {
        let producer = self.shared.producer().map_err(|error| Failed(error.to_string()))?;
        for (offset, result) in outcomes {
            let Some((topic, message)) = self.message(offset, &result)? else { continue };
            let token = Telling { offset, back: self.back.clone() };
            let sent = producer.send(topic, &self.key, &message.value, message.headers, token).await;
            self.out += 1; // told of in any case
            sent.map_err(|lost| Failed(lost.to_string()))?;
        }
        Ok(())
    }

    fn message(
        &self,
        offset: u64,
        result: &Result<SubmitOutcome, CallError>,
    ) -> Result<Option<(&str, Message)>, Failed> {
        let untold = self.untold.lock();
        let Some(arrived) = untold.records.get(&offset) else { return Ok(None) };
        let topic = &*self.topic;
        let at = Coordinates { topic, partition: self.number, offset };
        let source = &self.shared.source;
        let settled = match result {
            Ok(_) | Err(CallError::Refused(_) | CallError::Past | CallError::Unrecordable(_)) => true,
            // Nobody could read it, and the system has no refusals left: its dead letter is all that is said of it.
            Err(CallError::Exhausted { .. }) => arrived.event.is_err(),
            Err(CallError::Unavailable(_) | CallError::Damaged(_) | CallError::Fault(_)) => false,
        };
        if !settled {
            let why = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            return Err(Failed(why));
        }
        if let Err(error @ CallError::Unrecordable(_)) = result {
            tracing::error!(%error, topic, partition = self.number, offset, "a dead letter");
        }
        Ok(Some(match (&arrived.event, result) {
            (Err(_), _) | (Ok(_), Err(CallError::Unrecordable(_))) => {
                (&self.dead, write::dead(source, at, arrived, result))
            }
            (Ok(event), _) => {
                let environment = self.shared.desk.environment();
                (&self.outcomes, write::outcome(source, at, event, result, self.detail, environment))
            }
        }))
    }
}
