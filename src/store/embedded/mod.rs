//! The embedded store: one process, one folder, on an LSM (fjall) with a file of key slots beside it.
//!
//! | question | file |
//! |---|---|
//! | in which order does a commit become durable? | `commit.rs` |
//! | whose store is it, and is it whole? | `open.rs`, after a power cut: `journal.rs` |
//! | how is an entry stored and read? | `rows.rs`, `routing.rs`, `block.rs`, `volumes.rs`, `history.rs` |
//! | was this call made before? | `known.rs` |
//! | how far is a log consumed, did this event come before? | `inbound.rs` |
//! | who is this, and what is known of them? | `people.rs`, `facts_row.rs` |
//! | where are the keys, and how are they erased? | `slots.rs`, `slot_file.rs` |
//! | when does a payload go, and what of a late one? | `epochs.rs`, `resealed.rs` |
//! | what is due to whom? | `pending.rs`, `deliveries.rs`, `outbox.rs` |
//! | when are calls, events and dead letters forgotten? | `forget.rs` |
//! | how is a search answered? | `search.rs`, `index/` |
//! | what if a place cannot be read? | `damage.rs` |
//! | when does it stop taking writes? | `space.rs`, `health.rs` |
//! | how much memory does it hold? | `held.rs` |
//!
//! Everything in the folder is ciphertext, a keyed hash, or about no person: times, counts, recipients' positions.

mod block;
mod codec;
mod commit;
mod copy;
mod damage;
mod deliveries;
mod epochs;
mod facts_row;
mod forget;
mod health;
mod held;
mod history;
mod hook;
mod inbound;
mod index;
mod journal;
mod keyspaces;
mod known;
mod open;
mod options;
mod outbox;
mod pending;
mod people;
mod random;
mod resealed;
mod routing;
mod rows;
mod search;
mod slot_file;
mod slots;
mod space;
mod volumes;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;

pub use self::{
    copy::LedgerCopy,
    held::Held,
    hook::{CommitHook, NoHook},
    options::{EmbeddedOptions, JOURNAL_BYTES_MAX, Memory, RESERVE_BYTES_DEFAULT},
    space::{FreeSpace, statvfs},
};
use super::{
    Class, DeadLetter, Delivery, Expect, Found, Guard, Head, Known, Owner, PartitionKey, Pending, Position, Query,
    Slot, SlotNumber, Store, StoreError, StoredEntry, SystemKey,
};
use crate::{
    domain::{
        agency::AgencyKey,
        idempotency::{EventTail, IdempotencyKey},
        subject::IdentifierHash,
    },
    ledger::{FullTile, TileId},
    vault::SlotKey,
};

/// The embedded store. Cheap to clone; the folder is released when the last one is dropped.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// First, so that its thread has ended before the database is closed.
    flusher: index::Flusher,
    index: Arc<index::Index>,
    history: history::History,
    volumes: volumes::Volumes,
    known: known::KnownCalls,
    people: people::People,
    deliveries: deliveries::Deliveries,
    slots: slots::Slots,
    resealed: resealed::Resealed,
    space: space::Space,
    health: Arc<health::Health>,
    hook: Arc<dyn CommitHook>,
    origin: String,
    /// What is shown. Written under the lock of the head, when a commit is durable and everything else has been
    /// updated.
    head: RwLock<Head>,
    head_lock: tokio::sync::Mutex<()>,
    rows_key: Arc<SlotKey>,
    keyspaces: keyspaces::Keyspaces,
}

impl EmbeddedStore {
    /// Erases the key in a slot for good: what it sealed stays where it is and opens no more. When this returns, the
    /// erasure is durable. Waits for whoever has the head, who may have seen that the key is there. Blocks: not to be called
    /// from async code.
    pub fn erase(&self, number: SlotNumber) -> Result<(), StoreError> {
        let inner = self.healthy()?;
        let _lock = inner.lock()?;
        inner.slots.erase(number).map_err(|error| inner.health.poison_if_fatal(error))
    }

