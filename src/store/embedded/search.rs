//! Searching the ledger: time becomes a range of indices, terms go to the index. Only reads.

use super::{Inner, StoreError, index::Range};
use crate::{domain::time::Moment, store::Query};

impl Inner {
    /// See [`Store::search`](crate::store::Store::search). The index is extended by each commit before its head is
    /// shown, so that it is never behind.
    pub(super) fn search(&self, query: &Query) -> Result<Vec<u64>, StoreError> {
        let size = self.head.read().size;
        let mut until = query.before.unwrap_or(u64::MAX).min(size);
        if let Some(moment) = query.until {
            until = self.first_at(moment, until)?;
        }
        let from = query.from.map_or(Ok(0), |moment| self.first_at(moment, until))?;
        if query.terms.is_empty() {
            return Ok((from..until).rev().take(query.limit).collect());
        }
        self.index.search(&Range { terms: &query.terms, from, until, limit: query.limit })
    }

    /// The first of the entries below `until` whose time is `moment` or later; `until` if there is none. Times of
    /// entries never decrease, so this halves the range.
    fn first_at(&self, moment: Moment, until: u64) -> Result<u64, StoreError> {
        let (mut low, mut high) = (0, until);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.history.time(middle)? < moment { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }
}
