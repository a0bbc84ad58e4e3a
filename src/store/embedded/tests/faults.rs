//! Each durable step of a commit: it fails, or fails but took effect, or the process dies there; then a restart.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::scene::{NOON, SYSTEM, Scene, TAX, facts, key, options, subject};
use crate::{
    domain::{idempotency::IdempotencyKey, transfer::DeliveryState},
    store::{
        Class, Owner, Query, Store, StoreError,
        embedded::{CommitHook, EmbeddedStore},
    },
    vault::Term,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    BeforeSlots,
    BeforeRows,
    BeforeBatch,
    AfterBatch,
}

/// Fails at one step, after it has copied the folder as a crash there would leave it.
#[derive(Default)]
struct Fault {
    at: Mutex<Option<(Step, PathBuf, PathBuf)>>,
}

impl Fault {
    fn reach(&self, step: Step) -> Result<(), StoreError> {
        match self.at.lock().take_if(|(at, ..)| *at == step) {
            Some((_, folder, copy)) => {
                copy_folder(&folder, &copy);
                Err(StoreError::Read("the disk says no".to_owned()))
            }
            None => Ok(()),
        }
    }
}

impl CommitHook for Fault {
    fn before_slots_sync(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeSlots)
    }
    fn before_rows(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeRows)
    }
    fn before_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeBatch)
    }
    fn after_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::AfterBatch)
    }
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

fn call() -> IdempotencyKey {
    key(NOON, 7)
}

/// The commit that fails: an entry, a call, a person, a claim, and a new slot.
async fn second_commit(store: &EmbeddedStore) -> Result<(), StoreError> {
    store.slots(Owner::Subject(subject(1)), &[(TAX, Class::Payload)]).await?;
    let guard = store.lock_head(&[], &[(SYSTEM, call())]).await?;
    assert_eq!(guard.known(SYSTEM, call()), None);
    let commit = super::scene::Builder::after(guard.head()).entry(&[2], Some(TAX)).call(call());
    guard.commit(commit.facts(subject(1), facts(1)).claim(TAX, 2).done()).await
}

/// Everything that the second commit wrote is there, or nothing of it is.
async fn check(store: &EmbeddedStore, took_effect: bool) {
    let size = store.head().await.unwrap().size;
    assert_eq!(size, if took_effect { 2 } else { 1 });
    assert_eq!(store.entries(0, 9).await.unwrap().len() as u64, size);
    assert_eq!(store.search(&Query { limit: 9, ..Query::default() }).await.unwrap().len() as u64, size);
    let term = Query { terms: vec![Term(2)], limit: 9, ..Query::default() };
    assert_eq!(store.search(&term).await.unwrap().len(), usize::from(took_effect));
    assert_eq!(store.known(SYSTEM, call()).await.unwrap().is_some(), took_effect);
    assert_eq!(store.subject(subject(1)).unwrap().is_some(), took_effect);
    let claimed = store.delivery(0).await.unwrap().unwrap().state == DeliveryState::Claimed;
    assert_eq!(claimed, took_effect);
    assert_eq!(store.payload(1).await.unwrap().is_some(), took_effect);
}

async fn goes_on(store: &EmbeddedStore, took_effect: bool) {
    check(store, took_effect).await;
    if !took_effect {
        // The caller comes again with the same key, and this time it is done.
        second_commit(store).await.unwrap();
    }
    check(store, true).await;
}

