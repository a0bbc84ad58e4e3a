//! How much waits for a commit, how much is in one, and when none is made: each bound set in the configuration, and what
//! the hub does just within it and just beyond.
//!
//! A commit is held up by taking the store's lock, as another writer would; what is on its way then waits in the queue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use waybill::{
    config::Limits,
    domain::time::Clock as _,
    sequencer::{Condition, Proposal},
    store::{Guard, Store as _},
};
use waybill_proto::v1;

use crate::{crash::scene::until, scene::Scene};

/// From so many calls in a commit on, the next one waits for as many.
const COMPANY: usize = 8;

async fn with_limits(limits: Limits) -> Arc<Scene> {
    Arc::new(Scene::with_limits(limits).await)
}

/// Holds up every commit until it is dropped. One that says nothing is in the writer's hand already.
async fn hold(scene: &Scene) -> Box<dyn Guard + '_> {
    let guard = scene.core().store.lock_head(&[], &[]).await.unwrap();
    let sequencer = &scene.core().sequencer;
    let nothing = sequencer.propose(Proposal::default()).now_or_never();
    assert!(nothing.is_none(), "it is held up");
    waiting(scene, 0).await;
    guard
}

async fn waiting(scene: &Scene, count: usize) {
    until(&format!("{count} wait for a commit"), async || scene.core().sequencer.waiting() == count).await;
}

/// A move of that citizen, two entries: the checkpoint that it was recorded under.
fn push(scene: &Arc<Scene>, citizen: usize) -> JoinHandle<Result<String, Status>> {
    let scene = Arc::clone(scene);
    tokio::spawn(async move {
        let outcome = scene.push(scene.record(citizen, "identity/address")).await?;
        Ok(outcome.recipients[0].receipt.as_ref().unwrap().checkpoint.clone())
    })
}

/// A consent of that citizen, with evidence of so many bytes: its receipt.
fn grant(scene: &Arc<Scene>, citizen: usize, bytes: usize) -> JoinHandle<Result<v1::Receipt, Status>> {
    let scene = Arc::clone(scene);
    tokio::spawn(async move {
        let content = vec![b'x'; bytes].into();
        let evidence = Some(v1::grant_request::Evidence { media_type: "text/plain".into(), content });
        let grant = v1::GrantRequest { evidence, ..scene.grant(citizen, "identity-contact-to-benefit") };
        Ok(scene.consents("benefit/portal").await.grant(grant).await?.into_inner().receipt.unwrap())
    })
}

/// How many were recorded; the others were told that the hub cannot.
async fn recorded<T>(calls: Vec<JoinHandle<Result<T, Status>>>) -> usize {
    let mut count = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => count += 1,
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
    }
    count
}

