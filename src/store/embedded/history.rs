//! The ledger's entries as stored: the newest commits in memory, all of them in volumes; tiles in the LSM.
//!
//! What is held in memory are the rows as they were written: most are never looked at again, and those that a recipient
//! or a reader comes for are read once.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{
    StoreError,
    codec::corrupt,
    keyspaces::{Keyspaces, read},
    rows::{CommitRows, Committed, Places, decode_commit, payload_at},
    volumes::VolumeReader,
};
use crate::{
    domain::time::Moment,
    ledger::{FullTile, TILE_HEIGHT, TileId},
    store::{Head, StoredEntry},
    vault::SlotKey,
};

/// Reads entries. What is written comes from `commit.rs`.
pub(super) struct History {
    keyspaces: Keyspaces,
    volumes: VolumeReader,
    rows_key: Arc<SlotKey>,
    recent_bytes_max: usize,
    recent: RwLock<Recent>,
}

/// The newest commits without a gap, oldest first.
#[derive(Default)]
struct Recent {
    commits: VecDeque<Arc<RecentCommit>>,
    /// Length of all their rows.
    bytes: usize,
}

/// One of the newest commits.
struct RecentCommit {
    first: u64,
    /// The index after its last entry.
    end: u64,
    time: Moment,
    rows: CommitRows,
    /// Once somebody has asked for it.
    read: OnceLock<Arc<Committed>>,
}

impl Recent {
    fn containing(&self, index: u64) -> Option<&Arc<RecentCommit>> {
        let at = self.commits.partition_point(|commit| commit.end <= index);
        self.commits.get(at).filter(|commit| commit.first <= index)
    }
}

impl History {
    pub(super) fn new(
        keyspaces: Keyspaces,
        volumes: VolumeReader,
        rows_key: Arc<SlotKey>,
        recent_bytes_max: usize,
    ) -> Self {
        Self { keyspaces, volumes, rows_key, recent_bytes_max, recent: RwLock::default() }
    }

    /// Adds the newest commit, from `first` to the new `head`, once it is durable; the oldest make room. The newest
    /// stays, however large.
    pub(super) fn push(&self, first: u64, head: &Head, rows: CommitRows) {
        let bytes = rows.bytes();
        let commit = RecentCommit { first, end: head.size, time: head.time, rows, read: OnceLock::new() };
        // Dropped only when the lock is let go.
        let mut gone = Vec::new();
        let mut recent = self.recent.write();
        recent.bytes += bytes;
        recent.commits.push_back(Arc::new(commit));
        while recent.bytes > self.recent_bytes_max && recent.commits.len() > 1 {
            let Some(oldest) = recent.commits.pop_front() else { break };
            recent.bytes -= oldest.rows.bytes();
            gone.push(oldest);
        }
        drop(recent);
    }

    /// What the newest commits take in memory, without what was decoded of them.
    pub(super) fn held_bytes(&self) -> usize {
        self.recent.read().bytes
    }

    fn recent(&self, index: u64) -> Option<Arc<RecentCommit>> {
        self.recent.read().containing(index).cloned()
    }

    /// The commit with the entry at `index`, which must be below the head's size.
    pub(super) fn containing(&self, index: u64) -> Result<Arc<Committed>, StoreError> {
        let Some(recent) = self.recent(index) else {
            let (first, row) = self.row(index)?;
            let commit = self.decode(first, &row)?;
            return if index < commit.end() { Ok(commit) } else { Err(missing(index)) };
        };
        if let Some(read) = recent.read.get() {
            return Ok(Arc::clone(read));
        }
        let read = self.decode(recent.first, &recent.rows.commit)?;
        Ok(Arc::clone(recent.read.get_or_init(|| read)))
    }

    fn decode(&self, first: u64, row: &Bytes) -> Result<Arc<Committed>, StoreError> {
        decode_commit(first, row, &self.rows_key).map(Arc::new).map_err(corrupt("commits"))
    }

    /// Whether the entry at `index` is among the newest in memory.
    pub(super) fn is_recent(&self, index: u64) -> bool {
        self.recent.read().commits.front().is_some_and(|oldest| oldest.first <= index)
    }

    /// The time of the entry at `index`.
    pub(super) fn time(&self, index: u64) -> Result<Moment, StoreError> {
        if let Some(recent) = self.recent.read().containing(index) {
            return Ok(recent.time);
        }
        Ok(self.places(index)?.1.time)
    }

