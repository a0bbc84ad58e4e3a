//! The end of an hour's epoch key, and with it of every payload that was sealed under it. What has not been handed over by
//! then is sealed again under a later hour.
//!
//! The order that loses nothing: what is late is durable under the later epoch, while nobody commits, before the old key is
//! overwritten; the rows that speak of the old epoch go last, beside the commits. A crash at any point leaves a state from
//! which the same can be done again.

use super::{
    EmbeddedStore, Inner, StoreError,
    damage::{self, unless_damaged},
    keyspaces::fatal,
    outbox::Outbox,
};
use crate::{
    domain::{agency::AgencyKey, time::Moment},
    store::{Class, Owner, PendingDelivery, Slot, SlotNumber},
    vault,
};

/// Deliveries looked at, or rows removed, in one step: some milliseconds of work.
const PAGE: usize = 256;
/// Entries that are looked through while nobody commits, at most: some milliseconds of work, too.
pub(super) const LITTLE: u64 = 1_024;
/// How often what came meanwhile is looked through before that, even if it does not become little.
const PASSES_MAX: usize = 16;
/// The hub itself, as a keeper of keys.
const HUB: AgencyKey = AgencyKey(0);

/// Which payloads of an epoch are kept.
struct Late<'a> {
    epochs: &'a [SlotNumber],
    /// Dead letters given up at this moment or later.
    dead_since: Moment,
    /// Entries from this index on.
    from: u64,
}

impl EmbeddedStore {
    /// The hours before `hour` whose epoch keys are still there, ascending.
    pub fn epochs_before(&self, hour: u32) -> Result<Vec<u32>, StoreError> {
        self.healthy()?.slots.epochs_before(hour)
    }

    /// Destroys the epoch key of `hour`. Payloads of deliveries that have not ended, and of dead letters given up at
    /// `dead_since` or later, are sealed again under the epoch of the hour `into` first; says how many. What is
    /// proposed under the old epoch afterwards does not find its key ([`Expect::Key`](crate::store::Expect::Key)). Blocks:
    /// not to be called from async code.
    pub fn retire_epoch(&self, hour: u32, into: u32, dead_since: Moment) -> Result<usize, StoreError> {
        let inner = self.healthy()?;
        inner.space.check()?;
        inner.retire(hour, into, dead_since).map_err(|error| inner.health.poison_if_fatal(error))
    }
}

impl Inner {
    fn retire(&self, hour: u32, into: u32, dead_since: Moment) -> Result<usize, StoreError> {
        let owner = Owner::Epoch(hour);
        let epochs = self.slots.numbers(owner)?;
        let new = self.slots.of(Owner::Epoch(into), &[(HUB, Class::Epoch)], &self.space)?;
        let new = new.first().ok_or(StoreError::Invalid("the epoch has no slot"))?;
        let mut late = Late { epochs: &epochs, dead_since, from: 0 };
        let mut count = 0;
        // First beside the commits, page by page, until only little has come meanwhile; that then, while nobody commits.
        for _ in 0..PASSES_MAX {
            let seen = self.head.read().size;
            count += self.reseal_all(&late, |page| {
                let _lock = self.lock()?;
                self.reseal(page, new)
            })?;
            late.from = seen;
            if self.head.read().size - seen <= LITTLE {
                break;
            }
        }
        let lock = self.lock()?;
        count += self.reseal_all(&late, |page| self.reseal(page, new))?;
        // If we crash before this, what was sealed again has two keys, and the next run finds nothing left to seal.
        for number in epochs.iter().filter(|number| **number != new.number) {
            self.slots.erase(*number)?;
        }
        drop(lock);
        self.hook.after_erase()?;
        self.forget_epochs(owner, &epochs)?;
        Ok(count)
    }

