//! Moments and where they come from. The hub reads time only through a [`Clock`], so that tests can hold it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// A moment: whole milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment that is `seconds` whole seconds after the epoch.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, as entries and checkpoints carry them.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This moment, later by `duration`.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment, earlier by `duration`.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this moment is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::fmt::Display for Moment {
    /// RFC 3339 in UTC, e.g. `2026-11-21T20:13:00Z`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
            Some(moment) => moment.fmt(f),
            None => f.write_str("after the year 9999"),
        }
    }
}

impl std::str::FromStr for Moment {
    type Err = NoMoment;
    /// RFC 3339.
    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| NoMoment)?;
        u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| NoMoment)
    }
}

/// Not a moment since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is written as RFC 3339 says, e.g. 2026-11-21T20:13:00Z, and not before 1970")]
pub struct NoMoment;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The moment now, by the wall.
    fn now(&self) -> Moment;

    /// How long the machine has been up, asleep or awake: what a jump of the wall clock is told from.
    fn uptime(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others read")]
    fn now(&self) -> Moment {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn uptime(&self) -> Duration {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(up).unwrap_or_default()
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicU64,
    uptime_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `moment`.
    pub const fn at(moment: Moment) -> Self {
        Self { now_ms: AtomicU64::new(moment.0), uptime_ms: AtomicU64::new(0) }
    }

    /// Sets the wall clock, forward or back, as somebody who turns its hands: no time passes.
    pub fn set(&self, moment: Moment) {
        self.now_ms.store(moment.0, Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().after(duration));
        self.uptime_ms.fetch_add(duration.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(self.now_ms.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime_ms.load(Ordering::SeqCst))
    }
}
