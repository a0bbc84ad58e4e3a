//! The search index is built again from the commits where it is gone; where it is damaged, that says what to do.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use super::scene::{BENEFIT, Scene};
use crate::{
    store::{
        Query, Store, StoreError,
        embedded::{
            CommitHook, EmbeddedStore,
            index::{CHUNK_ENTRIES, FLUSHED},
        },
    },
    vault::Term,
};

/// More than may wait to be flushed, and a part of one.
const CHUNKS: u64 = 7;
const ENTRIES: u64 = CHUNKS * CHUNK_ENTRIES + CHUNK_ENTRIES / 2;
const WHAT_TO_DO: &str = "remove the folder /";

/// A ledger of which whole chunks are flushed.
async fn flushed() -> Scene {
    let scene = Scene::new();
    let mut next = 0;
    while next < ENTRIES {
        let upto = ENTRIES.min(next + 37);
        let add = |c: super::scene::Builder, index: u64| {
            c.entry(&[index % 2, 10 + index % 29, index << 50], index.is_multiple_of(50).then_some(BENEFIT))
        };
        scene.commit(|c| (next..upto).fold(c, add)).await.unwrap();
        next = upto;
    }
    scene.flush_index();
    scene
}

fn folder(scene: &Scene) -> PathBuf {
    scene.folder.path().join("index")
}

async fn search(scene: &Scene) -> Result<Vec<u64>, StoreError> {
    let query = Query { terms: vec![Term(15), Term(1)], limit: 10_000, ..Query::default() };
    scene.store().search(&query).await
}

/// Everything is found, whatever of it is in a chunk by now.
async fn is_whole(scene: &Scene) {
    let expected: Vec<u64> = (0..ENTRIES).rev().filter(|index| index % 29 == 5 && index % 2 == 1).collect();
    assert_eq!(search(scene).await.unwrap(), expected);
    let deliveries = scene.store().inner.index.deliveries(BENEFIT, 0, ENTRIES, usize::MAX).unwrap();
    assert_eq!(deliveries, (0..ENTRIES).step_by(50).collect::<Vec<_>>());
}

/// It is built again when its folder is removed, and goes on from there.
async fn is_built_again(mut scene: Scene) {
    scene.close();
    fs::remove_dir_all(folder(&scene)).unwrap();
    for _ in 0..2 {
        scene.reopen();
        is_whole(&scene).await;
        scene.flush_index();
        assert_eq!(scene.store().inner.index.tail_first(), CHUNKS * CHUNK_ENTRIES);
        is_whole(&scene).await;
    }
}

fn says_what_to_do<T>(result: Result<T, StoreError>) {
    match result.map(|_| ()) {
        Err(StoreError::Corrupt(why)) => assert!(why.contains(WHAT_TO_DO), "{why}"),
        other => panic!("{other:?}"),
    }
}

fn opens(scene: &Scene) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(scene.options.clone())
}

#[tokio::test]
async fn without_its_folder_it_is_built_again() {
    is_built_again(flushed().await).await;
}

#[tokio::test]
async fn without_its_volumes_it_is_built_again() {
    let mut scene = flushed().await;
    scene.close();
    fs::remove_dir_all(folder(&scene)).unwrap();
    fs::create_dir(folder(&scene)).unwrap();
    scene.reopen();
    is_whole(&scene).await;
    is_built_again(scene).await;
}

#[tokio::test]
async fn without_its_folder_a_short_ledger_that_has_no_chunk_opens_too() {
    let mut scene = Scene::new();
    scene.commit_terms(&[1, 2]).await;
    scene.close();
    fs::remove_dir(folder(&scene)).unwrap();
    for _ in 0..2 {
        scene.reopen();
        let query = Query { terms: vec![Term(2)], limit: 10, ..Query::default() };
        assert_eq!(scene.store().search(&query).await.unwrap(), [1]);
    }
}

