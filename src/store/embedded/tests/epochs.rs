//! The end of an hour's epoch, also where the disk fails at one of its steps: what was handed over opens no more, what is
//! late still does.

use std::{fs, os::unix::fs::FileExt, sync::Arc};

use parking_lot::Mutex;

use super::scene::{BENEFIT, Builder, NOON, Scene, TAX, entry, subject, transfer};
use crate::{
    domain::{agency::AgencyKey, time::Moment, transfer::DeliveryState},
    store::{
        Class, Expect, NewEntry, Owner, PayloadSlots, PendingDelivery, SlotNumber, Store, StoreError,
        embedded::{
            CommitHook, EmbeddedStore,
            deliveries::{ALL_BEGAN, DeadPage, Deliveries},
            epochs::LITTLE,
            rows::Places,
        },
    },
    vault,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    BeforeSlots,
    BeforeBatch,
    AfterBatch,
    AfterErase,
}

/// Fails once at a step; or lets something happen while the hour ends, after so many looks.
#[derive(Default)]
struct Failing(Mutex<Option<Step>>, Mutex<Option<(usize, Happens)>>);

type Happens = Box<dyn FnOnce() + Send>;

impl Failing {
    fn reach(&self, step: Step) -> Result<(), StoreError> {
        match self.0.lock().take_if(|at| *at == step) {
            Some(_) => Err(StoreError::Fatal("the disk says no".to_owned())),
            None => Ok(()),
        }
    }
}

impl CommitHook for Failing {
    fn before_slots_sync(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeSlots)
    }
    fn before_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeBatch)
    }
    fn after_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::AfterBatch)
    }
    fn before_dead_letters(&self) -> Result<(), StoreError> {
        let mut meanwhile = self.1.lock();
        match meanwhile.take() {
            Some((0, happens)) => {
                drop(meanwhile);
                happens();
            }
            Some((looks, happens)) => *meanwhile = Some((looks - 1, happens)),
            None => {}
        }
        Ok(())
    }
    fn after_erase(&self) -> Result<(), StoreError> {
        self.reach(Step::AfterErase)
    }
}

/// An entry with a payload that is really sealed, in the hour 10.
async fn sealed(store: &EmbeddedStore, index: u64, recipient: AgencyKey) -> NewEntry {
    let person = store.slots(Owner::Subject(subject(1)), &[(AgencyKey(1), Class::Payload)]).await.unwrap().remove(0);
    let epoch = store.slots(Owner::Epoch(10), &[(AgencyKey(0), Class::Epoch)]).await.unwrap().remove(0);
    let mut new = entry(index, &[index], Some(recipient));
    new.routing.payload = Some(PayloadSlots { subject: person.number, epoch: epoch.number });
    let key = vault::payload_key(&person.key, &epoch.key, transfer(index));
    new.payload = vault::seal(&key, format!("record {index}").into_bytes()).into();
    new
}

/// What a payload says, if its keys are there.
async fn opened(store: &EmbeddedStore, item: &PendingDelivery) -> Option<String> {
    let slots = item.entry.routing.payload.unwrap();
    let subject = store.slot_key(slots.subject).await.unwrap()?;
    let epoch = store.slot_key(slots.epoch).await.unwrap()?;
    let plain = vault::open(&vault::payload_key(&subject, &epoch, item.entry.routing.id), &item.payload).unwrap();
    Some(String::from_utf8(plain.to_vec()).unwrap())
}

async fn waiting(store: &EmbeddedStore, recipient: AgencyKey) -> Vec<Option<String>> {
    let mut all = Vec::new();
    for item in store.pending(recipient, 0, 10).await.unwrap().items {
        all.push(opened(store, &item).await);
    }
    all
}

async fn retire(store: &EmbeddedStore, dead_since: Moment) -> Result<usize, StoreError> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || store.retire_epoch(10, 11, dead_since)).await.unwrap()
}

