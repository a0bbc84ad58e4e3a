//! Properties of the growing tree: for any batches, any prefix, any two sizes, compared with the naive reference.
use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{
    Edge, FullTile, Hash, NoTiles, ProveError, ReadError, RebuildError, Snapshot, TileId, verify_consistency,
    verify_inclusion,
};
use super::{Store, leaf, naive};

type Tiles = HashMap<TileId, FullTile>;
type Prove<'a> = dyn Fn(&Tiles) -> Result<Vec<Hash>, ProveError> + 'a;

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(leaf).collect()
}

#[test]
fn every_proof_at_every_size_up_to_70_is_the_naive_one_and_verifies() {
    let all = leaves(70);
    let (store, snapshot) = Store::of(70);
    for size in 0..=70 {
        let tree = &all[..size as usize];
        let root = naive::root(tree);
        assert_eq!(snapshot.root_at(size, &store.tiles).unwrap(), root);
        for index in 0..size {
            let proof = snapshot.inclusion_proof(index, size, &NoTiles).unwrap();
            assert_eq!(proof, naive::inclusion(index as usize, tree), "entry {index} of {size}");
            assert_eq!(verify_inclusion(index, size, &leaf(index), &proof, &root), Ok(()));
        }
        for from in 0..=size {
            let proof = snapshot.consistency_proof(from, size, &NoTiles).unwrap();
            assert_eq!(proof, naive::consistency(from as usize, tree), "{from} to {size}");
            let from_root = naive::root(&all[..from as usize]);
            assert_eq!(verify_consistency(from, size, &from_root, &root, &proof), Ok(()));
        }
    }
}

