//! A store of which somebody has changed something: what is read differs from what was written.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    domain::{
        agency::AgencyKey,
        idempotency::{EventTail, IdempotencyKey},
        subject::IdentifierHash,
    },
    ledger::{FullTile, TileId},
    store::{
        Class, DeadLetter, Delivery, Expect, Found, Guard, Head, Known, Owner, PartitionKey, Pending, Position, Query,
        Slot, SlotNumber, Store, StoreError, StoredEntry, SystemKey, embedded::EmbeddedStore,
    },
    vault::SlotKey,
};

type Change<T> = Box<dyn Fn(T) -> T + Send + Sync>;

/// The store, with something changed on the way out.
pub(super) struct Tampered {
    pub(super) inner: EmbeddedStore,
    pub(super) head: Change<Head>,
    pub(super) tile: Change<Option<FullTile>>,
    pub(super) entries: Change<Vec<StoredEntry>>,
}

impl Tampered {
    pub(super) fn not_at_all(inner: &EmbeddedStore) -> Self {
        Self {
            inner: inner.clone(),
            head: Box::new(|head| head),
            tile: Box::new(|tile| tile),
            entries: Box::new(|entries| entries),
        }
    }
}

#[async_trait]
impl Store for Tampered {
    async fn lock_head<'a>(
        &'a self,
        expects: &[&Expect],
        keys: &[(SystemKey, IdempotencyKey)],
    ) -> Result<Box<dyn Guard + 'a>, StoreError> {
        self.inner.lock_head(expects, keys).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.head().await.map(&self.head)
    }

    async fn find_subject(&self, identifiers: &[IdentifierHash]) -> Result<Found, StoreError> {
        self.inner.find_subject(identifiers).await
    }

    async fn slots(&self, owner: Owner, wants: &[(AgencyKey, Class)]) -> Result<Vec<Slot>, StoreError> {
        self.inner.slots(owner, wants).await
    }

    async fn slot_key(&self, number: SlotNumber) -> Result<Option<Arc<SlotKey>>, StoreError> {
        self.inner.slot_key(number).await
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        self.inner.entries(from, limit).await.map(&self.entries)
    }

    async fn payload(&self, index: u64) -> Result<Option<Bytes>, StoreError> {
        self.inner.payload(index).await
    }

    async fn tile(&self, id: TileId) -> Result<Option<FullTile>, StoreError> {
        self.inner.tile(id).await.map(&self.tile)
    }

    async fn known(&self, system: SystemKey, key: IdempotencyKey) -> Result<Option<Known>, StoreError> {
        self.inner.known(system, key).await
    }

    async fn event(&self, system: SystemKey, event: EventTail) -> Result<Option<IdempotencyKey>, StoreError> {
        self.inner.event(system, event).await
    }

    async fn position(&self, partition: PartitionKey) -> Result<Position, StoreError> {
        self.inner.position(partition).await
    }

    async fn search(&self, query: &Query) -> Result<Vec<u64>, StoreError> {
        self.inner.search(query).await
    }

    async fn pending(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Pending, StoreError> {
        self.inner.pending(recipient, from, limit).await
    }

    async fn delivery(&self, index: u64) -> Result<Option<Delivery>, StoreError> {
        self.inner.delivery(index).await
    }

    async fn dead_letters(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.dead_letters(recipient, from, limit).await
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.inner.writable()
    }
}
