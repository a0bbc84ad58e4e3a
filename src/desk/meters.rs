//! How long the stages of a record's path take. The stages themselves are pure and read no clock, so they are timed here.
//! No label names a person.

use std::time::Instant;

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

/// The stages' histograms, looked up once.
pub(super) struct Meters([Histogram; Stage::ALL.len()]);

impl Meters {
    pub(super) fn new() -> Self {
        Self(Stage::ALL.map(|stage| histogram!("waybill_stage_seconds", "stage" => stage.name())))
    }

    /// Does `work` and notes how long it took.
    pub(super) fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.since(stage, started);
        done
    }

    /// Notes how long a stage took that began at `started`.
    pub(super) fn since(&self, stage: Stage, started: Instant) {
        self.0[stage as usize].record(started.elapsed());
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
        assert_eq!(Meters::new().time(Stage::Seal, || 7), 7);
    }
}
