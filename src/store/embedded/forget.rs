//! What has had its time is forgotten, a page at a time beside the commits: calls older than the window with the events that
//! led to them, and dead letters. When that is, is the caller's to know.

use super::{
    EmbeddedStore, Inner, StoreError,
    deliveries::{DeadPage, Deliveries},
    keyspaces::fatal,
    known::Call,
};
use crate::domain::time::Moment;

/// Rows looked at, or removed while nobody commits, in one step: some milliseconds of work.
const PAGE: usize = 256;

impl EmbeddedStore {
    /// Forgets calls whose keys are older than `moment`, which lies before the window's start: at most `limit` rows, since
    /// this competes with commits. Says how many rows went; fewer than `limit` means that none is left. Blocks: not to be
    /// called from async code.
    pub fn forget_before(&self, moment: Moment, limit: usize) -> Result<usize, StoreError> {
        let inner = self.healthy()?;
        inner.space.check()?;
        inner.forget_before(moment, limit).map_err(|error| inner.health.poison_if_fatal(error))
    }

    /// Forgets the dead letters that were given up before `moment`: they are not listed any more, and their payloads go
    /// with the next epoch that is retired. Says how many. Looks for them beside the commits, which wait only while a page
    /// of them is removed. Blocks: not to be called from async code.
    pub fn forget_dead_letters(&self, moment: Moment) -> Result<usize, StoreError> {
        let inner = self.healthy()?;
        inner.space.check()?;
        let mut next = Some(Deliveries::first_dead());
        let mut count = 0;
        while let Some(from) = next {
            let DeadPage { old, next: then } = inner.deliveries.dead_before(&from, moment, PAGE)?;
            next = then;
            if !old.is_empty() {
                let _lock = inner.lock()?;
                count +=
                    inner.deliveries.forget_dead(&old, moment).map_err(|error| inner.health.poison_if_fatal(error))?;
            }
        }
        Ok(count)
    }
}

impl Inner {
    fn forget_before(&self, moment: Moment, limit: usize) -> Result<usize, StoreError> {
        let Some(old) = self.known.before(moment, limit)? else { return Ok(0) };
        let mut events = Vec::new();
        for call in &old.calls {
            if self.is_last_of_its_event(call)? {
                events.push(*call);
            }
        }
        self.hook.before_events_go();
        // If we crash before this, or within it, the calls are found again, and with them the events that are left.
        for page in events.chunks(PAGE) {
            let _lock = self.lock()?;
            self.forget_events(page)?;
        }
        self.known.forget(old)
    }

    /// Removes events' rows. Under the lock of the head, and only of those that have not come again meanwhile: the row of
    /// one that has leads to a call that must not be made a third time.
    fn forget_events(&self, calls: &[Call]) -> Result<(), StoreError> {
        let mut batch = self.keyspaces.synced_batch(calls.len());
        for call in calls {
            if let Some(event) = call.1.event()
                && self.is_last_of_its_event(call)?
            {
                self.keyspaces.remove_event(&mut batch, call.0, event);
            }
        }
        batch.commit().map_err(fatal)
    }

    /// Whether the call was made by an event that has not come again since under another key.
    fn is_last_of_its_event(&self, (system, key): &Call) -> Result<bool, StoreError> {
        match key.event() {
            Some(event) => Ok(self.keyspaces.event(*system, event)? == Some(*key)),
            None => Ok(false),
        }
    }
}
