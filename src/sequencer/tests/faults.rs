//! Faults: no disk space, a clock that cannot be trusted, a commit that fails. What is shown, and what is found
//! afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::scene::{NOON, Says as _, Scene, Step, committed, key, person};
use crate::{
    domain::time::Moment,
    sequencer::{Bounds, ClockFault, Condition, Recorded, SequencerError},
    store::{Store, StoreError},
};

#[tokio::test]
async fn without_disk_space_it_waits_and_comes_back() {
    let free = Arc::new(AtomicU64::new(1000));
    let measured = Arc::clone(&free);
    let scene = Scene::with(Bounds::default(), |options| {
        options.reserve_bytes = 1000;
        options.free_space = Arc::new(move |_| Ok(measured.load(Ordering::SeqCst)));
    })
    .await;
    scene.commit(person(1)).await;
    free.store(999, Ordering::SeqCst);
    let refused = scene.sequencer.propose(person(2)).await;
    assert!(
        matches!(&refused, Err(SequencerError::Unavailable(error)) if matches!(**error, StoreError::OutOfSpace { .. })),
        "{refused:?}"
    );
    scene.becomes(|condition| matches!(condition, Condition::Waiting(_))).await;
    assert_eq!((scene.size().await, scene.sequencer.newest().snapshot.size()), (1, 1), "reading goes on");
    free.store(1000, Ordering::SeqCst);
    assert_eq!(scene.commit(person(3)).await.0, 1);
    scene.becomes(|condition| *condition == Condition::Serving).await;
}

#[tokio::test]
async fn nothing_is_committed_while_the_clock_cannot_be_trusted() {
    let scene = Scene::new().await;
    let Bounds { clock_behind_max, clock_jump_max, .. } = Bounds::default();
    let second = Duration::from_secs(1);
    scene.clock.advance(Duration::from_mins(10));
    let now = Moment(NOON.0 + 600_000);
    let (_, commit) = scene.commit(person(1)).await;
    assert_eq!(commit.time, now);
    for (hands, fault) in [
        (now.before(clock_behind_max).before(second), ClockFault::Behind),
        (now.after(clock_jump_max).after(second), ClockFault::Jumped),
    ] {
        scene.clock.set(hands);
        let refused = scene.sequencer.propose(person(2)).await;
        assert!(matches!(&refused, Err(SequencerError::Clock(found)) if *found == fault), "{refused:?}");
        scene.becomes(|condition| matches!(condition, Condition::Waiting(_))).await;
        scene.clock.set(now);
        scene.commit(person(3)).await;
        scene.becomes(|condition| *condition == Condition::Serving).await;
    }
    scene.clock.set(now.before(clock_behind_max));
    let (_, commit) = scene.commit(person(4)).await;
    assert_eq!(commit.time, now, "within the bound it is taken, and the time of entries does not go back");
}

#[tokio::test]
async fn a_commit_that_fails_is_shown_to_nobody_and_a_restart_knows_whether_it_took_effect() {
    for (step, took_effect) in [(Step::BeforeSlots, false), (Step::BeforeBatch, false), (Step::AfterBatch, true)] {
        let scene = Scene::new().await;
        let (_, shown) = scene.commit(person(1)).await;
        let held = scene.hold().await;
        let first = scene.call(person(2).keyed(key(1), 1));
        let second = scene.call(person(3));
        scene.let_go();
        let (_, held) = committed(held.await);
        assert_eq!(held.snapshot.size(), shown.snapshot.size() + 1);
        // Those two may already be on their way: what fails is then the commit of the third.
        scene.fail_at(step);
        let third = scene.sequencer.propose(person(4).keyed(key(2), 1)).await;
        let outcomes = [first.await, second.await, third];
        assert!(
            matches!(&outcomes[2], Err(SequencerError::Unavailable(error)) if matches!(**error, StoreError::Fatal(_)))
                || matches!(&outcomes[2], Err(SequencerError::Stopping)),
            "{step:?}: {outcomes:?}"
        );
        scene.becomes(|condition| matches!(condition, Condition::Failed(_))).await;
        let told = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        assert_eq!(
            scene.sequencer.newest().snapshot.size(),
            2 + told,
            "{step:?}: nothing of the failed commit is shown"
        );
        let late = scene.sequencer.propose(person(5)).await;
        assert!(matches!(late, Err(SequencerError::Stopping)), "{step:?}: {late:?}");

        let scene = scene.restart().await;
        let size = scene.size().await;
        assert_eq!(size > 2 + told, took_effect, "{step:?}");
        assert_eq!(scene.sequencer.newest().snapshot.size(), size);
        let again = scene.sequencer.propose(person(2).keyed(key(1), 1)).await.unwrap();
        let known = scene.store.known(super::scene::A, key(1)).await.unwrap().unwrap();
        assert_eq!(matches!(again, Recorded::Repeat(_)), known.first < size, "{step:?}: it is there exactly once");
    }
}

#[tokio::test]
async fn whoever_waits_when_the_store_fails_is_told_so() {
    let scene = Scene::new().await;
    let held = scene.hold().await;
    scene.fail_at(Step::AfterBatch);
    let waiting: Vec<_> = (0..10).map(|number| scene.call(person(number))).collect();
    scene.let_go();
    assert!(matches!(held.await, Err(SequencerError::Unavailable(_))));
    for call in waiting {
        assert!(matches!(call.await, Err(SequencerError::Stopping)));
    }
    scene.sequencer.drain().await;
    assert!(matches!(*scene.sequencer.condition().borrow(), Condition::Failed(_)));
}
