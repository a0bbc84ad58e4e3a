//! From the outbox to the links: claiming, opening, handing over.

use std::sync::Arc;

use tokio::{task::JoinError, time::Instant};

use super::{Flow, PAUSE, Worker};
use crate::{
    desk::{CallError, Content, DeliveryRef, Ending},
    drivers::{BATCH_BYTES_MAX, BATCH_MAX, Outbound},
    relay::jobs::{self, Claimed, OpenedOne, Search, ToOpen},
};

/// Deliveries in one claim at most: small enough that a claim and what follows it overlap.
const CLAIM_MAX: usize = 512;
/// Deliveries that are kept as they were read until they go, a person's record each; those beyond are read again.
const FRESH_MAX: usize = 2 * CLAIM_MAX;
/// Deliveries that are open and not yet handed over, in batches.
const OPEN_BATCHES_MAX: usize = 4;

impl Worker {
    /// How many deliveries may be claimed now: what the links can take, and the book can hold.
    pub(super) fn claim_room(&self) -> usize {
        let coming = self.opening_count + self.staged.len() + self.book.ready();
        let credit = self.links.credit_left().saturating_sub(coming);
        let held = self.book.len() + self.ends.len();
        credit.min(self.limits.held_max.saturating_sub(held)).min(CLAIM_MAX.saturating_sub(coming))
    }

    pub(super) fn wants_news(&self) -> bool {
        !self.claiming && !self.stopping && self.paused.is_none() && self.claim_room() > 0
    }

    pub(super) fn start_claim(&mut self) {
        if !self.wants_news() {
            return;
        }
        if std::mem::take(&mut self.replayed.missed) {
            self.cursor = 0;
        }
        let room = self.claim_room();
        let known = &mut self.replayed.known;
        let search = if !known.is_empty() {
            Search::Replayed(known.split_off(known.len().saturating_sub(room)))
        } else if self.outbox.size() > self.cursor {
            Search::From(self.cursor, room)
        } else {
            return;
        };
        self.claiming = true;
        let job = jobs::claim(Arc::clone(&self.outbox), self.recipient, search);
        self.done.push(tokio::spawn(job));
    }

    pub(super) fn claimed(&mut self, search: Search, claimed: Result<Claimed, CallError>) {
        self.claiming = false;
        let Claimed { items, next } = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                if let Search::Replayed(indices) = search {
                    self.replayed.known.extend(indices);
                }
                return self.pause(&error, "deliveries could not be claimed");
            }
        };
        if let Some(next) = next {
            self.cursor = next;
        }
        for item in items {
            let Some(delivery) = DeliveryRef::of(&item.entry) else { continue };
            let index = delivery.index;
            // Answered since it was looked for, and about to be recorded.
            if self.ending.contains(&delivery.id) {
                continue;
            }
            // Those that have to wait for their turn are read again then.
            if self.book.hold(delivery) && self.book.goes_soon(index) && self.fresh.len() < FRESH_MAX {
                self.fresh.insert(index, Box::new(item));
            }
        }
    }

    /// Takes what can be handed over soon, and has it opened.
    pub(super) fn start_opening(&mut self) {
        loop {
            let coming = self.opening_count + self.staged.len();
            let room = self.links.room().min(OPEN_BATCHES_MAX * BATCH_MAX).saturating_sub(coming);
            let taken = self.book.take(room.min(BATCH_MAX));
            if taken.is_empty() {
                return;
            }
            let fresh = &mut self.fresh;
            let wanted: Vec<ToOpen> =
                taken.iter().map(|index| fresh.remove(index).map_or(ToOpen::Again(*index), ToOpen::Fresh)).collect();
            self.opening_count += wanted.len();
            let job = jobs::open(Arc::clone(&self.outbox), self.recipient, wanted);
            self.opening.push_back(tokio::spawn(job));
        }
    }

    pub(super) fn opened(&mut self, opened: Result<Vec<OpenedOne>, JoinError>) -> Flow {
        let Ok(opened) = opened else { return self.broken() };
        self.opening_count -= opened.len();
        for one in opened {
            match one {
                OpenedOne::Ended(index) => drop(self.end(index)),
                OpenedOne::Unread(index) => drop(self.book.rest(index, Instant::now() + PAUSE)),
                OpenedOne::Opened(opened) => {
                    self.book.learn(&opened.delivery);
                    let index = opened.delivery.index;
                    match opened.content {
                        Content::Ready(content) => self.staged.push_back(content),
                        Content::Gone => self.conclude(index, Ending::Unopenable),
                        Content::Failed => self.failed(index),
                    }
                }
            }
        }
        Flow::On
    }

    /// Hands over what is open, to whichever link has most credit left.
    pub(super) fn hand_over(&mut self) {
        while let Some((link, to, share)) = self.links.best(self.staged.len()) {
            let until = Instant::now() + to.terms.report_within;
            let (mut batch, mut bytes) = (Vec::with_capacity(share), 0);
            while batch.len() < share
                && let Some(content) = self.staged.pop_front()
            {
                bytes += content.payload.len();
                if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
                    self.staged.push_front(content);
                    break;
                }
                // It may have ended while it was opened.
                if let Some(attempt) = self.book.attempt(content.index) {
                    batch.push(Outbound { content, attempt });
                }
            }
            if batch.is_empty() {
                continue;
            }
            let indices: Vec<u64> = batch.iter().map(|one| one.content.index).collect();
            if to.batches.try_send(batch).is_ok() {
                self.links.take(link, indices.len());
                self.meters.handed.increment(indices.len() as u64);
                for index in indices {
                    self.book.handed(index, link, until);
                }
            } else {
                // The driver has gone, and is about to say so: its credit counts no more.
                self.links.remove(link);
                for index in indices {
                    self.book.put_back(index);
                }
            }
        }
        if self.links.is_empty() {
            self.staged.drain(..).for_each(|content| self.book.put_back(content.index));
        }
    }
}
