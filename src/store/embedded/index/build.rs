//! The index as a store opens: the chunks that were flushed, and what came after them from the commits. Where its volumes
//! are gone it is built from the commits as a whole: so an operator who removes them has it made anew.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use super::{FLUSHED, Index, StoreError, damaged, flush::WAITING_MAX, malformed};
use crate::store::{
    Head,
    embedded::{
        codec::Reader,
        history::History,
        keyspaces::{Keyspaces, fatal, read, sync_folder},
        volumes::{VolumeReader, Volumes},
    },
};

/// How often it is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(10);

impl Index {
    /// The index of a ledger that ends at `head`, in `folder`.
    pub(in crate::store::embedded) fn build(
        keyspaces: &Keyspaces,
        folder: &Path,
        history: &History,
        head: &Head,
    ) -> Result<Self, StoreError> {
        if are_gone(keyspaces, folder)? {
            tracing::warn!(entries = head.size, "the search index is gone: it is built again from the commits");
            begin_again(keyspaces, folder)?;
        }
        let flushed = keyspaces.meta.get(FLUSHED).map_err(read)?;
        let flushed = flushed.map_or(Ok(0), |row| Reader::new(&row).u64()).map_err(malformed(folder))?;
        let index = Self::open(keyspaces.clone(), folder, flushed)?;
        index.catch_up(history, head)?;
        Ok(index)
    }

    /// Adds the entries that are in no chunk. Chunks are written here only if more of them would wait than ever do while
    /// the hub runs.
    fn catch_up(&self, history: &History, head: &Head) -> Result<(), StoreError> {
        let mut next = self.tail_first();
        if next > head.size {
            let beyond = StoreError::Corrupt("it reaches beyond the newest entry".to_owned());
            return Err(damaged(self.folder())(beyond));
        }
        let (mut told, mut is_long) = (Instant::now(), false);
        while next < head.size {
            let commit = history.containing(next)?;
            self.append(&commit.entries[(next - commit.first) as usize..]);
            next = commit.end();
            while self.waiting() > WAITING_MAX {
                self.flush_chunk()?;
            }
            if told.elapsed() >= TOLD_EVERY {
                (told, is_long) = (Instant::now(), true);
                tracing::info!(entries = next, of = head.size, "the search index is being built");
            }
        }
        if is_long {
            tracing::info!(entries = next, "the search index is built");
        }
        Ok(())
    }
}

/// Whether there were volumes, or a folder for them, and are none.
fn are_gone(keyspaces: &Keyspaces, folder: &Path) -> Result<bool, StoreError> {
    match fs::read_dir(folder) {
        Ok(_) => Ok(VolumeReader::new(folder).is_empty() && keyspaces.meta.get(FLUSHED).map_err(read)?.is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(StoreError::Read(format!("the search index cannot be opened: {error}"))),
    }
}

/// Forgets the chunks, then makes the folder: a crash in between leaves what is done again. Rows of chunks that are not
/// there any more are not read, and are written anew with their chunks: the same keys follow from the same commits.
fn begin_again(keyspaces: &Keyspaces, folder: &Path) -> Result<(), StoreError> {
    let mut batch = keyspaces.synced_batch(1);
    batch.remove(&keyspaces.meta, FLUSHED);
    batch.commit().map_err(fatal)?;
    let make = || -> io::Result<()> {
        if !folder.exists() {
            Volumes::create(folder)?;
        }
        folder.parent().map_or(Ok(()), sync_folder)
    };
    make().map_err(|error| StoreError::Fatal(format!("the search index's folder cannot be made: {error}")))
}
