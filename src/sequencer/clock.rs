//! Whether the wall clock can be trusted with the time of an entry.

use std::time::Duration;

use super::ClockFault;
use crate::domain::time::{Clock, Moment};

/// Compares the wall clock with the ledger's newest entry and with the time that has passed.
#[derive(Debug)]
pub(super) struct ClockWatch {
    behind_max: Duration,
    jump_max: Duration,
    started: Moment,
    started_up: Duration,
}

impl ClockWatch {
    pub(super) fn start(clock: &dyn Clock, behind_max: Duration, jump_max: Duration) -> Self {
        Self { behind_max, jump_max, started: clock.now(), started_up: clock.uptime() }
    }

    /// The time of the next entry: never before the newest one (`head`), in whole seconds.
    pub(super) fn entry_time(&self, clock: &dyn Clock, head: Moment) -> Result<Moment, ClockFault> {
        let now = clock.now();
        if now.after(self.behind_max) < head {
            return Err(ClockFault::Behind);
        }
        let passed = clock.uptime().saturating_sub(self.started_up);
        if now > self.started.after(passed).after(self.jump_max) {
            return Err(ClockFault::Jumped);
        }
        Ok(Moment::from_secs(now.as_secs()).max(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::ManualClock;

    const SKEW: Duration = Duration::from_secs(5);
    const NOW: Moment = Moment::from_secs(1_800_000_000);

    #[test]
    fn a_clock_up_to_five_seconds_behind_the_head_is_taken_and_the_time_does_not_go_back() {
        let clock = ManualClock::at(NOW);
        let watch = ClockWatch::start(&clock, SKEW, SKEW);
        assert_eq!(watch.entry_time(&clock, NOW.after(SKEW)), Ok(NOW.after(SKEW)));
        assert_eq!(watch.entry_time(&clock, NOW.after(SKEW).after(Duration::from_secs(1))), Err(ClockFault::Behind));
    }

    #[test]
    fn time_that_passes_is_no_jump_and_turned_hands_are() {
        let clock = ManualClock::at(NOW);
        let watch = ClockWatch::start(&clock, SKEW, SKEW);
        clock.advance(Duration::from_hours(24));
        assert!(watch.entry_time(&clock, NOW).is_ok());
        clock.set(clock.now().after(SKEW));
        assert!(watch.entry_time(&clock, NOW).is_ok());
        clock.set(clock.now().after(Duration::from_secs(1)));
        assert_eq!(watch.entry_time(&clock, NOW), Err(ClockFault::Jumped));
    }
}
