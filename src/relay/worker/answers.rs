//! From the recipient back: answers, failures, ends and their recording.

use std::sync::Arc;

use tokio::time::Instant;

use super::Worker;
use crate::{
    desk::{CallError, DeliveryRef, End, Ending},
    domain::{agency::SystemId, transfer::TransferId},
    drivers::{BATCH_MAX, LinkId, Outcome},
    relay::jobs::{self, Stray},
};

/// Ends in one commit at most: a good part of a batch of the sequencer, and not all of it.
const RECORD_MAX: usize = 256;
/// Commits of ends under way: one is on its way to the disk while the next is sealed.
const RECORDING_MAX: usize = 2;
/// Late answers that wait to be looked up; beyond it they are forgotten, and the deliveries come again.
const STRAYS_MAX: usize = 1024;

impl Worker {
    pub(super) fn start_recording(&mut self) {
        while self.recording < RECORDING_MAX && !self.ends.is_empty() && (self.paused.is_none() || self.stopping) {
            let ends = self.ends.drain(..self.ends.len().min(RECORD_MAX)).collect();
            self.recording += 1;
            self.done.push(tokio::spawn(jobs::record(Arc::clone(&self.outbox), self.recipient, ends)));
        }
    }

    pub(super) fn recorded(&mut self, ends: Vec<End>, recorded: Result<Vec<u64>, CallError>) {
        self.recording -= 1;
        match recorded {
            Ok(aside) => {
                let (mut acknowledged, mut rejected, mut dead_lettered) = (0, 0, 0);
                for end in &ends {
                    if aside.contains(&end.delivery.index) {
                        self.ending.insert(end.delivery.id);
                        continue;
                    }
                    self.ending.remove(&end.delivery.id);
                    match end.how {
                        Ending::Acknowledged(_) => acknowledged += 1,
                        Ending::Rejected(_) => rejected += 1,
                        Ending::DeadLettered | Ending::Unopenable => dead_lettered += 1,
                    }
                }
                self.meters.acknowledged.increment(acknowledged);
                self.meters.rejected.increment(rejected);
                self.meters.dead_lettered.increment(dead_lettered);
                self.meters.set_aside.increment(aside.len() as u64);
            }
            // Unrecorded answers are given again after the restart, when the deliveries are.
            Err(error) if self.stopping => tracing::warn!(%error, "ends of deliveries were not recorded"),
            Err(error) => {
                ends.into_iter().rev().for_each(|end| self.ends.push_front(end));
                self.pause(&error, "ends of deliveries could not be recorded");
            }
        }
    }

    pub(super) fn start_finding(&mut self) {
        // While ends cannot be recorded, no more of them are looked for.
        let is_full = self.ends.len() >= self.limits.held_max;
        if self.finding || self.strays.is_empty() || self.stopping || is_full {
            return;
        }
        let (book, ending) = (&self.book, &self.ending);
        let unknown = |stray: &Stray| book.index_of(stray.id).is_none() && !ending.contains(&stray.id);
        let (strays, held): (Vec<_>, Vec<_>) = self.strays.drain(..self.strays.len().min(BATCH_MAX)).partition(unknown);
        for Stray { id, outcome, system } in held {
            self.answer(id, outcome, &system, None);
        }
        if !strays.is_empty() {
            self.finding = true;
            self.done.push(tokio::spawn(jobs::find(Arc::clone(&self.outbox), self.recipient, strays)));
        }
    }

    pub(super) fn found(&mut self, found: Vec<(Stray, DeliveryRef)>) {
        self.finding = false;
        for (Stray { id, outcome, system }, delivery) in found {
            if self.book.index_of(id).is_some() {
                self.answer(id, outcome, &system, None);
            } else if let Some(how) = ending(outcome, &system)
                && self.ending.insert(id)
            {
                // How often it was handed over is not known any more; once at least.
                self.ends.push_back(End { delivery, how, attempts: 1 });
            }
        }
    }

    /// What became of a delivery, says its recipient. A word about an earlier attempt counts as well, but for a failure:
    /// the attempt that is out now may succeed.
    pub(super) fn answer(&mut self, id: TransferId, outcome: Outcome, system: &SystemId, link: Option<LinkId>) {
        let Some(index) = self.book.index_of(id) else {
            if outcome != Outcome::Failed && !self.ending.contains(&id) && self.strays.len() < STRAYS_MAX {
                self.strays.push_back(Stray { id, outcome, system: system.clone() });
            }
            return;
        };
        match ending(outcome, system) {
            Some(how) => self.conclude(index, how),
            None if link.is_some_and(|link| self.book.is_out_on(index, link)) => self.failed(index),
            None => {}
        }
    }

    /// An attempt failed: the delivery rests, or is given up.
    pub(super) fn failed(&mut self, index: u64) {
        if self.book.attempt(index).is_some() {
            // It never reached a link, but an attempt that always fails must come to an end, too.
            self.book.count_attempt(index);
        }
        let attempts = self.book.attempts(index);
        if attempts >= self.limits.attempts_max {
            return self.conclude(index, Ending::DeadLettered);
        }
        self.meters.retried.increment(1);
        let random = u64::from_be_bytes(self.random.bytes());
        let link = self.book.rest(index, Instant::now() + self.limits.backoff.wait(attempts, random));
        self.links.give_back(link);
    }

    /// Ends a delivery and has it recorded.
    pub(super) fn conclude(&mut self, index: u64, how: Ending) {
        if let Some((delivery, attempts)) = self.end(index) {
            // An answer to a delivery that is being given up still says something new; one to an answered one does not.
            if !how.is_given_up() {
                self.ending.insert(delivery.id);
            }
            self.ends.push_back(End { delivery, how, attempts });
        }
    }

    /// Ends a delivery without an entry: there is one.
    pub(super) fn end(&mut self, index: u64) -> Option<(DeliveryRef, u32)> {
        self.fresh.remove(&index);
        let left = self.book.end(index)?;
        self.links.give_back(left.link);
        Some((left.delivery, left.attempts))
    }
}

/// The end that an answer is, if it is one.
fn ending(outcome: Outcome, system: &SystemId) -> Option<Ending> {
    match outcome {
        Outcome::Acknowledged => Some(Ending::Acknowledged(system.clone())),
        Outcome::Rejected => Some(Ending::Rejected(system.clone())),
        Outcome::Failed => None,
    }
}
