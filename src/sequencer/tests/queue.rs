//! Who gets a turn, how much fits, and what becomes of what waits when the hub stops.

use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::scene::{A, B, C, Call, Says as _, Scene, committed, person};
use crate::{
    sequencer::{Bounds, Condition, Proposal, SequencerError, worker::COMPANY},
    store::SystemKey,
};

/// What of `calls` was committed; the others were told that the hub stops.
async fn count_committed(calls: Vec<Call>) -> usize {
    let mut count = 0;
    for call in calls {
        match call.await {
            Ok(_) => count += 1,
            Err(SequencerError::Stopping) => {}
            Err(error) => panic!("{error}"),
        }
    }
    count
}

fn calls(scene: &Scene, system: SystemKey, count: u64) -> Vec<Call> {
    (0..count).map(|number| scene.call(person(number).of(system))).collect()
}

#[tokio::test]
async fn a_flood_of_one_system_does_not_keep_another_waiting() {
    let scene = Scene::with(Bounds { batch_entries_max: 4, ..Bounds::default() }, |_| {}).await;
    let held = scene.hold().await;
    let flood = calls(&scene, A, 500);
    let late_b = calls(&scene, B, 2);
    let late_c = calls(&scene, C, 1);
    scene.let_go();
    drop(held);

    let mut sizes = Vec::new();
    for call in late_b.into_iter().chain(late_c) {
        sizes.push(committed(call.await).1.snapshot.size());
    }
    // The held one is the first entry; then batches of four: A B C A, B A A A.
    assert_eq!(sizes, [5, 9, 5]);
    let mut before = 0;
    for call in flood {
        let (first, _) = committed(call.await);
        assert!(first > before, "and the flood keeps its own order");
        before = first;
    }
}

