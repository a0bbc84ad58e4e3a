//! The tree at the end of a batch: roots and proofs, from the edge alone for new entries, else with stored tiles. Not
//! their verification: that is `proof.rs`, which shares no code with this file.
use super::hash::{Hash, node_hash};
use super::nodes::TileNodes;
use super::tile::{FullTile, TILE_HEIGHT, TileId};
use super::tree::{CompletedTile, ReadError, TileReader};

/// Why a proof was not made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The tree asked for has no such entry.
    #[error("a tree of {size} entries has no entry {index}")]
    Index {
        /// The entry asked for.
        index: u64,
        /// The size asked for.
        size: u64,
    },
    /// The ledger is not that long, or the sizes are the wrong way round.
    #[error("a tree of {to} entries does not contain one of {from}")]
    Size {
        /// The smaller size.
        from: u64,
        /// The larger size.
        to: u64,
    },
    /// A stored tile could not be had.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The tree at one size. Cheap to make: it shares the edge's nodes.
#[derive(Clone)]
pub struct Snapshot {
    size: u64,
    levels: Vec<TileNodes>,
    completed: Vec<CompletedTile>,
    suffixes: Vec<Hash>,
}

impl Snapshot {
    pub(super) fn new(size: u64, levels: Vec<TileNodes>, completed: Vec<CompletedTile>, suffixes: Vec<Hash>) -> Self {
        Self { size, levels, completed, suffixes }
    }

    /// Leaves of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        self.suffixes.last().copied().unwrap_or(Hash::EMPTY_ROOT)
    }

    /// The tiles that this batch completed, to be stored with it.
    pub fn completed(&self) -> &[CompletedTile] {
        &self.completed
    }

    /// The tree's hashes in the tile that is filling at `level`, as a partial tile is served; empty if there is none.
    pub fn partial_tile(&self, level: u8) -> Vec<u8> {
        self.levels.get(usize::from(level)).map(TileNodes::to_bytes).unwrap_or_default()
    }

    /// The root of the tree when it had `size` leaves.
    pub fn root_at(&self, size: u64, reader: &impl TileReader) -> Result<Hash, ProveError> {
        if size > self.size {
            return Err(ProveError::Size { from: size, to: self.size });
        }
        if size == 0 { Ok(Hash::EMPTY_ROOT) } else { Walk::new(self, reader).range(0, size) }
    }

    /// The proof that entry `index` is in the tree of `size` leaves (RFC 9162 §2.1.3.1), from the leaf's sibling up.
    /// At the snapshot's own size, entries of this batch and of the filling tile need no stored tile:
    /// [`NoTiles`](super::NoTiles) will do.
    pub fn inclusion_proof(&self, index: u64, size: u64, reader: &impl TileReader) -> Result<Vec<Hash>, ProveError> {
        self.check_inclusion(index, size)?;
        inclusion(index, size, &mut Walk::new(self, reader))
    }

    /// The proof that the tree of `to` leaves continues the one of `from` (RFC 9162 §2.1.4.1). Empty if `from` is 0 or
    /// `to`.
    pub fn consistency_proof(&self, from: u64, to: u64, reader: &impl TileReader) -> Result<Vec<Hash>, ProveError> {
        self.check_consistency(from, to)?;
        consistency(from, to, &mut Walk::new(self, reader))
    }

    /// The stored tiles that [`Snapshot::inclusion_proof`] will read, for those who must fetch them first.
    pub fn tiles_for_inclusion(&self, index: u64, size: u64) -> Result<Vec<TileId>, ProveError> {
        self.check_inclusion(index, size)?;
        let mut plan = Plan { snapshot: self, tiles: Vec::new() };
        inclusion(index, size, &mut plan)?;
        Ok(plan.tiles)
    }

    /// The stored tiles that [`Snapshot::consistency_proof`] will read.
    pub fn tiles_for_consistency(&self, from: u64, to: u64) -> Result<Vec<TileId>, ProveError> {
        self.check_consistency(from, to)?;
        let mut plan = Plan { snapshot: self, tiles: Vec::new() };
        consistency(from, to, &mut plan)?;
        Ok(plan.tiles)
    }

    fn check_inclusion(&self, index: u64, size: u64) -> Result<(), ProveError> {
        if size > self.size {
            return Err(ProveError::Size { from: size, to: self.size });
        }
        if index < size { Ok(()) } else { Err(ProveError::Index { index, size }) }
    }

    fn check_consistency(&self, from: u64, to: u64) -> Result<(), ProveError> {
        if to > self.size {
            return Err(ProveError::Size { from: to, to: self.size });
        }
        if from <= to { Ok(()) } else { Err(ProveError::Size { from, to }) }
    }

    /// The nodes of a tile that the snapshot holds itself.
    fn held(&self, id: TileId) -> Option<&TileNodes> {
        let filling = self.size >> (TILE_HEIGHT * u32::from(id.level)) >> TILE_HEIGHT;
        if id.index == filling {
            return self.levels.get(usize::from(id.level));
        }
        self.completed.iter().find(|tile| tile.id() == id).map(|tile| &tile.nodes)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({}, {})", self.size, self.root())
    }
}

