//! A ledger read from a data folder without its keys, by somebody who does not trust the hub: entries, tiles and the
//! newest checkpoint are in the clear. The folder must not be in use; opening it replays its journal, so take a copy.

use std::path::Path;

use bytes::Bytes;

use super::{
    StoreError,
    codec::corrupt,
    history::{commit_key, tile_key},
    keyspaces::{Keyspaces, fatal, read},
    open::{DATABASE, read_head},
    rows::entries_of,
};
use crate::{
    ledger::{FullTile, ReadError, TileId, TileReader},
    store::Head,
};

/// Memory for blocks, in bytes: the ledger is read once, from front to back.
const CACHE_BYTES: u64 = 16 << 20;

/// The ledger in a data folder.
pub struct LedgerCopy {
    keyspaces: Keyspaces,
}

impl std::fmt::Debug for LedgerCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerCopy")
    }
}

impl LedgerCopy {
    /// Opens the folder. Nothing is created.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let database = folder.join(DATABASE);
        if !database.join("version").exists() {
            return Err(StoreError::Foreign("the folder holds no store".to_owned()));
        }
        Ok(Self { keyspaces: Keyspaces::open_again(&database, CACHE_BYTES)? })
    }

    /// Size and newest signed checkpoint.
    pub fn head(&self) -> Result<Head, StoreError> {
        read_head(&self.keyspaces)
    }

    /// Every entry's bytes, in order. The first that cannot be read ends it.
    pub fn entries(&self) -> impl Iterator<Item = Result<Bytes, StoreError>> {
        let mut next = 0;
        let commits = self.keyspaces.commits.iter().map(move |pair| {
            let (key, row) = pair.into_inner().map_err(read)?;
            let first = commit_key(&key)?;
            if first != next {
                return Err(StoreError::Corrupt(format!("entry {next} is missing")));
            }
            let entries = entries_of(&Bytes::from(row)).map_err(corrupt("commits"))?;
            next += entries.len() as u64;
            Ok(entries)
        });
        commits.flat_map(|commit| match commit {
            Ok(entries) => entries.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })
    }

    /// Changes one bit of the entry at `index`, as somebody who has the disk and a program like this could. For
    /// exercises: a verifier that has never seen a fault proves little.
    pub fn falsify(&self, index: u64) -> Result<(), StoreError> {
        let pair = self.keyspaces.commits.range(..=index.to_be_bytes()).next_back();
        let (key, row) = match pair.map(fjall::Guard::into_inner) {
            Some(pair) => pair.map_err(read)?,
            None => return Err(StoreError::Corrupt(format!("there is no entry {index}"))),
        };
        let position = (index - commit_key(&key)?) as usize;
        let bytes = Bytes::from(row);
        let entries = entries_of(&bytes).map_err(corrupt("commits"))?;
        let entry = entries.get(position).ok_or_else(|| StoreError::Corrupt(format!("there is no entry {index}")))?;
        let at = entry.as_ptr() as usize - bytes.as_ptr() as usize + entry.len() - 1;
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        self.keyspaces.commits.insert(key, changed).map_err(fatal)?;
        self.keyspaces.db.persist(fjall::PersistMode::SyncData).map_err(fatal)
    }
}

impl TileReader for LedgerCopy {
    fn full_tile(&self, id: TileId) -> Result<FullTile, ReadError> {
        let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| ReadError::Unreadable(id, error);
        let key = tile_key(id).ok_or(ReadError::Missing(id))?;
        let row = self.keyspaces.tiles.get(key).map_err(|error| unreadable(error.into()))?;
        let row = row.ok_or(ReadError::Missing(id))?;
        FullTile::from_bytes(&*row).map_err(|error| unreadable(error.into()))
    }
}
