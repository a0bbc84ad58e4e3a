//! Tests that span several files of the ledger. Tests of one file stand in that file.
mod naive;
mod tree_properties;
mod tree_vectors;

use std::collections::HashMap;

use super::{Edge, FullTile, Hash, Snapshot, TileId, leaf_hash};

/// Leaf `i` of the trees in these tests and in `tests/vectors`: the hash of the index as 8 bytes, big-endian.
fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// A store in memory: the edge, and every tile that was completed.
#[derive(Default)]
struct Store {
    edge: Edge,
    tiles: HashMap<TileId, FullTile>,
}

impl Store {
    /// Appends one batch, as the sequencer does.
    fn append(&mut self, count: u64) -> Snapshot {
        let mut edge = self.edge.clone();
        for _ in 0..count {
            edge.append(leaf(edge.size()));
        }
        let snapshot = edge.snapshot();
        self.tiles.extend(snapshot.completed().iter().map(|tile| (tile.id(), tile.to_tile())));
        self.edge = edge;
        snapshot
    }

    fn of(size: u64) -> (Self, Snapshot) {
        let mut store = Self::default();
        let snapshot = store.append(size);
        (store, snapshot)
    }
}
