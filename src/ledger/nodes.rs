//! The nodes of one tile while it fills, inner ones included. Not the tree over the tiles: `tree.rs`.
use std::sync::Arc;

use super::hash::{Hash, node_hash};
use super::tile::{FullTile, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH};

/// All complete nodes of a full tile: 256 + 128 + … + 1.
const NODES: usize = 2 * TILE_WIDTH - 1;

/// The complete nodes of one tile, in the order in which they become complete (each inner node right after its right
/// child). So a proof looks siblings up instead of hashing them again, and appending never moves a node. A clone shares
/// the nodes, and the first append after it copies them: at most 16 KB a commit.
#[derive(Clone, Default)]
pub(super) struct TileNodes {
    width: usize,
    nodes: Arc<Vec<Hash>>,
}

impl TileNodes {
    /// How many hashes the tile has so far.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Appends the tile's next hash. The tile must not be full.
    pub fn push(&mut self, hash: Hash) {
        debug_assert!(!self.is_full(), "a full tile is put away before the next hash");
        let nodes = owned(&mut self.nodes);
        nodes.push(hash);
        self.width += 1;
        let mut right = hash;
        for height in 0..self.width.trailing_zeros() {
            // The right child's subtree holds 2^(height+1) - 1 nodes, and stands between the left child and its parent.
            let left = nodes[nodes.len() - (2 << height)];
            right = node_hash(&left, &right);
            nodes.push(right);
        }
    }

    /// The `index`-th node of `height` within the tile, if it is complete.
    pub fn get(&self, height: u32, index: usize) -> Option<Hash> {
        let end = index.checked_add(1)?.checked_mul(1_usize.checked_shl(height)?)?;
        if end > self.width {
            return None;
        }
        // Before the node's last leaf stand 2m - popcount(m) nodes for the m leaves there; after it, the chain to it.
        let leaves = end - 1;
        self.nodes.get(2 * leaves - leaves.count_ones() as usize + height as usize).copied()
    }

    /// The hash of the whole tile, once it is full.
    pub fn root(&self) -> Option<Hash> {
        self.get(TILE_HEIGHT, 0)
    }

    /// The tile's hashes in a row, as they are stored and served.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TILE_BYTES);
        for hash in (0..self.width).filter_map(|index| self.get(0, index)) {
            bytes.extend_from_slice(hash.as_bytes());
        }
        bytes
    }

    /// The tile as it is stored, once it is full.
    pub fn to_tile(&self) -> Option<FullTile> {
        FullTile::from_bytes(self.to_bytes()).ok()
    }
}

/// The nodes for writing: as they are if nobody shares them, else a copy with room for the full tile.
fn owned(nodes: &mut Arc<Vec<Hash>>) -> &mut Vec<Hash> {
    if Arc::get_mut(nodes).is_none_or(|nodes| nodes.capacity() < NODES) {
        let mut copy = Vec::with_capacity(NODES);
        copy.extend_from_slice(nodes);
        *nodes = Arc::new(copy);
    }
    Arc::make_mut(nodes)
}