    /// Removes what speaks of an hour's epochs, whose keys are erased: a page at a time beside the commits, and last the row
    /// of the hour. If we crash before that, the next run finds the hour again, with keys that are erased already.
    fn forget_epochs(&self, owner: Owner, epochs: &[SlotNumber]) -> Result<(), StoreError> {
        for page in self.resealed.under(epochs).chunks(PAGE) {
            self.health.check()?;
            self.hook.before_resealed_go(page.len())?;
            let mut batch = self.keyspaces.synced_batch(page.len());
            page.iter().for_each(|index| self.resealed.remove(&mut batch, *index));
            batch.commit().map_err(fatal)?;
            self.resealed.forget(page);
        }
        let _lock = self.lock()?;
        // An hour that was given another key since stays, and ends again.
        if self.slots.numbers(owner)?.iter().all(|number| epochs.contains(number)) {
            let mut batch = self.keyspaces.synced_batch(1);
            self.slots.remove(&mut batch, owner);
            batch.commit().map_err(fatal)?;
        }
        Ok(())
    }

    /// Hands every page of late payloads to `reseal`; says how many were sealed again.
    fn reseal_all(
        &self,
        late: &Late<'_>,
        reseal: impl Fn(&[PendingDelivery]) -> Result<usize, StoreError>,
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        for recipient in self.deliveries.recipients() {
            count += self.reseal_of(recipient, late, &reseal)?;
        }
        Ok(count)
    }

    /// The same of one recipient. What is damaged is lost with or without its epoch's key, and does not hold up the others.
    fn reseal_of(
        &self,
        recipient: AgencyKey,
        late: &Late<'_>,
        reseal: impl Fn(&[PendingDelivery]) -> Result<usize, StoreError>,
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        let mut take = |outbox: &Outbox, indices: &[u64]| {
            // Most of a long backlog was sealed again before, which is told without a look at it.
            let may_be_late =
                |index: &u64| self.resealed.epoch(*index).is_none_or(|epoch| late.epochs.contains(&epoch));
            let indices: Vec<u64> = indices.iter().copied().filter(may_be_late).collect();
            let page = self.load(outbox, &indices, Some(late.epochs))?;
            count += if page.is_empty() { 0 } else { reseal(&page)? };
            Ok::<(), StoreError>(())
        };
        let mut from = late.from;
        loop {
            let page = self.pending_page(recipient, from, PAGE)?;
            if page.indices.is_empty() {
                break;
            }
            from = page.next;
            take(&page.outbox, &page.indices)?;
        }
        self.hook.before_dead_letters()?;
        let mut from = late.from;
        loop {
            let dead = self.deliveries.dead(recipient, from, PAGE)?;
            let Some((last, ..)) = dead.last() else { break };
            from = last + 1;
            let kept = dead.iter().filter(|(.., since)| *since >= late.dead_since);
            let indices: Vec<u64> = kept.map(|(index, ..)| *index).collect();
            take(&self.deliveries.outbox(recipient), &indices)?;
        }
        // Wherever they are: one that was replayed in between was not pending yet, and then no dead letter any more.
        let outbox = self.deliveries.outbox(recipient);
        let replayed: Vec<u64> =
            outbox.open_from(0).iter().filter(|open| open.replayed).map(|open| open.index).collect();
        for page in replayed.chunks(PAGE) {
            take(&outbox, page)?;
        }
        Ok(count)
    }

    /// Seals payloads again under `epoch`, durably; says how many. Under the lock of the head.
    fn reseal(&self, page: &[PendingDelivery], epoch: &Slot) -> Result<usize, StoreError> {
        let mut batch = self.keyspaces.synced_batch(page.len() + 1);
        let mut indices = Vec::with_capacity(page.len());
        for item in page {
            let (index, routing) = (item.entry.index, &item.entry.routing);
            let Some(slots) = routing.payload else { continue };
            // Whose key was erased meanwhile is not to be brought back.
            let key = |slot| unless_damaged(index, "key", self.slots.key(slot)).map(Option::flatten);
            let (Some(subject), Some(old)) = (key(slots.subject)?, key(slots.epoch)?) else { continue };
            let Ok(plain) = vault::open(&vault::payload_key(&subject, &old, routing.id), &item.payload) else {
                damage::tell(index, "payload", "it does not open");
                continue;
            };
            let sealed = vault::seal(&vault::payload_key(&subject, &epoch.key, routing.id), plain.to_vec());
            self.resealed.write(&mut batch, index, epoch.number, &sealed);
            indices.push(index);
        }
        self.write_beside(batch)?;
        self.resealed.publish(&indices, epoch.number);
        Ok(indices.len())
    }
}
