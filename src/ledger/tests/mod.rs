//! Tests that span several files of the ledger. Tests of one file stand in that file.
mod commitments;
mod entries;
mod naive;
mod notes;
mod readme;
mod receipts;
mod scene;
mod tree_properties;
mod tree_vectors;
mod whole_ledger;

use std::collections::HashMap;

use proptest::prelude::ProptestConfig;

use super::{Edge, FullTile, Hash, Snapshot, TileId, leaf_hash};

/// Leaf `i` of the trees in these tests and in `tests/vectors`: the hash of the index as 8 bytes, big-endian.
fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// A failing case is printed in full; nothing is written beside the sources.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
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
