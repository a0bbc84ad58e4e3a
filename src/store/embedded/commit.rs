//! The locked head and the commit: the order in which everything becomes durable, and only then is shown.

use std::time::Instant;

use ahash::{HashMap, HashSet, HashSetExt as _};
use async_trait::async_trait;
use bytes::{BufMut, Bytes};
use fjall::OwnedWriteBatch;
use tokio::sync::MutexGuard;

use super::{
    EmbeddedStore, Inner, StoreError,
    block::Block,
    deliveries::{DeliveryChanges, Ledger},
    history::tile_key,
    keyspaces::fatal,
    known::Call,
    open::check_checkpoint,
    people::PeopleChanges,
    random::random,
    rows::{CommitRows, Places, capacity, encode_commit, encode_payloads, has_payloads},
    volumes::Planned,
};
use crate::{
    domain::{agency::AgencyKey, idempotency::IdempotencyKey, time::Moment},
    ledger::MAX_ENTRY_BYTES,
    store::{Commit, DeliveryChange, Expect, Guard, Head, Known, NewEntry, SubjectChange, SystemKey, note_commit_step},
};

/// The row of `meta` that holds the head.
pub(super) const HEAD: &str = "head";

/// The head under the lock, with the answers that were asked for.
pub(super) struct HeadGuard<'a> {
    inner: &'a Inner,
    _lock: MutexGuard<'a, ()>,
    head: Head,
    /// Those expectations that hold: one that was not asked about is none of them.
    holding: HashSet<Expect>,
    known: HashMap<Call, Known>,
}

impl<'a> HeadGuard<'a> {
    /// Reads, under the lock, what `expects` and `keys` ask about.
    pub(super) fn read(
        inner: &'a Inner,
        lock: MutexGuard<'a, ()>,
        expects: &[&Expect],
        keys: &[Call],
    ) -> Result<Self, StoreError> {
        inner.health.check()?;
        let head = inner.head.read().clone();
        let mut holding = HashSet::with_capacity(expects.len());
        for expect in expects {
            if inner.holds(expect, &head)? {
                holding.insert((*expect).clone());
            }
        }
        let found = inner.known.look_up(keys)?;
        let known = keys.iter().zip(found).filter_map(|(call, known)| Some((*call, known?))).collect();
        Ok(Self { inner, _lock: lock, head, holding, known })
    }
}

#[async_trait]
impl Guard for HeadGuard<'_> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn holds(&self, expect: &Expect) -> bool {
        self.holding.contains(expect)
    }

    fn known(&self, system: SystemKey, key: IdempotencyKey) -> Option<Known> {
        self.known.get(&(system, key)).copied()
    }

    fn check(&self, subjects: &[SubjectChange], deliveries: &[DeliveryChange], size: u64) -> Result<(), StoreError> {
        self.inner.people.prepare(subjects)?;
        let deliveries_of =
            |recipient, index| Ok(self.inner.index.deliveries(recipient, index, index + 1, 1)?.contains(&index));
        self.inner.deliveries.check(deliveries, size, deliveries_of)
    }

    async fn commit(self: Box<Self>, commit: Commit) -> Result<(), StoreError> {
        self.inner.commit(&self.head, commit)
    }
}

/// A commit's rows and changes, worked out before anything is written.
struct Prepared {
    batch: OwnedWriteBatch,
    head: Head,
    /// The commit's rows and where they go; none without entries.
    rows: Option<(Block, Planned)>,
    people: PeopleChanges,
    deliveries: DeliveryChanges,
    slots_round: u64,
}

impl Inner {
    fn holds(&self, expect: &Expect, head: &Head) -> Result<bool, StoreError> {
        Ok(match expect {
            Expect::Facts { subject, version } => {
                self.people.subject(*subject)?.is_some_and(|subject| subject.facts.version == *version)
            }
            Expect::Newcomer { identifier, subject } => match self.people.pointed(*identifier)? {
                None => true,
                Some(pointed) if pointed != *subject => false,
                Some(pointed) => self.people.subject(pointed)?.is_some_and(|known| known.facts.version == 0),
            },
            Expect::Before(moment) => head.time < *moment,
            Expect::Key(slot) => self.slots.key(*slot)?.is_some(),
            Expect::Quiet { term, since } => self.index.is_quiet(*term, *since)?,
            Expect::Delivery { index, state } => {
                self.delivery(*index)?.is_some_and(|delivery| delivery.state == *state)
            }
            Expect::Event { system, event, was } => self.keyspaces.event(*system, *event)? == *was,
            Expect::Position { partition, at } => self.keyspaces.position(*partition)? == *at,
        })
    }