    /// The subject with this id.
    #[cfg(test)]
    pub(crate) fn subject(
        &self,
        id: crate::domain::subject::SubjectId,
    ) -> Result<Option<Arc<super::Subject>>, StoreError> {
        self.healthy()?.people.subject(id)
    }

    fn healthy(&self) -> Result<&Inner, StoreError> {
        self.inner.health.check()?;
        Ok(&self.inner)
    }

    /// Runs a read that may have to wait for the disk for long on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        reads: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.health.check()?;
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || reads(&inner))
            .await
            .map_err(|_| StoreError::Read("the read was interrupted".to_owned()))?
    }
}

impl Inner {
    /// Takes the lock of the head for what is written beside the commits. Blocks: not to be called from async code.
    fn lock(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, StoreError> {
        let lock = self.head_lock.blocking_lock();
        self.health.check()?;
        Ok(lock)
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn lock_head<'a>(
        &'a self,
        expects: &[&Expect],
        keys: &[(SystemKey, IdempotencyKey)],
    ) -> Result<Box<dyn Guard + 'a>, StoreError> {
        let lock = self.inner.head_lock.lock().await;
        Ok(Box::new(commit::HeadGuard::read(&self.inner, lock, expects, keys)?))
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.healthy()?.head.read().clone())
    }

    async fn find_subject(&self, identifiers: &[IdentifierHash]) -> Result<Found, StoreError> {
        self.healthy()?.people.find(identifiers)
    }

    async fn slots(&self, owner: Owner, wants: &[(AgencyKey, Class)]) -> Result<Vec<Slot>, StoreError> {
        let inner = self.healthy()?;
        inner.slots.of(owner, wants, &inner.space).map_err(|error| inner.health.poison_if_fatal(error))
    }

    async fn slot_key(&self, number: SlotNumber) -> Result<Option<Arc<SlotKey>>, StoreError> {
        self.healthy()?.slots.key(number)
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        let inner = self.healthy()?;
        let size = inner.head.read().size;
        if inner.history.is_recent(from) {
            return inner.entries(from, size, limit);
        }
        self.blocking(move |inner| inner.entries(from, size, limit)).await
    }

    async fn payload(&self, index: u64) -> Result<Option<bytes::Bytes>, StoreError> {
        let inner = self.healthy()?;
        if index >= inner.head.read().size {
            return Ok(None);
        }
        if let Some((_, payload)) = inner.resealed.get(index)? {
            return Ok(Some(payload));
        }
        inner.history.payload(&*inner.history.containing(index)?, index)
    }

    async fn tile(&self, id: TileId) -> Result<Option<FullTile>, StoreError> {
        self.healthy()?.history.tile(id)
    }

    async fn known(&self, system: SystemKey, key: IdempotencyKey) -> Result<Option<Known>, StoreError> {
        Ok(self.healthy()?.known.look_up(&[(system, key)])?.pop().flatten())
    }

    async fn event(&self, system: SystemKey, event: EventTail) -> Result<Option<IdempotencyKey>, StoreError> {
        self.healthy()?.keyspaces.event(system, event)
    }

    async fn position(&self, partition: PartitionKey) -> Result<Position, StoreError> {
        self.healthy()?.keyspaces.position(partition)
    }

    async fn search(&self, query: &Query) -> Result<Vec<u64>, StoreError> {
        let query = query.clone();
        self.blocking(move |inner| inner.search(&query)).await
    }

    async fn pending(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Pending, StoreError> {
        let inner = self.healthy()?;
        if inner.is_pending_in_memory(recipient, from) {
            return inner.pending(recipient, from, limit);
        }
        self.blocking(move |inner| inner.pending(recipient, from, limit)).await
    }

    async fn delivery(&self, index: u64) -> Result<Option<Delivery>, StoreError> {
        self.healthy()?.delivery(index)
    }

    async fn dead_letters(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.blocking(move |inner| inner.dead_letters(recipient, from, limit)).await
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.healthy()?.space.check()
    }
}

#[cfg(test)]
mod tests;
