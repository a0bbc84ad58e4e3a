//! Lanes: proposals of one caller are committed in the order in which they were pushed, or come back.

use super::scene::{A, Says as _, Scene, committed, person};
use crate::{
    sequencer::{LaneAnswer, LaneAnswers, Proposal, Recorded, SequencerError},
    store::Expect,
    vault::Term,
};

async fn answers(answers: &mut LaneAnswers, count: usize) -> Vec<(u64, LaneAnswer)> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(answers.next().await.unwrap());
    }
    all.sort_by_key(|(number, _)| *number);
    all
}

async fn push(lane: &crate::sequencer::Lane, proposals: Vec<(u64, Proposal)>) {
    let places = lane.places(proposals.len()).await.unwrap();
    lane.push(places, proposals);
}

#[tokio::test]
async fn after_a_stale_proposal_the_later_ones_of_its_lane_come_back_until_it_is_decided_again() {
    let scene = Scene::new().await;
    let (lane, mut told) = scene.sequencer.lane(Some(A));
    let held = scene.hold().await;
    let stale = person(2).expecting(Expect::Quiet { term: Term(u64::MAX), since: 0 });
    push(&lane, vec![(1, person(1)), (2, stale), (3, person(3)), (4, person(4))]).await;
    let beside = scene.call(person(9));
    scene.let_go();
    drop(held);

    let mut found = answers(&mut told, 4).await.into_iter();
    assert!(matches!(found.next(), Some((1, LaneAnswer::Decided(Ok(Recorded::Committed { first: 1, .. }))))));
    assert!(matches!(found.next(), Some((2, LaneAnswer::Decided(Err(SequencerError::Stale))))));
    let returned: Vec<(u64, Proposal)> = found
        .map(|(number, answer)| match answer {
            LaneAnswer::Returned(proposal) => (number, *proposal),
            LaneAnswer::Decided(decided) => panic!("{number} was decided: {decided:?}"),
        })
        .collect();
    assert_eq!(committed(beside.await).0, 2, "whoever is not of the lane goes on");

    lane.resume();
    let mut again = vec![(2, person(2))];
    again.extend(returned);
    push(&lane, again).await;
    let order: Vec<_> = answers(&mut told, 3).await;
    for ((number, answer), expected) in order.into_iter().zip(3..) {
        let LaneAnswer::Decided(decided) = answer else { panic!("{number} came back") };
        assert_eq!(committed(decided).0, expected, "in the order in which they were pushed");
    }
}

#[tokio::test]
async fn every_proposal_of_a_lane_is_answered_when_the_hub_stops() {
    let scene = Scene::new().await;
    let (lane, mut told) = scene.sequencer.lane(Some(A));
    let places = lane.places(3).await.unwrap();
    scene.sequencer.drain().await;
    lane.push(places, (0..3).map(|number| (number, person(number))));
    for (_, answer) in answers(&mut told, 3).await {
        assert!(matches!(answer, LaneAnswer::Decided(Err(SequencerError::Stopping))));
    }
    assert!(matches!(lane.places(1).await, Err(SequencerError::Stopping)));
    drop(lane);
    assert!(told.next().await.is_none());
}
