//! Deliveries of one subject go one after the other; others pass.

use super::scene::Scene;
use crate::drivers::{OrderRule, Outcome};

#[tokio::test(start_paused = true)]
async fn one_of_each_subject_is_out_and_the_next_follows_its_answer() {
    let scene = Scene::new();
    let mut driver = scene.connect(100);
    scene.hub.commit(&[7, 7, 8, 7, 9]);
    assert_eq!(driver.get().await, [(0, 1), (2, 1), (4, 1)]);
    driver.acknowledge(&[0]).await;
    assert_eq!(driver.get().await, [(1, 1)]);
    driver.say(&[1], Outcome::Rejected).await;
    assert_eq!(driver.get().await, [(3, 1)], "a rejected delivery lets its successor pass");
}

#[tokio::test(start_paused = true)]
async fn a_resting_delivery_holds_back_its_own_subject_only() {
    let scene = Scene::new();
    let mut driver = scene.connect(100);
    scene.hub.commit(&[7, 7]);
    assert_eq!(driver.get().await, [(0, 1)]);
    driver.say(&[0], Outcome::Failed).await;
    scene.hub.commit(&[8]);
    assert_eq!(driver.get().await, [(2, 1)]);
    assert_eq!(driver.wait().await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn two_links_of_one_recipient_never_hold_the_same_subject_at_once() {
    let scene = Scene::new();
    let (mut one, mut two) = (scene.connect(10), scene.connect(10));
    scene.quiet().await;
    scene.hub.commit(&[1, 1, 2, 2, 3, 3, 4, 4]);
    let (of_one, of_two) = (one.get().await, two.get().await);
    assert_eq!((of_one.len(), of_two.len()), (2, 2), "the links share");
    let mut all = [of_one, of_two].concat();
    all.sort_unstable();
    assert_eq!(all, [(0, 1), (2, 1), (4, 1), (6, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_keeps_the_order_itself_gets_all_of_a_subject_in_the_ledgers_order() {
    let scene = Scene::new();
    let mut driver = scene.connect_as("kafka", 100, OrderRule::Pipelined);
    scene.hub.commit(&[7, 7, 8, 7]);
    assert_eq!(driver.get().await, [(0, 1), (1, 1), (2, 1), (3, 1)]);
    drop(driver);
    let mut driver = scene.connect_as("kafka", 100, OrderRule::Pipelined);
    let mut again = Vec::new();
    while again.len() < 4 {
        again.extend(driver.port.next().await.unwrap().into_iter().map(|one| one.content.index));
    }
    let of_seven: Vec<_> = again.into_iter().filter(|index| *index != 2).collect();
    assert_eq!(of_seven, [0, 1, 3], "after a loss it resumes in the ledger's order");
}

#[tokio::test(start_paused = true)]
async fn a_replayed_dead_letter_waits_for_its_successor_that_is_out() {
    let scene = Scene::new();
    let mut driver = scene.connect(100);
    scene.hub.commit(&[7]);
    for _ in 0..3 {
        let (index, ..) = driver.wait().await;
        driver.say(&[index], Outcome::Failed).await;
    }
    scene.hub.commit(&[7]);
    assert_eq!(driver.get().await, [(1, 1)]);
    scene.hub.replay(0);
    assert_eq!(driver.get().await, []);
    driver.acknowledge(&[1]).await;
    assert_eq!(driver.get().await, [(0, 1)]);
}
