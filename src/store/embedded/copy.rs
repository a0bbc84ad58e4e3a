//! A ledger read from a data folder without its keys, by somebody who does not trust the hub: entries, tiles and the
//! newest checkpoint are in the clear. The folder must not be in use; opening it replays its journal, so take a copy.

use std::path::Path;

use bytes::Bytes;

use super::{
    StoreError,
    codec::corrupt,
    history::{commit_places, tile_key},
    keyspaces::{Keyspaces, fatal},
    open::{COMMITS, DATABASE, check_version, read_head},
    rows::{Places, entries_of},
    volumes::VolumeReader,
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
    volumes: VolumeReader,
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
        let volumes = VolumeReader::new(&folder.join(COMMITS));
        let keyspaces = Keyspaces::open_again(&database, CACHE_BYTES)?;
        check_version(&keyspaces)?;
        Ok(Self { keyspaces, volumes })
    }

    /// Size and newest signed checkpoint.
    pub fn head(&self) -> Result<Head, StoreError> {
        read_head(&self.keyspaces)
    }

    /// Every entry's bytes, in order. The first that cannot be read ends it.
    pub fn entries(&self) -> impl Iterator<Item = Result<Bytes, StoreError>> {
        let mut next = 0;
        let commits = self.keyspaces.commits.iter().map(move |pair| {
            let (first, places) = commit_places(pair)?;
            if first != next {
                return Err(StoreError::Corrupt(format!("entry {next} is missing")));
            }
            let entries = entries_of(&self.volumes.read(&places.commit)?).map_err(corrupt("commits"))?;
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
        let none = || StoreError::Corrupt(format!("there is no entry {index}"));
        let pair = self.keyspaces.commits.range(..=index.to_be_bytes()).next_back().ok_or_else(none)?;
        let (first, Places { time, commit, payloads }) = commit_places(pair)?;
        let bytes = self.volumes.read(&commit)?;
        let entries = entries_of(&bytes).map_err(corrupt("commits"))?;
        let entry = entries.get((index - first) as usize).ok_or_else(none)?;
        let at = entry.as_ptr() as usize - bytes.as_ptr() as usize + entry.len() - 1;
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let extents: Vec<_> = std::iter::once(self.volumes.falsify(&commit, &changed)?).chain(payloads).collect();
        self.keyspaces.commits.insert(first.to_be_bytes(), Places::encode(time, &extents)).map_err(fatal)?;
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
