//! Key slots by owner: hands them out, opens them, erases them. The bytes of a slot: `slot_file.rs`.
//!
//! The order that keeps a key from being lost: a slot's record is synced, then the row that maps its owner to it
//! becomes durable in the same batch as what the key seals. A crash in between leaves a record without a row, which
//! costs 64 bytes.

use std::{collections::HashMap, path::Path, sync::Arc};

use bytes::BufMut;
use fjall::OwnedWriteBatch;
use parking_lot::{Mutex, RwLock};
use quick_cache::{Weighter, sync::Cache};

use super::{
    StoreError,
    codec::{Malformed, Reader, corrupt},
    held::{cache_bytes, shared_bytes, table_bytes},
    keyspaces::{Keyspaces, read},
    slot_file::{SlotFile, fatal},
    space::Space,
};
use crate::{
    domain::agency::AgencyKey,
    store::{Class, Owner, Slot, SlotNumber},
    vault::SlotKey,
};

/// An owner's slots: which agency's, of which class. Few, so a list.
type Owned = Vec<(AgencyKey, Class, Slot)>;
/// The same as stored, without the keys.
type Numbers = Vec<(AgencyKey, Class, SlotNumber)>;

/// The row of `meta` that says how many slots there are at least: a file with fewer is not this database's.
pub(super) const COUNT: &str = "slots";
/// Slots of owners with new ones that wait for a commit at most: some megabytes, in memory and behind the file's end. While
/// nothing may be committed, calls go on asking for them.
pub(super) const PENDING_MAX: usize = if cfg!(test) { 30_000 } else { 100_000 };
/// Owners for whom there is room while few wait.
const SHRUNK_ROWS: usize = 4_096;
/// What most owners have: a person's own, payloads, and trails of a source and of two recipients.
const SLOTS_EXPECTED: usize = 5;

/// Counts an owner as the keys that it holds.
#[derive(Clone)]
struct ByKeys;

impl Weighter<Owner, Arc<Owned>> for ByKeys {
    fn weight(&self, _: &Owner, owned: &Arc<Owned>) -> u64 {
        owned.len().max(1) as u64
    }
}

/// The key slots.
pub(super) struct Slots {
    keyspaces: Keyspaces,
    /// Written only to allocate, sync and erase, so that a key that was erased cannot enter the cache again.
    file: RwLock<SlotFile>,
    keys: Cache<SlotNumber, Arc<SlotKey>>,
    /// With their keys, so that a record costs one look-up; bounded by these. Filled, and emptied when a key is erased,
    /// under the lock of `pending`.
    owners: Cache<Owner, Arc<Owned>, ByKeys>,
    pending: Mutex<Pending>,
}

/// Owners whose rows are not durable yet.
#[derive(Default)]
struct Pending {
    rows: HashMap<Owner, (Numbers, u64)>,
    /// How many slots they have.
    slots: usize,
    /// Rises with each commit, so that it clears only the rows that it has written.
    round: u64,
}

impl Pending {
    /// Whether more may wait for a commit.
    fn check(&self) -> Result<(), StoreError> {
        if self.slots < PENDING_MAX { Ok(()) } else { Err(StoreError::Busy("new key slots")) }
    }

    fn insert(&mut self, owner: Owner, list: Numbers) {
        self.slots += list.len();
        if let Some((before, _)) = self.rows.insert(owner, (list, self.round)) {
            self.slots -= before.len();
        }
    }

    /// Forgets what the commit of `round` has written, and gives back the memory of many.
    fn remove(&mut self, round: u64) {
        self.rows.retain(|_, (_, made)| *made > round);
        self.slots = self.rows.values().map(|(list, _)| list.len()).sum();
        if self.rows.capacity() > SHRUNK_ROWS {
            self.rows.shrink_to(SHRUNK_ROWS);
        }
    }

    fn held_bytes(&self) -> usize {
        table_bytes::<(Owner, (Numbers, u64))>(self.rows.capacity())
            + self.slots * size_of::<(AgencyKey, Class, SlotNumber)>()
    }
}

