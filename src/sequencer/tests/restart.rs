//! A restart: the tree is rebuilt from what is stored, goes on where it was, and refuses to go on from anything else.

use std::sync::Arc;

use super::{
    scene::{Says as _, Scene, person, verifier},
    tampered::Tampered,
};
use crate::{
    ledger::{Checkpoint, FullTile, Note, leaf_hash, verify_consistency, verify_inclusion},
    sequencer::{Bounds, Committed, LedgerReader, OpenError},
    store::{Store, embedded::EmbeddedStore},
};

/// A ledger of `size` entries, in commits of at most 100.
async fn ledger_of(size: u64) -> Scene {
    let scene = Scene::with(Bounds { batch_entries_max: 1000, ..Bounds::default() }, |_| {}).await;
    let mut left = size;
    while left > 0 {
        scene.commit(person(left).entries(left.min(100))).await;
        left -= left.min(100);
    }
    scene
}

/// What `commit` signed, read as anybody would.
fn signed(commit: &Committed) -> Checkpoint {
    let note = Note::parse(std::str::from_utf8(&commit.checkpoint).unwrap()).unwrap();
    Checkpoint::verify(&note, &[verifier()]).unwrap()
}

/// Every entry is proven by the newest checkpoint, as somebody who has only entry, proof and checkpoint would check it.
pub(super) async fn verify_all(store: &EmbeddedStore, newest: &Committed) {
    let checkpoint = signed(newest);
    let reader = LedgerReader::new(Arc::new(store.clone()));
    let entries = store.entries(0, usize::MAX >> 1).await.unwrap();
    assert_eq!(entries.len() as u64, checkpoint.size);
    for stored in entries {
        let proof = reader.inclusion(&newest.snapshot, stored.index, checkpoint.size).await.unwrap();
        verify_inclusion(stored.index, checkpoint.size, &leaf_hash(&stored.entry), &proof, &checkpoint.root).unwrap();
    }
}

/// The tree of `later` continues that of `earlier`.
pub(super) async fn verify_continues(store: &EmbeddedStore, earlier: &Committed, later: &Committed) {
    let (from, to) = (signed(earlier), signed(later));
    let proof = LedgerReader::new(Arc::new(store.clone())).consistency(&later.snapshot, from.size, to.size).await;
    verify_consistency(from.size, to.size, &from.root, &to.root, &proof.unwrap()).unwrap();
}

#[tokio::test]
async fn a_restart_finds_the_tree_that_was_signed_and_goes_on_from_it() {
    // Around the ends of tiles (256 entries), where the edge is rebuilt from other parts.
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 700] {
        let scene = ledger_of(size).await;
        let before = scene.sequencer.newest();
        let scene = scene.restart().await;
        let after = scene.sequencer.newest();
        assert_eq!((after.snapshot.size(), after.snapshot.root()), (size, before.snapshot.root()));
        let (first, commit) = scene.commit(person(7).entries(3)).await;
        assert_eq!(first, size);
        if size > 0 {
            assert_eq!(signed(&after).root, signed(&before).root);
            verify_continues(&scene.store, &before, &commit).await;
        }
        verify_all(&scene.store, &commit).await;
    }
}

#[tokio::test]
async fn a_ledger_above_the_second_level_of_tiles_is_found_again() {
    let scene = Scene::with(Bounds { batch_entries_max: 8192, ..Bounds::default() }, |_| {}).await;
    for number in 0..9 {
        scene.commit(person(number).entries(8_000)).await;
    }
    let before = scene.sequencer.newest();
    let scene = scene.restart().await;
    let (first, commit) = scene.commit(person(1)).await;
    assert_eq!(first, 72_000);
    verify_continues(&scene.store, &before, &commit).await;
    let reader = LedgerReader::new(Arc::new(scene.store.clone()));
    for index in [0, 255, 256, 65_535, 65_536, 71_999, 72_000] {
        let stored = scene.store.entries(index, 1).await.unwrap().remove(0);
        let proof = reader.inclusion(&commit.snapshot, index, 72_001).await.unwrap();
        verify_inclusion(index, 72_001, &leaf_hash(&stored.entry), &proof, &commit.snapshot.root()).unwrap();
    }
}

#[tokio::test]
async fn another_key_does_not_go_on_with_the_ledger() {
    let scene = ledger_of(3).await;
    assert!(matches!(scene.start_over(scene.store.clone(), 3).await, Err(OpenError::Checkpoint(_))));
}

#[tokio::test]
async fn a_ledger_in_which_something_was_changed_is_not_continued() {
    type Tamper = fn(&mut Tampered);
    let tampers: [(&str, Tamper); 7] = [
        ("an entry after the last full tile", |store| {
            store.entries = Box::new(|mut entries| {
                let mut bytes = entries[0].entry.to_vec();
                bytes[40] ^= 1;
                entries[0].entry = bytes.into();
                entries
            });
        }),
        ("two entries swapped", |store| {
            store.entries = Box::new(|mut entries| {
                let (first, second) = (entries[0].entry.clone(), entries[1].entry.clone());
                (entries[0].entry, entries[1].entry) = (second, first);
                entries
            });
        }),
        ("entries missing", |store| store.entries = Box::new(|_| Vec::new())),
        ("a hash in a tile", |store| {
            store.tile = Box::new(|tile| {
                let mut bytes = tile?.as_bytes().to_vec();
                bytes[77] ^= 1;
                FullTile::from_bytes(bytes).ok()
            });
        }),
        ("a tile missing", |store| store.tile = Box::new(|_| None)),
        ("the checkpoint's text", |store| {
            store.head = Box::new(|mut head| {
                let text = String::from_utf8(head.checkpoint.to_vec()).unwrap();
                head.checkpoint = text.replacen("300\n", "301\n", 1).into();
                head.size = 301;
                head
            });
        }),
        ("the ledger cut off", |store| {
            store.head = Box::new(|mut head| {
                head.size -= 1;
                head
            });
        }),
    ];
    let scene = ledger_of(300).await;
    scene.start_over(Tampered::not_at_all(&scene.store), 2).await.unwrap();
    for (what, tamper) in tampers {
        let mut store = Tampered::not_at_all(&scene.store);
        tamper(&mut store);
        let started = scene.start_over(store, 2).await;
        assert!(started.is_err(), "{what}: it was continued");
    }
}

#[tokio::test]
async fn an_older_checkpoint_than_the_newest_is_not_taken_for_it() {
    let scene = ledger_of(5).await;
    let older = scene.sequencer.newest().checkpoint.clone();
    scene.commit(person(1)).await;
    let mut store = Tampered::not_at_all(&scene.store);
    store.head = Box::new(move |mut head| {
        head.checkpoint = older.clone();
        head
    });
    let started = scene.start_over(store, 2).await;
    assert!(matches!(started, Err(OpenError::Size { stored: 6, signed: 5 })), "{started:?}");
}

#[tokio::test]
async fn the_newest_commit_is_durable_before_it_is_shown() {
    let scene = ledger_of(2).await;
    let mut commits = scene.sequencer.commits();
    let held = scene.hold().await;
    assert_eq!(commits.borrow_and_update().snapshot.size(), 2, "while it is written it is not shown");
    scene.let_go();
    commits.changed().await.unwrap();
    assert_eq!(scene.store.head().await.unwrap().checkpoint, commits.borrow().checkpoint);
    drop(held);
}
