//! The append-only RFC 6962 tree, of which only the right edge is held. Proofs are made from a snapshot of it:
//! `snapshot.rs`.
use std::collections::HashMap;

use super::hash::{Hash, node_hash};
use super::nodes::TileNodes;
use super::snapshot::Snapshot;
use super::tile::{FullTile, MAX_TILE_LEVEL, TILE_HEIGHT, TileId, full_tiles, hashes_at, partial_width};

/// Reads stored tiles.
pub trait TileReader {
    /// The full tile `id`. A tile is handed out once full and never changes after that.
    fn full_tile(&self, id: TileId) -> Result<FullTile, ReadError>;
}

/// Why a tile was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("tile {} of level {} is missing", .0.index, .0.level)]
    Missing(TileId),
    /// Reading it failed.
    #[error("tile {} of level {} cannot be read", .0.index, .0.level)]
    Unreadable(TileId, #[source] Box<dyn std::error::Error + Send + Sync>),
}

impl<R: TileReader + ?Sized> TileReader for &R {
    fn full_tile(&self, id: TileId) -> Result<FullTile, ReadError> {
        (**self).full_tile(id)
    }
}

/// A reader without tiles: for proofs that the snapshot can make alone.
#[derive(Debug, Clone, Copy)]
pub struct NoTiles;

impl TileReader for NoTiles {
    fn full_tile(&self, id: TileId) -> Result<FullTile, ReadError> {
        Err(ReadError::Missing(id))
    }
}

/// Tiles fetched beforehand, where reading is asynchronous (see [`Snapshot::tiles_for_inclusion`]).
impl<S: std::hash::BuildHasher> TileReader for HashMap<TileId, FullTile, S> {
    fn full_tile(&self, id: TileId) -> Result<FullTile, ReadError> {
        self.get(&id).cloned().ok_or(ReadError::Missing(id))
    }
}

/// A tile that became full.
#[derive(Clone)]
pub struct CompletedTile {
    id: TileId,
    pub(super) nodes: TileNodes,
}

impl CompletedTile {
    /// Which tile.
    pub fn id(&self) -> TileId {
        self.id
    }

    /// Its 8192 bytes, as they are stored and served.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.nodes.to_bytes()
    }

    /// The tile as a reader hands it out.
    pub fn to_tile(&self) -> FullTile {
        self.nodes.to_tile().expect("only full tiles are put away as completed")
    }
}

impl std::fmt::Debug for CompletedTile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CompletedTile({}/{})", self.id.level, self.id.index)
    }
}

/// Why the edge could not be rebuilt from what is stored.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The number of leaf hashes is not that of the partial tile.
    #[error("{found} leaf hashes after the last full tile, not {expected}")]
    Leaves {
        /// What the size asks for.
        expected: u16,
        /// What was given.
        found: usize,
    },
    /// A stored tile could not be had.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The stored tree is another than the one that was signed.
    #[error("the stored tree of {size} entries has the root {found}, not {expected}")]
    Root {
        /// The tree's size.
        size: u64,
        /// The root that was signed.
        expected: Hash,
        /// The root of what is stored.
        found: Hash,
    },
}

/// The right edge of the tree: at each tile level the tile that is still filling. The sequencer clones it (a handful of
/// counters), appends a batch to the clone, and keeps the clone once the batch is durable.
#[derive(Clone, Default)]
pub struct Edge {
    size: u64,
    levels: Vec<TileNodes>,
    completed: Vec<CompletedTile>,
}

impl Edge {
    /// The edge of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf and returns its index. Tiles that become full are put away for the next snapshot.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        self.size += 1; // 2^64 entries are out of reach: 500,000 years at a million a second
        let mut hash = leaf;
        for level in 0..=MAX_TILE_LEVEL {
            if self.levels.len() == usize::from(level) {
                self.levels.push(TileNodes::default());
            }
            let nodes = &mut self.levels[usize::from(level)];
            nodes.push(hash);
            let Some(root) = nodes.root() else { break };
            let id = TileId { level, index: full_tiles(level, self.size) - 1 };
            self.completed.push(CompletedTile { id, nodes: std::mem::take(nodes) });
            hash = root;
        }
        index
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        self.suffixes().last().copied().unwrap_or(Hash::EMPTY_ROOT)
    }

    /// Ends a batch: what is needed to write it and to prove it. The tiles that it completed move to the snapshot.
    pub fn snapshot(&mut self) -> Snapshot {
        let completed = self.take_completed();
        Snapshot::new(self.size, self.levels.clone(), completed, self.suffixes())
    }

    pub(super) fn take_completed(&mut self) -> Vec<CompletedTile> {
        std::mem::take(&mut self.completed)
    }

    /// The hashes of what lies right of each border between two complete subtrees: the last one, the last two, …; the
    /// last of them is the root. Every proof at this size needs at most one of them, and everything else is complete.
    fn suffixes(&self) -> Vec<Hash> {
        let mut suffixes: Vec<Hash> = Vec::with_capacity(self.size.count_ones() as usize);
        let mut rest = self.size;
        while rest > 0 {
            let height = rest.trailing_zeros();
            rest &= rest - 1;
            let nodes = &self.levels[(height / TILE_HEIGHT) as usize];
            let inner = height % TILE_HEIGHT;
            let index = (nodes.width() >> inner) - 1;
            let peak = nodes.get(inner, index).expect("the edge holds a complete node for each bit of its size");
            suffixes.push(suffixes.last().map_or(peak, |right| node_hash(&peak, right)));
        }
        suffixes
    }

    /// The edge of a stored tree of `size` leaves, checked against the root that was signed. `leaves` are the leaf
    /// hashes after the last full tile. Reads at most 255 tiles a level.
    pub fn rebuild(
        size: u64,
        leaves: &[Hash],
        reader: &impl TileReader,
        expected_root: &Hash,
    ) -> Result<Self, RebuildError> {
        let expected = partial_width(0, size);
        if leaves.len() != usize::from(expected) {
            return Err(RebuildError::Leaves { expected, found: leaves.len() });
        }
        let mut first = TileNodes::default();
        for leaf in leaves {
            first.push(*leaf);
        }
        let mut levels = vec![first];
        for level in (1..=MAX_TILE_LEVEL).take_while(|level| hashes_at(*level, size) > 0) {
            let mut nodes = TileNodes::default();
            let below = full_tiles(level - 1, size);
            for index in below - u64::from(partial_width(level, size))..below {
                nodes.push(reader.full_tile(TileId { level: level - 1, index })?.root());
            }
            levels.push(nodes);
        }
        let edge = Self { size, levels, completed: Vec::new() };
        let found = edge.root();
        if found == *expected_root {
            Ok(edge)
        } else {
            Err(RebuildError::Root { size, expected: *expected_root, found })
        }
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("size", &self.size).finish_non_exhaustive()
    }
}