impl Slots {
    pub(super) fn open(keyspaces: Keyspaces, file: &Path, wrapping: SlotKey, max: usize) -> Result<Self, StoreError> {
        // A store of before says nothing: what is there is taken.
        let count = keyspaces.meta.get(COUNT).map_err(read)?;
        let count = count.map_or(Ok(0), |row| Reader::new(&row).u64()).map_err(corrupt("meta"))?;
        Ok(Self {
            keyspaces,
            file: RwLock::new(SlotFile::open(file, wrapping, count)?),
            keys: Cache::new(max),
            owners: Cache::with_weighter(max / SLOTS_EXPECTED, max as u64, ByKeys),
            pending: Mutex::default(),
        })
    }

    /// The slots of `owner` in the order of `wants`, made where there are none, or where the key has been erased.
    /// None is made below the reserve, nor while [`PENDING_MAX`] wait for a commit.
    pub(super) fn of(
        &self,
        owner: Owner,
        wants: &[(AgencyKey, Class)],
        space: &Space,
    ) -> Result<Vec<Slot>, StoreError> {
        if let Some(owned) = self.owners.get(&owner)
            && let Some(slots) = all_of(&owned, wants)
        {
            return Ok(slots);
        }
        // One at a time, so that two callers who want the same new slot get the same one.
        let mut pending = self.pending.lock();
        let mut list = match pending.rows.get(&owner) {
            Some((pending, _)) => pending.clone(),
            None => self.load(owner)?,
        };
        let mut slots = Vec::with_capacity(wants.len());
        let mut made = false;
        for (agency, class) in wants {
            let known = list.iter().find(|(a, c, _)| (a, c) == (agency, class)).map(|(_, _, number)| *number);
            if let Some(number) = known
                && let Some(key) = self.key(number)?
            {
                slots.push(Slot { number, key });
                continue;
            }
            if !made {
                space.check()?;
                pending.check()?;
            }
            let (number, key) = self.file.write().allocate()?;
            self.keys.insert(number, Arc::clone(&key));
            list.retain(|(a, c, _)| (a, c) != (agency, class));
            list.push((*agency, *class, number));
            slots.push(Slot { number, key });
            made = true;
        }
        let mut owned = self.owners.get(&owner).map(|known| Owned::clone(&known)).unwrap_or_default();
        for ((agency, class), slot) in wants.iter().zip(&slots) {
            owned.retain(|(a, c, _)| (a, c) != (agency, class));
            owned.push((*agency, *class, slot.clone()));
        }
        self.owners.insert(owner, Arc::new(owned));
        if made {
            pending.insert(owner, list);
        }
        Ok(slots)
    }

    /// Whether so many wait for a commit that no more are made.
    pub(super) fn is_full(&self) -> bool {
        self.pending.lock().check().is_err()
    }

    /// What the caches take, and what waits for a commit. A key that both caches have is counted once.
    pub(super) fn held_bytes(&self) -> usize {
        let owned = shared_bytes::<Owned>(self.owners.len())
            + usize::try_from(self.owners.weight()).unwrap_or(usize::MAX) * size_of::<(AgencyKey, Class, Slot)>();
        cache_bytes(&self.keys)
            + shared_bytes::<SlotKey>(self.keys.len())
            + cache_bytes(&self.owners)
            + owned
            + self.pending.lock().held_bytes()
    }

    fn load(&self, owner: Owner) -> Result<Numbers, StoreError> {
        let row = self.keyspaces.slots.get(row_key(owner)).map_err(read)?;
        row.map_or(Ok(Vec::new()), |row| decode(&row).map_err(corrupt("slots")))
    }

    /// The key in a slot; `None` once it is erased.
    pub(super) fn key(&self, number: SlotNumber) -> Result<Option<Arc<SlotKey>>, StoreError> {
        if let Some(key) = self.keys.get(&number) {
            return Ok(Some(key));
        }
        let file = self.file.read();
        let key = file.key(number)?;
        if let Some(key) = &key {
            // Under the lock: an eraser waits, and then finds the key in the cache.
            self.keys.insert(number, Arc::clone(key));
        }
        Ok(key)
    }

    /// Where the slots of `owner` lie, erased ones too.
    pub(super) fn numbers(&self, owner: Owner) -> Result<Vec<SlotNumber>, StoreError> {
        let pending = self.pending.lock();
        let owned = match pending.rows.get(&owner) {
            Some((owned, _)) => owned.clone(),
            None => self.load(owner)?,
        };
        Ok(owned.into_iter().map(|(.., number)| number).collect())
    }

