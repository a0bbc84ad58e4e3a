//! What a batch decides: order, what its proposals see of each other, and which calls are repeats.

use std::{sync::Arc, time::Duration};

use super::scene::{A, B, NOON, Says as _, Scene, TAX, committed, identifier, key, person, sealed, subject};
use crate::{
    domain::{time::Moment, transfer::DeliveryState},
    ledger::{Entry, leaf_hash},
    sequencer::{Condition, Content, Proposal, Recorded, SealedEntry, SequencerError},
    store::{Consumed, DeliveryChange, Expect, Known, PartitionKey, Position, Store},
    vault::{ContentHash, Term},
};

#[tokio::test]
async fn what_waits_is_committed_together_in_the_order_in_which_it_came() {
    let scene = Scene::new().await;
    let held = scene.hold().await;
    let calls: Vec<_> = (0..20).map(|number| scene.call(person(number * 10).entries(1 + number % 3))).collect();
    scene.let_go();
    let (first, alone) = committed(held.await);
    assert_eq!((first, alone.snapshot.size()), (0, 1));

    let mut next = 1;
    let mut commits = Vec::new();
    for (number, call) in (0..).zip(calls) {
        let (first, commit) = committed(call.await);
        assert_eq!(first, next, "its entries follow those of the proposal before it");
        let stored = scene.store.entries(first, 1).await.unwrap().remove(0);
        assert_eq!(stored.routing.terms, [Term(number * 10)]);
        next += 1 + number % 3;
        commits.push(commit);
    }
    assert!(commits.iter().all(|commit| Arc::ptr_eq(commit, &commits[0])), "one sync and one signature serve them all");
    assert_eq!(commits[0].snapshot.size(), next);
    assert!(Arc::ptr_eq(&scene.sequencer.newest(), &commits[0]));
}

fn newcomer(number: u8, whom: u8) -> Expect {
    Expect::Newcomer { identifier: identifier(number), subject: subject(whom) }
}

/// A proposal, and an expectation that it takes away.
fn takes_away() -> Vec<(&'static str, Proposal, Expect)> {
    let facts = |subject, version| Expect::Facts { subject, version };
    let settle = DeliveryChange::Settle { recipient: TAX, index: 0, state: DeliveryState::Acknowledged, attempts: 1 };
    let due = Expect::Delivery { index: 0, state: DeliveryState::Due };
    vec![
        ("facts changed", person(1).facts(subject(1), 2), facts(subject(1), 1)),
        ("identifier linked", person(1).link(subject(2), identifier(2)), newcomer(2, 3)),
        ("term no longer quiet", person(77), Expect::Quiet { term: Term(77), since: 1 }),
        ("delivery ended", Proposal { deliveries: vec![settle], ..person(1) }, due.clone()),
        ("delivery claimed", person(1).claim(1), due),
    ]
}

/// A ledger of one entry, to be delivered, about a person who has facts.
async fn scene_with_a_person() -> Scene {
    let scene = Scene::new().await;
    scene.commit(person(0).delivered().link(subject(1), identifier(1)).facts(subject(1), 1)).await;
    scene
}

#[tokio::test]
async fn what_one_proposal_changes_makes_a_later_one_of_its_batch_stale() {
    for (what, change, expect) in takes_away() {
        let scene = scene_with_a_person().await;
        let held = scene.hold().await;
        let before = scene.call(person(2).expecting(expect.clone()));
        let change = scene.call(change);
        let after = scene.call(person(3).expecting(expect.clone()));
        let other = scene.call(person(4).expecting(newcomer(9, 9)));
        scene.let_go();
        drop(held);

        assert!(committed(before.await).0 < committed(change.await).0, "{what}: it still held for those before");
        assert!(matches!(after.await, Err(SequencerError::Stale)), "{what}");
        committed(other.await);
        assert_eq!(scene.size().await, 5, "{what}: of the stale one nothing is written");
        let late = scene.sequencer.propose(person(5).expecting(expect)).await;
        assert!(matches!(late, Err(SequencerError::Stale)), "{what}: nor does it hold in a later batch");
    }
}

#[tokio::test]
async fn first_records_of_a_newcomer_go_together_unless_they_make_two_people_of_one() {
    let scene = Scene::new().await;
    let held = scene.hold().await;
    let first_record =
        |number, as_whom| person(number).link(subject(as_whom), identifier(1)).expecting(newcomer(1, as_whom));
    let first = scene.call(first_record(1, 1));
    let second = scene.call(first_record(2, 1));
    let another = scene.call(first_record(3, 2));
    scene.let_go();
    drop(held);
    committed(first.await);
    committed(second.await);
    assert!(matches!(another.await, Err(SequencerError::Stale)));
}

