//! The only writer of the ledger: it drains its queue into group commits, so that a few syncs and one signature serve many
//! calls, and everything that changes has one total order. What the calls mean is not its matter.
//!
//! A [`Proposal`] says what to write and what must still hold. Nothing is decided here: a proposal whose expectations
//! no longer hold comes back as [`SequencerError::Stale`] and is decided again by whoever made it.

mod batch;
mod clock;
mod lane;
mod queue;
mod reply;
mod tree;
mod worker;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use crate::{
    domain::{
        idempotency::IdempotencyKey,
        time::{Clock, Moment},
    },
    ledger::{Hash, Origin, PublicAttributes, SignerKey, Snapshot},
    store::{Consumed, DeliveryChange, Expect, Known, Routing, Store, StoreError, SubjectChange, SystemKey},
    vault::ContentHash,
};

pub use lane::{Lane, LaneAnswers};
pub use queue::Places;
pub use reply::LaneAnswer;
pub use tree::{LedgerReader, OpenError, ReaderError};

/// What one call wants written: all of it, or nothing.
#[derive(Debug, Default)]
pub struct Proposal {
    /// Whose share of the queue it takes; `None`: the hub's own.
    pub system: Option<SystemKey>,
    /// The call's idempotency key and the keyed hash of its content.
    pub key: Option<(SystemKey, IdempotencyKey, ContentHash)>,
    /// What must still hold when it is committed.
    pub expects: Vec<Expect>,
    /// The entries, whole but for index and time.
    pub entries: Vec<SealedEntry>,
    /// Changes to people.
    pub subjects: Vec<SubjectChange>,
    /// Steps of deliveries.
    pub deliveries: Vec<DeliveryChange>,
    /// The step in consuming a partition that it is: written also when the call is a repeat.
    pub consumed: Option<Consumed>,
}

/// An entry but for index and time.
#[derive(Debug, Clone)]
pub struct SealedEntry {
    /// What the leaf holds.
    pub content: Content,
    /// How the entry is found and routed.
    pub routing: Routing,
    /// The sealed trail.
    pub trail: Bytes,
    /// The sealed payload or evidence.
    pub payload: Bytes,
}

/// What a leaf holds beside its time.
#[derive(Debug, Clone)]
pub enum Content {
    /// About a person: the digest over salted commitments.
    Person(Hash),
    /// About no person: in the clear.
    Public(PublicAttributes),
}

impl Proposal {
    /// Bytes that count against the bound of a batch.
    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.trail.len() + entry.payload.len() + 512).sum::<usize>() + 128
    }
}

/// What became of a proposal.
#[derive(Debug, Clone)]
pub enum Recorded {
    /// It was committed.
    Committed {
        /// Its first entry; the others follow.
        first: u64,
        /// The commit that it was part of.
        commit: Arc<Committed>,
    },
    /// The same call was committed before: nothing was written.
    Repeat(Known),
}

/// A durable commit: enough to prove each of its entries without reading the store.
#[derive(Debug)]
pub struct Committed {
    /// The time of its entries.
    pub time: Moment,
    /// The tree after it.
    pub snapshot: Snapshot,
    /// The signed checkpoint of that tree.
    pub checkpoint: Bytes,
}

/// Why a proposal was not committed. Nothing of it was written, unless it says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SequencerError {
    /// What it rests on has changed: decide again.
    #[error("what the decision rests on has changed")]
    Stale,
    /// The idempotency key was used with other content.
    #[error("the idempotency key was used with other content")]
    KeyReused,
    /// It breaks the store's contract: a fault of whoever made it, and it will always be one. Others of its batch are not
    /// touched.
    #[error("the proposal breaks the store's contract: {0}")]
    Invalid(&'static str),
    /// Its batch breaks the store's contract; which proposal does is not known.
    #[error("the batch breaks the store's contract: {0}")]
    InvalidBatch(&'static str),
    /// The partition does not stand where the proposal goes on from: somebody else has it, or what came before in it was
    /// not committed.
    #[error("the partition stands elsewhere")]
    Moved,
    /// The store takes no writes now.
    #[error(transparent)]
    Unavailable(Arc<StoreError>),
    /// The clock cannot be trusted.
    #[error("the hub's clock is {0}")]
    Clock(ClockFault),
    /// The hub is stopping, or has to. Whether the proposal was written is known after a restart.
    #[error("the hub is stopping")]
    Stopping,
}

/// What is wrong with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// It is behind the ledger's newest entry by more than the bound.
    #[error("behind the ledger's newest entry")]
    Behind,
    /// It went forward by more than time has passed.
    #[error("ahead of the time that has passed since the hub started")]
    Jumped,
}

