//! Which deliveries of one recipient are held in memory, and where each stands: waiting, being opened, out, resting.
//! Pure: the moment is an argument, nothing is read or sent here.
//!
//! Deliveries of one order (one subject at one recipient) form a lane. A lane lets the lowest index go first, and under
//! [`OrderRule::OneUnacknowledged`] only when none of it is out; a resting delivery holds back those after it. Lanes do
//! not hold up each other. One that ends, however it ends, lets its successors pass.

use std::collections::BTreeSet;

use ahash::HashMap;
use tokio::time::Instant;

use crate::{
    desk::DeliveryRef,
    domain::transfer::TransferId,
    drivers::{LinkId, OrderRule},
};

/// A delivery that has not ended, as far as the relay knows.
#[derive(Debug)]
struct Held {
    delivery: DeliveryRef,
    /// How often it was handed over.
    attempts: u32,
    stage: Stage,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// For its turn, and for credit.
    Waiting,
    /// Taken to be opened and handed over.
    Taken,
    /// Handed over; a report is due. It has left once the link's driver has taken it.
    Out { link: LinkId, until: Instant, left: bool },
    /// Failed; it waits for its next attempt.
    Resting { until: Instant },
}

/// Deliveries of one order.
#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<u64>,
    resting: BTreeSet<u64>,
    /// Taken or out.
    out: usize,
}

/// A delivery that left the book.
#[derive(Debug)]
pub(super) struct Left {
    pub delivery: DeliveryRef,
    pub attempts: u32,
    /// Whose credit it gives back.
    pub link: Option<LinkId>,
}

/// What is to be done about a delivery whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// No report came in time.
    Overdue(u64),
    /// It has rested: it waits for its turn again.
    Rested,
}

/// One recipient's deliveries.
#[derive(Debug)]
pub(super) struct Book {
    rule: OrderRule,
    held: HashMap<u64, Held>,
    by_id: HashMap<TransferId, u64>,
    lanes: HashMap<u64, Lane>,
    /// The lowest waiting delivery of each lane that lets one go. May hold some that a later change holds back.
    ready: BTreeSet<u64>,
    alarms: BTreeSet<(Instant, u64)>,
    out: usize,
}

