//! Payloads that outlive the hour in which they were sealed: sealed again under a later hour's epoch, each in a row of its
//! own, which stands in the place of the one beside its commit. When and why: `epochs.rs`.
//!
//! ```text
//! rows of `resealed`   index u64 -> 0x01 · slot of the epoch u64 · sealed payload
//! ```

use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes};
use fjall::OwnedWriteBatch;
use parking_lot::RwLock;

use super::{
    StoreError,
    codec::{Malformed, Reader, corrupt},
    history::index_key,
    keyspaces::{Keyspaces, read},
};
use crate::store::{SlotNumber, StoredEntry};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 9;

/// Which payloads were sealed again, and under which epoch each is now.
pub(super) struct Resealed {
    keyspaces: Keyspaces,
    epochs: RwLock<BTreeMap<u64, SlotNumber>>,
}

impl Resealed {
    pub(super) fn open(keyspaces: Keyspaces) -> Result<Self, StoreError> {
        let mut epochs = BTreeMap::new();
        for row in keyspaces.resealed.iter() {
            let (key, row) = row.into_inner().map_err(read)?;
            epochs.insert(index_key(&key)?, epoch_of(&row).map_err(corrupt("resealed"))?);
        }
        Ok(Self { keyspaces, epochs: RwLock::new(epochs) })
    }

    /// The epoch and payload of the entry at `index`, if it was sealed again.
    pub(super) fn get(&self, index: u64) -> Result<Option<(SlotNumber, Bytes)>, StoreError> {
        if !self.epochs.read().contains_key(&index) {
            return Ok(None);
        }
        let Some(row) = self.keyspaces.resealed.get(index.to_be_bytes()).map_err(read)? else { return Ok(None) };
        let row = Bytes::from(row);
        let epoch = epoch_of(&row).map_err(corrupt("resealed"))?;
        Ok(Some((epoch, row.slice(HEAD_BYTES..))))
    }

    /// Under which epoch the entry's payload is now, if it was sealed again.
    pub(super) fn epoch(&self, index: u64) -> Option<SlotNumber> {
        self.epochs.read().get(&index).copied()
    }

    /// Says of an entry where the key of its payload lies now.
    pub(super) fn patch(&self, stored: &mut StoredEntry) {
        if let Some(slots) = &mut stored.routing.payload
            && let Some(epoch) = self.epochs.read().get(&stored.index)
        {
            slots.epoch = *epoch;
        }
    }

    /// The entries whose payloads lie under one of these epochs now.
    pub(super) fn under(&self, epochs: &[SlotNumber]) -> Vec<u64> {
        let resealed = self.epochs.read();
        resealed.iter().filter(|(_, epoch)| epochs.contains(epoch)).map(|(index, _)| *index).collect()
    }

    pub(super) fn write(&self, batch: &mut OwnedWriteBatch, index: u64, epoch: SlotNumber, payload: &[u8]) {
        let mut row = Vec::with_capacity(HEAD_BYTES + payload.len());
        row.put_u8(VERSION);
        row.put_u64(epoch.0);
        row.put_slice(payload);
        batch.insert(&self.keyspaces.resealed, index.to_be_bytes(), row);
    }

    pub(super) fn remove(&self, batch: &mut OwnedWriteBatch, index: u64) {
        batch.remove(&self.keyspaces.resealed, index.to_be_bytes());
    }

    /// Shows what was written, once it is durable.
    pub(super) fn publish(&self, indices: &[u64], epoch: SlotNumber) {
        self.epochs.write().extend(indices.iter().map(|index| (*index, epoch)));
    }

    /// Forgets those whose epoch is gone.
    pub(super) fn forget(&self, indices: &[u64]) {
        let mut epochs = self.epochs.write();
        for index in indices {
            epochs.remove(index);
        }
    }
}

fn epoch_of(row: &[u8]) -> Result<SlotNumber, Malformed> {
    let mut reader = Reader::new(row);
    if reader.u8()? != VERSION {
        return Err(Malformed);
    }
    reader.u64().map(SlotNumber)
}
