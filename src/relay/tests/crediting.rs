//! No more is out, and no more is claimed, than the links can take.

use super::scene::{Scene, WITHIN, limits};
use crate::{domain::transfer::DeliveryState, drivers::Outcome, relay::RelayLimits};

#[tokio::test(start_paused = true)]
async fn the_last_place_is_used_and_not_one_more() {
    let scene = Scene::new();
    scene.hub.commit(&[1, 2, 3, 4]);
    let mut driver = scene.connect(3);
    assert_eq!(driver.get().await, [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(scene.hub.claims(), [3], "the fourth can still be cancelled");
    assert_eq!(scene.hub.state_of(3), DeliveryState::Due);
    driver.acknowledge(&[1]).await;
    assert_eq!(driver.get().await, [(3, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_resting_delivery_takes_no_place() {
    let scene = Scene::new();
    scene.hub.commit(&[1, 2]);
    let mut driver = scene.connect(1);
    assert_eq!(driver.get().await, [(0, 1)]);
    driver.say(&[0], Outcome::Failed).await;
    assert_eq!(driver.get().await, [(1, 1)], "another passes");
    tokio::time::sleep(WITHIN / 2).await;
    assert_eq!(driver.get().await, [], "when it has rested it waits for a place");
    driver.acknowledge(&[1]).await;
    assert_eq!(driver.get().await, [(0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn every_place_is_used_however_many_wait() {
    let scene = Scene::new();
    let orders: Vec<u64> = (0..5000).collect();
    scene.hub.commit(&orders);
    let mut driver = scene.connect(4096);
    let mut out = 0;
    loop {
        match driver.get().await.len() {
            0 => break,
            more => out += more,
        }
    }
    assert_eq!(out, 4096);
    assert_eq!(scene.hub.claims().last(), Some(&4096));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_takes_nothing_is_given_little() {
    let scene = Scene::new();
    let orders: Vec<u64> = (0..5000).collect();
    scene.hub.commit(&orders);
    let _idle = scene.connect(4096);
    scene.quiet().await;
    let claimed = scene.hub.claims().last().copied().unwrap_or_default();
    assert!(claimed <= 1024, "{claimed} were claimed for a driver that takes none");
}

#[tokio::test(start_paused = true)]
async fn one_subject_with_many_revisions_fills_no_more_than_the_book() {
    let scene = Scene::with(RelayLimits { held_max: 8, ..limits() });
    scene.hub.commit(&[7; 20]);
    let mut driver = scene.connect(100);
    assert_eq!(driver.get().await, [(0, 1)]);
    assert_eq!(scene.hub.claims(), [8]);
    for index in 0..19 {
        driver.acknowledge(&[index]).await;
        assert_eq!(driver.get().await, [(index + 1, 1)]);
    }
}