#[tokio::test]
async fn a_step_that_fails_stops_the_store_and_a_restart_finds_all_of_the_commit_or_nothing() {
    let table =
        [(Step::BeforeSlots, false), (Step::BeforeRows, false), (Step::BeforeBatch, false), (Step::AfterBatch, true)];
    for (step, took_effect) in table {
        let fault = Arc::new(Fault::default());
        let mut scene = Scene::with(|options| options.hook = Arc::clone(&fault) as _);
        scene.commit(|c| c.entry(&[1], Some(TAX))).await.unwrap();
        let copy = tempfile::tempdir().unwrap();
        *fault.at.lock() = Some((step, scene.folder.path().to_owned(), copy.path().join("copy")));

        let failed = second_commit(scene.store()).await;
        assert!(matches!(failed, Err(StoreError::Fatal(_))), "{step:?}: {failed:?}");
        // Nothing is answered from now on, since nobody knows what is durable.
        let store = scene.store();
        assert!(matches!(store.head().await, Err(StoreError::Fatal(_))));
        assert!(matches!(store.entries(0, 1).await, Err(StoreError::Fatal(_))));
        assert!(matches!(store.writable(), Err(StoreError::Fatal(_))));
        assert!(matches!(store.known(SYSTEM, call()).await, Err(StoreError::Fatal(_))));
        assert!(matches!(store.lock_head(&[], &[]).await.map(|_| ()), Err(StoreError::Fatal(_))));
        assert!(matches!(store.slots(Owner::Hub, &[]).await, Err(StoreError::Fatal(_))));
        assert!(matches!(store.erase(crate::store::SlotNumber(0)), Err(StoreError::Fatal(_))));

        scene.reopen();
        goes_on(scene.store(), took_effect).await;
        scene.close();
        let crashed = EmbeddedStore::open(options(&copy.path().join("copy"))).unwrap();
        goes_on(&crashed, took_effect).await;
    }
}

/// A power cut keeps of the journal's end what had reached the disk: here, every possible length of it.
#[tokio::test]
async fn a_torn_batch_is_cut_off_as_a_whole() {
    let fault = Arc::new(Fault::default());
    let mut scene = Scene::with(|options| options.hook = Arc::clone(&fault) as _);
    scene.commit(|c| c.entry(&[1], Some(TAX))).await.unwrap();
    let base = tempfile::tempdir().unwrap();
    *fault.at.lock() = Some((Step::BeforeBatch, scene.folder.path().to_owned(), base.path().join("before")));
    second_commit(scene.store()).await.unwrap_err();
    scene.reopen();
    *fault.at.lock() = Some((Step::AfterBatch, scene.folder.path().to_owned(), base.path().join("after")));
    second_commit(scene.store()).await.unwrap_err();

    let journal = |folder: &str| base.path().join(folder).join("db/0.jnl");
    let full = fs::read(journal("after")).unwrap();
    let written = full.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let before = fs::read(journal("before")).unwrap();
    let start = before.iter().zip(&full).position(|(a, b)| a != b).unwrap_or(before.len());
    assert!(start < written, "the batch is at the journal's end");
    let holes = (start..written).step_by(97).flat_map(|end| [(end, written), (start, end + 1), (end, end + 60)]);
    for (from, to) in holes {
        let torn = base.path().join("torn");
        copy_folder(&base.path().join("after"), &torn);
        let mut bytes = full.clone();
        bytes[from..to.min(written)].fill(0);
        fs::write(torn.join("db/0.jnl"), &bytes).unwrap();
        let store = EmbeddedStore::open(options(&torn)).unwrap();
        check(&store, false).await;
        drop(store);
        fs::remove_dir_all(&torn).unwrap();
    }
}

#[tokio::test]
async fn damage_to_what_was_synced_is_not_cut_off() {
    let mut scene = Scene::new();
    scene.commit_terms(&[1]).await;
    let journal = scene.folder.path().join("db/0.jnl");
    let first = fs::read(&journal).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    scene.commit_terms(&[2]).await;
    scene.close();
    let whole = fs::read(&journal).unwrap();
    for at in [0, first / 2, first] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(&journal, &damaged).unwrap();
        let opened = EmbeddedStore::open(scene.options.clone()).map(|_| ());
        assert!(matches!(opened, Err(StoreError::Corrupt(_))), "byte {at}: {opened:?}");
    }
    fs::write(&journal, &whole).unwrap();
    scene.reopen();
    assert_eq!(scene.head().await.size, 2);
}
