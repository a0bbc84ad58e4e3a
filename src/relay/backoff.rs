//! How long to wait before a delivery is tried again. Pure: randomness is an argument.

use std::time::Duration;

/// Bounds of the wait between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failed attempt; it doubles with each.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after this many failed attempts (from 1): between half of the doubled wait and the whole of it, so that
    /// what failed together does not come back together.
    pub fn wait(&self, failed: u32, random: u64) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = u64::try_from(doubled.min(self.longest).as_micros()).unwrap_or(u64::MAX);
        let half = whole / 2;
        Duration::from_micros(half + random % (whole - half + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_mins(1) };

    #[test]
    fn it_doubles_from_the_first_wait_up_to_the_longest() {
        let longest = |failed| BACKOFF.wait(failed, 0).as_millis() * 2;
        assert_eq!([1, 2, 3, 4].map(longest), [200, 400, 800, 1600]);
        assert_eq!(longest(9), 51_200);
        assert_eq!(longest(10), 60_000);
        assert_eq!(longest(u32::MAX), 60_000);
    }

    proptest! {
        #[test]
        fn every_wait_lies_between_half_and_the_whole(failed in 1_u32..100, random: u64) {
            let whole = BACKOFF.first.saturating_mul(1 << (failed - 1).min(20)).min(BACKOFF.longest);
            let wait = BACKOFF.wait(failed, random);
            prop_assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }
    }
}
