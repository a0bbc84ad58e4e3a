//! Tests of the queue and of lanes, with a worker that only says what it is told to say.

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use super::super::{
    Bounds, LaneAnswer, Proposal, Recorded, SequencerError,
    lane::{self, Lane, LaneAnswers},
    queue::Queue,
    reply::{Answers, Reply},
};
use crate::{
    domain::time::Moment,
    store::{Expect, Known, SystemKey},
    vault::ContentHash,
};

const A: Option<SystemKey> = Some(SystemKey(1));
const B: Option<SystemKey> = Some(SystemKey(2));
const BOUNDS: Bounds = Bounds {
    batch_entries_max: 512,
    batch_bytes_max: 1000,
    batch_wait_max: Duration::ZERO,
    queue_per_system_max: 4,
    queue_max: 6,
    clock_behind_max: Duration::ZERO,
    clock_jump_max: Duration::ZERO,
};

/// A proposal that can be told from others.
fn proposal(number: u64) -> Proposal {
    Proposal { expects: vec![Expect::Before(Moment(number))], ..Proposal::default() }
}

fn number_of(proposal: &Proposal) -> u64 {
    match proposal.expects.as_slice() {
        [Expect::Before(Moment(number))] => *number,
        other => panic!("{other:?}"),
    }
}

type Answer = oneshot::Receiver<Result<Recorded, SequencerError>>;

async fn push(queue: &Queue, system: Option<SystemKey>, number: u64) -> Answer {
    let (sender, answer) = oneshot::channel();
    let places = queue.places(system, 1).await.unwrap();
    queue.push(places, [(proposal(number), Reply::to_caller(sender))]);
    answer
}

async fn taken(queue: &Queue) -> Vec<u64> {
    queue.take().await.unwrap().iter().map(|waiting| number_of(&waiting.proposal)).collect()
}

#[tokio::test]
async fn systems_take_turns_however_much_one_of_them_has_waiting() {
    let queue = Queue::new(BOUNDS);
    let mut answers = Vec::new();
    for (system, number) in [(A, 1), (A, 2), (A, 3), (B, 11), (B, 12), (None, 21)] {
        answers.push(push(&queue, system, number).await);
    }
    assert_eq!(taken(&queue).await, [1, 11, 21, 2, 12, 3]);
}

#[tokio::test]
async fn a_batch_ends_before_its_bound_and_one_proposal_alone_is_always_taken() {
    let queue = Queue::new(Bounds { batch_bytes_max: 2 * proposal(0).bytes(), ..BOUNDS });
    let mut answers = Vec::new();
    for number in 0..3 {
        answers.push(push(&queue, A, number).await);
    }
    assert_eq!((taken(&queue).await, taken(&queue).await), (vec![0, 1], vec![2]));
    let small = Queue::new(Bounds { batch_bytes_max: 1, ..BOUNDS });
    answers.push(push(&small, A, 7).await);
    assert_eq!(taken(&small).await, [7]);
}

#[tokio::test]
async fn a_full_line_waits_and_holds_up_nobody_else_until_a_batch_is_taken() {
    let queue = Queue::new(BOUNDS);
    let mut answers = Vec::new();
    for number in 0..4 {
        answers.push(push(&queue, A, number).await);
    }
    assert!(queue.places(A, 1).now_or_never().is_none(), "the line is full");
    answers.push(push(&queue, B, 11).await);
    assert_eq!(queue.waiting(), 5);
    assert!(queue.places(B, 2).now_or_never().is_none(), "two more than the queue has places for");
    taken(&queue).await;
    assert_eq!((queue.waiting(), queue.places_max()), (0, 4));
    assert!(queue.places(A, 4).now_or_never().unwrap().is_ok());
    assert!(queue.places(A, 4).now_or_never().unwrap().is_ok(), "places that were not used came back");
}

#[tokio::test]
async fn a_closed_queue_gives_what_waits_takes_nothing_more_and_wakes_whoever_waits_for_a_place() {
    let queue = Queue::new(BOUNDS);
    let places = queue.places(A, 1).await.unwrap();
    let mut answers = Vec::new();
    for number in 0..3 {
        answers.push(push(&queue, A, number).await);
    }
    let mut full = Box::pin(queue.places(A, 1));
    assert!((&mut full).now_or_never().is_none());
    queue.close();
    assert!(matches!(full.await, Err(SequencerError::Stopping)));
    let (sender, late) = oneshot::channel();
    queue.push(places, [(proposal(9), Reply::to_caller(sender))]);
    assert!(matches!(late.await, Ok(Err(SequencerError::Stopping))));
    assert_eq!(taken(&queue).await, [0, 1, 2]);
    assert!(queue.take().await.is_none());
}