/// The hub takes nothing more and commits what has a place in the queue: what has none is told so.
async fn close(scene: &Scene, held: Box<dyn Guard + '_>) {
    let mut drained = Box::pin(scene.core().sequencer.drain());
    assert!((&mut drained).now_or_never().is_none());
    drop(held);
    drained.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_decisions_of_one_system_wait_as_the_limit_says_and_others_are_not_held_up() {
    for (calls, taken) in [(3, 3), (4, 3)] {
        let scene = with_limits(Limits { queue_per_system_max: 3, ..Limits::default() }).await;
        let held = hold(&scene).await;
        let pushes = (0..calls).map(|citizen| push(&scene, citizen)).collect();
        waiting(&scene, taken).await;
        let other = grant(&scene, 9, 1);
        waiting(&scene, taken + 1).await;
        close(&scene, held).await;
        assert_eq!((recorded(pushes).await, recorded(vec![other]).await), (taken, 1), "of {calls}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_decisions_of_all_systems_wait_as_the_limit_says() {
    for (calls, taken) in [(1, 1), (2, 1)] {
        let limits = Limits { queue_per_system_max: 3, queue_total_max: 4, ..Limits::default() };
        let scene = with_limits(limits).await;
        let held = hold(&scene).await;
        let pushes = (0..3).map(|citizen| push(&scene, citizen)).collect();
        waiting(&scene, 3).await;
        let grants = (10..10 + calls).map(|citizen| grant(&scene, citizen, 1)).collect();
        waiting(&scene, 4).await;
        close(&scene, held).await;
        assert_eq!((recorded(pushes).await, recorded(grants).await), (3, taken), "{calls} beside three");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_entries_are_in_one_commit_as_the_limit_says() {
    for (batch_entries_max, together) in [(4, true), (3, false)] {
        let scene = with_limits(Limits { batch_entries_max, ..Limits::default() }).await;
        let held = hold(&scene).await;
        let (one, other) = (push(&scene, 0), push(&scene, 1));
        waiting(&scene, 2).await;
        drop(held);
        let [one, other] = [one, other].map(async |call| call.await.unwrap().unwrap());
        assert_eq!(one.await == other.await, together, "four entries, {batch_entries_max} at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_bytes_are_in_one_commit_as_the_limit_says_and_one_decision_may_have_more() {
    const MAX: usize = 65_536;
    let scene = with_limits(Limits { batch_bytes_max: MAX, ..Limits::default() }).await;
    // What counts beside the evidence: what sealing adds, the trail, and 640 bytes for the rest.
    let index = grant(&scene, 0, 1_000).await.unwrap().unwrap().index;
    let trail = scene.core().store.entries(index, 1).await.unwrap()[0].trail.len();
    let sealed = scene.core().store.payload(index).await.unwrap().unwrap().len();
    let fits = MAX / 2 - (sealed - 1_000 + trail + 640);
    for (first, bytes, together) in [(1, fits, true), (3, fits + 1, false)] {
        let held = hold(&scene).await;
        let (one, other) = (grant(&scene, first, bytes), grant(&scene, first + 1, bytes));
        waiting(&scene, 2).await;
        drop(held);
        let [one, other] = [one, other].map(async |call| call.await.unwrap().unwrap().checkpoint);
        assert_eq!(one.await == other.await, together, "twice {bytes} bytes of evidence");
    }
    grant(&scene, 5, MAX).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_commit_of_many_the_next_is_made_no_sooner_than_the_limit_says() {
    // How long is waited, and how long nobody takes who does not wait.
    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_mins(10);
    for (batch_wait_ms_max, company, took) in [(SHORT, COMPANY, SHORT..LONG), (LONG, COMPANY - 1, Duration::ZERO..LONG)]
    {
        let scene = with_limits(Limits { batch_wait_ms_max, ..Limits::default() }).await;
        let held = hold(&scene).await;
        let many = (0..company).map(|citizen| push(&scene, citizen)).collect();
        waiting(&scene, company).await;
        let begun = Instant::now();
        drop(held);
        assert_eq!(recorded(many).await, company);
        push(&scene, company).await.unwrap().unwrap();
        let waited = begun.elapsed();
        assert!(took.contains(&waited), "{company} calls, then one; {batch_wait_ms_max:?}: {waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_recorded_while_the_clock_is_further_off_than_the_limits_say() {
    let (behind, jump, ms) = (Duration::from_secs(2), Duration::from_secs(20), Duration::from_millis(1));
    let limits = Limits { clock_behind_ms_max: behind, clock_jump_s_max: jump, ..Limits::default() };
    let scene = with_limits(limits).await;
    let begun = scene.clock.now();
    let mut citizens = 0..;
    let mut taken = async |moment| {
        scene.clock.set(moment);
        let size = scene.size();
        match push(&scene, citizens.next().unwrap()).await.unwrap() {
            Ok(_) => {
                assert!(scene.core().sequencer.time().is_ok(), "and what has had its time goes");
                true
            }
            Err(status) => {
                assert!(scene.core().sequencer.time().is_err(), "nor is anything destroyed by this clock");
                assert_eq!((status.code(), scene.size()), (Code::Unavailable, size), "{status:?}");
                let mut condition = scene.core().sequencer.condition();
                condition.wait_for(|now| matches!(now, Condition::Waiting(_))).await.unwrap();
                false
            }
        }
    };
    let ahead = begun.after(jump);
    assert!(taken(ahead).await, "as far ahead as may be");
    assert!(!taken(ahead.after(ms)).await, "a moment further");
    // The newest entry has that time, in whole seconds.
    let newest = waybill::domain::time::Moment::from_secs(ahead.as_secs());
    assert!(taken(newest.before(behind)).await, "as far behind as may be");
    assert!(!taken(newest.before(behind + ms)).await, "a moment further");
    assert!(taken(newest).await, "put right again");
    scene.clock.set(begun.after(jump));
    scene.clock.advance(Duration::from_hours(5));
    assert!(taken(scene.clock.now()).await, "time that has passed is no jump");
}
