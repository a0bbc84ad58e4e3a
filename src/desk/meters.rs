//! How long the stages of a record's path take. The stages themselves are pure and read no clock, so they are timed here,
//! for one call of [`TIMED_EVERY`]: reading the clock before and after each stage of every call would cost as much as some
//! of the stages. No label names a person.

use std::{cell::Cell, sync::Arc, time::Instant};

use metrics::{Histogram, histogram};

/// A stage of the path, as metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Who calls, for whom, in which role.
    Authenticate,
    /// Record type, version, agreements.
    Address,
    /// Bounds, schema, whom it is about.
    Validate,
    /// The person's facts are read.
    Facts,
    /// Agreement, basis, facts.
    Permit,
    /// The agreed fields.
    Minimise,
    /// Commitments and ciphertext.
    Seal,
}

impl Stage {
    const ALL: [Self; 7] =
        [Self::Authenticate, Self::Address, Self::Validate, Self::Facts, Self::Permit, Self::Minimise, Self::Seal];

    const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Address => "address",
            Self::Validate => "validate",
            Self::Facts => "facts",
            Self::Permit => "permit",
            Self::Minimise => "minimise",
            Self::Seal => "seal",
        }
    }
}

/// Of so many calls one is timed, the first of each thread among them.
pub(super) const TIMED_EVERY: u32 = 16;

/// The stages' histograms, looked up once.
pub(super) struct Meters(Arc<[Histogram; Stage::ALL.len()]>);

/// One call's, timed or not.
#[derive(Clone)]
pub(super) struct Timer(Option<Arc<[Histogram; Stage::ALL.len()]>>);

impl Meters {
    pub(super) fn new() -> Self {
        let stages = Stage::ALL.map(|stage| histogram!("waybill_stage_seconds", "stage" => stage.name()));
        Self(Arc::new(stages))
    }

    /// For the stages of a call that begins.
    pub(super) fn timer(&self) -> Timer {
        thread_local! {
            static CALLS: Cell<u32> = const { Cell::new(0) };
        }
        let nth = CALLS.get();
        CALLS.set(nth.wrapping_add(1));
        Timer(nth.is_multiple_of(TIMED_EVERY).then(|| Arc::clone(&self.0)))
    }
}

impl Timer {
    /// Does `work`, and notes how long it took if the call is timed.
    pub(super) fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = self.start();
        let done = work();
        self.since(stage, started);
        done
    }

    /// When a stage begins, if the call is timed.
    pub(super) fn start(&self) -> Option<Instant> {
        self.0.as_ref().map(|_| Instant::now())
    }

    /// Notes how long a stage took that began at `started`.
    pub(super) fn since(&self, stage: Stage, started: Option<Instant>) {
        if let (Some(stages), Some(started)) = (&self.0, started) {
            stages[stage as usize].record(started.elapsed());
        }
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Timer({})", self.0.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_a_place_and_a_name_of_its_own() {
        for (place, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, place);
            assert_eq!(Stage::ALL.iter().filter(|other| other.name() == stage.name()).count(), 1);
        }
    }

    #[test]
    fn the_first_call_of_a_thread_is_timed_and_then_one_of_so_many_and_each_does_its_work() {
        std::thread::spawn(|| {
            let meters = Meters::new();
            let timed = |_| {
                let timer = meters.timer();
                assert_eq!(timer.time(Stage::Seal, || 7), 7);
                timer.start().is_some()
            };
            let timed: Vec<bool> = (0..=2 * TIMED_EVERY).map(timed).collect();
            let expected: Vec<bool> = (0..=2 * TIMED_EVERY).map(|nth| nth % TIMED_EVERY == 0).collect();
            assert_eq!(timed, expected);
        })
        .join()
        .unwrap();
    }
}
