//! The book against a plain model: whatever happens, one delivery of a lane is out, the lowest first, and none is lost.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    domain::agency::AgencyKey,
    ledger::Kind,
    store::{Outgoing, Routing, StoredEntry},
};

fn delivery(index: u64, order: u64) -> DeliveryRef {
    let outgoing = Some(Outgoing { recipient: AgencyKey(1), order });
    let id = TransferId(Uuid::from_u128(u128::from(index) + 1));
    let routing = Routing { kind: Kind::Transfer, id, terms: Vec::new(), secrets: Vec::new(), outgoing, payload: None };
    let stored = StoredEntry { index, entry: Bytes::new(), routing, trail: Bytes::new() };
    DeliveryRef::of(&stored).expect("it has an outgoing delivery")
}

#[derive(Debug, Clone)]
enum Step {
    Hold(u64),
    Take(usize),
    Hand,
    PutBack,
    Fail(usize),
    End(usize),
    Pass(u64),
    Lose,
    Spare,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_u64).prop_map(Step::Hold),
        (1..4_usize).prop_map(Step::Take),
        Just(Step::Hand),
        Just(Step::PutBack),
        (0..8_usize).prop_map(Step::Fail),
        (0..8_usize).prop_map(Step::End),
        (1..40_u64).prop_map(Step::Pass),
        Just(Step::Lose),
        Just(Step::Spare),
    ]
}

proptest! {
    #[test]
    fn a_lane_has_one_out_lowest_first_and_nothing_is_lost(steps in prop::collection::vec(step(), 1..200)) {
        let link = LinkId(1);
        let mut now = Instant::now();
        let mut book = Book::new();
        let (mut orders, mut taken, mut out) = (Vec::<u64>::new(), Vec::<u64>::new(), BTreeSet::<u64>::new());
        let mut ended = BTreeSet::new();
        for step in steps {
            match step {
                Step::Hold(order) => {
                    prop_assert!(book.hold(delivery(orders.len() as u64, order)));
                    orders.push(order);
                }
                Step::Take(max) => {
                    let more = book.take(max);
                    prop_assert!(more.len() <= max);
                    for index in &more {
                        let order = orders[*index as usize];
                        let rivals = taken.iter().chain(&out).filter(|other| orders[**other as usize] == order);
                        prop_assert_eq!(rivals.count(), 0, "a lane has one out");
                        let earlier = (0..*index).filter(|other| orders[*other as usize] == order);
                        prop_assert!(earlier.into_iter().all(|other| ended.contains(&other)), "the lowest goes first");
                    }
                    taken.extend(more);
                }
                Step::Hand => for index in taken.drain(..) {
                    if book.attempt(index).is_some() {
                        book.handed(index, link, now + Duration::from_secs(30));
                        out.insert(index);
                    }
                },
                Step::PutBack => taken.drain(..).for_each(|index| book.put_back(index)),
                Step::Fail(which) => if let Some(index) = out.iter().nth(which).copied() {
                    out.remove(&index);
                    prop_assert_eq!(book.rest(index, now + Duration::from_secs(5)), Some(link));
                },
                Step::End(which) => if let Some(index) = out.iter().nth(which).copied() {
                    out.remove(&index);
                    ended.insert(index);
                    prop_assert_eq!(book.end(index).unwrap().link, Some(link));
                },
                Step::Pass(seconds) => {
                    now += Duration::from_secs(seconds);
                    while let Some(due) = book.due(now) {
                        if let Due::Overdue(index) = due {
                            prop_assert!(out.remove(&index));
                            book.rest(index, now + Duration::from_secs(5));
                        }
                    }
                    prop_assert!(book.next_alarm().is_none_or(|at| at > now));
                }
                Step::Lose => {
                    let lost = book.out_on(link);
                    prop_assert_eq!(&lost, &out.iter().copied().collect::<Vec<_>>());
                    for index in lost {
                        book.rest(index, now + Duration::from_secs(5));
                    }
                    out.clear();
                }
                Step::Spare => for index in std::mem::take(&mut out) {
                    let attempts = book.attempts(index);
                    book.spare(index);
                    prop_assert_eq!(book.attempts(index), attempts - 1);
                },
            }
            prop_assert_eq!(book.out(), out.len());
            prop_assert_eq!(book.len(), orders.len() - ended.len());
        }
        // In the end all of them can go, one after the other.
        taken.drain(..).for_each(|index| book.put_back(index));
        for index in book.out_on(link) {
            book.rest(index, now);
        }
        while let Some(index) = { while book.due(now + Duration::from_mins(1)).is_some() {} book.take(1).pop() } {
            book.end(index);
        }
        prop_assert_eq!(book.len(), 0);
        prop_assert!(book.lanes.is_empty() && book.by_id.is_empty() && book.alarms.is_empty() && book.ready.is_empty());
    }
}

#[test]
fn a_delivery_is_held_once() {
    let mut book = Book::new();
    assert!(book.hold(delivery(3, 1)));
    assert!(!book.hold(delivery(3, 1)));
    assert_eq!((book.len(), book.index_of(delivery(3, 1).id)), (1, Some(3)));
}
