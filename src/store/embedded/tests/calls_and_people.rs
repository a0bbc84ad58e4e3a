//! Idempotency keys, identifiers, facts, and the expectations that a decision rests on.

use std::sync::Arc;

use parking_lot::Mutex;

use super::scene::{Builder, NOON, SYSTEM, Scene, TAX, facts, identifier, key, subject};
use crate::{
    domain::{facts::Facts, idempotency::IdempotencyKey, time::Moment, transfer::DeliveryState},
    store::{Expect, Found, Known, Store, StoreError, SystemKey, embedded::CommitHook},
    vault::{ContentHash, Term},
};

#[tokio::test]
async fn a_call_is_known_from_its_commit_on_to_its_own_system_only() {
    let mut scene = Scene::new();
    let (call, later) = (key(NOON, 1), key(Moment(NOON.0 + 60_000), 1));
    assert_eq!(scene.store().known(SYSTEM, call).await.unwrap(), None);
    scene.commit(|c| c.entry(&[1], None).call(call).entry(&[1], None).call(later)).await.unwrap();
    for _ in 0..2 {
        let known = |first| Some(Known { content: ContentHash([1; 16]), first, count: 1 });
        assert_eq!(scene.store().known(SYSTEM, call).await.unwrap(), known(0));
        assert_eq!(scene.store().known(SYSTEM, later).await.unwrap(), known(1));
        assert_eq!(scene.store().known(SystemKey(2), call).await.unwrap(), None);
        let guard = scene.store().lock_head(&[], &[(SYSTEM, call)]).await.unwrap();
        assert_eq!(guard.known(SYSTEM, call), known(0));
        assert_eq!(guard.known(SYSTEM, later), None, "it was not asked about");
        drop(guard);
        scene.reopen();
    }
}

#[tokio::test]
async fn calls_are_found_however_small_the_cache_is() {
    let scene = Scene::with(|options| options.memory.known_keys = 3);
    let calls: Vec<_> = (0..40).map(|n| key(Moment(NOON.0 + 700 * n), n as u16)).collect();
    for pair in calls.chunks(2) {
        scene.commit(|c| pair.iter().fold(c, |c, call| c.entry(&[1], None).call(*call))).await.unwrap();
    }
    for (first, call) in (0..).zip(&calls) {
        assert_eq!(scene.store().known(SYSTEM, *call).await.unwrap().map(|known| known.first), Some(first));
    }
}

#[tokio::test]
async fn old_calls_are_forgotten_a_few_rows_at_a_time() {
    let mut scene = Scene::new();
    let calls: Vec<_> = (0..10).map(|n| key(Moment(NOON.0 + 1000 * n), 0)).collect();
    for call in &calls {
        scene.commit(|c| c.entry(&[1], None).call(*call)).await.unwrap();
    }
    let window = Moment(NOON.0 + 5500);
    let forget = |scene: &Scene| scene.store().forget_before(window, 2).unwrap();
    assert_eq!([forget(&scene), forget(&scene), forget(&scene), forget(&scene)], [2, 2, 1, 0]);
    for _ in 0..2 {
        for (second, call) in calls.iter().enumerate() {
            assert_eq!(scene.store().known(SYSTEM, *call).await.unwrap().is_some(), second >= 5);
        }
        scene.reopen();
    }
}

