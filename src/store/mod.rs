//! The store: what is atomic and what is durable. The comments on the two traits are the contract; `embedded/` keeps
//! it.
//!
//! Writing takes two steps, so that every decision is made under the lock of the ledger's head and in entry order:
//! [`Store::lock_head`] returns the head and what the keys in question say now; [`Guard::commit`] writes one
//! [`Commit`]. Everything in a commit becomes durable together or not at all, and is shown to nobody before it is
//! durable.

pub mod embedded;
mod types;

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
pub use types::*;

use crate::{
    domain::{
        agency::AgencyKey,
        idempotency::{EventTail, IdempotencyKey},
        subject::IdentifierHash,
        time::Moment,
    },
    ledger::{FullTile, TileId},
    vault::{SlotKey, Term},
};

/// Notes how long a step of a commit took: those around the store as those in it.
pub(crate) fn note_commit_step(step: &'static str, started: Instant) {
    metrics::histogram!("waybill_commit_step_seconds", "step" => step).record(started.elapsed());
}

/// What the store could not do. None of these is a refusal.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A write or sync failed: what is durable is unknown, so the process must stop and recover on restart.
    #[error("the store failed to write and the hub must stop: {0}")]
    Fatal(String),
    /// Free space is below the reserve: nothing is written until there is space again.
    #[error("free disk space is below the reserve of {reserve_bytes} bytes")]
    OutOfSpace {
        /// What is kept free.
        reserve_bytes: u64,
    },
    /// So much waits for the next commit that nothing more may: as long as nothing can be committed, nothing more is begun.
    #[error("too many {0} wait for a commit")]
    Busy(&'static str),
    /// What is stored is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The folder belongs to another environment, hub or program version.
    #[error("{0}")]
    Foreign(String),
    /// The commit breaks the contract: nothing was written, and its maker has a fault.
    #[error("the commit breaks the store's contract: {0}")]
    Invalid(&'static str),
    /// Reading failed.
    #[error("the store failed to read: {0}")]
    Read(String),
}

/// A hub's durable state. Every method may be called from any task; reads see only what is durable. After one
/// [`StoreError::Fatal`] every method answers with it, reads too: what is durable is then unknown.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes the one lock under which the ledger grows, and reads what `expects` and `keys` ask about, as one snapshot.
    /// Nobody else commits until the guard is dropped.
    async fn lock_head<'a>(
        &'a self,
        expects: &[&Expect],
        keys: &[(SystemKey, IdempotencyKey)],
    ) -> Result<Box<dyn Guard + 'a>, StoreError>;

    /// The durable head.
    async fn head(&self) -> Result<Head, StoreError>;

    /// The subject that these identifiers point to, with its facts, as one snapshot.
    async fn find_subject(&self, identifiers: &[IdentifierHash]) -> Result<Found, StoreError>;

    /// The key slots of `owner`, made where there are none yet: [`StoreError::OutOfSpace`] or [`StoreError::Busy`] where
    /// none may be made now. A slot handed out is durable no later than the first commit that follows; until then nothing
    /// that it seals may be shown.
    async fn slots(&self, owner: Owner, wants: &[(AgencyKey, Class)]) -> Result<Vec<Slot>, StoreError>;

    /// The key in a slot; `None` once it is erased.
    async fn slot_key(&self, number: SlotNumber) -> Result<Option<Arc<SlotKey>>, StoreError>;

    /// Up to `limit` entries from index `from` on, in order, without payloads.
    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError>;

    /// The sealed payload (or evidence) that the entry at `index` carries, while it is kept.
    async fn payload(&self, index: u64) -> Result<Option<bytes::Bytes>, StoreError>;

    /// A full tile, if the ledger has it.
    async fn tile(&self, id: TileId) -> Result<Option<FullTile>, StoreError>;

    /// What a call with this key did, if it was committed and the window has not closed over it.
    async fn known(&self, system: SystemKey, key: IdempotencyKey) -> Result<Option<Known>, StoreError>;

    /// The key under which an event was committed last, if it was and the window has not closed over it.
    async fn event(&self, system: SystemKey, event: EventTail) -> Result<Option<IdempotencyKey>, StoreError>;

    /// How far a partition has been consumed.
    async fn position(&self, partition: PartitionKey) -> Result<Position, StoreError>;

    /// Indices of the entries that match, as of a head not older than the last commit acknowledged before the call.
    async fn search(&self, query: &Query) -> Result<Vec<u64>, StoreError>;

    /// Up to `limit` deliveries for `recipient` that are not settled, from index `from` on, in order, with payloads.
    async fn pending(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Pending, StoreError>;

    /// Where one delivery stands; `None` when the entry carries none.
    async fn delivery(&self, index: u64) -> Result<Option<Delivery>, StoreError>;

    /// Up to `limit` dead letters of `recipient` from index `from` on.
    async fn dead_letters(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// Whether the store takes writes now: [`StoreError::OutOfSpace`] while it does not.
    fn writable(&self) -> Result<(), StoreError>;
}

/// The locked head. Dropping it without a commit leaves everything as it was.
#[async_trait]
pub trait Guard: Send {
    /// The head that the next entry follows.
    fn head(&self) -> &Head;

    /// Whether `expect`, one of those that the lock was taken with, holds; any other does not. [`Expect::Before`] is judged
    /// by the head's time: the caller compares the time of its own entry, which is not earlier.
    fn holds(&self, expect: &Expect) -> bool;

    /// What an earlier commit did under this key, one of those that the lock was taken with.
    fn known(&self, system: SystemKey, key: IdempotencyKey) -> Option<Known>;

    /// Whether changes, in this order, can be part of a commit that leads to a ledger of `size`: [`StoreError::Invalid`] if
    /// they break the contract by themselves. What else the commit changes is the caller's to compare.
    fn check(&self, subjects: &[SubjectChange], deliveries: &[DeliveryChange], size: u64) -> Result<(), StoreError>;

    /// Writes everything in `commit` atomically and durably, new key slots first. When it returns an error, nothing of
    /// the commit may be shown; after [`StoreError::Fatal`] nothing may be written again by this process, after any other
    /// nothing was written. It may block until the disk has synced, so it is called where that holds up nobody else.
    async fn commit(self: Box<Self>, commit: Commit) -> Result<(), StoreError>;
}

/// The newest durable state of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// How many entries there are.
    pub size: u64,
    /// The time of the newest entry.
    pub time: Moment,
    /// The newest signed checkpoint (a C2SP signed note); empty before the first commit.
    pub checkpoint: bytes::Bytes,
}

/// What entries are searched by: all terms, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Terms that must all match; none: every entry.
    pub terms: Vec<Term>,
    /// Entries of this moment or later.
    pub from: Option<Moment>,
    /// Entries before this moment.
    pub until: Option<Moment>,
    /// Only indices below this one: the last index of the page before. A stable cursor, since the ledger only grows.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}