    /// Writes a commit after `head`. Blocks for the syncs.
    fn commit(&self, head: &Head, commit: Commit) -> Result<(), StoreError> {
        self.health.check()?;
        self.space.check()?;
        let prepared = self.prepare(head, &commit)?;
        // Up to here nothing was written, and an error leaves everything as it was. From here on an error means that it
        // is not known what is durable: nothing is shown, and the store takes nothing more.
        self.write(prepared, commit).map_err(|error| self.health.poison(&error))
    }

    fn prepare(&self, before: &Head, commit: &Commit) -> Result<Prepared, StoreError> {
        let head = self.next_head(before, commit)?;
        let view = CommitView { inner: self, first: before.size, entries: &commit.entries, time: commit.time };
        let mut deliveries = self.deliveries.prepare(&commit.deliveries, &view)?;
        let outgoing = commit.entries.iter().filter_map(|new| new.routing.outgoing);
        self.deliveries.begin(&mut deliveries, outgoing.map(|outgoing| outgoing.recipient));
        let people = self.people.prepare(&commit.subjects)?;

        let expected = 8 + commit.tiles.len() + 3 * commit.subjects.len() + commit.deliveries.len();
        let mut batch = self.keyspaces.synced_batch(expected);
        let mut rows = None;
        if !commit.entries.is_empty() {
            let first = before.size.to_be_bytes();
            let mut block = Block::with_capacity(capacity(&commit.entries));
            let of = (before.size, commit.time);
            block.part(|row| encode_commit(row, of, &commit.entries, &self.rows_key, random()));
            if has_payloads(&commit.entries) {
                block.part(|row| encode_payloads(row, &commit.entries));
            }
            let (planned, extents) = self.volumes.plan(&mut block)?;
            batch.insert(&self.keyspaces.commits, first, Places::encode(commit.time, &extents));
            rows = Some((block, planned));
            for (id, tile) in &commit.tiles {
                let key = tile_key(*id).ok_or(StoreError::Invalid("a tile lies beyond any ledger"))?;
                batch.insert(&self.keyspaces.tiles, key, tile.as_bytes());
            }
            self.known.write(&mut batch, before.size, &commit.known);
            batch.insert(&self.keyspaces.meta, HEAD, encode_head(&head));
        }
        self.keyspaces.write_positions(&mut batch, &commit.positions);
        self.people.write(&mut batch, &people);
        self.deliveries.write(&mut batch, &deliveries);
        let slots_round = self.slots.write(&mut batch);
        Ok(Prepared { batch, head, rows, people, deliveries, slots_round })
    }

    /// The head after the commit, once it is checked that the commit keeps the contract.
    fn next_head(&self, before: &Head, commit: &Commit) -> Result<Head, StoreError> {
        if commit.entries.is_empty() {
            let bare = commit.tiles.is_empty() && commit.checkpoint.is_empty() && commit.known.is_empty();
            return if bare {
                Ok(before.clone())
            } else {
                Err(StoreError::Invalid("tiles, checkpoint or calls without an entry"))
            };
        }
        let size = before.size + commit.entries.len() as u64;
        if commit.time < before.time {
            return Err(StoreError::Invalid("its time is before the head's"));
        }
        if commit.entries.iter().any(|new| new.entry.is_empty() || new.entry.len() > MAX_ENTRY_BYTES) {
            return Err(StoreError::Invalid("an entry is empty or too long"));
        }
        check_checkpoint(&commit.checkpoint, &self.origin, size)
            .map_err(|_| StoreError::Invalid("its checkpoint is not of this ledger at its new size"))?;
        Ok(Head { size, time: commit.time, checkpoint: commit.checkpoint.clone() })
    }