/// Whether the sequencer commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Serving,
    /// It does not, for now: disk space or clock.
    Waiting(String),
    /// It never will again in this process: the store failed to write.
    Failed(String),
    /// It was told to stop and has drained.
    Stopped,
}

/// Bounds of the sequencer; defaults and documentation are in the table of limits.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Entries in one commit.
    pub batch_entries_max: usize,
    /// Bytes in one commit.
    pub batch_bytes_max: usize,
    /// From the begin of a commit that many shared to that of the next, unless as many as a commit holds wait
    /// already.
    pub batch_wait_max: Duration,
    /// Proposals of one system that wait.
    pub queue_per_system_max: usize,
    /// Proposals that wait.
    pub queue_max: usize,
    /// How far the clock may be behind the head.
    pub clock_behind_max: Duration,
    /// How far the clock may be ahead of the time that passed.
    pub clock_jump_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            batch_entries_max: 512,
            batch_bytes_max: 4 << 20,
            batch_wait_max: Duration::from_millis(2),
            queue_per_system_max: 1024,
            queue_max: 8192,
            clock_behind_max: Duration::from_secs(5),
            clock_jump_max: Duration::from_mins(1),
        }
    }
}

/// A handle to the sequencer; clones share it.
#[derive(Debug, Clone)]
pub struct Sequencer {
    queue: Arc<queue::Queue>,
    newest: watch::Receiver<Arc<Committed>>,
    condition: watch::Receiver<Condition>,
    clock: Arc<clock::ClockWatch>,
}

/// Who signs, and under which name.
#[derive(Debug)]
pub struct Signing {
    /// The ledger's origin.
    pub origin: Origin,
    /// Its key, of the same name.
    pub signer: SignerKey,
}

impl Sequencer {
    /// Checks the stored tree against its newest signed checkpoint and starts the writer on a thread of its own (it
    /// blocks while the disk syncs).
    pub async fn start(
        store: Arc<dyn Store>,
        signing: Signing,
        clock: Arc<dyn Clock>,
        bounds: Bounds,
    ) -> Result<Self, OpenError> {
        let (edge, committed) = tree::open(&*store, &signing).await?;
        let queue = Arc::new(queue::Queue::new(bounds));
        let clock = Arc::new(clock::ClockWatch::start(clock, bounds.clock_behind_max, bounds.clock_jump_max));
        let (newest_out, newest) = watch::channel(Arc::new(committed));
        let (condition_out, condition) = watch::channel(Condition::Serving);
        let worker = worker::Worker::new(worker::Parts {
            store,
            signing,
            watch: Arc::clone(&clock),
            bounds,
            queue: Arc::clone(&queue),
            edge,
            newest: newest_out,
            condition: condition_out,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| OpenError::Thread(error.to_string()))?;
        std::thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || runtime.block_on(worker.run()))
            .map_err(|error| OpenError::Thread(error.to_string()))?;
        Ok(Self { queue, newest, condition, clock })
    }

    /// Commits `proposal`; waits for a place in the queue, so that back-pressure reaches the caller.
    pub async fn propose(&self, proposal: Proposal) -> Result<Recorded, SequencerError> {
        let (reply, answer) = oneshot::channel();
        let places = self.queue.places(proposal.system, 1).await?;
        self.queue.push(places, [(proposal, reply::Reply::to_caller(reply))]);
        answer.await.unwrap_or(Err(SequencerError::Stopping))
    }

    /// Opens a lane: an ordered way in for many proposals, which take `system`'s share of the queue.
    pub fn lane(&self, system: Option<SystemKey>) -> (Lane, LaneAnswers) {
        lane::open(Arc::clone(&self.queue), system)
    }

    /// How many proposals have a place in the queue.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// The newest durable commit.
    pub fn newest(&self) -> Arc<Committed> {
        Arc::clone(&self.newest.borrow())
    }

    /// Tells of each new commit (of the newest, when several came).
    pub fn commits(&self) -> watch::Receiver<Arc<Committed>> {
        self.newest.clone()
    }

    /// Tells whether it commits.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.clone()
    }

    /// The clock's time; an error while it can't be trusted with an entry. What has had its time is destroyed by no other
    /// clock. (That it was wrong before the hub started, nothing tells.)
    pub fn time(&self) -> Result<Moment, ClockFault> {
        let newest = self.newest.borrow().time;
        self.clock.now(newest)
    }

    /// Takes nothing more, commits what waits, and stops; the writer has let go of the store then.
    pub async fn drain(&self) {
        self.queue.close();
        let mut condition = self.condition.clone();
        // The sender is the last that the writer lets go of.
        while condition.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests;
