//! What is not answered comes again: after a time-out, a lost link, "try again", a restart.

use std::{sync::Arc, time::Duration};

use super::scene::{Scene, WITHIN, limits};
use crate::{
    drivers::{OrderRule, Outcome},
    relay::Backoff,
};

#[tokio::test(start_paused = true)]
async fn an_unanswered_delivery_comes_again_after_its_time_and_a_rest_that_doubles() {
    let scene = Scene::new();
    let mut driver = scene.connect(1);
    scene.hub.commit(&[7]);
    assert_eq!(driver.get().await, [(0, 1)]);
    let (index, attempt, waited) = driver.wait().await;
    assert_eq!((index, attempt), (0, 2));
    // The shortest rest is half of the first wait, 2 s; `get` had already waited a millisecond.
    assert!(waited + Duration::from_millis(2) >= WITHIN + Duration::from_secs(1), "{waited:?}");
    assert!(waited < WITHIN + Duration::from_secs(2), "{waited:?}");
    let (_, attempt, waited) = driver.wait().await;
    assert_eq!(attempt, 3);
    assert!(waited + Duration::from_millis(2) >= WITHIN + Duration::from_secs(2), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn try_again_counts_as_an_attempt() {
    let scene = Scene::new();
    let mut driver = scene.connect(1);
    scene.hub.commit(&[7]);
    assert_eq!(driver.get().await, [(0, 1)]);
    driver.say(&[0], Outcome::Failed).await;
    let (_, attempt, waited) = driver.wait().await;
    assert_eq!(attempt, 2);
    assert!(waited >= Duration::from_millis(999) && waited <= Duration::from_secs(2), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_link_had_out_comes_again_on_another() {
    let scene = Scene::new();
    let (mut one, mut two) = (scene.connect(10), scene.connect(10));
    scene.quiet().await;
    scene.hub.commit(&[1, 2]);
    let (lost, kept) = (one.get().await, two.get().await);
    assert_eq!((lost.len(), kept.len()), (1, 1));
    drop(one);
    let (index, attempt, _) = two.wait().await;
    assert_eq!((index, attempt), (lost[0].0, 2));
    two.acknowledge(&[lost[0].0, kept[0].0]).await;
    scene.quiet().await;
    assert_eq!(scene.hub.recorded().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_through_no_fault_of_what_it_had_out_costs_no_attempt() {
    let scene = Scene::new();
    scene.hub.commit(&[7, 7]);
    for _ in 0..=limits().attempts_max {
        let mut driver = scene.connect_as("one", 2, OrderRule::Pipelined);
        assert_eq!(driver.get().await, [(0, 1), (1, 1)], "at once, and in order");
        driver.port.spare();
    }
    let mut driver = scene.connect(1);
    assert_eq!(driver.get().await, [(0, 1)]);
    driver.acknowledge(&[0]).await;
    assert_eq!(driver.get().await, [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_had_not_left_when_its_link_was_lost_costs_no_attempt() {
    let scene = Scene::new();
    scene.hub.commit(&(0..200).collect::<Vec<u64>>());
    let mut taken = Vec::new();
    for _ in 0..limits().attempts_max {
        let mut driver = scene.connect(200);
        let batch = driver.port.next().await.unwrap();
        taken.push(batch.iter().map(|one| one.content.index).collect::<Vec<_>>());
        // The others wait in the port.
        scene.quiet().await;
        drop(driver);
        tokio::time::sleep(limits().backoff.longest).await;
    }
    taken.dedup();
    let [taken] = &taken[..] else { panic!("the lowest batch was taken each time, not {taken:?}") };
    let ended: Vec<u64> = scene.hub.recorded().iter().map(|end| end.index).collect();
    assert_eq!(&ended, taken, "what was handed over in vain is given up, and nothing beyond it");
    let rest: Vec<(u64, u32)> = (taken.len() as u64..200).map(|index| (index, 1)).collect();
    assert_eq!(scene.connect(200).get().await, rest);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_about_does_not_leave_and_costs_no_attempt() {
    let scene = Scene::new();
    scene.hub.commit(&[1, 2]);
    for _ in 0..=limits().attempts_max {
        let mut driver = scene.connect(2);
        scene.quiet().await;
        scene.hub.set_unread(true);
        assert!(driver.port.next().await.is_none(), "the link is closed");
        scene.hub.set_unread(false);
    }
    assert_eq!(scene.connect(2).get().await, [(0, 1), (1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_an_earlier_attempt_does_not_disturb_the_one_that_is_out() {
    let scene = Scene::new();
    let (mut one, two) = (scene.connect(1), scene.connect(1));
    scene.quiet().await;
    scene.hub.commit(&[7]);
    let (mut first, mut second) = if one.get().await.is_empty() { (two, one) } else { (one, two) };
    // Whoever has it has taken it.
    first.get().await;
    let late = first.reporter.clone();
    drop(first.port);
    assert_eq!(second.wait().await.1, 2);
    first = super::scene::Driver { port: scene.connect(1).port, reporter: late };
    first.say(&[0], Outcome::Failed).await;
    scene.quiet().await;
    second.acknowledge(&[0]).await;
    scene.quiet().await;
    assert_eq!(scene.hub.recorded().len(), 1);
    assert_eq!(second.get().await, []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_while_no_link_is_connected() {
    let scene = Scene::new();
    let mut driver = scene.connect(1);
    scene.hub.commit(&[7]);
    assert_eq!(driver.get().await, [(0, 1)]);
    drop(driver);
    tokio::time::sleep(Duration::from_hours(24)).await;
    assert_eq!(scene.connect(1).get().await, [(0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_and_not_ended_comes_again_after_a_restart() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[1, 2, 3]);
    assert_eq!(driver.get().await.len(), 3);
    driver.acknowledge(&[1]).await;
    scene.quiet().await;
    scene.registry.drain().await;
    assert!(driver.port.next().await.is_none(), "draining closes the link");

    let scene = Scene::over(Arc::clone(&scene.hub), limits());
    scene.registry.resume().await.unwrap();
    assert_eq!(scene.connect(10).get().await, [(0, 1), (2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn answers_that_came_before_the_hub_stopped_are_recorded() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[1, 2]);
    assert_eq!(driver.get().await.len(), 2);
    driver.acknowledge(&[0, 1]).await;
    scene.registry.drain().await;
    assert_eq!(scene.hub.recorded().len(), 2);
    assert!(scene.registry.connect(&super::hub::recipient(), &super::ending::terms()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_cannot_write_for_a_while_loses_nothing_and_writes_nothing_twice() {
    let scene = Scene::new();
    let mut driver = scene.connect(10);
    scene.hub.commit(&[1, 2]);
    assert_eq!(driver.get().await.len(), 2);
    scene.hub.set_broken(true);
    driver.acknowledge(&[0, 1]).await;
    scene.hub.commit(&[3]);
    scene.quiet().await;
    driver.acknowledge(&[0, 1]).await;
    scene.quiet().await;
    assert_eq!((scene.hub.recorded().len(), driver.get().await.len()), (0, 0));
    scene.hub.set_broken(false);
    assert_eq!(driver.wait().await.0, 2);
    scene.quiet().await;
    assert_eq!(scene.hub.recorded().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_bounds_all_others() {
    let backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(3) };
    let scene = Scene::with(crate::relay::RelayLimits { attempts_max: 20, backoff, ..limits() });
    let mut driver = scene.connect(1);
    scene.hub.commit(&[7]);
    for attempt in 1..20 {
        let (_, got, waited) = driver.wait().await;
        assert_eq!(got, attempt);
        assert!(waited <= Duration::from_secs(3), "{waited:?}");
        driver.say(&[0], Outcome::Failed).await;
    }
}