    fn write(&self, prepared: Prepared, commit: Commit) -> Result<(), StoreError> {
        self.hook.before_slots_sync()?;
        let started = Instant::now();
        // If we crash before or after this, recovery is clean because no row refers to the new slots yet.
        self.slots.sync()?;
        note_commit_step("slots", started);
        self.hook.before_rows()?;
        if let Some((block, planned)) = &prepared.rows {
            let started = Instant::now();
            // If we crash before or after this, recovery is clean because nothing says yet that there is anything: what
            // was written is cut off.
            self.volumes.write(planned, block)?;
            note_commit_step("rows", started);
        }
        self.hook.before_batch()?;
        let started = Instant::now();
        // If we crash before this is synced, recovery is clean because the journal's last batch has no valid end and is
        // cut off: the ledger ends with the commit before. If we crash after it, the commit is there as a whole, and
        // whoever waited for it repeats the call under its idempotency key and finds it.
        prepared.batch.commit().map_err(fatal)?;
        note_commit_step("batch", started);
        self.hook.after_batch()?;
        let started = Instant::now();

        let first = prepared.head.size - commit.entries.len() as u64;
        let mut head = self.head.write();
        let flush = self.index.append(&commit.entries);
        self.known.publish(&commit.known);
        self.people.publish(prepared.people);
        self.deliveries.publish(prepared.deliveries);
        self.slots.publish(prepared.slots_round);
        if let Some((block, _)) = prepared.rows {
            self.history.push(first, &prepared.head, CommitRows::of(block));
        }
        *head = prepared.head;
        drop(head);
        note_commit_step("publish", started);
        if flush {
            self.flusher.wake();
        }
        Ok(())
    }
}

impl EmbeddedStore {
    /// Where so many new key slots wait for a commit that no more are made, writes them without one: else the calls that
    /// would make the commit might all be turned away. To be called while commits may be made again, since nothing else
    /// bounds what is written so. Blocks: not to be called from async code.
    pub fn make_room_for_slots(&self) -> Result<(), StoreError> {
        let inner = self.healthy()?;
        if !inner.slots.is_full() {
            return Ok(());
        }
        inner.space.check()?;
        let _lock = inner.lock()?;
        let written = inner.write_beside(inner.keyspaces.synced_batch(1));
        written.map_err(|error| inner.health.poison_if_fatal(error))
    }
}

impl Inner {
    /// Writes a batch beside the ledger, with the key slots that wait. Under the lock of the head.
    pub(super) fn write_beside(&self, mut batch: OwnedWriteBatch) -> Result<(), StoreError> {
        let round = self.slots.write(&mut batch);
        self.hook.before_slots_sync()?;
        self.slots.sync()?;
        self.hook.before_batch()?;
        batch.commit().map_err(fatal)?;
        self.hook.after_batch()?;
        self.slots.publish(round);
        Ok(())
    }
}

/// The ledger with the entries of the commit that is being prepared.
struct CommitView<'a> {
    inner: &'a Inner,
    first: u64,
    entries: &'a [NewEntry],
    time: Moment,
}

impl Ledger for CommitView<'_> {
    fn deliveries(&self, recipient: AgencyKey, from: u64, until: u64) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        if from < self.first {
            found = self.inner.index.deliveries(recipient, from, until.min(self.first), usize::MAX)?;
        }
        let own = self.entries.iter().zip(self.first..);
        let own = own.filter(|(new, _)| new.routing.outgoing.is_some_and(|outgoing| outgoing.recipient == recipient));
        found.extend(own.map(|(_, index)| index).filter(|index| (from..until).contains(index)));
        Ok(found)
    }

    fn size(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn time(&self) -> Moment {
        self.time
    }
}

/// 0x01 · size u64 · time u64 · checkpoint.
fn encode_head(head: &Head) -> Bytes {
    let mut row = Vec::with_capacity(17 + head.checkpoint.len());
    row.put_u8(1);
    row.put_u64(head.size);
    row.put_u64(head.time.0);
    row.put_slice(&head.checkpoint);
    row.into()
}