#[tokio::test]
async fn a_batch_is_bounded_in_entries_and_one_too_large_goes_alone() {
    let scene = Scene::with(Bounds { batch_entries_max: 6, ..Bounds::default() }, |_| {}).await;
    let held = scene.hold().await;
    let calls: Vec<_> = [3, 3, 1, 9, 5].map(|entries| scene.call(person(entries).entries(entries))).into();
    scene.let_go();
    drop(held);
    let mut sizes = Vec::new();
    for call in calls {
        sizes.push(committed(call.await).1.snapshot.size());
    }
    assert_eq!(sizes, [7, 7, 8, 17, 22], "six fit; one more does not; nine go alone");
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes() {
    let scene = Scene::with(Bounds { batch_bytes_max: 20_000, ..Bounds::default() }, |_| {}).await;
    let fitting = 10_000 - person(0).bytes(0).bytes_in_batch();
    for (bytes, together) in [(fitting, true), (fitting + 1, false)] {
        let held = scene.hold().await;
        let (first, second) = (scene.call(person(1).bytes(bytes)), scene.call(person(2).bytes(bytes)));
        scene.let_go();
        drop(held);
        let (first, second) = (committed(first.await).1, committed(second.await).1);
        assert_eq!(first.snapshot.size() == second.snapshot.size(), together, "{bytes}");
    }
}

#[tokio::test]
async fn after_a_batch_of_many_the_next_waits_for_company_unless_it_is_full_already() {
    // How long is waited, and how long nobody takes who does not wait.
    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_mins(10);
    let many = COMPANY as u64;
    for (count, then, batch_entries_max, batch_wait_max, took) in [
        (many - 1, 1, 512, LONG, Duration::ZERO..LONG),
        (many, 1, 512, SHORT, SHORT..LONG),
        (2 * many, 0, COMPANY, LONG, Duration::ZERO..LONG),
    ] {
        let scene = Scene::with(Bounds { batch_entries_max, batch_wait_max, ..Bounds::default() }, |_| {}).await;
        let held = scene.hold().await;
        let first = calls(&scene, B, count);
        let begun = Instant::now();
        scene.let_go();
        drop(held);
        assert_eq!(count_committed(first).await as u64, count);
        for number in 0..then {
            scene.commit(person(number).of(C)).await;
        }
        let waited = begun.elapsed();
        assert!(took.contains(&waited), "{count} in batches of {batch_entries_max}, then {then}: {waited:?}");
    }
}

trait InBatch {
    fn bytes_in_batch(&self) -> usize;
}

impl InBatch for Proposal {
    fn bytes_in_batch(&self) -> usize {
        Self::bytes(self)
    }
}

#[tokio::test]
async fn a_full_line_makes_its_own_system_wait_and_no_other() {
    for (count, expected) in [(3, 3), (4, 3)] {
        let scene = Scene::with(Bounds { queue_per_system_max: 3, ..Bounds::default() }, |_| {}).await;
        let held = scene.hold().await;
        let own = calls(&scene, B, count);
        let others = calls(&scene, C, 1);
        // Closing answers those that found no place, and commits those that did.
        let mut drain = Box::pin(scene.sequencer.drain());
        assert!((&mut drain).now_or_never().is_none());
        scene.let_go();
        drop(held);
        drain.await;
        assert_eq!(count_committed(own).await, expected);
        assert_eq!(count_committed(others).await, 1);
    }
}

#[tokio::test]
async fn the_whole_queue_is_bounded_too() {
    for (count, expected) in [(2, 4), (3, 4)] {
        let bounds = Bounds { queue_per_system_max: 3, queue_max: 4, ..Bounds::default() };
        let scene = Scene::with(bounds, |_| {}).await;
        let held = scene.hold().await;
        let mut waiting = calls(&scene, B, 2);
        waiting.extend(calls(&scene, C, count));
        let mut drain = Box::pin(scene.sequencer.drain());
        assert!((&mut drain).now_or_never().is_none());
        scene.let_go();
        drop(held);
        drain.await;
        assert_eq!(count_committed(waiting).await, expected);
    }
}

#[tokio::test]
async fn who_waited_for_a_place_gets_one_when_the_writer_goes_on() {
    let scene = Scene::with(Bounds { queue_per_system_max: 2, queue_max: 3, ..Bounds::default() }, |_| {}).await;
    let held = scene.hold().await;
    let mut waiting = calls(&scene, B, 20);
    waiting.extend(calls(&scene, C, 20));
    scene.let_go();
    drop(held);
    let done = futures_util::future::join_all(waiting).await;
    assert!(done.iter().all(Result::is_ok));
    assert_eq!(scene.size().await, 41);
}

#[tokio::test]
async fn what_waits_when_the_hub_stops_is_committed_and_nothing_after_it_is_taken() {
    let scene = Scene::new().await;
    let held = scene.hold().await;
    let waiting = calls(&scene, B, 5);
    let mut drain = Box::pin(scene.sequencer.drain());
    assert!((&mut drain).now_or_never().is_none(), "it has not drained while something waits");
    let late = scene.sequencer.propose(person(99)).await;
    assert!(matches!(late, Err(SequencerError::Stopping)));
    scene.let_go();
    drop(held);
    drain.await;
    assert_eq!(*scene.sequencer.condition().borrow(), Condition::Stopped);
    assert_eq!(count_committed(waiting).await, 5);
    assert_eq!(scene.size().await, 6);
    scene.sequencer.drain().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_back_what_it_proposed() {
    let scene = Scene::with(Bounds { queue_per_system_max: 1, ..Bounds::default() }, |_| {}).await;
    let held = scene.hold().await;
    let in_the_queue = scene.call(person(1).of(B));
    let without_a_place = scene.call(person(2).of(B));
    drop((in_the_queue, without_a_place));
    scene.let_go();
    drop(held);
    let (index, _) = scene.commit(person(3).of(B)).await;
    assert_eq!(index, 2, "the one in the queue was committed, the one without a place was not");
}
