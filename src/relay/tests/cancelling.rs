//! A withdrawal: what it cancels is never sent (again), and a late answer to it is still recorded.

use super::scene::{Scene, WITHIN};
use crate::{domain::transfer::DeliveryState, drivers::Outcome};

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_after_its_claim_and_before_it_leaves_does_not_leave() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7, 7]);
    // The driver has not asked for anything yet: the first is claimed, opened and waits in the port.
    scene.quiet().await;
    assert_eq!(scene.hub.state_of(0), DeliveryState::Claimed);
    scene.hub.cancel(0);
    assert_eq!(driver.get().await, [(1, 1)], "its successor passes");
    assert_eq!(scene.hub.recorded(), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_it_is_out_is_never_sent_again() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7, 7]);
    assert_eq!(driver.get().await, [(0, 1)]);
    scene.hub.cancel(0);
    driver.say(&[0], Outcome::Failed).await;
    assert_eq!(driver.wait().await.0, 1);
    driver.acknowledge(&[1]).await;
    tokio::time::sleep(WITHIN * 10).await;
    assert_eq!(driver.get().await, []);
    assert_eq!(scene.hub.state_of(0), DeliveryState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_what_may_have_been_received_is_recorded() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7, 8]);
    assert_eq!(driver.get().await, [(0, 1), (1, 1)]);
    scene.hub.cancel(0);
    scene.hub.cancel(1);
    driver.acknowledge(&[0]).await;
    scene.quiet().await;
    assert_eq!(scene.hub.state_of(0), DeliveryState::Acknowledged);
    // The other one has left the relay's memory when its answer comes.
    driver.say(&[1], Outcome::Failed).await;
    tokio::time::sleep(WITHIN).await;
    driver.acknowledge(&[1]).await;
    scene.quiet().await;
    assert_eq!(scene.hub.state_of(1), DeliveryState::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_is_not_given_up_so_that_nobody_can_replay_it() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7]);
    for _ in 0..2 {
        driver.wait().await;
        driver.say(&[0], Outcome::Failed).await;
    }
    driver.wait().await;
    scene.hub.cancel(0);
    driver.say(&[0], Outcome::Failed).await;
    scene.quiet().await;
    assert_eq!(scene.hub.state_of(0), DeliveryState::Cancelled);
    assert_eq!(scene.hub.recorded(), []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_for_a_recipient_that_is_not_connected() {
    let scene = Scene::new();
    scene.hub.commit(&[7]);
    scene.registry.resume().await.unwrap();
    tokio::time::sleep(WITHIN).await;
    assert_eq!(scene.hub.state_of(0), DeliveryState::Due);
}