/// Tax has its record, benefit not yet; one of benefit's was given up at the time of the last commit. Where the key of
/// the hour lies.
async fn scene(hook: Arc<Failing>) -> (Scene, SlotNumber) {
    let scene = Scene::with(|options| options.hook = hook);
    let store = scene.store();
    let entries = [sealed(store, 0, TAX).await, sealed(store, 1, BENEFIT).await, sealed(store, 2, BENEFIT).await];
    let epoch = entries[0].routing.payload.unwrap().epoch;
    scene
        .commit(|mut commit| {
            commit.commit.entries.extend(entries);
            commit
        })
        .await
        .unwrap();
    scene
        .commit(|commit| {
            let claimed = commit.claim(TAX, 1).settle(TAX, 0, DeliveryState::Acknowledged);
            claimed.settle(BENEFIT, 2, DeliveryState::DeadLettered)
        })
        .await
        .unwrap();
    (scene, epoch)
}

#[tokio::test]
async fn wherever_it_is_interrupted_what_is_late_opens_and_in_the_end_nothing_else_does() {
    let steps =
        [None, Some(Step::BeforeSlots), Some(Step::BeforeBatch), Some(Step::AfterBatch), Some(Step::AfterErase)];
    for step in steps {
        let hook = Arc::new(Failing::default());
        let (mut scene, epoch) = scene(Arc::clone(&hook)).await;
        let handed_over = scene.store().payload(0).await.unwrap().unwrap();
        *hook.0.lock() = step;
        let first = retire(scene.store(), NOON).await;
        assert_eq!(first.is_err(), step.is_some(), "{step:?}: {first:?}");
        if step.is_some() {
            scene.reopen();
            assert_eq!(
                waiting(scene.store(), BENEFIT).await,
                [Some("record 1".to_owned())],
                "{step:?}: nothing is lost"
            );
            retire(scene.store(), NOON).await.unwrap();
        }
        for _ in 0..2 {
            let store = scene.store();
            assert_eq!(waiting(store, BENEFIT).await, [Some("record 1".to_owned())], "{step:?}");
            assert!(store.slot_key(epoch).await.unwrap().is_none(), "{step:?}: the key is gone");
            assert_eq!(store.payload(0).await.unwrap().unwrap(), handed_over, "{step:?}: what it sealed is ciphertext");
            assert_eq!(store.epochs_before(12).unwrap(), [11], "{step:?}");
            // The dead letter is there, too: it can be replayed.
            let dead = store.entries(2, 1).await.unwrap().remove(0).routing.payload.unwrap();
            assert!(dead.epoch != epoch && store.slot_key(dead.epoch).await.unwrap().is_some(), "{step:?}");
            scene.reopen();
        }
    }
}

#[tokio::test]
async fn what_waits_for_somebody_who_has_never_claimed_still_opens() {
    let newcomer = AgencyKey(99);
    for is_of_before in [false, true] {
        let (mut scene, epoch) = scene(Arc::default()).await;
        let new = sealed(scene.store(), 3, newcomer).await;
        let add = |mut commit: Builder| {
            commit.commit.entries.push(new);
            commit
        };
        scene.commit(add).await.unwrap();
        if is_of_before {
            let keyspaces = &scene.store().inner.keyspaces;
            let position = [&[0][..], &newcomer.0.to_be_bytes()].concat();
            assert!(keyspaces.outbox.contains_key(&position).unwrap());
            keyspaces.outbox.remove(position).unwrap();
            keyspaces.meta.remove(ALL_BEGAN).unwrap();
            // So far that a part of the index is flushed, which must be looked at, too.
            scene.commit_terms(&[1; 200]).await;
            scene.flush_index();
            scene.reopen();
        }
        assert_eq!(retire(scene.store(), NOON).await.unwrap(), 3);
        assert!(scene.store().slot_key(epoch).await.unwrap().is_none());
        assert_eq!(waiting(scene.store(), newcomer).await, [Some("record 3".to_owned())], "{is_of_before}");
    }
}

/// Flips a bit of a commit's entries or payloads on the disk.
fn damage(scene: &Scene, first: u64, is_payload: bool) {
    let row = scene.store().inner.keyspaces.commits.get(first.to_be_bytes()).unwrap().unwrap();
    let places = Places::decode(&row).ok().unwrap();
    let extent = if is_payload { places.payloads.unwrap() } else { places.commit };
    let volume = scene.folder.path().join("commits/00000000.vol");
    let file = fs::OpenOptions::new().read(true).write(true).open(volume).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, extent.offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], extent.offset).unwrap();
}

