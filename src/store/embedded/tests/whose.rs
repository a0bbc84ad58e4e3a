//! Whose store it is, whether it is whole, and when it takes no writes.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fjall::PersistMode;

use super::scene::{NOON, SYSTEM, Scene, TAX, key, options, subject};
use crate::{
    domain::{environment::Environment, time::Moment, transfer::DeliveryState},
    store::{
        Class, Owner, Store, StoreError,
        embedded::{EmbeddedOptions, EmbeddedStore, keyspaces::Keyspaces},
    },
    vault::MasterKey,
};

type Change = fn(&mut EmbeddedOptions);
type Damage = fn(&Keyspaces);

#[test]
fn nothing_is_created_by_opening_nor_opened_by_creating() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    assert!(matches!(EmbeddedStore::open(options.clone()), Err(StoreError::Foreign(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    EmbeddedStore::create(&options).unwrap();
    assert!(matches!(EmbeddedStore::create(&options), Err(StoreError::Foreign(_))));
    EmbeddedStore::open(options).unwrap();
}

#[tokio::test]
async fn another_environment_ledger_or_key_is_refused() {
    let mut scene = Scene::new();
    scene.commit_terms(&[1]).await;
    scene.close();
    let others: [Change; 3] = [
        |o| o.environment = Environment::Production,
        |o| o.origin = "hub/test/two".to_owned(),
        |o| o.master_key = Arc::new(MasterKey::new([8; 32])),
    ];
    for change in others {
        let mut other = scene.options.clone();
        change(&mut other);
        assert!(matches!(EmbeddedStore::open(other), Err(StoreError::Foreign(_))));
    }
    scene.reopen();
    assert_eq!(scene.head().await.size, 1);
}

#[test]
fn a_store_is_open_once() {
    let mut scene = Scene::new();
    assert!(matches!(EmbeddedStore::open(scene.options.clone()), Err(StoreError::Foreign(_))));
    scene.reopen();
}

#[test]
fn a_creation_that_was_interrupted_is_not_taken_for_a_store() {
    let folder = tempfile::tempdir().unwrap();
    Keyspaces::open(&folder.path().join("db"), 1 << 20).unwrap();
    assert!(matches!(EmbeddedStore::open(options(folder.path())), Err(StoreError::Foreign(_))));
}

#[tokio::test]
async fn a_gap_or_a_checkpoint_that_is_not_the_newest_entrys_refuses_to_open() {
    let damages: [(&str, Damage); 4] = [
        ("newest commit missing", |k| k.commits.remove(4_u64.to_be_bytes()).unwrap()),
        ("a commit missing before it", |k| k.commits.remove(2_u64.to_be_bytes()).unwrap()),
        ("head of another size", |k| {
            let mut row = k.meta.get("head").unwrap().unwrap().to_vec();
            row[8] = 4;
            k.meta.insert("head", row).unwrap();
        }),
        ("no head", |k| k.meta.remove("head").unwrap()),
    ];
    for (name, damage) in damages {
        let mut scene = Scene::new();
        for _ in 0..3 {
            scene.commit_terms(&[1, 2]).await;
        }
        scene.close();
        let keyspaces = Keyspaces::open(&scene.folder.path().join("db"), 1 << 20).unwrap();
        damage(&keyspaces);
        keyspaces.db.persist(PersistMode::SyncAll).unwrap();
        drop(keyspaces);
        let opened = EmbeddedStore::open(scene.options.clone()).map(|_| ());
        assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{name}: {opened:?}");
    }
}

#[tokio::test]
async fn a_store_of_which_rows_are_missing_does_not_open_and_stays_as_it_is() {
    let mut scene = Scene::new();
    scene.commit_terms(&[1]).await;
    scene.commit_terms(&[2]).await;
    scene.close();
    let volume = scene.folder.path().join("commits/00000000.vol");
    let whole = fs::read(&volume).unwrap();
    for left in [0, whole.len() / 2, whole.len() - 1] {
        fs::write(&volume, &whole[..left]).unwrap();
        let opened = EmbeddedStore::open(scene.options.clone()).map(|_| ());
        assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{left} bytes: {opened:?}");
        assert_eq!(fs::read(&volume).unwrap(), whole[..left]);
    }
    fs::write(&volume, [&whole[..], b"what no commit speaks of"].concat()).unwrap();
    scene.reopen();
    assert_eq!(scene.head().await.size, 2);
    assert_eq!(fs::read(&volume).unwrap(), whole, "is cut off");
}

#[tokio::test]
async fn a_database_that_is_older_than_its_volumes_or_missing_is_refused() {
    let mut scene = Scene::new();
    scene.commit_terms(&[1]).await;
    scene.close();
    let (database, older) = (scene.folder.path().join("db"), scene.folder.path().join("older"));
    super::faults::copy_folder(&database, &older);
    scene.reopen();
    for _ in 0..2 {
        scene.commit_terms(&[2]).await;
    }
    scene.close();
    let volume = fs::read(scene.folder.path().join("commits/00000000.vol")).unwrap();
    fs::remove_dir_all(&database).unwrap();
    for (what, is) in [("missing", false), ("older", true)] {
        if is {
            fs::rename(&older, &database).unwrap();
        }
        let opened = EmbeddedStore::open(scene.options.clone()).map(|_| ());
        assert!(matches!(&opened, Err(StoreError::Corrupt(_))), "{what}: {opened:?}");
        assert_eq!(fs::read(scene.folder.path().join("commits/00000000.vol")).unwrap(), volume, "{what}");
    }
}

#[tokio::test]
async fn a_store_without_its_slot_file_does_not_open() {
    let mut scene = Scene::new();
    scene.close();
    fs::remove_file(scene.folder.path().join("keys/slots")).unwrap();
    assert!(matches!(EmbeddedStore::open(scene.options.clone()), Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn below_the_reserve_nothing_is_written_until_there_is_space_again() {
    let free = Arc::new(AtomicU64::new(1000));
    let scene = Scene::with(|options| {
        let free = Arc::clone(&free);
        options.reserve_bytes = 1000;
        options.free_space = Arc::new(move |_| Ok(free.load(Ordering::SeqCst)));
    });
    let wants = |class| [(TAX, class)];
    let known = scene.store().slots(Owner::Hub, &wants(Class::Trail)).await.unwrap()[0].number;
    scene.commit(|c| c.entry(&[1], None).call(key(NOON, 1))).await.unwrap();
    scene.commit(|c| c.entry(&[1], Some(TAX)).settle(TAX, 1, DeliveryState::DeadLettered)).await.unwrap();
    let sizes = || fs::read(scene.folder.path().join("keys/slots")).unwrap().len();
    let (before, held) = (sizes(), scene.store().held().slots);
    free.store(999, Ordering::SeqCst);
    let full = |result| matches!(result, Err(StoreError::OutOfSpace { reserve_bytes: 1000 }));
    assert!(full(scene.store().writable()));
    assert!(full(scene.commit(|c| c.entry(&[2], None)).await));
    assert_eq!(scene.head().await.size, 2, "and reading goes on");
    for n in 0..100 {
        assert!(full(scene.store().slots(Owner::Subject(subject(n)), &wants(Class::Trail)).await.map(drop)));
    }
    assert!(full(scene.store().slots(Owner::Hub, &wants(Class::Payload)).await.map(drop)));
    assert_eq!(scene.store().slots(Owner::Hub, &wants(Class::Trail)).await.unwrap()[0].number, known);
    assert_eq!((sizes(), scene.store().held().slots), (before, held), "nothing waits for a commit");
    let later = Moment(NOON.0 + 1_000_000);
    assert!(full(scene.store().forget_before(later, 10).map(drop)));
    assert!(full(scene.store().forget_dead_letters(later).map(drop)));
    assert!(scene.store().known(SYSTEM, key(NOON, 1)).await.unwrap().is_some());
    free.store(1000, Ordering::SeqCst);
    scene.store().writable().unwrap();
    scene.commit_terms(&[2]).await;
    assert_eq!(scene.head().await.size, 3);
    let slots = scene.store().slots(Owner::Subject(subject(1)), &wants(Class::Trail)).await.unwrap();
    assert_eq!(slots[0].number.0, known.0 + 1, "none was made in between");
}

#[test]
fn free_space_is_measured_at_most_once_an_interval() {
    let asked = Arc::new(AtomicU64::new(0));
    let scene = Scene::with(|options| {
        let asked = Arc::clone(&asked);
        options.space_interval = std::time::Duration::from_hours(1);
        options.free_space = Arc::new(move |_| Ok(asked.fetch_add(1, Ordering::SeqCst) + (1 << 40)));
    });
    for _ in 0..5 {
        scene.store().writable().unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(super::super::statvfs()(scene.folder.path()).unwrap() > 0);
}
