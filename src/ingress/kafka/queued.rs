//! How much of a partition is in memory, and when the library is to fetch no more of it.

use std::sync::atomic::Ordering;

use super::partition::Progress;

/// Records of a partition that wait for its task before the library fetches no more, in windows; it fetches on from one.
const QUEUED_WINDOWS: usize = 4;
/// It fetches on, too, only when no more than this part of the bytes that may be untold are.
const RESUME_PART: usize = 2;

/// What of a partition is in memory: records that wait for its task, and bytes of all that are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Progress {
    /// What is in memory now.
    pub(super) fn queued(&self) -> Queued {
        Queued { records: self.queued.load(Ordering::Relaxed), bytes: self.untold_bytes.load(Ordering::Relaxed) }
    }
}

impl Queued {
    /// Whether the library is to fetch no more.
    pub(super) const fn is_full(self, window: usize, bytes_max: usize) -> bool {
        self.records >= QUEUED_WINDOWS * window || self.bytes >= bytes_max
    }

    /// Whether it may fetch on.
    pub(super) const fn has_room(self, window: usize, bytes_max: usize) -> bool {
        self.records <= window && self.bytes <= bytes_max / RESUME_PART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_full_by_records_or_bytes_and_has_room_again_only_by_both() {
        let (window, bytes_max) = (10, 1000);
        let full = |records, bytes| Queued { records, bytes }.is_full(window, bytes_max);
        assert_eq!([full(39, 999), full(40, 0), full(0, 1000)], [false, true, true]);
        let room = |records, bytes| Queued { records, bytes }.has_room(window, bytes_max);
        assert_eq!([room(10, 500), room(11, 0), room(0, 501)], [true, false, false]);
    }
}
