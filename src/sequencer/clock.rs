//! Whether the wall clock can be trusted with the time of an entry.

use std::{fmt, sync::Arc, time::Duration};

use super::ClockFault;
use crate::domain::time::{Clock, Moment};

/// Compares the wall clock with the ledger's newest entry and with the time that has passed.
pub(super) struct ClockWatch {
    clock: Arc<dyn Clock>,
    behind_max: Duration,
    jump_max: Duration,
    started: Moment,
    started_up: Duration,
}

impl ClockWatch {
    pub(super) fn start(clock: Arc<dyn Clock>, behind_max: Duration, jump_max: Duration) -> Self {
        let (started, started_up) = (clock.now(), clock.uptime());
        Self { clock, behind_max, jump_max, started, started_up }
    }

    /// The time of the next entry: never before the newest one (`head`), in whole seconds.
    pub(super) fn entry_time(&self, head: Moment) -> Result<Moment, ClockFault> {
        Ok(Moment::from_secs(self.now(head)?.as_secs()).max(head))
    }

    /// The clock's time, if it can be trusted.
    pub(super) fn now(&self, head: Moment) -> Result<Moment, ClockFault> {
        let now = self.clock.now();
        if now.after(self.behind_max) < head {
            return Err(ClockFault::Behind);
        }
        let passed = self.clock.uptime().saturating_sub(self.started_up);
        if now > self.started.after(passed).after(self.jump_max) {
            return Err(ClockFault::Jumped);
        }
        Ok(now)
    }
}

impl fmt::Debug for ClockWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockWatch").field("started", &self.started).finish_non_exhaustive()
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
        let clock = Arc::new(ManualClock::at(NOW));
        let watch = ClockWatch::start(Arc::clone(&clock) as _, SKEW, SKEW);
        assert_eq!(watch.entry_time(NOW.after(SKEW)), Ok(NOW.after(SKEW)));
        assert_eq!(watch.entry_time(NOW.after(SKEW).after(Duration::from_secs(1))), Err(ClockFault::Behind));
    }

    #[test]
    fn time_that_passes_is_no_jump_and_turned_hands_are() {
        let clock = Arc::new(ManualClock::at(NOW));
        let watch = ClockWatch::start(Arc::clone(&clock) as _, SKEW, SKEW);
        clock.advance(Duration::from_hours(24));
        assert!(watch.entry_time(NOW).is_ok());
        clock.set(clock.now().after(SKEW));
        assert!(watch.entry_time(NOW).is_ok());
        clock.set(clock.now().after(Duration::from_secs(1)));
        assert_eq!(watch.entry_time(NOW), Err(ClockFault::Jumped));
    }
}