#[tokio::test]
async fn an_abandoned_queue_leaves_nobody_waiting_for_an_answer() {
    let queue = Arc::new(Queue::new(BOUNDS));
    let alone = push(&queue, A, 1).await;
    let (lane, mut answers) = lane::open(Arc::clone(&queue), B);
    let places = lane.places(2).await.unwrap();
    lane.push(places, [(7, proposal(7)), (8, proposal(8))]);
    queue.abandon();
    assert!(matches!(alone.await, Ok(Err(SequencerError::Stopping))));
    for number in [7, 8] {
        let answer = answers.next().await.unwrap();
        let [(of, LaneAnswer::Decided(Err(SequencerError::Stopping)))] = answer.as_slice() else {
            panic!("{answer:?}")
        };
        assert_eq!(*of, number);
    }
}

/// Decides a batch as the worker does: those in `stale` are stale, the others are committed.
async fn decide(queue: &Queue, stale: &[u64]) {
    let mut answers = Answers::default();
    for waiting in queue.take().await.unwrap() {
        let number = number_of(&waiting.proposal);
        if waiting.reply.halted() {
            answers.give_back(waiting.reply, waiting.proposal);
        } else if stale.contains(&number) {
            answers.give(waiting.reply, Err(SequencerError::Stale));
        } else {
            let known = Known { content: ContentHash([0; 16]), first: number, count: 1 };
            answers.give(waiting.reply, Ok(Recorded::Repeat(known)));
        }
    }
}

/// What became of each: `+` committed, `!` stale, `<` given back.
fn outcome(answers: Vec<(u64, LaneAnswer)>) -> String {
    let mut said = String::new();
    for (number, answer) in answers {
        let sign = match answer {
            LaneAnswer::Decided(Ok(_)) => '+',
            LaneAnswer::Decided(Err(SequencerError::Stale)) => '!',
            LaneAnswer::Decided(Err(error)) => panic!("{error}"),
            LaneAnswer::Returned(proposal) => {
                assert_eq!(number_of(&proposal), number);
                '<'
            }
        };
        said.extend([char::from_digit(u32::try_from(number).unwrap(), 10).unwrap(), sign]);
    }
    said
}

async fn push_all(lane: &Lane, numbers: Range<u64>) {
    let count = numbers.clone().count();
    let places = lane.places(count).await.unwrap();
    lane.push(places, numbers.map(|number| (number, proposal(number))));
}

async fn next(answers: &mut LaneAnswers) -> String {
    outcome(answers.next().await.unwrap())
}

#[tokio::test]
async fn a_lane_with_a_stale_proposal_gives_everything_behind_it_back_until_it_is_resumed() {
    let queue = Arc::new(Queue::new(BOUNDS));
    let (lane, mut answers) = lane::open(Arc::clone(&queue), A);
    push_all(&lane, 1..4).await;
    decide(&queue, &[2]).await;
    assert_eq!(next(&mut answers).await, "1+2!3<");
    push_all(&lane, 4..6).await;
    decide(&queue, &[]).await;
    assert_eq!(next(&mut answers).await, "4<5<", "one that was on its way does not overtake");
    lane.resume();
    push_all(&lane, 2..6).await;
    decide(&queue, &[]).await;
    assert_eq!(next(&mut answers).await, "2+3+4+5+");
}

#[tokio::test]
async fn a_halted_lane_holds_up_neither_another_lane_nor_a_single_call_of_its_system() {
    let queue = Arc::new(Queue::new(BOUNDS));
    let (one, mut of_one) = lane::open(Arc::clone(&queue), A);
    let (other, mut of_other) = lane::open(Arc::clone(&queue), A);
    push_all(&one, 1..3).await;
    push_all(&other, 3..4).await;
    let alone = push(&queue, A, 4).await;
    decide(&queue, &[1]).await;
    assert_eq!((next(&mut of_one).await, next(&mut of_other).await), ("1!2<".into(), "3+".into()));
    assert!(alone.await.unwrap().is_ok());
}