/// Where a complete node of the tree stands: its tile, and height and index within it.
fn place(height: u32, index: u64) -> (TileId, u32, u64) {
    let inner = height % TILE_HEIGHT;
    let bits = TILE_HEIGHT - inner;
    let id = TileId { level: (height / TILE_HEIGHT) as u8, index: index >> bits };
    (id, inner, index & ((1 << bits) - 1))
}

/// What the proofs below are made of.
trait Nodes {
    /// The complete node `index` of `height`.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ProveError>;

    /// The root of the leaves from `start` to `end` (exclusive, more than `start`), where `start` is a multiple of some
    /// power of two that is no less than their number: complete subtrees, hashed together from the right.
    fn range(&mut self, start: u64, end: u64) -> Result<Hash, ProveError> {
        fold_range(self, start, end)
    }
}

fn fold_range(nodes: &mut (impl Nodes + ?Sized), start: u64, end: u64) -> Result<Hash, ProveError> {
    let mut position = end;
    let mut hash = None;
    while position > start {
        let height = (position - start).trailing_zeros();
        position -= 1 << height;
        let node = nodes.node(height, position >> height)?;
        hash = Some(hash.map_or(node, |right| node_hash(&node, &right)));
    }
    Ok(hash.unwrap_or(Hash::EMPTY_ROOT))
}

/// From the leaf up: the sibling at each height, if there is one. Only the last one can be incomplete.
fn inclusion(index: u64, size: u64, nodes: &mut impl Nodes) -> Result<Vec<Hash>, ProveError> {
    let mut proof = Vec::with_capacity((u64::BITS - size.leading_zeros()) as usize);
    let (mut node, mut last, mut height) = (index, size - 1, 0);
    while last > 0 {
        let sibling = node ^ 1;
        if sibling < last {
            proof.push(nodes.node(height, sibling)?);
        } else if sibling == last {
            proof.push(nodes.range(sibling << height, size)?);
        }
        node >>= 1;
        last >>= 1;
        height += 1;
    }
    Ok(proof)
}

/// SUBPROOF of RFC 9162 §2.1.4.1 from the root down, then turned round. `start < from <= end` holds throughout.
fn consistency(from: u64, to: u64, nodes: &mut impl Nodes) -> Result<Vec<Hash>, ProveError> {
    let mut proof = Vec::new();
    if from == 0 {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, to);
    while from < end {
        let left = 1 << (end - start - 1).ilog2();
        let middle = start + left;
        if from <= middle {
            proof.push(nodes.range(middle, end)?);
            end = middle;
        } else {
            proof.push(nodes.range(start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        // Otherwise the earlier tree is itself a node here, and its verifier has the root.
        proof.push(nodes.range(start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Looks nodes up in the snapshot and in stored tiles, each of which is read once.
struct Walk<'a, R> {
    snapshot: &'a Snapshot,
    reader: &'a R,
    tiles: Vec<(TileId, FullTile)>,
}

impl<'a, R: TileReader> Walk<'a, R> {
    fn new(snapshot: &'a Snapshot, reader: &'a R) -> Self {
        Self { snapshot, reader, tiles: Vec::new() }
    }

    fn stored(&mut self, id: TileId) -> Result<FullTile, ReadError> {
        if let Some((_, tile)) = self.tiles.iter().find(|(read, _)| *read == id) {
            return Ok(tile.clone());
        }
        let tile = self.reader.full_tile(id)?;
        self.tiles.push((id, tile.clone()));
        Ok(tile)
    }
}

impl<R: TileReader> Nodes for Walk<'_, R> {
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ProveError> {
        let (id, inner, within) = place(height, index);
        if let Some(hash) = self.snapshot.held(id).and_then(|nodes| nodes.get(inner, within as usize)) {
            return Ok(hash);
        }
        self.stored(id)?.subtree(inner, within).ok_or_else(|| ReadError::Missing(id).into())
    }

    fn range(&mut self, start: u64, end: u64) -> Result<Hash, ProveError> {
        let length = end - start;
        // At the snapshot's own size these are known (see `Edge::suffixes`), but for one complete node, which may lie
        // within a larger one.
        if end == self.snapshot.size && !length.is_power_of_two() {
            return Ok(self.snapshot.suffixes[length.count_ones() as usize - 1]);
        }
        fold_range(self, start, end)
    }
}

/// Notes which stored tiles a proof reads, without reading them.
struct Plan<'a> {
    snapshot: &'a Snapshot,
    tiles: Vec<TileId>,
}

impl Nodes for Plan<'_> {
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ProveError> {
        let (id, ..) = place(height, index);
        if self.snapshot.held(id).is_none() && !self.tiles.contains(&id) {
            self.tiles.push(id);
        }
        Ok(Hash::EMPTY_ROOT)
    }
}
