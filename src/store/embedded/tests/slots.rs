//! Key slots: the same slot for the same want, durable with the next commit, gone once erased.

use std::{fs, os::unix::fs::FileExt, time::Duration};

use super::scene::{BENEFIT, Scene, TAX, identifier, subject};
use crate::{
    domain::agency::{AgencyId, AgencyKey},
    store::{
        Class, Expect, Owner, Slot, SlotNumber, Store, StoreError,
        embedded::{
            EmbeddedStore,
            slots::{COUNT, PENDING_MAX},
        },
    },
};

const OWNER: Owner = Owner::Subject(crate::domain::subject::SubjectId([1; 16]));

async fn slot(scene: &Scene, owner: Owner, agency: AgencyKey, class: Class) -> Slot {
    scene.store().slots(owner, &[(agency, class)]).await.unwrap().remove(0)
}

async fn erase(scene: &Scene, number: SlotNumber) {
    let store = scene.store().clone();
    tokio::task::spawn_blocking(move || store.erase(number)).await.unwrap().unwrap();
}

/// What a key is, told by what it names.
fn name(slot: &Slot) -> String {
    slot.key.pseudonym(&AgencyId::new("tax").unwrap()).to_string()
}

#[tokio::test]
async fn each_owner_agency_and_class_has_a_slot_of_its_own() {
    let mut scene = Scene::new();
    let owners = [OWNER, Owner::Subject(subject(2)), Owner::Unknown(identifier(1)), Owner::Epoch(5), Owner::Hub];
    let wants = [(TAX, Class::Payload), (TAX, Class::Trail), (BENEFIT, Class::Payload), (TAX, Class::Payload)];
    let mut before = Vec::new();
    for owner in owners {
        let slots = scene.store().slots(owner, &wants).await.unwrap();
        assert_eq!(slots[0].number, slots[3].number);
        before.extend(slots.iter().take(3).map(|slot| (slot.number, name(slot))));
    }
    let (mut numbers, mut names): (Vec<_>, Vec<_>) = before.iter().cloned().unzip();
    numbers.sort();
    numbers.dedup();
    names.sort();
    names.dedup();
    assert_eq!((numbers.len(), names.len()), (15, 15));

    scene.commit_terms(&[1]).await;
    scene.reopen();
    let mut after = Vec::new();
    for owner in owners {
        let slots = scene.store().slots(owner, &wants[..3]).await.unwrap();
        after.extend(slots.iter().map(|slot| (slot.number, name(slot))));
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn more_slots_of_an_owner_leave_those_it_has() {
    let mut scene = Scene::new();
    let first = slot(&scene, OWNER, TAX, Class::Trail).await;
    scene.commit_terms(&[1]).await;
    let second = slot(&scene, OWNER, TAX, Class::Payload).await;
    scene.commit_terms(&[1]).await;
    scene.reopen();
    assert_eq!(slot(&scene, OWNER, TAX, Class::Trail).await.number, first.number);
    assert_eq!(slot(&scene, OWNER, TAX, Class::Payload).await.number, second.number);
}

#[tokio::test]
async fn a_slot_that_no_commit_followed_is_not_taken_for_another() {
    let mut scene = Scene::new();
    let kept = slot(&scene, OWNER, TAX, Class::Trail).await;
    scene.commit_terms(&[1]).await;
    let lost = slot(&scene, OWNER, TAX, Class::Payload).await;
    scene.reopen();
    let new = slot(&scene, OWNER, TAX, Class::Payload).await;
    assert_ne!(name(&new), name(&lost));
    assert_eq!(name(&slot(&scene, OWNER, TAX, Class::Trail).await), name(&kept));
}

#[tokio::test]
async fn an_erased_key_opens_no_more_and_its_neighbours_do() {
    let mut scene = Scene::new();
    let [left, erased, right] = [Class::Trail, Class::Payload, Class::Evidence].map(|class| {
        scene.store().inner.slots.of(OWNER, &[(TAX, class)], &scene.store().inner.space).unwrap().remove(0)
    });
    scene.commit_terms(&[1]).await;
    let file = scene.folder.path().join("keys/slots");
    let record = |bytes: &[u8]| bytes[64 * erased.number.0 as usize..][..64].to_vec();
    let before = record(&fs::read(&file).unwrap());
    erase(&scene, erased.number).await;
    let after = record(&fs::read(&file).unwrap());
    assert!(before.iter().filter(|byte| **byte != 0).count() > 50);
    assert!(after[1..].iter().all(|byte| *byte == 0), "nothing of the key is left where it was");
    for _ in 0..2 {
        assert!(scene.store().slot_key(erased.number).await.unwrap().is_none());
        for neighbour in [&left, &right] {
            let key = scene.store().slot_key(neighbour.number).await.unwrap().unwrap();
            assert_eq!(name(&Slot { number: neighbour.number, key }), name(neighbour));
        }
        scene.reopen();
    }
    let new = slot(&scene, OWNER, TAX, Class::Payload).await;
    assert_ne!(new.number, erased.number, "who comes back gets a new key");
    scene.commit_terms(&[1]).await;
    scene.reopen();
    assert_eq!(slot(&scene, OWNER, TAX, Class::Payload).await.number, new.number);
}

#[tokio::test]
async fn no_key_is_erased_while_the_head_is_locked() {
    let scene = Scene::new();
    let made = slot(&scene, OWNER, TAX, Class::Trail).await;
    let expect = Expect::Key(made.number);
    let guard = scene.store().lock_head(&[&expect], &[]).await.unwrap();
    assert!(guard.holds(&expect));
    let mut erased = std::pin::pin!(erase(&scene, made.number));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut erased).await.is_err(), "it waits");
    assert!(scene.store().slot_key(made.number).await.unwrap().is_some());
    drop(guard);
    erased.await;
    assert!(scene.store().slot_key(made.number).await.unwrap().is_none());
}