    /// The hours before `hour` whose epochs have slots, ascending.
    pub(super) fn epochs_before(&self, hour: u32) -> Result<Vec<u32>, StoreError> {
        let mut hours = Vec::new();
        for row in self.keyspaces.slots.range(row_key(Owner::Epoch(0))..row_key(Owner::Epoch(hour))) {
            let key = row.key().map_err(read)?;
            let bytes =
                key.get(1..).and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed).map_err(corrupt("slots"))?;
            hours.push(u32::from_be_bytes(bytes));
        }
        Ok(hours)
    }

    /// Removes the row of an owner whose keys are erased.
    pub(super) fn remove(&self, batch: &mut OwnedWriteBatch, owner: Owner) {
        batch.remove(&self.keyspaces.slots, row_key(owner));
        self.owners.remove(&owner);
    }

    /// Erases a slot's key for good. What it sealed stays where it is and opens no more.
    pub(super) fn erase(&self, number: SlotNumber) -> Result<(), StoreError> {
        // Whose it is cannot be told from the number; this is rare enough to look all owners up again.
        let _pending = self.pending.lock();
        let mut file = self.file.write();
        self.keys.remove(&number);
        self.owners.clear();
        file.erase(number)
    }

    /// Makes the records of every slot handed out so far durable; part of a commit, before its batch.
    ///
    /// If we crash before this, the file may end in records that no row refers to: the next slot comes after them, and
    /// what they would have sealed was never committed. The same holds if we crash after it and before the batch.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let unsynced = self.file.write().flush()?;
        unsynced.map_or(Ok(()), |file| file.sync_data().map_err(fatal))
    }

    /// Adds the rows of owners with new slots to a commit's batch, and how many slots there are. To be called before
    /// [`Self::sync`], so that nothing is written of a slot that came after the sync. Returns the round to publish.
    pub(super) fn write(&self, batch: &mut OwnedWriteBatch) -> u64 {
        let mut pending = self.pending.lock();
        if !pending.rows.is_empty() {
            batch.insert(&self.keyspaces.meta, COUNT, self.file.read().count().to_be_bytes());
        }
        for (owner, (owned, _)) in &pending.rows {
            batch.insert(&self.keyspaces.slots, row_key(*owner), encode(owned));
        }
        let round = pending.round;
        pending.round += 1;
        round
    }

    /// Forgets the rows that the commit of `round` has made durable.
    pub(super) fn publish(&self, round: u64) {
        self.pending.lock().remove(round);
    }
}

/// The slots wanted, if all of them are there.
fn all_of(owned: &Owned, wants: &[(AgencyKey, Class)]) -> Option<Vec<Slot>> {
    let find = |want: &(AgencyKey, Class)| owned.iter().find(|(agency, class, _)| (*agency, *class) == *want);
    wants.iter().map(|want| find(want).map(|(_, _, slot)| slot.clone())).collect()
}

/// A tag and the owner's own bytes.
fn row_key(owner: Owner) -> Vec<u8> {
    let (tag, bytes): (u8, &[u8]) = match &owner {
        Owner::Subject(id) => (1, &id.0),
        Owner::Unknown(hash) => (2, &hash.0),
        Owner::Epoch(hour) => (3, &hour.to_be_bytes()),
        Owner::Hub => (4, &[]),
    };
    [&[tag], bytes].concat()
}

/// 0x01, then for each slot: agency u64 · class u8 · number u64.
fn encode(owned: &Numbers) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + 17 * owned.len());
    row.put_u8(1);
    for (agency, class, number) in owned {
        row.put_u64(agency.0);
        row.put_u8(*class as u8);
        row.put_u64(number.0);
    }
    row
}

fn decode(row: &[u8]) -> Result<Numbers, Malformed> {
    let mut reader = Reader::new(row);
    if reader.u8()? != 1 {
        return Err(Malformed);
    }
    let mut owned = Vec::new();
    while reader.left() > 0 {
        let agency = AgencyKey(reader.u64()?);
        let class = match reader.u8()? {
            1 => Class::Subject,
            2 => Class::Trail,
            3 => Class::Payload,
            4 => Class::Evidence,
            5 => Class::Epoch,
            _ => return Err(Malformed),
        };
        owned.push((agency, class, SlotNumber(reader.u64()?)));
    }
    Ok(owned)
}
