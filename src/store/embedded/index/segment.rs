//! The newest part of the index, in memory: the terms and recipients of a few thousand entries in ledger order.

use crate::{
    domain::agency::AgencyKey,
    store::{NewEntry, Routing},
    vault::Term,
};

/// Entries of a full segment. Segments begin at its multiples. In unit tests few, so that short histories fill chunks.
pub(super) const SEGMENT_ENTRIES: u64 = if cfg!(test) { 8 } else { 4096 };

/// Some consecutive entries' terms and recipients. Appending is a copy; searching is a scan, which for so few is quick.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    first: u64,
    /// Where each entry's terms end.
    ends: Vec<u32>,
    terms: Vec<u64>,
    /// Who gets a delivery, and which.
    deliveries: Vec<(AgencyKey, u64)>,
}

impl Segment {
    pub(super) const fn new(first: u64) -> Self {
        Self { first, ends: Vec::new(), terms: Vec::new(), deliveries: Vec::new() }
    }

    /// The index after the last entry.
    pub(super) const fn end(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    /// Whether the next entry belongs to the next segment.
    pub(super) const fn is_full(&self) -> bool {
        !self.ends.is_empty() && self.end().is_multiple_of(SEGMENT_ENTRIES)
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, routing: &Routing) {
        if let Some(outgoing) = &routing.outgoing {
            self.deliveries.push((outgoing.recipient, self.end()));
        }
        self.terms.extend(routing.terms.iter().map(|term| term.0));
        self.ends.push(self.terms.len() as u32);
    }

    fn start_of(&self, entry: usize) -> usize {
        entry.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn position(&self, index: u64) -> usize {
        usize::try_from(index.saturating_sub(self.first)).map_or(self.ends.len(), |at| at.min(self.ends.len()))
    }

    /// Adds the indices in `from..until` whose entries have all of `terms` (at least one), newest first, until `limit`.
    pub(super) fn search(&self, terms: &[Term], from: u64, until: u64, limit: usize, found: &mut Vec<u64>) {
        let (low, high) = (self.position(from), self.position(until));
        if low >= high {
            return;
        }
        let mut stop = self.ends[high - 1] as usize;
        let start = self.start_of(low);
        while found.len() < limit {
            // Backwards over a flat array for the first term: the compiler makes a wide comparison of it.
            let Some(hit) = self.terms[start..stop].iter().rposition(|term| *term == terms[0].0) else { return };
            let entry = self.ends.partition_point(|end| *end as usize <= start + hit);
            let own = &self.terms[self.start_of(entry)..self.ends[entry] as usize];
            if terms[1..].iter().all(|term| own.contains(&term.0)) {
                found.push(self.first + entry as u64);
            }
            stop = self.start_of(entry);
        }
    }

    /// Whether an entry at or after `since` has `term`.
    pub(super) fn has_since(&self, term: Term, since: u64) -> bool {
        self.terms[self.start_of(self.position(since))..].contains(&term.0)
    }

    /// Adds the recipient's deliveries in `from..until`, oldest first, until `limit`.
    pub(super) fn deliveries(&self, recipient: AgencyKey, from: u64, until: u64, limit: usize, found: &mut Vec<u64>) {
        let start = self.deliveries.partition_point(|(_, index)| *index < from);
        let here = self.deliveries[start..].iter().take_while(|(_, index)| *index < until);
        let own = here.filter(|(agency, _)| *agency == recipient).map(|(_, index)| *index);
        found.extend(own.take(limit.saturating_sub(found.len())));
    }

    /// All (term, offset from `base`) pairs; a term that an entry has twice comes twice.
    pub(super) fn pairs(&self, base: u64) -> impl Iterator<Item = (u64, u32)> {
        let offset = (self.first - base) as u32;
        let spans = (0..self.ends.len()).map(|entry| (entry as u32, self.start_of(entry)..self.ends[entry] as usize));
        spans.flat_map(move |(entry, span)| self.terms[span].iter().map(move |term| (*term, offset + entry)))
    }

    /// All deliveries, oldest first.
    pub(super) fn all_deliveries(&self) -> &[(AgencyKey, u64)] {
        &self.deliveries
    }

    /// Adds as many of the entries as this segment takes; the first of `entries` follows the last of this one.
    pub(super) fn fill<'a>(&mut self, entries: &'a [NewEntry]) -> &'a [NewEntry] {
        let room = SEGMENT_ENTRIES - self.end() % SEGMENT_ENTRIES;
        let room = if self.is_full() { 0 } else { usize::try_from(room).unwrap_or(usize::MAX) };
        let (now, later) = entries.split_at(room.min(entries.len()));
        for entry in now {
            self.push(&entry.routing);
        }
        later
    }
}
