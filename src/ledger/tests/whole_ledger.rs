//! Verification of a whole ledger: a table of faults, each found where it is.
use std::collections::HashMap;

use super::super::{
    Checkpoint, EntryError, Fault, FullTile, Hash, LedgerReport, Snapshot, TileId, encode_person, leaf_hash,
    verify_ledger,
};

const SIZE: u64 = 66_000;

struct Ledger {
    entries: Vec<Vec<u8>>,
    tiles: HashMap<TileId, FullTile>,
    checkpoint: Checkpoint,
}

fn entry(index: u64) -> Vec<u8> {
    encode_person(1_750_000_000 + index / 10, &leaf_hash(&index.to_be_bytes())).to_vec()
}

fn grow(entries: &[Vec<u8>]) -> Snapshot {
    let mut edge = super::Edge::new();
    for entry in entries {
        edge.append(leaf_hash(entry));
    }
    edge.snapshot()
}

impl Ledger {
    fn new() -> Self {
        let entries: Vec<_> = (0..SIZE).map(entry).collect();
        let snapshot = grow(&entries);
        let tiles = snapshot.completed().iter().map(|tile| (tile.id(), tile.to_tile())).collect();
        let checkpoint = Checkpoint::new("h/demo/1".parse().unwrap(), SIZE, snapshot.root());
        Self { entries, tiles, checkpoint }
    }

    fn verify(&self) -> LedgerReport {
        let entries = self.entries.iter().map(Ok::<_, std::fmt::Error>);
        verify_ledger(entries, &self.tiles, &self.checkpoint, |_| ())
    }

    fn fault(change: impl FnOnce(&mut Self)) -> (u64, Fault) {
        let mut ledger = Self::new();
        change(&mut ledger);
        let report = ledger.verify();
        (report.size, report.fault.expect("the fault is found"))
    }

    fn flip(&mut self, level: u8, index: u64, position: usize) {
        let id = TileId { level, index };
        let mut bytes = self.tiles[&id].as_bytes().to_vec();
        bytes[position * 32 + 5] ^= 0x20;
        self.tiles.insert(id, FullTile::from_bytes(bytes).unwrap());
    }
}

#[test]
fn a_sound_ledger_is_found_sound_with_progress_on_the_way() {
    let ledger = Ledger::new();
    let mut progress = Vec::new();
    let entries = ledger.entries.iter().map(Ok::<_, std::fmt::Error>);
    let report = verify_ledger(entries, &ledger.tiles, &ledger.checkpoint, |done| progress.push(done));
    assert!(report.fault.is_none());
    assert_eq!((report.size, report.root), (SIZE, ledger.checkpoint.root));
    assert_eq!((progress[0], progress.len(), progress.last()), (4096, 17, Some(&SIZE)));

    let empty = Checkpoint { size: 0, root: Hash::EMPTY_ROOT, ..ledger.checkpoint };
    let report = verify_ledger(Vec::<Result<Vec<u8>, std::fmt::Error>>::new(), &ledger.tiles, &empty, |_| ());
    assert!(report.fault.is_none());
}

#[test]
fn a_changed_entry_is_found_where_it_is() {
    for index in [0, 255, 256, 40_000, 65_535, 65_791] {
        let (size, fault) = Ledger::fault(|ledger| ledger.entries[index as usize][20] ^= 1);
        assert!(matches!(fault, Fault::Leaf { index: found } if found == index), "{fault}");
        assert_eq!(size, index / 256 * 256 + 256, "read to the end of the tile");
    }
    // After the last full tile nothing but the signed root vouches for entries.
    let (_, fault) = Ledger::fault(|ledger| ledger.entries[65_900][20] ^= 1);
    assert!(matches!(fault, Fault::Root { unvouched: 65_792, .. }), "{fault}");
}

#[test]
fn dropped_swapped_inserted_and_truncated_entries_are_found() {
    let (_, fault) = Ledger::fault(|ledger| drop(ledger.entries.remove(700)));
    assert!(matches!(fault, Fault::Leaf { index: 700 }), "{fault}");
    let (_, fault) = Ledger::fault(|ledger| ledger.entries.swap(501, 502));
    assert!(matches!(fault, Fault::Leaf { index: 501 }), "{fault}");
    let (_, fault) = Ledger::fault(|ledger| ledger.entries.insert(300, entry(300)));
    assert!(matches!(fault, Fault::Leaf { index: 301 }), "{fault}");
    let (size, fault) = Ledger::fault(|ledger| ledger.entries.truncate(65_999));
    assert!(matches!(fault, Fault::Truncated { found: 65_999, expected: SIZE }), "{fault}");
    assert_eq!(size, 65_999);
    let (_, fault) = Ledger::fault(|ledger| ledger.entries.push(entry(SIZE)));
    assert!(matches!(fault, Fault::Surplus { expected: SIZE }), "{fault}");
    let (_, fault) = Ledger::fault(|ledger| ledger.entries.clear());
    assert!(matches!(fault, Fault::Truncated { found: 0, .. }), "{fault}");
}

#[test]
fn malformed_unreadable_and_backdated_entries_are_found() {
    let (size, fault) = Ledger::fault(|ledger| _ = ledger.entries[9].pop());
    assert!(matches!(fault, Fault::Malformed { index: 9, reason: EntryError::Length(40) }), "{fault}");
    assert_eq!(size, 9);
    let (_, fault) = Ledger::fault(|ledger| ledger.entries[20] = entry(5));
    assert!(matches!(fault, Fault::Time { index: 20 }), "{fault}");
    let ledger = Ledger::new();
    let entries = ledger.entries.iter().take(3).map(Ok).chain([Err("row 4 is gone")]);
    let report = verify_ledger(entries, &ledger.tiles, &ledger.checkpoint, |_| ());
    assert!(matches!(report.fault, Some(Fault::Unreadable { index: 3, reason }) if reason == "row 4 is gone"));
}

#[test]
fn a_changed_or_missing_tile_is_found_where_it_is() {
    let (_, fault) = Ledger::fault(|ledger| ledger.flip(0, 77, 3));
    assert!(matches!(fault, Fault::Leaf { index } if index == 77 * 256 + 3), "{fault}");
    let (_, fault) = Ledger::fault(|ledger| ledger.flip(1, 0, 255));
    assert!(matches!(fault, Fault::Tile { id: TileId { level: 1, index: 0 }, position: 255 }), "{fault}");
    let id = TileId { level: 0, index: 256 };
    let (_, fault) = Ledger::fault(|ledger| drop(ledger.tiles.remove(&id)));
    assert!(matches!(fault, Fault::Read(super::super::ReadError::Missing(missing)) if missing == id), "{fault}");
}

#[test]
fn a_forked_ledger_with_tiles_of_its_own_does_not_have_the_signed_root() {
    let (_, fault) = Ledger::fault(|ledger| {
        ledger.entries[123][20] ^= 1;
        ledger.tiles = grow(&ledger.entries).completed().iter().map(|tile| (tile.id(), tile.to_tile())).collect();
    });
    assert!(matches!(fault, Fault::Root { .. }), "{fault}");
}
