//! Each delivery ends once, by an entry: acknowledged, rejected or given up.

use std::sync::Arc;

use super::{
    hub::Recorded,
    scene::{Driver, Scene, WITHIN, limits, system},
};
use crate::{
    desk::Ending,
    domain::transfer::DeliveryState,
    drivers::{LinkTerms, OrderRule, Outcome},
    relay::RelayLimits,
};

pub(super) fn terms() -> LinkTerms {
    LinkTerms { system: system("one"), credit: 1, order: OrderRule::OneUnacknowledged, report_within: WITHIN }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_always_fails_is_given_up_after_exactly_the_bounded_number_of_attempts() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7, 7]);
    for attempt in 1..=3 {
        let (index, got, _) = driver.wait().await;
        assert_eq!((index, got), (0, attempt));
        driver.say(&[0], Outcome::Failed).await;
    }
    assert_eq!(driver.get().await, [(1, 1)], "a dead letter lets its successor pass");
    let dead = Recorded { index: 0, how: Ending::DeadLettered, attempts: 3 };
    assert_eq!(scene.hub.recorded(), [dead]);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_dead_letter_carries_its_old_index_and_counts_from_one() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7]);
    for _ in 0..3 {
        driver.wait().await;
        driver.say(&[0], Outcome::Failed).await;
    }
    scene.hub.commit(&[8]);
    assert_eq!(driver.get().await, [(1, 1)]);
    scene.hub.replay(0);
    let again = driver.get_whole().await;
    assert_eq!((again[0].content.index, again[0].attempt, again[0].content.replayed), (0, 1, true));
    driver.acknowledge(&[0, 1]).await;
    scene.quiet().await;
    assert_eq!(scene.hub.state_of(0), DeliveryState::Acknowledged);
}

/// More dead letters than the channel of replays holds.
const LETTERS: u64 = 20;

async fn dead_letters() -> (Scene, Driver) {
    let scene = Scene::with(RelayLimits { attempts_max: 1, ..limits() });
    let letters: Vec<u64> = (0..LETTERS).collect();
    scene.hub.commit(&letters);
    let mut driver = scene.connect(100);
    assert_eq!(driver.get().await.len(), letters.len());
    driver.say(&letters, Outcome::Failed).await;
    scene.quiet().await;
    scene.hub.hold_claims_up(true);
    scene.hub.commit(&[99]);
    (scene, driver)
}

async fn assert_replayed_while_claiming(scene: &Scene, driver: &mut Driver) {
    scene.quiet().await;
    (0..LETTERS).for_each(|index| scene.hub.replay(index));
    scene.quiet().await;
    scene.hub.hold_claims_up(false);
    let mut got = driver.get().await;
    got.sort_unstable();
    assert_eq!(got, (0..=LETTERS).map(|index| (index, 1)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn replays_that_were_missed_while_something_was_claimed_are_found_all_the_same() {
    let (scene, mut driver) = dead_letters().await;
    assert_replayed_while_claiming(&scene, &mut driver).await;
}

#[tokio::test(start_paused = true)]
async fn replays_that_were_missed_during_the_first_claim_are_found_all_the_same() {
    let (scene, driver) = dead_letters().await;
    drop(driver);
    let scene = Scene::over(Arc::clone(&scene.hub), limits());
    let mut driver = scene.connect(100);
    assert_replayed_while_claiming(&scene, &mut driver).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_answer_writes_nothing() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7]);
    assert_eq!(driver.get().await, [(0, 1)]);
    driver.acknowledge(&[0, 0]).await;
    driver.acknowledge(&[0]).await;
    scene.quiet().await;
    driver.say(&[0], Outcome::Rejected).await;
    driver.say(&[0], Outcome::Failed).await;
    scene.quiet().await;
    let acknowledged = Recorded { index: 0, how: Ending::Acknowledged(system("one")), attempts: 1 };
    assert_eq!(scene.hub.recorded(), [acknowledged]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_while_the_delivery_rests_ends_it() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7]);
    assert_eq!(driver.get().await, [(0, 1)]);
    driver.say(&[0], Outcome::Failed).await;
    scene.quiet().await;
    driver.acknowledge(&[0]).await;
    tokio::time::sleep(WITHIN).await;
    assert_eq!(driver.get().await, []);
    assert_eq!(scene.hub.recorded().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_a_dead_letter_is_recorded() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[7]);
    for _ in 0..3 {
        driver.wait().await;
        driver.say(&[0], Outcome::Failed).await;
    }
    scene.quiet().await;
    driver.acknowledge(&[0]).await;
    scene.quiet().await;
    assert_eq!(scene.hub.state_of(0), DeliveryState::Acknowledged);
    assert_eq!(scene.hub.recorded().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_was_never_sent_writes_nothing() {
    let scene = Scene::new();
    let driver = scene.connect(10);
    driver.acknowledge(&[41]).await;
    scene.quiet().await;
    assert_eq!(scene.hub.recorded(), []);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_whose_keys_are_gone_becomes_a_dead_letter_and_holds_up_nobody() {
    let scene = Scene::new();
    scene.hub.commit(&[7, 7]);
    scene.hub.erase(0);
    let mut driver = scene.connect(10);
    assert_eq!(driver.get().await, [(1, 1)]);
    assert_eq!(scene.hub.recorded(), [Recorded { index: 0, how: Ending::Unopenable, attempts: 0 }]);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_can_never_be_recorded_holds_up_no_other() {
    let scene = Scene::new();
    scene.hub.damage(1);
    scene.hub.commit(&[1, 2, 3, 2]);
    let mut driver = scene.connect(10);
    assert_eq!(driver.get().await, [(0, 1), (1, 1), (2, 1)]);
    driver.acknowledge(&[0, 1, 2]).await;
    assert_eq!(driver.get().await, [(3, 1)], "its successor passes");
    driver.acknowledge(&[1, 3]).await;
    tokio::time::sleep(WITHIN * 10).await;
    let recorded: Vec<u64> = scene.hub.recorded().iter().map(|end| end.index).collect();
    assert_eq!(recorded, [0, 2, 3]);
    assert_eq!(scene.hub.commits_of_ends(), 2, "it is not tried again");
    assert_eq!((scene.hub.state_of(1), driver.get().await), (DeliveryState::Claimed, vec![]));
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_together_are_recorded_in_few_commits() {
    let scene = Scene::new();
    let mut driver = scene.connect(4096);
    let orders: Vec<u64> = (0..1000).collect();
    scene.hub.commit(&orders);
    let mut got = Vec::new();
    while got.len() < 1000 {
        got.extend(driver.get().await.into_iter().map(|(index, _)| index));
    }
    driver.acknowledge(&got).await;
    scene.quiet().await;
    assert_eq!(scene.hub.recorded().len(), 1000);
    assert_eq!(scene.hub.commits_of_ends(), 4, "256 in each");
}