#[tokio::test]
async fn a_slot_can_be_erased_before_any_commit() {
    let scene = Scene::new();
    let made = slot(&scene, OWNER, TAX, Class::Trail).await;
    erase(&scene, made.number).await;
    assert!(scene.store().slot_key(made.number).await.unwrap().is_none());
    assert_ne!(slot(&scene, OWNER, TAX, Class::Trail).await.number, made.number);
}

#[tokio::test]
async fn a_slot_that_is_damaged_moved_or_not_there_is_an_error() {
    let mut scene = Scene::new();
    for agency in [TAX, BENEFIT] {
        slot(&scene, OWNER, agency, Class::Trail).await;
    }
    scene.commit_terms(&[1]).await;
    scene.close();
    let path = scene.folder.path().join("keys/slots");
    let bytes = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&bytes[64..128], 0).unwrap();
    file.write_all_at(&[bytes[64 + 20] ^ 1], 64 + 20).unwrap();
    scene.reopen();
    for number in [0, 1, 2, u64::MAX].map(crate::store::SlotNumber) {
        let result = scene.store().slot_key(number).await;
        assert!(matches!(result, Err(StoreError::Corrupt(_) | StoreError::Read(_))), "{number:?}");
    }
}

#[tokio::test]
async fn a_slot_file_that_is_older_or_cut_off_does_not_open_and_stays_as_it_is() {
    let mut scene = Scene::new();
    slot(&scene, OWNER, TAX, Class::Trail).await;
    scene.commit_terms(&[1]).await;
    let path = scene.folder.path().join("keys/slots");
    let older = fs::read(&path).unwrap();
    slot(&scene, OWNER, BENEFIT, Class::Trail).await;
    scene.commit_terms(&[1]).await;
    scene.close();
    let whole = fs::read(&path).unwrap();
    for left in [&older[..], &whole[..whole.len() - 1], &[]] {
        fs::write(&path, left).unwrap();
        let opened = EmbeddedStore::open(scene.options.clone()).map(|_| ());
        let is_told = matches!(&opened, Err(StoreError::Corrupt(why)) if why.contains("of one moment back"));
        assert!(is_told, "{} bytes: {opened:?}", left.len());
        assert_eq!(fs::read(&path).unwrap(), left);
    }
    // What a crash leaves behind its end is no fault.
    fs::write(&path, [&whole[..], &[1; 100]].concat()).unwrap();
    scene.reopen();
    let new = slot(&scene, OWNER, TAX, Class::Payload).await;
    assert_eq!(new.number.0, 4);
    // A store of before did not say how many there are.
    scene.store().inner.keyspaces.meta.remove(COUNT).unwrap();
    scene.close();
    fs::write(&path, older).unwrap();
    scene.reopen();
}

#[tokio::test]
async fn only_so_many_slots_wait_for_a_commit() {
    let mut scene = Scene::with(|options| options.memory.slots = 10);
    let agencies: Vec<_> = (0..PENDING_MAX as u64 / 10).map(|n| (AgencyKey(n), Class::Trail)).collect();
    for n in 0..10 {
        scene.store().slots(Owner::Subject(subject(n)), &agencies).await.unwrap();
    }
    let held = scene.store().held().slots;
    let (known, new) = (Owner::Subject(subject(0)), Owner::Subject(subject(10)));
    for _ in 0..2 {
        let refused = scene.store().slots(new, &agencies[..1]).await;
        assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
        assert_eq!(slot(&scene, known, agencies[0].0, Class::Trail).await.number.0, 0, "that is there");
    }
    // Either a commit makes room, or what is done while there is none.
    let store = scene.store().clone();
    tokio::task::spawn_blocking(move || store.make_room_for_slots()).await.unwrap().unwrap();
    let left = scene.store().held().slots;
    assert!(held >= left + 16 * PENDING_MAX as u64, "they are counted while they wait: {held} {left}");
    slot(&scene, new, TAX, Class::Trail).await;
    scene.reopen();
    assert_eq!(slot(&scene, known, agencies[0].0, Class::Trail).await.number.0, 0, "and its row is there");
}

#[tokio::test]
async fn more_slots_than_fit_in_memory_are_written_on_the_way() {
    let mut scene = Scene::with(|options| options.memory.slots = 10);
    let agencies: Vec<_> = (0..20_000).map(|n| (AgencyKey(n), Class::Trail)).collect();
    let slots = scene.store().slots(OWNER, &agencies).await.unwrap();
    let samples = [0, 1, 16_383, 16_384, 16_385, 19_999];
    for _ in 0..2 {
        for at in samples {
            let key = scene.store().slot_key(slots[at].number).await.unwrap().unwrap();
            assert_eq!(name(&Slot { number: slots[at].number, key }), name(&slots[at]));
        }
        scene.commit_terms(&[1]).await;
        scene.reopen();
    }
}
