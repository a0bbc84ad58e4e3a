//! Deliveries: due, claimed, ended, dead, replayed; and what is pending.

use super::scene::{BENEFIT, NOON, Scene, TAX, entry, transfer};
use crate::{
    domain::{
        agency::AgencyKey,
        time::Moment,
        transfer::DeliveryState::{self, Acknowledged, Cancelled, Claimed, DeadLettered, Due, Rejected},
    },
    store::{DeadLetter, Store, StoreError},
};

type Step = fn(super::scene::Builder) -> super::scene::Builder;

async fn states(scene: &Scene, indices: &[u64]) -> Vec<Option<DeliveryState>> {
    let mut states = Vec::new();
    for index in indices {
        states.push(scene.store().delivery(*index).await.unwrap().map(|delivery| delivery.state));
    }
    states
}

async fn pending(scene: &Scene, recipient: AgencyKey, from: u64, limit: usize) -> (Vec<u64>, u64, u64) {
    let pending = scene.store().pending(recipient, from, limit).await.unwrap();
    for item in &pending.items {
        let expected = entry(item.entry.index, &[1], Some(recipient));
        assert_eq!((&item.entry.trail, &item.payload), (&expected.trail, &expected.payload));
        assert_eq!(item.entry.routing, expected.routing);
    }
    (pending.items.iter().map(|item| item.entry.index).collect(), pending.next, pending.horizon)
}

/// Ten entries: the even ones go to tax, 1, 5 and 9 to benefit, 3 and 7 to nobody.
async fn ten() -> Scene {
    let scene = Scene::new();
    let to = |index: u64| match index {
        index if index.is_multiple_of(2) => Some(TAX),
        3 | 7 => None,
        _ => Some(BENEFIT),
    };
    for first in [0, 4, 7] {
        let upto = [4, 7, 10].into_iter().find(|end| *end > first).unwrap();
        scene.commit(|c| (first..upto).fold(c, |c, index| c.entry(&[1], to(index)))).await.unwrap();
    }
    scene
}

#[tokio::test]
async fn what_is_due_is_pending_in_order_page_by_page() {
    let mut scene = ten().await;
    for _ in 0..2 {
        assert_eq!(pending(&scene, TAX, 0, 100).await, (vec![0, 2, 4, 6, 8], 10, 0));
        assert_eq!(pending(&scene, BENEFIT, 2, 100).await, (vec![5, 9], 10, 0));
        assert_eq!(pending(&scene, TAX, 0, 2).await, (vec![0, 2], 3, 0));
        assert_eq!(pending(&scene, TAX, 3, 2).await, (vec![4, 6], 7, 0));
        assert_eq!(pending(&scene, TAX, 7, 2).await, (vec![8], 10, 0));
        assert_eq!(pending(&scene, TAX, 10, 2).await, (vec![], 10, 0));
        assert_eq!(pending(&scene, AgencyKey(99), 0, 2).await, (vec![], 10, 0));
        assert_eq!(states(&scene, &[0, 1, 3, 10]).await, [Some(Due), Some(Due), None, None]);
        scene.reopen();
    }
}

#[tokio::test]
async fn a_claim_covers_what_is_due_below_its_horizon_and_nothing_else() {
    let mut scene = ten().await;
    scene.commit(|c| c.settle(TAX, 2, Cancelled)).await.unwrap();
    scene.commit(|c| c.claim(TAX, 5).claim(TAX, 3)).await.unwrap();
    for _ in 0..2 {
        let expected = [Some(Claimed), Some(Due), Some(Cancelled), Some(Claimed), Some(Due)];
        assert_eq!(states(&scene, &[0, 1, 2, 4, 6]).await, expected);
        assert_eq!(pending(&scene, TAX, 0, 100).await, (vec![0, 4, 6, 8], 10, 5));
        scene.reopen();
    }
    // With a commit's own entries, but not beyond them.
    let beyond = scene.commit(|c| c.entry(&[1], Some(TAX)).claim(TAX, 12)).await;
    assert!(matches!(beyond, Err(StoreError::Invalid(_))));
    scene.commit(|c| c.entry(&[1], Some(TAX)).claim(TAX, 11)).await.unwrap();
    assert_eq!(states(&scene, &[6, 8, 10]).await, [Some(Claimed); 3]);
}