#[tokio::test]
async fn a_permission_that_ends_by_itself_holds_only_for_entries_before_its_end() {
    let scene = Scene::new().await;
    let end = Moment(NOON.0 + 10_000);
    scene.commit(person(1).expecting(Expect::Before(end))).await;
    scene.clock.advance(Duration::from_millis(9_999));
    let (_, commit) = scene.commit(person(2).expecting(Expect::Before(end))).await;
    assert_eq!(commit.time, Moment(NOON.0 + 9_000), "entries have whole seconds");
    scene.clock.advance(Duration::from_millis(1));
    let ended = scene.sequencer.propose(person(3).expecting(Expect::Before(end))).await;
    assert!(matches!(ended, Err(SequencerError::Stale)));
}

#[tokio::test]
async fn a_repeat_gets_the_same_entries_and_other_content_under_its_key_is_refused() {
    let scene = Scene::new().await;
    let held = scene.hold().await;
    let call = |number| person(number).entries(2).keyed(key(1), 1);
    let first = scene.call(call(10));
    let repeat = scene.call(call(20));
    let reused = scene.call(person(30).keyed(key(1), 2));
    let others = scene.call(person(40).of(B).keyed(key(1), 2));
    scene.let_go();
    drop(held);

    let expected = Known { content: ContentHash([1; 16]), first: 1, count: 2 };
    assert_eq!(committed(first.await).0, 1);
    assert!(matches!(repeat.await, Ok(Recorded::Repeat(known)) if known == expected), "in the same batch");
    assert!(matches!(reused.await, Err(SequencerError::KeyReused)));
    assert_eq!(committed(others.await).0, 3, "another system's key is another key");
    let scene = scene.restart().await;
    assert_eq!(scene.size().await, 4);

    let late = scene.sequencer.propose(call(50)).await;
    assert!(matches!(late, Ok(Recorded::Repeat(known)) if known == expected), "in a later batch, after a restart");
    let stale = call(60).expecting(Expect::Quiet { term: Term(10), since: 0 });
    let stale = scene.sequencer.propose(stale).await;
    assert!(matches!(stale, Ok(Recorded::Repeat(_))), "a repeat is one, whatever has changed since");
    let reused = scene.sequencer.propose(person(70).keyed(key(1), 2)).await;
    assert!(matches!(reused, Err(SequencerError::KeyReused)));
    assert_eq!(scene.size().await, 4, "and nothing of them is written");
}

#[tokio::test]
async fn a_stale_proposal_leaves_its_key_free() {
    let scene = Scene::new().await;
    scene.commit(person(1)).await;
    let stale = person(2).keyed(key(1), 1).expecting(Expect::Quiet { term: Term(1), since: 0 });
    assert!(matches!(scene.sequencer.propose(stale).await, Err(SequencerError::Stale)));
    assert_eq!(scene.store.known(A, key(1)).await.unwrap(), None);
    assert_eq!(scene.commit(person(2).keyed(key(1), 1)).await.0, 1);
}

#[tokio::test]
async fn steps_of_deliveries_need_no_entry() {
    let scene = scene_with_a_person().await;
    let newest = scene.sequencer.newest();
    let claim = Proposal { system: None, entries: Vec::new(), ..person(0) }.claim(1);
    let (_, commit) = scene.commit(claim).await;
    assert!(Arc::ptr_eq(&newest, &commit), "the ledger is what it was");
    assert_eq!(scene.store.delivery(0).await.unwrap().unwrap().state, DeliveryState::Claimed);
}

#[tokio::test]
async fn a_withdrawal_goes_before_a_claim_of_the_hub_in_the_same_batch() {
    let scene = scene_with_a_person().await;
    let held = scene.hold().await;
    let claim = scene.call(Proposal { system: None, entries: Vec::new(), ..person(0) }.claim(1));
    let settle = DeliveryChange::Settle { recipient: TAX, index: 0, state: DeliveryState::Cancelled, attempts: 0 };
    let due = Expect::Delivery { index: 0, state: DeliveryState::Due };
    let withdrawal = scene.call(Proposal { deliveries: vec![settle], ..person(1) }.expecting(due));
    scene.let_go();
    drop(held);
    committed(withdrawal.await);
    claim.await.unwrap();
    assert_eq!(scene.store.delivery(0).await.unwrap().unwrap().state, DeliveryState::Cancelled);
}

#[tokio::test]
async fn an_entry_is_the_leaf_of_its_content_at_its_commits_time() {
    let scene = Scene::new().await;
    let (first, commit) = scene.commit(person(3)).await;
    let stored = scene.store.entries(first, 1).await.unwrap().remove(0);
    let Ok(Entry::Person { time, digest }) = Entry::decode(&stored.entry) else { panic!("{stored:?}") };
    assert_eq!((time, digest.as_bytes()), (commit.time.as_secs(), &[3; 32]));
    assert_eq!(commit.snapshot.root(), leaf_hash(&stored.entry), "the tree of one leaf");
}