/// Commits an event under another key while calls are forgotten.
#[derive(Default)]
struct Again(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl CommitHook for Again {
    fn before_events_go(&self) {
        let happens = self.0.lock().take();
        if let Some(happens) = happens {
            happens();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_while_its_first_key_is_forgotten_stays_known() {
    let [first, second] = [NOON, Moment(NOON.0 + 60_000)].map(|at| IdempotencyKey::of_event(&[9; 16], at));
    let other = IdempotencyKey::of_event(&[8; 16], NOON);
    for comes_again in [false, true] {
        let hook = Arc::new(Again::default());
        let scene = Scene::with(|options| options.hook = Arc::clone(&hook) as _);
        scene.commit(|c| c.entry(&[1], None).call(first).entry(&[1], None).call(other)).await.unwrap();
        let (store, runtime) = (scene.store().clone(), tokio::runtime::Handle::current());
        let again = async move {
            let guard = store.lock_head(&[], &[]).await.unwrap();
            let commit = Builder::after(guard.head()).entry(&[1], None).call(second).done();
            guard.commit(commit).await.unwrap();
        };
        if comes_again {
            *hook.0.lock() = Some(Box::new(move || runtime.block_on(again)));
        }
        let store = scene.store().clone();
        let forget = move || store.forget_before(Moment(NOON.0 + 30_000), 10).unwrap();
        assert_eq!(tokio::task::spawn_blocking(forget).await.unwrap(), 1);
        assert_eq!(scene.store().known(SYSTEM, first).await.unwrap(), None);
        let known = |key: IdempotencyKey| scene.store().event(SYSTEM, key.event().unwrap());
        assert_eq!(known(first).await.unwrap(), comes_again.then_some(second));
        assert_eq!(known(other).await.unwrap(), None);
    }
}

#[tokio::test]
async fn identifiers_point_to_nobody_to_one_or_to_several() {
    let mut scene = Scene::new();
    assert!(matches!(scene.store().find_subject(&[identifier(1)]).await.unwrap(), Found::Nobody));
    scene.commit(|c| c.link(subject(1), &[identifier(1), identifier(2)])).await.unwrap();
    scene.commit(|c| c.link(subject(2), &[identifier(3)]).facts(subject(2), facts(1))).await.unwrap();
    scene.commit(|c| c.link(subject(1), &[identifier(4)]).facts(subject(2), facts(2))).await.unwrap();
    for _ in 0..3 {
        let found = scene.store().find_subject(&[identifier(4), identifier(9), identifier(1)]).await.unwrap();
        let Found::One { subject: one, unlinked } = found else { panic!("{found:?}") };
        assert_eq!((one.id, &one.facts, unlinked), (subject(1), &Facts::default(), vec![identifier(9)]));
        let found = scene.store().find_subject(&[identifier(3)]).await.unwrap();
        let Found::One { subject: two, .. } = found else { panic!("{found:?}") };
        assert_eq!(two.facts, facts(2));
        assert_eq!(scene.store().subject(subject(2)).unwrap().unwrap().facts, facts(2));
        assert!(matches!(scene.store().find_subject(&[identifier(1), identifier(3)]).await.unwrap(), Found::Several));
        assert_eq!(scene.store().subject(subject(3)).unwrap(), None);
        scene.reopen();
    }
}

#[tokio::test]
async fn new_facts_are_exactly_one_version_on() {
    let scene = Scene::new();
    scene.commit(|c| c.facts(subject(1), facts(1)).facts(subject(1), facts(2))).await.unwrap();
    for version in [1, 2, 4] {
        let result = scene.commit(|c| c.facts(subject(1), facts(version))).await;
        assert!(matches!(result, Err(StoreError::Invalid(_))));
    }
    assert_eq!(scene.store().subject(subject(1)).unwrap().unwrap().facts.version, 2);
}

#[tokio::test]
async fn expectations_hold_or_not_as_of_the_locked_head() {
    let mut scene = Scene::new();
    scene.commit(|c| c.entry(&[5], Some(TAX)).entry(&[6], None).link(subject(1), &[identifier(1)])).await.unwrap();
    scene.commit(|c| c.facts(subject(1), facts(1)).link(subject(7), &[identifier(7)]).claim(TAX, 1)).await.unwrap();
    let cases = [
        (Expect::Facts { subject: subject(1), version: 1 }, true),
        (Expect::Facts { subject: subject(1), version: 0 }, false),
        (Expect::Facts { subject: subject(2), version: 0 }, false),
        (Expect::Newcomer { identifier: identifier(2), subject: subject(2) }, true),
        (Expect::Newcomer { identifier: identifier(7), subject: subject(7) }, true),
        (Expect::Newcomer { identifier: identifier(7), subject: subject(8) }, false),
        (Expect::Newcomer { identifier: identifier(1), subject: subject(1) }, false),
        (Expect::Before(Moment(NOON.0 + 1)), true),
        (Expect::Before(NOON), false),
        (Expect::Quiet { term: Term(5), since: 1 }, true),
        (Expect::Quiet { term: Term(5), since: 0 }, false),
        (Expect::Quiet { term: Term(6), since: 1 }, false),
        (Expect::Delivery { index: 0, state: DeliveryState::Claimed }, true),
        (Expect::Delivery { index: 0, state: DeliveryState::Due }, false),
        (Expect::Delivery { index: 1, state: DeliveryState::Due }, false),
        (Expect::Delivery { index: 9, state: DeliveryState::Due }, false),
    ];
    for _ in 0..2 {
        let expects: Vec<&Expect> = cases.iter().map(|(expect, _)| expect).collect();
        let guard = scene.store().lock_head(&expects, &[]).await.unwrap();
        for (expect, holds) in &cases {
            assert_eq!(guard.holds(expect), *holds, "{expect:?}");
        }
        let other = Expect::Newcomer { identifier: identifier(3), subject: subject(3) };
        assert!(!guard.holds(&other), "it was not asked about");
        drop(guard);
        scene.reopen();
    }
}