impl Book {
    pub(super) fn new() -> Self {
        Self {
            rule: OrderRule::OneUnacknowledged,
            held: HashMap::default(),
            by_id: HashMap::default(),
            lanes: HashMap::default(),
            ready: BTreeSet::new(),
            alarms: BTreeSet::new(),
            out: 0,
        }
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// How many are out without a report.
    pub(super) const fn out(&self) -> usize {
        self.out
    }

    /// How many could be taken, at most.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The order rule from now on.
    pub(super) fn set_rule(&mut self, rule: OrderRule) {
        if self.rule != rule {
            self.rule = rule;
            let lanes: Vec<u64> = self.lanes.keys().copied().collect();
            for order in lanes {
                self.refresh(order);
            }
        }
    }

    /// Takes in a delivery that is claimed. False when it is held already.
    pub(super) fn hold(&mut self, delivery: DeliveryRef) -> bool {
        let (index, order) = (delivery.index, delivery.order);
        if self.held.contains_key(&index) {
            return false;
        }
        self.by_id.insert(delivery.id, index);
        self.held.insert(index, Held { delivery, attempts: 0, stage: Stage::Waiting });
        self.lanes.entry(order).or_default().waiting.insert(index);
        self.refresh(order);
        true
    }

    /// Whether the delivery may go next, or with those before it.
    pub(super) fn goes_soon(&self, index: u64) -> bool {
        self.ready.contains(&index) || self.rule == OrderRule::Pipelined
    }

    /// Where a transfer's delivery lies.
    pub(super) fn index_of(&self, id: TransferId) -> Option<u64> {
        self.by_id.get(&id).copied()
    }

    /// Up to `max` deliveries whose turn it is, lowest index first; they are to be opened and handed over.
    pub(super) fn take(&mut self, max: usize) -> Vec<u64> {
        let mut taken = Vec::with_capacity(max.min(self.ready.len()));
        while taken.len() < max
            && let Some(index) = self.ready.pop_first()
        {
            let Some(held) = self.held.get_mut(&index) else { continue };
            let order = held.delivery.order;
            let Some(lane) = self.lanes.get_mut(&order) else { continue };
            if lane.next(self.rule) == Some(index) {
                held.stage = Stage::Taken;
                lane.waiting.remove(&index);
                lane.out += 1;
                taken.push(index);
                self.refresh(order);
            }
        }
        taken
    }

    /// Which attempt handing this taken delivery over is; `None` when it has ended meanwhile.
    pub(super) fn attempt(&self, index: u64) -> Option<u32> {
        let held = self.held.get(&index)?;
        (held.stage == Stage::Taken).then_some(held.attempts + 1)
    }

    /// A taken delivery was handed over to `link`; a report is due by `until`.
    pub(super) fn handed(&mut self, index: u64, link: LinkId, until: Instant) {
        if let Some(held) = self.held.get_mut(&index) {
            held.attempts += 1;
            held.stage = Stage::Out { link, until, left: false };
            self.alarms.insert((until, index));
            self.out += 1;
        }
    }

    /// The driver of `link` has taken it: it leaves the hub.
    pub(super) fn left(&mut self, index: u64, link: LinkId) {
        if let Some(Held { stage: Stage::Out { link: on, left, .. }, .. }) = self.held.get_mut(&index)
            && *on == link
        {
            *left = true;
        }
    }

    /// Whether it is out and has left the hub.
    pub(super) fn has_left(&self, index: u64) -> bool {
        self.held.get(&index).is_some_and(|held| matches!(held.stage, Stage::Out { left: true, .. }))
    }

    /// What opening it has shown, kept for the entry of its end.
    pub(super) fn learn(&mut self, delivery: &DeliveryRef) {
        if let Some(held) = self.held.get_mut(&delivery.index) {
            held.delivery = delivery.clone();
        }
    }

    /// A taken delivery could not be handed over for want of a link: it waits again, and no attempt is counted.
    pub(super) fn put_back(&mut self, index: u64) {
        if let Some(held) = self.held.get(&index)
            && held.stage == Stage::Taken
        {
            self.enter(index, Stage::Waiting);
        }
    }

    /// A delivery that was out on a link that is lost waits again, as if it had not been handed over.
    pub(super) fn spare(&mut self, index: u64) {
        if let Some(held) = self.held.get_mut(&index)
            && let Stage::Out { .. } = held.stage
        {
            held.attempts -= 1;
            self.enter(index, Stage::Waiting);
        }
    }

    /// An attempt failed: the delivery rests until `until`.
    pub(super) fn rest(&mut self, index: u64, until: Instant) -> Option<LinkId> {
        let link = self.enter(index, Stage::Resting { until });
        if self.held.contains_key(&index) {
            self.alarms.insert((until, index));
        }
        link
    }

    /// An attempt that never reached a link failed: it counts as one.
    pub(super) fn count_attempt(&mut self, index: u64) {
        if let Some(held) = self.held.get_mut(&index) {
            held.attempts += 1;
        }
    }

    /// How often it was handed over.
    pub(super) fn attempts(&self, index: u64) -> u32 {
        self.held.get(&index).map_or(0, |held| held.attempts)
    }

    /// Whether it is out on `link`.
    pub(super) fn is_out_on(&self, index: u64, link: LinkId) -> bool {
        self.held.get(&index).is_some_and(|held| matches!(held.stage, Stage::Out { link: on, .. } if on == link))
    }

    /// The delivery has ended: its successors pass.
    pub(super) fn end(&mut self, index: u64) -> Option<Left> {
        let link = self.leave_stage(index);
        let Held { delivery, attempts, .. } = self.held.remove(&index)?;
        self.by_id.remove(&delivery.id);
        let order = delivery.order;
        if self.lanes.get(&order).is_some_and(Lane::is_empty) {
            self.lanes.remove(&order);
        } else {
            self.refresh(order);
        }
        Some(Left { delivery, attempts, link })
    }

    /// What was out on a link that is lost, in the order of the ledger.
    pub(super) fn out_on(&self, link: LinkId) -> Vec<u64> {
        let mut out: Vec<u64> = self.held.keys().copied().filter(|index| self.is_out_on(*index, link)).collect();
        out.sort_unstable();
        out
    }

    /// When something is due next.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// What is due at `now`, one at a time. Who is overdue is still out until it is rested or ended.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        let (at, index) = *self.alarms.first()?;
        if at > now {
            return None;
        }
        self.alarms.pop_first();
        match self.held.get(&index)?.stage {
            Stage::Resting { .. } => {
                self.enter(index, Stage::Waiting);
                Some(Due::Rested)
            }
            Stage::Out { .. } | Stage::Waiting | Stage::Taken => Some(Due::Overdue(index)),
        }
    }

    fn enter(&mut self, index: u64, stage: Stage) -> Option<LinkId> {
        let link = self.leave_stage(index);
        let held = self.held.get_mut(&index)?;
        held.stage = stage;
        let order = held.delivery.order;
        let lane = self.lanes.entry(order).or_default();
        match stage {
            Stage::Waiting => drop(lane.waiting.insert(index)),
            Stage::Resting { .. } => drop(lane.resting.insert(index)),
            Stage::Taken | Stage::Out { .. } => lane.out += 1,
        }
        self.refresh(order);
        link
    }

    /// Takes the delivery out of its lane and its alarm off; says which link it was out on.
    fn leave_stage(&mut self, index: u64) -> Option<LinkId> {
        let held = self.held.get(&index)?;
        let lane = self.lanes.get_mut(&held.delivery.order)?;
        match held.stage {
            Stage::Waiting => {
                lane.waiting.remove(&index);
                self.ready.remove(&index);
                None
            }
            Stage::Resting { until } => {
                lane.resting.remove(&index);
                self.alarms.remove(&(until, index));
                None
            }
            Stage::Taken => {
                lane.out -= 1;
                None
            }
            Stage::Out { link, until, .. } => {
                lane.out -= 1;
                self.out -= 1;
                self.alarms.remove(&(until, index));
                Some(link)
            }
        }
    }

    fn refresh(&mut self, order: u64) {
        if let Some(next) = self.lanes.get(&order).and_then(|lane| lane.next(self.rule)) {
            self.ready.insert(next);
        }
    }
}

impl Lane {
    /// The delivery that may go now.
    fn next(&self, rule: OrderRule) -> Option<u64> {
        if self.out > 0 && rule == OrderRule::OneUnacknowledged {
            return None;
        }
        let first = *self.waiting.first()?;
        let held_back = self.resting.first().is_some_and(|resting| *resting < first);
        (!held_back).then_some(first)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.resting.is_empty() && self.out == 0
    }
}

#[cfg(test)]
mod tests;
