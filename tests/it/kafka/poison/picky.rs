//! A store that never takes one person: it stands for whatever breaks the store's contract, or makes the hub panic. All
//! else is the embedded store's.

use std::sync::Arc;

use async_trait::async_trait;
use waybill::{
    domain::{
        agency::AgencyKey,
        idempotency::{EventTail, IdempotencyKey},
        subject::IdentifierHash,
    },
    ledger::{FullTile, TileId},
    store::{
        Class, Commit, DeadLetter, Delivery, DeliveryChange, Expect, Found, Guard, Head, Known, Owner, PartitionKey,
        Pending, Position, Query, Slot, SlotNumber, Store, StoreError, StoredEntry, SubjectChange, SystemKey,
        embedded::EmbeddedStore,
    },
    vault::SlotKey,
};

pub struct Picky {
    pub store: EmbeddedStore,
    pub never: IdentifierHash,
    pub how: How,
}

/// What becomes of whoever comes with a record of this person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The commit is refused.
    Invalid,
    /// Looking for the person panics.
    LookedFor,
    /// Sealing the refusal of anybody's record that nobody can read panics.
    Refused,
    /// Reading what became of a record that is sent twice panics.
    ReadAgain,
}

impl Picky {
    fn panic_if(&self, how: How, about: bool) {
        assert!(self.how != how || !about, "the test never decides this person, {PANIC}");
    }
}

/// What the panic says of the person.
pub const PANIC: &str = "whose name stands here";

struct PickyGuard<'g> {
    guard: Box<dyn Guard + 'g>,
    never: Option<IdentifierHash>,
}

#[async_trait]
impl Guard for PickyGuard<'_> {
    fn head(&self) -> &Head {
        self.guard.head()
    }
    fn holds(&self, expect: &Expect) -> bool {
        self.guard.holds(expect)
    }
    fn known(&self, system: SystemKey, key: IdempotencyKey) -> Option<Known> {
        self.guard.known(system, key)
    }
    fn check(&self, subjects: &[SubjectChange], deliveries: &[DeliveryChange], size: u64) -> Result<(), StoreError> {
        let never = |change: &SubjectChange| match change {
            SubjectChange::Link { identifiers, .. } => self.never.is_some_and(|never| identifiers.contains(&never)),
            SubjectChange::Facts { .. } => false,
        };
        if subjects.iter().any(never) {
            return Err(StoreError::Invalid("the test never takes this person"));
        }
        self.guard.check(subjects, deliveries, size)
    }
    async fn commit(self: Box<Self>, commit: Commit) -> Result<(), StoreError> {
        self.guard.commit(commit).await
    }
}

#[async_trait]
impl Store for Picky {
    async fn lock_head<'a>(
        &'a self,
        expects: &[&Expect],
        keys: &[(SystemKey, IdempotencyKey)],
    ) -> Result<Box<dyn Guard + 'a>, StoreError> {
        let guard = self.store.lock_head(expects, keys).await?;
        Ok(Box::new(PickyGuard { guard, never: (self.how == How::Invalid).then_some(self.never) }))
    }
    async fn head(&self) -> Result<Head, StoreError> {
        self.store.head().await
    }
    async fn find_subject(&self, identifiers: &[IdentifierHash]) -> Result<Found, StoreError> {
        self.panic_if(How::LookedFor, identifiers.contains(&self.never));
        self.store.find_subject(identifiers).await
    }
    async fn slots(&self, owner: Owner, wants: &[(AgencyKey, Class)]) -> Result<Vec<Slot>, StoreError> {
        self.panic_if(How::Refused, owner == Owner::Hub && wants.iter().any(|(agency, _)| *agency != AgencyKey(0)));
        self.store.slots(owner, wants).await
    }
    async fn slot_key(&self, number: SlotNumber) -> Result<Option<Arc<SlotKey>>, StoreError> {
        self.store.slot_key(number).await
    }
    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        // The first entry is the catalogue's.
        self.panic_if(How::ReadAgain, from > 0);
        self.store.entries(from, limit).await
    }
    async fn payload(&self, index: u64) -> Result<Option<bytes::Bytes>, StoreError> {
        self.store.payload(index).await
    }
    async fn tile(&self, id: TileId) -> Result<Option<FullTile>, StoreError> {
        self.store.tile(id).await
    }
    async fn known(&self, system: SystemKey, key: IdempotencyKey) -> Result<Option<Known>, StoreError> {
        self.store.known(system, key).await
    }
    async fn event(&self, system: SystemKey, event: EventTail) -> Result<Option<IdempotencyKey>, StoreError> {
        self.store.event(system, event).await
    }
    async fn position(&self, partition: PartitionKey) -> Result<Position, StoreError> {
        self.store.position(partition).await
    }
    async fn search(&self, query: &Query) -> Result<Vec<u64>, StoreError> {
        self.store.search(query).await
    }
    async fn pending(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Pending, StoreError> {
        self.store.pending(recipient, from, limit).await
    }
    async fn delivery(&self, index: u64) -> Result<Option<Delivery>, StoreError> {
        self.store.delivery(index).await
    }
    async fn dead_letters(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.store.dead_letters(recipient, from, limit).await
    }
    fn writable(&self) -> Result<(), StoreError> {
        self.store.writable()
    }
}