#[tokio::test]
async fn a_damaged_place_holds_up_neither_the_end_of_the_hour_nor_what_lies_elsewhere() {
    // The newest commit alone is held in memory.
    let scene = Scene::with(|options| options.memory.recent_bytes = 1);
    let store = scene.store();
    for (index, recipient) in (0..).zip([TAX, BENEFIT, TAX, TAX, BENEFIT]) {
        let new = sealed(store, index, recipient).await;
        let add = |mut commit: Builder| {
            commit.commit.entries.push(new);
            commit
        };
        scene.commit(add).await.unwrap();
    }
    scene.commit_terms(&[1]).await;
    let epoch = store.entries(1, 1).await.unwrap()[0].routing.payload.unwrap().epoch;
    damage(&scene, 0, false);
    damage(&scene, 3, true);
    assert!(matches!(store.entries(0, 1).await, Err(StoreError::Corrupt(_))), "by itself it is an error");
    for (from, found) in [(0, 2), (3, 3)] {
        let pending = store.pending(TAX, from, 1).await.unwrap();
        assert_eq!((pending.items[0].entry.index, pending.next), (found, found + 1));
        assert_eq!(pending.items[0].payload.is_empty(), found == 3, "its payload cannot be read");
    }
    assert_eq!(retire(store, NOON).await.unwrap(), 3);
    assert!(store.slot_key(epoch).await.unwrap().is_none(), "the key is gone all the same");
    let record = |index: u64| Some(format!("record {index}"));
    assert_eq!(waiting(store, TAX).await, [record(2), None]);
    assert_eq!(waiting(store, BENEFIT).await, [record(1), record(4)]);
}

#[tokio::test]
async fn a_dead_letter_from_before_the_term_goes_with_the_epoch() {
    let (scene, epoch) = scene(Arc::default()).await;
    let store = scene.store().clone();
    let given_up = store.dead_letters(BENEFIT, 0, 10).await.unwrap()[0].since;
    let forget = |moment: Moment| {
        let store = store.clone();
        async move { tokio::task::spawn_blocking(move || store.forget_dead_letters(moment)).await.unwrap().unwrap() }
    };
    assert_eq!(forget(given_up).await, 0, "its term ends after this moment");
    assert_eq!(forget(Moment(given_up.0 + 1)).await, 1);
    assert!(store.dead_letters(BENEFIT, 0, 10).await.unwrap().is_empty());
    assert_eq!(retire(&store, Moment(given_up.0 + 1)).await.unwrap(), 1, "the one that waits");
    assert_eq!(store.entries(2, 1).await.unwrap()[0].routing.payload.unwrap().epoch, epoch, "not sealed again");
    assert!(store.slot_key(epoch).await.unwrap().is_none());
}

#[tokio::test]
async fn dead_letters_are_looked_through_page_by_page() {
    let (scene, _) = scene(Arc::default()).await;
    let deliveries = &scene.store().inner.deliveries;
    let page = |from: &[u8], before: u64, rows: usize| deliveries.dead_before(from, Moment(before), rows).unwrap();
    let begin = Deliveries::first_dead();
    let all = page(&begin, u64::MAX, 2);
    assert_eq!((all.old.len(), &all.next), (1, &None), "one page holds them");
    let first = page(&begin, u64::MAX, 1);
    assert_eq!(first.old, all.old);
    assert_eq!(page(&first.next.unwrap(), u64::MAX, 1), DeadPage { old: Vec::new(), next: None }, "and nothing twice");
    assert!(page(&begin, 0, 1).old.is_empty());
}

