//! What a recipient is to be handed: its open deliveries and those that are due, with their payloads. Only reads.

use super::{Inner, StoreError, history::payload_in, outbox::Outbox};
use crate::{
    domain::agency::AgencyKey,
    store::{DeadLetter, Delivery, Pending, PendingDelivery, StoredEntry},
};

impl Inner {
    /// See [`Store::pending`](crate::store::Store::pending).
    pub(super) fn pending(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Pending, StoreError> {
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
        let items = self.load(&outbox, &indices)?;
        Ok(Pending { items, next, horizon: outbox.horizon })
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

    /// Deliveries with their payloads, as they are sealed now.
    pub(super) fn load(&self, outbox: &Outbox, indices: &[u64]) -> Result<Vec<PendingDelivery>, StoreError> {
        let mut items = Vec::with_capacity(indices.len());
        let mut rest = indices;
        while let Some(first) = rest.first() {
            let commit = self.history.containing(*first)?;
            let (here, later) = rest.split_at(rest.partition_point(|index| *index < commit.end()));
            let row = self.history.payload_row(&commit)?;
            for index in here {
                let payload = match &row {
                    Some(row) => payload_in(row, &commit, *index)?,
                    None => None,
                };
                let Some(mut entry) = commit.stored(*index) else { continue };
                let mut payload = payload.unwrap_or_default();
                if let Some((epoch, resealed)) = self.resealed.get(*index)?
                    && let Some(slots) = &mut entry.routing.payload
                {
                    (slots.epoch, payload) = (epoch, resealed);
                }
                let replayed = outbox.open_at(*index).is_some_and(|open| open.replayed);
                items.push(PendingDelivery { entry, payload, replayed });
            }
            rest = later;
        }
        Ok(items)
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
        let mut letters = Vec::new();
        for (index, attempts, since) in self.deliveries.dead(recipient, from, limit)? {
            let commit = self.history.containing(index)?;
            let id = commit.get(index).map(|entry| entry.routing.id);
            letters.extend(id.map(|id| DeadLetter { index, id, attempts, since }));
        }
        Ok(letters)
    }
}