#[tokio::test]
async fn every_end_stays_known() {
    let mut scene = ten().await;
    scene.commit(|c| c.claim(TAX, 9)).await.unwrap();
    scene.commit(|c| c.settle(TAX, 0, Acknowledged).settle(TAX, 2, Rejected)).await.unwrap();
    scene.commit(|c| c.settle(TAX, 4, DeadLettered).settle(TAX, 6, Cancelled)).await.unwrap();
    scene.commit(|c| c.settle(BENEFIT, 1, Acknowledged).settle(BENEFIT, 5, Cancelled)).await.unwrap();
    scene.commit(|c| c.claim(BENEFIT, 10)).await.unwrap();
    for _ in 0..2 {
        let ends = [Acknowledged, Rejected, DeadLettered, Cancelled, Claimed].map(Some);
        assert_eq!(states(&scene, &[0, 2, 4, 6, 8]).await, ends);
        assert_eq!(states(&scene, &[1, 5, 9]).await, [Acknowledged, Cancelled, Claimed].map(Some));
        assert_eq!(pending(&scene, TAX, 0, 9).await.0, [8]);
        assert_eq!(pending(&scene, BENEFIT, 0, 9).await.0, [9]);
        scene.reopen();
    }
}

#[tokio::test]
async fn what_was_received_stays_acknowledged_and_other_ends_can_still_change() {
    let mut scene = ten().await;
    scene.commit(|c| c.claim(TAX, 10).settle(TAX, 0, Cancelled).settle(TAX, 2, Acknowledged)).await.unwrap();
    scene.commit(|c| c.settle(TAX, 0, Acknowledged).settle(TAX, 2, Cancelled)).await.unwrap();
    scene.commit(|c| c.settle(TAX, 0, Rejected).settle(TAX, 4, DeadLettered).settle(TAX, 4, Cancelled)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(states(&scene, &[0, 2, 4]).await, [Acknowledged, Acknowledged, Cancelled].map(Some));
        assert_eq!(scene.store().dead_letters(TAX, 0, 9).await.unwrap(), []);
        scene.reopen();
    }
}

#[tokio::test]
async fn a_replayed_dead_letter_is_due_until_the_next_claim_and_then_claimed() {
    let mut scene = ten().await;
    scene.commit(|c| c.claim(TAX, 7).settle(TAX, 4, DeadLettered).settle(TAX, 8, DeadLettered)).await.unwrap();
    let since = Moment(NOON.0 + 3000);
    let letter = |index| DeadLetter { index, id: transfer(index), attempts: 3, since };
    assert_eq!(scene.store().dead_letters(TAX, 0, 9).await.unwrap(), [letter(4), letter(8)]);
    assert_eq!(scene.store().dead_letters(TAX, 5, 9).await.unwrap(), [letter(8)]);
    assert_eq!(scene.store().dead_letters(TAX, 0, 1).await.unwrap(), [letter(4)]);
    scene.commit(|c| c.replay(TAX, 4).replay(TAX, 8)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(states(&scene, &[4, 6, 8]).await, [Due, Claimed, Due].map(Some));
        let items = scene.store().pending(TAX, 3, 9).await.unwrap().items;
        let replayed: Vec<_> = items.iter().map(|item| (item.entry.index, item.replayed)).collect();
        assert_eq!(replayed, [(4, true), (6, false), (8, true)]);
        assert_eq!(scene.store().dead_letters(TAX, 0, 9).await.unwrap(), []);
        scene.reopen();
    }
    scene.commit(|c| c.claim(TAX, 7)).await.unwrap();
    assert_eq!(states(&scene, &[4, 8]).await, [Claimed, Due].map(Some));
    scene.commit(|c| c.claim(TAX, 10).settle(TAX, 4, DeadLettered).settle(TAX, 8, Acknowledged)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(states(&scene, &[4, 8]).await, [DeadLettered, Acknowledged].map(Some));
        assert_eq!(scene.store().dead_letters(TAX, 0, 9).await.unwrap().len(), 1);
        scene.reopen();
    }
}

#[tokio::test]
async fn steps_that_make_no_sense_are_refused_whole() {
    let scene = ten().await;
    scene.commit(|c| c.claim(TAX, 10).settle(TAX, 0, Rejected)).await.unwrap();
    let steps: [(&str, Step); 6] = [
        ("another's delivery", |c| c.settle(BENEFIT, 2, Acknowledged)),
        ("no delivery", |c| c.settle(TAX, 3, Acknowledged)),
        ("beyond the head", |c| c.settle(TAX, 99, Acknowledged)),
        ("no end", |c| c.settle(TAX, 2, Claimed)),
        ("not dead", |c| c.replay(TAX, 0)),
        ("replayed twice", |c| c.settle(TAX, 2, DeadLettered).replay(TAX, 2).replay(TAX, 2)),
    ];
    for (name, step) in steps {
        let result = scene.commit(|c| step(c.settle(TAX, 4, Acknowledged))).await;
        assert!(matches!(result, Err(StoreError::Invalid(_))), "{name}: {result:?}");
    }
    assert_eq!(states(&scene, &[0, 2, 4]).await, [Rejected, Claimed, Claimed].map(Some));
}