    fn places(&self, index: u64) -> Result<(u64, Places), StoreError> {
        let newest = self.keyspaces.commits.range(..=index.to_be_bytes()).next_back();
        commit_places(newest.ok_or_else(|| missing(index))?)
    }

    /// The first index after those of the commit with the entry at `index`.
    pub(super) fn next_commit(&self, index: u64) -> Result<u64, StoreError> {
        let next = self.keyspaces.commits.range(index.saturating_add(1).to_be_bytes()..).next();
        next.map_or(Ok(u64::MAX), |row| index_key(&row.key().map_err(read)?))
    }

    fn row(&self, index: u64) -> Result<(u64, Bytes), StoreError> {
        let (first, places) = self.places(index)?;
        Ok((first, self.volumes.read(&places.commit)?))
    }

    /// Up to `limit` entries from `from` on and below `size`.
    pub(super) fn entries(&self, from: u64, size: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        let end = size.min(from.saturating_add(limit as u64));
        let mut entries = Vec::with_capacity(end.saturating_sub(from) as usize);
        let mut index = from;
        while index < end {
            let commit = self.containing(index)?;
            let upto = commit.end().min(end);
            entries.extend((index..upto).filter_map(|index| commit.stored(index)));
            index = upto;
        }
        Ok(entries)
    }

    /// The payload of an entry of `commit`.
    pub(super) fn payload(&self, commit: &Committed, index: u64) -> Result<Option<Bytes>, StoreError> {
        let Some(row) = self.payload_row(commit)? else { return Ok(None) };
        payload_in(&row, commit, index)
    }

    /// The row of all payloads of `commit`.
    pub(super) fn payload_row(&self, commit: &Committed) -> Result<Option<Bytes>, StoreError> {
        if let Some(recent) = self.recent(commit.first) {
            return Ok(recent.rows.payloads.clone());
        }
        let place = self.keyspaces.commits.get(commit.first.to_be_bytes()).map_err(read)?;
        let place = place.ok_or_else(|| missing(commit.first))?;
        let places = Places::decode(&place).map_err(corrupt("commits"))?;
        places.payloads.map(|payloads| self.volumes.read(&payloads)).transpose()
    }

    /// A full tile.
    pub(super) fn tile(&self, id: TileId) -> Result<Option<FullTile>, StoreError> {
        let Some(key) = tile_key(id) else { return Ok(None) };
        let Some(row) = self.keyspaces.tiles.get(key).map_err(read)? else { return Ok(None) };
        FullTile::from_bytes(&*row).map(Some).map_err(|e| StoreError::Corrupt(e.to_string()))
    }
}

/// The payload of the entry at `index` in its commit's row of payloads, by itself.
pub(super) fn payload_in(row: &Bytes, commit: &Committed, index: u64) -> Result<Option<Bytes>, StoreError> {
    let payload = payload_at(row, (index - commit.first) as usize).map_err(corrupt("payloads"))?;
    Ok(payload.map(|payload| Bytes::copy_from_slice(&payload)))
}

/// The first index of a commit and the LSM's row of it.
pub(super) fn commit_places(row: fjall::Guard) -> Result<(u64, Places), StoreError> {
    let (key, places) = row.into_inner().map_err(read)?;
    Ok((index_key(&key)?, Places::decode(&places).map_err(corrupt("commits"))?))
}

/// The index that a row is keyed by.
pub(super) fn index_key(key: &[u8]) -> Result<u64, StoreError> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt("an index has not 8 bytes".into()))
}

fn missing(index: u64) -> StoreError {
    StoreError::Corrupt(format!("entry {index} is missing"))
}

/// Tiles are keyed by the size of the ledger at which they became full, then by level: so each new key is the largest,
/// and the LSM never has to rewrite a table. `None` for tiles beyond any ledger.
pub(super) fn tile_key(id: TileId) -> Option<[u8; 9]> {
    let span = 1_u64.checked_shl(TILE_HEIGHT * (u32::from(id.level) + 1))?;
    let full_at = id.index.checked_add(1)?.checked_mul(span)?;
    let mut key = [0; 9];
    key[..8].copy_from_slice(&full_at.to_be_bytes());
    key[8] = id.level;
    Some(key)
}