/// Proposals that no caller of the sequencer may make, for a ledger of one entry with a delivery and a person.
fn breaking() -> Vec<(&'static str, Proposal)> {
    let settle = |index, state| DeliveryChange::Settle { recipient: TAX, index, state, attempts: 1 };
    let deliveries = |change| Proposal { deliveries: vec![change], ..person(2) };
    let long = [(1, serde_json::Value::from("x".repeat(70_000)))].into();
    let public = SealedEntry { content: Content::Public(long), ..sealed(2) };
    vec![
        ("facts skip a version", person(2).facts(subject(1), 3)),
        ("facts stay at their version", person(2).facts(subject(1), 1)),
        ("facts come twice", person(2).facts(subject(1), 2).facts(subject(1), 2)),
        ("settled is no delivery", deliveries(settle(9, DeliveryState::Acknowledged))),
        ("settled is no end", deliveries(settle(0, DeliveryState::Claimed))),
        ("claimed is beyond the head", person(2).claim(99)),
        ("replayed is no dead letter", deliveries(DeliveryChange::Replay { recipient: TAX, index: 0 })),
        ("a call has no entry", Proposal { entries: Vec::new(), ..person(2).keyed(key(1), 1) }),
        ("an entry is too long", Proposal { entries: vec![public], ..person(2) }),
    ]
}

#[tokio::test]
async fn a_proposal_that_breaks_the_stores_contract_fails_alone() {
    for (what, bad) in breaking() {
        let scene = scene_with_a_person().await;
        let held = scene.hold().await;
        let before = scene.call(person(1));
        let bad = scene.call(bad);
        let after =
            scene.call(person(3).facts(subject(1), 2).expecting(Expect::Facts { subject: subject(1), version: 1 }));
        scene.let_go();
        committed(held.await);
        let ((first, one), (second, other)) = (committed(before.await), committed(after.await));
        assert!(Arc::ptr_eq(&one, &other) && second == first + 1, "{what}: the rest of its batch is committed");
        let failed = bad.await;
        assert!(matches!(failed, Err(SequencerError::Invalid(_))), "{what}: {failed:?}");
        assert_eq!(scene.commit(person(4)).await.0, second + 1, "{what}: and the sequencer goes on");
        assert_eq!(*scene.sequencer.condition().borrow(), Condition::Serving);
    }
}

#[tokio::test]
async fn two_that_change_one_persons_facts_unseen_do_not_meet_in_a_batch() {
    let scene = scene_with_a_person().await;
    let held = scene.hold().await;
    let one = scene.call(person(1).facts(subject(1), 2));
    let other = scene.call(person(2).facts(subject(1), 2));
    scene.let_go();
    drop(held);
    committed(one.await);
    assert!(matches!(other.await, Err(SequencerError::Invalid(_))));
    scene.commit(person(3)).await;
}

#[tokio::test]
async fn who_had_a_partition_before_writes_nothing_more_in_the_batch_that_takes_it_nor_later() {
    let scene = Scene::new().await;
    let partition = PartitionKey { topic: 1, partition: 0 };
    let at = |epoch, next| Position { epoch, next };
    let consumed = |from, to| Some(Consumed { partition, from, to });
    // (Of one system, so that they keep their order: the hub's own proposals come last.)
    let taken = |from| Proposal { consumed: consumed(at(from, 0), at(from + 1, 0)), ..Proposal::default() }.of(A);
    let first_of = |epoch, number| Proposal { consumed: consumed(at(epoch, 0), at(epoch, 1)), ..person(number) };
    scene.commit(taken(0)).await;
    let held = scene.hold().await;
    // Both were proposed where the partition still stood at its first epoch.
    let taken_anew = scene.call(taken(1));
    let stale = scene.call(first_of(1, 10).keyed(key(1), 1));
    let own = scene.call(first_of(2, 20));
    scene.let_go();
    let (last, _) = committed(held.await);
    committed(taken_anew.await);
    assert!(matches!(stale.await, Err(SequencerError::Moved)));
    let (index, _) = committed(own.await);
    assert_eq!((index, scene.size().await), (last + 1, last + 2), "of the older epoch nothing is written");
    assert_eq!(scene.store.position(partition).await.unwrap(), at(2, 1));
    assert_eq!(scene.store.known(A, key(1)).await.unwrap(), None);

    let late = scene.sequencer.propose(first_of(1, 30)).await;
    assert!(matches!(late, Err(SequencerError::Moved)), "nor in a later batch");
    let twice = scene.sequencer.propose(first_of(2, 40)).await;
    assert!(matches!(twice, Err(SequencerError::Moved)), "nor the same step twice");
    assert_eq!(scene.size().await, last + 2);
}
