//! Verification of a whole ledger: every entry, every stored tile, the checkpoint. Says where the first fault is.
//! Not of a single receipt: that is `receipt.rs`.
use super::checkpoint::{Checkpoint, Origin};
use super::entry::{Entry, EntryError};
use super::hash::{Hash, leaf_hash};
use super::tile::{TILE_WIDTH, TileId};
use super::tree::{CompletedTile, Edge, ReadError, TileReader};

/// How many entries pass between two calls of the progress function.
pub const PROGRESS_STEP: u64 = 4096;

/// What was found. The ledger is sound if there is no fault.
#[derive(Debug)]
pub struct LedgerReport {
    /// Whose ledger its checkpoint says it is.
    pub origin: Origin,
    /// How many entries were read and found good.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

/// The first thing that is wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An entry cannot be read.
    #[error("entry {index} cannot be read: {reason}")]
    Unreadable {
        /// Which entry.
        index: u64,
        /// What the reader said.
        reason: String,
    },
    /// The bytes are no entry.
    #[error("entry {index} is malformed: {reason}")]
    Malformed {
        /// Which entry.
        index: u64,
        /// Why.
        reason: EntryError,
    },
    /// Times never go back.
    #[error("entry {index} is older than the one before it")]
    Time {
        /// Which entry.
        index: u64,
    },
    /// An entry is not the one whose hash the stored tile holds: one of both was changed.
    #[error("entry {index} is not the one that tile {} of level 0 holds", .index / TILE_WIDTH as u64)]
    Leaf {
        /// Which entry.
        index: u64,
    },
    /// A stored tile above the leaves does not follow from the tiles below it.
    #[error("tile {} of level {} is wrong from hash {position} on", .id.index, .id.level)]
    Tile {
        /// Which tile.
        id: TileId,
        /// Which of its hashes is the first wrong one.
        position: u8,
    },
    /// A stored tile is missing or cannot be read.
    #[error(transparent)]
    Read(ReadError),
    /// There are fewer entries than the checkpoint says.
    #[error("the ledger ends after {found} entries, its checkpoint says {expected}")]
    Truncated {
        /// Entries found.
        found: u64,
        /// The checkpoint's size.
        expected: u64,
    },
    /// There are more entries than the checkpoint says.
    #[error("there are entries after the {expected} of the checkpoint")]
    Surplus {
        /// The checkpoint's size.
        expected: u64,
    },
    /// All entries agree with the stored tiles, but not with the root that was signed: an entry after the last full
    /// tile was changed, or the whole ledger is another.
    #[error("the entries lead to the root {found}, not to {expected}; no full tile covers entries from {unvouched} on")]
    Root {
        /// The root that was signed.
        expected: Hash,
        /// The root of these entries.
        found: Hash,
        /// The first entry that no full tile covers.
        unvouched: u64,
    },
}

/// Reads `entries` from the first on, and compares them with the stored full tiles and with `checkpoint`, whose
/// signature must already have been verified. `progress` is told every [`PROGRESS_STEP`] entries how many were done.
pub fn verify_ledger<B, E>(
    entries: impl IntoIterator<Item = Result<B, E>>,
    tiles: &impl TileReader,
    checkpoint: &Checkpoint,
    mut progress: impl FnMut(u64),
) -> LedgerReport
where
    B: AsRef<[u8]>,
    E: std::fmt::Display,
{
    let mut edge = Edge::new();
    let fault = read_all(entries, tiles, checkpoint, &mut edge, &mut progress).err();
    LedgerReport { origin: checkpoint.origin.clone(), size: edge.size(), root: edge.root(), fault }
}

fn read_all<B: AsRef<[u8]>, E: std::fmt::Display>(
    entries: impl IntoIterator<Item = Result<B, E>>,
    tiles: &impl TileReader,
    checkpoint: &Checkpoint,
    edge: &mut Edge,
    progress: &mut impl FnMut(u64),
) -> Result<(), Fault> {
    let expected = checkpoint.size;
    let mut time = 0;
    for entry in entries {
        let index = edge.size();
        if index == expected {
            return Err(Fault::Surplus { expected });
        }
        let bytes = entry.map_err(|error| Fault::Unreadable { index, reason: error.to_string() })?;
        let decoded = Entry::decode(bytes.as_ref()).map_err(|reason| Fault::Malformed { index, reason })?;
        if decoded.time() < time {
            return Err(Fault::Time { index });
        }
        time = decoded.time();
        edge.append(leaf_hash(bytes.as_ref()));
        for completed in edge.take_completed() {
            compare(&completed, tiles)?;
        }
        if edge.size().is_multiple_of(PROGRESS_STEP) {
            progress(edge.size());
        }
    }
    let found = edge.size();
    if found < expected {
        return Err(Fault::Truncated { found, expected });
    }
    let (root, expected) = (edge.root(), checkpoint.root);
    if root == expected {
        progress(found);
        return Ok(());
    }
    Err(Fault::Root { expected, found: root, unvouched: found - found % TILE_WIDTH as u64 })
}

/// Whether the tile that the entries give is the stored one; if not, where they part.
fn compare(completed: &CompletedTile, tiles: &impl TileReader) -> Result<(), Fault> {
    let id = completed.id();
    let (made, stored) = (completed.to_bytes(), tiles.full_tile(id).map_err(Fault::Read)?);
    let made = made.as_chunks::<{ Hash::LEN }>().0;
    let stored = stored.as_bytes().as_chunks::<{ Hash::LEN }>().0;
    let Some(position) = made.iter().zip(stored).position(|(made, stored)| made != stored) else { return Ok(()) };
    if id.level == 0 {
        return Err(Fault::Leaf { index: id.index * TILE_WIDTH as u64 + position as u64 });
    }
    Err(Fault::Tile { id, position: position as u8 })
}