proptest! {
    #![proptest_config(super::cases(24))]

    #[test]
    fn a_batch_is_proven_from_its_own_snapshot_without_stored_tiles(sizes in vec(1_u64..400, 1..5)) {
        let mut store = Store::default();
        for count in sizes {
            let first = store.edge.size();
            let snapshot = store.append(count);
            let size = snapshot.size();
            let all = leaves(size);
            prop_assert_eq!(snapshot.root(), naive::root(&all));
            for index in first..size {
                let proof = snapshot.inclusion_proof(index, size, &NoTiles).unwrap();
                prop_assert_eq!(verify_inclusion(index, size, &leaf(index), &proof, &snapshot.root()), Ok(()));
            }
            let proof = snapshot.inclusion_proof(first, size, &NoTiles).unwrap();
            prop_assert_eq!(proof, naive::inclusion(first as usize, &all));
        }
    }

    #[test]
    fn any_prefix_of_any_history_is_proven_from_the_newest_snapshot(
        batches in vec(1_u64..300, 1..6), pick in any::<[u64; 3]>(),
    ) {
        let mut store = Store::default();
        let snapshots: Vec<_> = batches.iter().map(|count| store.append(*count)).collect();
        let newest = snapshots.last().unwrap();
        let all = leaves(newest.size());
        let size = 1 + pick[0] % newest.size();
        let (index, from) = (pick[1] % size, pick[2] % (size + 1));
        let tree = &all[..size as usize];
        let root = naive::root(tree);

        prop_assert_eq!(newest.root_at(size, &store.tiles).unwrap(), root);
        let proof = newest.inclusion_proof(index, size, &store.tiles).unwrap();
        prop_assert_eq!(&proof, &naive::inclusion(index as usize, tree));
        prop_assert_eq!(verify_inclusion(index, size, &leaf(index), &proof, &root), Ok(()));
        let proof = newest.consistency_proof(from, size, &store.tiles).unwrap();
        prop_assert_eq!(&proof, &naive::consistency(from as usize, tree));
        let from_root = naive::root(&all[..from as usize]);
        prop_assert_eq!(verify_consistency(from, size, &from_root, &root, &proof), Ok(()));

        for earlier in &snapshots {
            let proof = newest.consistency_proof(earlier.size(), newest.size(), &store.tiles).unwrap();
            let (from, to) = (earlier.size(), newest.size());
            prop_assert_eq!(verify_consistency(from, to, &earlier.root(), &newest.root(), &proof), Ok(()));
        }
    }

    #[test]
    fn a_rebuilt_edge_goes_on_like_the_one_that_was_never_stopped(size in 0_u64..1500, more in 1_u64..400) {
        let (mut store, snapshot) = Store::of(size);
        let partial: Vec<Hash> = leaves(size).split_off((size - size % 256) as usize);
        let rebuilt = Edge::rebuild(size, &partial, &store.tiles, &snapshot.root()).unwrap();
        prop_assert_eq!(rebuilt.root(), store.edge.root());
        store.edge = rebuilt;
        let after = store.append(more);
        let (_, straight) = Store::of(size + more);
        prop_assert_eq!(after.root(), straight.root());
        let proof = after.inclusion_proof(size, size + more, &NoTiles).unwrap();
        prop_assert_eq!(verify_inclusion(size, size + more, &leaf(size), &proof, &straight.root()), Ok(()));
    }

    #[test]
    fn the_planned_tiles_are_those_that_a_proof_reads(size in 1_u64..2000, pick in any::<[u64; 2]>()) {
        let mut store = Store::of(size).0;
        let snapshot = store.append(1);
        let at = 1 + pick[0] % snapshot.size();
        let (index, from) = (pick[1] % at, pick[1] % (at + 1));
        let inclusion = |tiles: &Tiles| snapshot.inclusion_proof(index, at, tiles);
        let consistency = |tiles: &Tiles| snapshot.consistency_proof(from, at, tiles);
        let plans: [(_, &Prove<'_>); 2] = [
            (snapshot.tiles_for_inclusion(index, at).unwrap(), &inclusion),
            (snapshot.tiles_for_consistency(from, at).unwrap(), &consistency),
        ];
        for (planned, prove) in plans {
            let mut tiles: Tiles = planned.iter().map(|id| (*id, store.tiles[id].clone())).collect();
            prop_assert_eq!(prove(&tiles).unwrap(), prove(&store.tiles).unwrap());
            for id in planned {
                let tile = tiles.remove(&id).unwrap();
                let read = matches!(prove(&tiles), Err(ProveError::Read(ReadError::Missing(missing))) if missing == id);
                prop_assert!(read, "{id:?}");
                tiles.insert(id, tile);
            }
        }
    }
}

static LARGE: LazyLock<(Store, Snapshot)> = LazyLock::new(|| Store::of(66_100));

proptest! {
    #![proptest_config(super::cases(8))]

    #[test]
    fn proofs_across_65536_entries_are_the_naive_ones(pick in any::<[u64; 2]>(), at in 65_500_u64..66_100) {
        let (store, snapshot) = &*LARGE;
        let tree = leaves(at);
        let (index, from) = (pick[0] % at, pick[1] % (at + 1));
        let proof = snapshot.inclusion_proof(index, at, &store.tiles).unwrap();
        prop_assert_eq!(proof, naive::inclusion(index as usize, &tree));
        let proof = snapshot.consistency_proof(from, at, &store.tiles).unwrap();
        prop_assert_eq!(proof, naive::consistency(from as usize, &tree));
        prop_assert_eq!(snapshot.root_at(at, &store.tiles).unwrap(), naive::root(&tree));
    }
}

#[test]
fn a_batch_that_completes_tiles_on_two_levels_is_proven_without_stored_tiles() {
    let (mut store, _) = Store::of(65_400);
    let snapshot = store.append(400);
    let completed: Vec<_> = snapshot.completed().iter().map(super::super::CompletedTile::id).collect();
    let expected = [(0, 255), (1, 0), (0, 256)].map(|(level, index)| TileId { level, index });
    assert_eq!(completed, expected);
    for index in 65_400..65_800 {
        let proof = snapshot.inclusion_proof(index, 65_800, &NoTiles).unwrap();
        assert_eq!(verify_inclusion(index, 65_800, &leaf(index), &proof, &snapshot.root()), Ok(()));
    }
    let partial: Vec<Hash> = leaves(65_800).split_off(65_536);
    assert!(Edge::rebuild(65_800, &partial[..8], &store.tiles, &snapshot.root()).is_err(), "8 of 264 leaves");
    let rebuilt = Edge::rebuild(65_800, &partial[256..], &store.tiles, &snapshot.root());
    assert_eq!(rebuilt.unwrap().root(), snapshot.root());
}

#[test]
fn a_snapshot_stays_as_it_was_while_the_edge_grows() {
    let (mut store, before) = Store::of(200);
    let root = before.root();
    store.append(1000);
    assert_eq!((before.size(), before.root()), (200, root));
    let proof = before.inclusion_proof(7, 200, &NoTiles).unwrap();
    assert_eq!(verify_inclusion(7, 200, &leaf(7), &proof, &root), Ok(()));
}

#[test]
fn an_edge_that_was_cloned_and_dropped_leaves_no_trace() {
    let (mut store, _) = Store::of(250);
    let root = store.edge.root();
    let mut failed = store.edge.clone();
    (0..100).for_each(|_| _ = failed.append(Hash::EMPTY_ROOT));
    drop(failed.snapshot());
    assert_eq!(store.edge.root(), root);
    assert_eq!(store.append(50).root(), naive::root(&leaves(300)));
}

#[test]
fn an_edge_is_not_rebuilt_from_a_store_that_lost_or_changed_something() {
    let (mut store, snapshot) = Store::of(70_000);
    let partial: Vec<Hash> = leaves(70_000).split_off(69_888);
    let rebuild = |store: &Store, leaves: &[Hash]| Edge::rebuild(70_000, leaves, &store.tiles, &snapshot.root());
    assert!(rebuild(&store, &partial).is_ok());
    assert!(matches!(rebuild(&store, &partial[1..]), Err(RebuildError::Leaves { expected: 112, found: 111 })));
    let mut swapped = partial.clone();
    swapped.swap(0, 111);
    assert!(matches!(rebuild(&store, &swapped), Err(RebuildError::Root { size: 70_000, .. })));

    let id = TileId { level: 0, index: 270 };
    let kept = store.tiles.insert(id, store.tiles[&TileId { level: 0, index: 269 }].clone()).unwrap();
    assert!(matches!(rebuild(&store, &partial), Err(RebuildError::Root { .. })));
    store.tiles.remove(&id);
    assert!(matches!(rebuild(&store, &partial), Err(RebuildError::Read(ReadError::Missing(missing))) if missing == id));
    store.tiles.insert(id, kept);
    assert!(rebuild(&store, &partial).is_ok());
}

#[test]
fn what_is_not_in_the_tree_is_not_proven() {
    let (store, snapshot) = Store::of(600);
    assert!(matches!(snapshot.inclusion_proof(600, 600, &store.tiles), Err(ProveError::Index { .. })));
    assert!(matches!(snapshot.inclusion_proof(0, 601, &store.tiles), Err(ProveError::Size { .. })));
    assert!(matches!(snapshot.consistency_proof(2, 1, &store.tiles), Err(ProveError::Size { .. })));
    assert!(matches!(snapshot.consistency_proof(2, 601, &store.tiles), Err(ProveError::Size { .. })));
    assert!(matches!(snapshot.root_at(601, &store.tiles), Err(ProveError::Size { .. })));
    let mut later = store;
    let later = later.append(1);
    assert!(matches!(later.inclusion_proof(0, 601, &NoTiles), Err(ProveError::Read(ReadError::Missing(_)))));
}
