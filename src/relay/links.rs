//! The links of one recipient that are connected now, and how deliveries are shared between them.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::drivers::{BATCH_MAX, LinkId, LinkTerms, OrderRule, Outbound};

/// A connected link.
#[derive(Debug)]
pub(super) struct Link {
    pub terms: LinkTerms,
    pub batches: mpsc::Sender<Vec<Outbound>>,
    /// Handed over without a report.
    out: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<LinkId, Link>);

impl Link {
    fn credit_left(&self) -> usize {
        self.terms.credit.saturating_sub(self.out)
    }

    /// How many it can take now.
    fn room(&self) -> usize {
        self.credit_left().min(self.batches.capacity() * BATCH_MAX)
    }
}

impl Links {
    pub(super) fn add(&mut self, id: LinkId, terms: LinkTerms, batches: mpsc::Sender<Vec<Outbound>>) {
        self.0.insert(id, Link { terms, batches, out: 0 });
    }

    pub(super) fn remove(&mut self, id: LinkId) {
        self.0.remove(&id);
    }

    /// Closes all of them.
    pub(super) fn close(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.0).into_keys().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Deliveries that could be out beside those that are.
    pub(super) fn credit_left(&self) -> usize {
        self.0.values().map(Link::credit_left).sum()
    }

    /// Deliveries that can be handed over now: within credit, and to drivers that take them.
    pub(super) fn room(&self) -> usize {
        self.0.values().map(Link::room).sum()
    }

    /// The drivers keep the order only if all of them do.
    pub(super) fn rule(&self) -> OrderRule {
        let pipelined = !self.is_empty() && self.0.values().all(|link| link.terms.order == OrderRule::Pipelined);
        if pipelined { OrderRule::Pipelined } else { OrderRule::OneUnacknowledged }
    }

    /// The link with the most credit left of those that can take something now, and how much of `staged` it gets: its
    /// share, so that the others get theirs.
    pub(super) fn best(&self, staged: usize) -> Option<(LinkId, &Link, usize)> {
        let (id, link) =
            self.0.iter().filter(|(_, link)| link.room() > 0).max_by_key(|(_, link)| link.credit_left())?;
        let share = staged.div_ceil(self.0.len()).min(BATCH_MAX).min(link.credit_left());
        (share > 0).then_some((*id, link, share))
    }

    /// `count` deliveries were handed to the link.
    pub(super) fn take(&mut self, id: LinkId, count: usize) {
        if let Some(link) = self.0.get_mut(&id) {
            link.out += count;
        }
    }

    /// One of them is out no more.
    pub(super) fn give_back(&mut self, id: Option<LinkId>) {
        if let Some(link) = id.and_then(|id| self.0.get_mut(&id)) {
            link.out = link.out.saturating_sub(1);
        }
    }
}