#[tokio::test]
async fn what_was_sealed_under_a_key_that_is_gone_is_not_committed() {
    let (scene, epoch) = scene(Arc::default()).await;
    let expect = Expect::Key(epoch);
    assert!(scene.store().lock_head(&[&expect], &[]).await.unwrap().holds(&expect));
    retire(scene.store(), NOON).await.unwrap();
    assert!(!scene.store().lock_head(&[&expect], &[]).await.unwrap().holds(&expect));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_replayed_while_its_hour_ends_still_opens() {
    // Two recipients are looked at, one after the other.
    for looks in [0, 1] {
        let hook = Arc::new(Failing::default());
        let (scene, epoch) = scene(Arc::clone(&hook)).await;
        let (store, runtime) = (scene.store().clone(), tokio::runtime::Handle::current());
        let replay = async move {
            let guard = store.lock_head(&[], &[]).await.unwrap();
            let commit = Builder::after(guard.head()).replay(BENEFIT, 2).done();
            guard.commit(commit).await.unwrap();
        };
        *hook.1.lock() = Some((looks, Box::new(move || runtime.block_on(replay))));
        retire(scene.store(), NOON).await.unwrap();
        assert!(hook.1.lock().is_none(), "it was replayed");
        assert!(scene.store().slot_key(epoch).await.unwrap().is_none());
        let both = [Some("record 1".to_owned()), Some("record 2".to_owned())];
        assert_eq!(waiting(scene.store(), BENEFIT).await, both, "after {looks} looks");
    }
}

/// Notes how many rows go at once, and at each look for dead letters whether the head is free; at the first, many entries
/// come.
#[derive(Default)]
struct Watching {
    rows: Mutex<Vec<usize>>,
    free: Mutex<Vec<bool>>,
    store: Mutex<Option<EmbeddedStore>>,
    many: Mutex<Option<Happens>>,
}

impl CommitHook for Watching {
    fn before_dead_letters(&self) -> Result<(), StoreError> {
        let many = self.many.lock().take();
        if let Some(many) = many {
            many();
        }
        if let Some(store) = &*self.store.lock() {
            self.free.lock().push(store.inner.head_lock.try_lock().is_ok());
        }
        Ok(())
    }
    fn before_resealed_go(&self, rows: usize) -> Result<(), StoreError> {
        self.rows.lock().push(rows);
        Ok(())
    }
}

#[tokio::test]
async fn however_many_have_ended_their_rows_go_a_page_at_a_time() {
    const MANY: u64 = 600;
    let hook = Arc::new(Watching::default());
    let scene = Scene::with(|options| options.hook = Arc::clone(&hook) as _);
    let store = scene.store();
    let mut entries = Vec::new();
    for index in 0..MANY {
        entries.push(sealed(store, index, TAX).await);
    }
    let add = |mut commit: Builder| {
        commit.commit.entries.extend(entries);
        commit
    };
    scene.commit(add).await.unwrap();
    assert_eq!(retire(store, NOON).await.unwrap() as u64, MANY);
    assert!(hook.rows.lock().is_empty());
    let end = |commit: Builder, index| commit.settle(TAX, index, DeliveryState::Acknowledged);
    scene.commit(|commit| (0..MANY).fold(commit.claim(TAX, MANY), end)).await.unwrap();
    let again = store.clone();
    let retired = tokio::task::spawn_blocking(move || again.retire_epoch(11, 12, NOON)).await.unwrap();
    assert_eq!(retired.unwrap(), 0);
    let rows = hook.rows.lock().clone();
    assert!(rows.iter().sum::<usize>() as u64 == MANY && rows.iter().all(|rows| *rows <= 256), "{rows:?}");
    assert_eq!(store.inner.keyspaces.resealed.iter().count(), 0);
    assert!(store.epochs_before(12).unwrap().is_empty(), "the rows of both hours have gone, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_little_is_looked_through_while_nobody_commits() {
    let hook = Arc::new(Watching::default());
    let scene = Scene::with(|options| options.hook = Arc::clone(&hook) as _);
    for (index, recipient) in (0..).zip([TAX, BENEFIT]) {
        let new = sealed(scene.store(), index, recipient).await;
        let add = |mut commit: Builder| {
            commit.commit.entries.push(new);
            commit
        };
        scene.commit(add).await.unwrap();
    }
    let (store, runtime) = (scene.store().clone(), tokio::runtime::Handle::current());
    let many = async move {
        let guard = store.lock_head(&[], &[]).await.unwrap();
        let commit = (0..=LITTLE).fold(Builder::after(guard.head()), |commit, _| commit.entry(&[1], None));
        guard.commit(commit.done()).await.unwrap();
    };
    *hook.many.lock() = Some(Box::new(move || runtime.block_on(many)));
    *hook.store.lock() = Some(scene.store().clone());
    assert_eq!(retire(scene.store(), NOON).await.unwrap(), 2);
    *hook.store.lock() = None;
    // Two recipients each time: at first, then what came meanwhile, and what came after that.
    assert_eq!(*hook.free.lock(), [true, true, true, true, false, false]);
}