#[tokio::test]
async fn a_truncated_volume_says_what_to_do_and_is_left_as_it_is() {
    let mut scene = flushed().await;
    scene.close();
    let volume = folder(&scene).join("00000000.vol");
    let whole = fs::read(&volume).unwrap();
    fs::write(&volume, &whole[..whole.len() - 1]).unwrap();
    says_what_to_do(opens(&scene));
    assert_eq!(fs::read(&volume).unwrap(), &whole[..whole.len() - 1]);
    is_built_again(scene).await;
}

#[tokio::test]
async fn volumes_that_go_on_where_the_database_ends_are_not_called_damage_of_the_index() {
    let mut scene = flushed().await;
    scene.close();
    let volume = folder(&scene).join("00000000.vol");
    let whole = fs::read(&volume).unwrap();
    fs::write(&volume, [&whole[..], &whole].concat()).unwrap();
    match opens(&scene).map(drop) {
        Err(StoreError::Corrupt(why)) => {
            assert!(why.contains("the database is older") && !why.contains("remove"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_volume_that_is_gone_says_what_to_do() {
    let mut scene = flushed().await;
    scene.close();
    fs::rename(folder(&scene).join("00000000.vol"), folder(&scene).join("00000009.vol")).unwrap();
    says_what_to_do(opens(&scene));
    is_built_again(scene).await;
}

#[tokio::test]
async fn a_flipped_byte_says_what_to_do_when_it_is_read() {
    let mut scene = flushed().await;
    scene.close();
    let volume = folder(&scene).join("00000000.vol");
    let mut bytes = fs::read(&volume).unwrap();
    // In the first part of the first block, where the smallest terms are.
    bytes[28] ^= 1;
    fs::write(&volume, bytes).unwrap();
    scene.reopen();
    says_what_to_do(search(&scene).await);
    is_built_again(scene).await;
}

#[tokio::test]
async fn a_damaged_row_says_what_to_do() {
    for (chunk, is_seen_when_opened) in [(0, false), (CHUNKS - 1, true)] {
        let mut scene = flushed().await;
        let keyspaces = &scene.store().inner.keyspaces;
        let key = [&chunk.to_be_bytes()[..], &[0, 0]].concat();
        assert!(keyspaces.index.get(&key).unwrap().is_some(), "the page of the smallest terms");
        keyspaces.index.insert(key, [1, 2, 3]).unwrap();
        scene.close();
        if is_seen_when_opened {
            says_what_to_do(opens(&scene));
        } else {
            scene.reopen();
            says_what_to_do(search(&scene).await);
        }
        is_built_again(scene).await;
    }
}

#[tokio::test]
async fn a_damaged_position_says_what_to_do() {
    let beyond = 100_u64.to_be_bytes();
    for row in [&beyond[..], &[1, 2]] {
        let mut scene = flushed().await;
        scene.store().inner.keyspaces.meta.insert(FLUSHED, row).unwrap();
        scene.close();
        says_what_to_do(opens(&scene));
        is_built_again(scene).await;
    }
}

/// Panics where the first chunk is written.
struct Panics;

impl CommitHook for Panics {
    fn before_flush(&self) -> Result<(), StoreError> {
        panic!("a test wants to see what follows");
    }
}

#[test]
fn a_panic_of_its_thread_stops_the_store_and_nobody_waits_for_it() {
    let (done, ended) = mpsc::channel();
    // On a thread of its own, which is left where it is if it waits for ever.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let scene = Scene::with(|options| options.hook = Arc::new(Panics));
        let terms = [1; CHUNK_ENTRIES as usize];
        let commit = || scene.commit(|c| terms.iter().fold(c, |c, term| c.entry(&[*term], None)));
        // More than may wait: the last of them has waited, until the thread was gone.
        while scene.store().inner.index.waiting() <= CHUNKS as usize && runtime.block_on(commit()).is_ok() {}
        done.send(runtime.block_on(commit())).unwrap();
    });
    let last = ended.recv_timeout(Duration::from_mins(1)).expect("a commit waits for a thread that is gone");
    assert!(matches!(last, Err(StoreError::Fatal(_))), "{last:?}");
}
