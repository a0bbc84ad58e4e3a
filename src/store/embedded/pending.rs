//! What a recipient is to be handed: its open deliveries and those that are due, with their payloads. Only reads.

use std::sync::Arc;

use super::{Inner, StoreError, damage::unless_damaged, history::payload_in, outbox::Outbox, rows::Committed};
use crate::{
    domain::agency::AgencyKey,
    store::{DeadLetter, Delivery, Pending, PendingDelivery, SlotNumber, StoredEntry},
};

/// Some of a recipient's deliveries that have not ended.
pub(super) struct Page {
    pub(super) indices: Vec<u64>,
    /// Where the next page begins.
    pub(super) next: u64,
    /// What said so.
    pub(super) outbox: Arc<Outbox>,
}

impl Inner {
    /// See [`Store::pending`](crate::store::Store::pending).
    pub(super) fn pending(&self, recipient: AgencyKey, mut from: u64, limit: usize) -> Result<Pending, StoreError> {
        loop {
            let page = self.pending_page(recipient, from, limit)?;
            let items = self.load(&page.outbox, &page.indices, None)?;
            // Without an item it would look as if nothing were left, when it is only that none of these can be read.
            if !items.is_empty() || page.indices.is_empty() {
                return Ok(Pending { items, next: page.next, horizon: page.outbox.horizon });
            }
            from = page.next;
        }
    }

    /// Which are pending, up to `limit` of them.
    pub(super) fn pending_page(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Page, StoreError> {
        let (size, outbox) = {
            let head = self.head.read();
            (head.size, self.deliveries.outbox(recipient))
        };
        let mut indices: Vec<u64> = outbox.open_from(from).iter().take(limit).map(|open| open.index).collect();
        indices.extend(self.due(&outbox, recipient, from, size, limit)?);
        indices.sort_unstable();
        indices.dedup();
        indices.truncate(limit);
        let next = if indices.len() < limit { size.max(from) } else { indices.last().map_or(from, |last| last + 1) };
        Ok(Page { indices, next, outbox })
    }

    /// Up to `limit` deliveries above the horizon that are due.
    fn due(
        &self,
        outbox: &Outbox,
        recipient: AgencyKey,
        from: u64,
        size: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let mut due = Vec::new();
        let mut start = from.max(outbox.horizon);
        while due.len() < limit {
            let found = self.index.deliveries(recipient, start, size, limit)?;
            let Some(last) = found.last() else { break };
            start = last + 1;
            due.extend(found.into_iter().filter(|index| outbox.is_due(*index)));
        }
        due.truncate(limit);
        Ok(due)
    }

    /// Up to `limit` entries from `from` on and below `size`.
    pub(super) fn entries(&self, from: u64, size: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        let mut entries = self.history.entries(from, size, limit)?;
        entries.iter_mut().for_each(|stored| self.resealed.patch(stored));
        Ok(entries)
    }

    /// Deliveries with their payloads, as they are sealed now; of `epochs` alone, if these are given. One whose entry is
    /// damaged is left out; one whose payload is, has none that opens.
    pub(super) fn load(
        &self,
        outbox: &Outbox,
        indices: &[u64],
        epochs: Option<&[SlotNumber]>,
    ) -> Result<Vec<PendingDelivery>, StoreError> {
        let mut items = Vec::with_capacity(indices.len());
        let mut rest = indices;
        while let Some(first) = rest.first() {
            let commit = unless_damaged(*first, "entry", self.history.containing(*first))?;
            let end = match &commit {
                Some(commit) => commit.end(),
                None => self.history.next_commit(*first)?,
            };
            let (here, later) = rest.split_at(rest.partition_point(|index| *index < end));
            if let Some(commit) = commit {
                self.load_of(&commit, outbox, here, epochs, &mut items)?;
            }
            rest = later;
        }
        Ok(items)
    }

    /// Adds the deliveries at `indices`, all of one commit.
    fn load_of(
        &self,
        commit: &Committed,
        outbox: &Outbox,
        indices: &[u64],
        epochs: Option<&[SlotNumber]>,
        items: &mut Vec<PendingDelivery>,
    ) -> Result<(), StoreError> {
        let is_of = |index: u64, epochs: &[SlotNumber]| {
            let slots = commit.get(index).and_then(|entry| entry.routing.payload);
            slots.is_some_and(|slots| epochs.contains(&self.resealed.epoch(index).unwrap_or(slots.epoch)))
        };
        let is_wanted = |index: &u64| epochs.is_none_or(|epochs| is_of(*index, epochs));
        let wanted: Vec<u64> = indices.iter().copied().filter(is_wanted).collect();
        let Some(first) = wanted.first() else { return Ok(()) };
        let row = unless_damaged(*first, "payload", self.history.payload_row(commit))?.flatten();
        for index in wanted {
            let Some(mut entry) = commit.stored(index) else { continue };
            self.resealed.patch(&mut entry);
            let own = row.as_ref().map_or(Ok(None), |row| payload_in(row, commit, index));
            let mut payload = unless_damaged(index, "payload", own)?.flatten().unwrap_or_default();
            if let Some((epoch, resealed)) = unless_damaged(index, "payload", self.resealed.get(index))?.flatten()
                && let Some(slots) = &mut entry.routing.payload
            {
                (slots.epoch, payload) = (epoch, resealed);
            }
            let replayed = outbox.open_at(index).is_some_and(|open| open.replayed);
            items.push(PendingDelivery { entry, payload, replayed });
        }
        Ok(())
    }

    /// Whether [`Self::pending`] would be answered from memory.
    pub(super) fn is_pending_in_memory(&self, recipient: AgencyKey, from: u64) -> bool {
        let outbox = self.deliveries.outbox(recipient);
        let due_from = from.max(outbox.horizon);
        let oldest = outbox.open_from(from).first().map_or(due_from, |open| open.index.min(due_from));
        let size = self.head.read().size;
        due_from >= self.index.tail_first() && (oldest >= size || self.history.is_recent(oldest))
    }

    /// See [`Store::delivery`](crate::store::Store::delivery).
    pub(super) fn delivery(&self, index: u64) -> Result<Option<Delivery>, StoreError> {
        if index >= self.head.read().size {
            return Ok(None);
        }
        // Asked before each hand-over, of deliveries that are open as a rule: those need no look into history.
        if let Some(open) = self.deliveries.open_delivery(index) {
            return Ok(Some(open));
        }
        let commit = self.history.containing(index)?;
        let Some(outgoing) = commit.get(index).and_then(|entry| entry.routing.outgoing) else { return Ok(None) };
        let state = self.deliveries.state(outgoing.recipient, index)?;
        Ok(Some(Delivery { recipient: outgoing.recipient, state }))
    }

    /// See [`Store::dead_letters`](crate::store::Store::dead_letters).
    pub(super) fn dead_letters(
        &self,
        recipient: AgencyKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (mut letters, mut from) = (Vec::new(), from);
        loop {
            // One that cannot be read is made up for by the next, so that the last page alone is not full.
            let dead = self.deliveries.dead(recipient, from, limit - letters.len())?;
            let Some((last, ..)) = dead.last() else { return Ok(letters) };
            from = last + 1;
            for (index, attempts, since) in dead {
                let commit = unless_damaged(index, "entry", self.history.containing(index))?;
                let id = commit.and_then(|commit| commit.get(index).map(|entry| entry.routing.id));
                letters.extend(id.map(|id| DeadLetter { index, id, attempts, since }));
            }
        }
    }
}
