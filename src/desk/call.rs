//! How a call ends when it does not succeed.

use std::time::Duration;

use super::receipts::Receipt;
use crate::{
    domain::refusal::{Refusal, RefusalCode},
    sequencer::SequencerError,
    store::StoreError,
};

/// A refusal and the entry that records it.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why, as far as the caller may know.
    pub refusal: Refusal,
    /// Its entry.
    pub receipt: Receipt,
}

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The business said no. It is recorded.
    #[error("refused: {}", .0.refusal.code)]
    Refused(Box<Refused>),
    /// Over a rate or bound: nothing was decided and nothing recorded.
    #[error("{what}; try again in {} ms", retry_after.as_millis())]
    Exhausted {
        /// Which.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The hub cannot decide now: nothing was recorded.
    #[error("{0}")]
    Unavailable(String),
    /// The record was consumed before, and its outcome cannot be told again; a search finds its entry.
    #[error("it had its outcome before, which is not told again")]
    Past,
    /// It was read from a log, and the hub can never record it: it has no entry, and the log goes on behind it.
    #[error("the hub can never record it: {0}")]
    Unrecordable(&'static str),
    /// What is stored is not what was written, so that the hub can never do it. The text names no person.
    #[error("{0}")]
    Damaged(String),
    /// The hub failed. The text names no person.
    #[error("{0}")]
    Fault(String),
}

/// What happens inside a use case before its refusal is recorded.
#[derive(Debug)]
pub(super) enum Stop {
    /// The business says no.
    Refusal(Refusal),
    /// It cannot be decided.
    Error(CallError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<RefusalCode> for Stop {
    fn from(code: RefusalCode) -> Self {
        Self::Refusal(code.into())
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Error(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Error(error.into())
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutOfSpace { .. } | StoreError::Busy(_) => Self::Unavailable(error.to_string()),
            StoreError::Corrupt(_) => Self::Damaged(error.to_string()),
            other => Self::Fault(other.to_string()),
        }
    }
}

impl From<SequencerError> for CallError {
    fn from(error: SequencerError) -> Self {
        match error {
            SequencerError::Unavailable(ref inner) if matches!(**inner, StoreError::OutOfSpace { .. }) => {
                Self::Unavailable(error.to_string())
            }
            SequencerError::Unavailable(_) | SequencerError::Invalid(_) | SequencerError::InvalidBatch(_) => {
                Self::Fault(error.to_string())
            }
            SequencerError::Stale | SequencerError::Moved | SequencerError::Clock(_) | SequencerError::Stopping => {
                Self::Unavailable(error.to_string())
            }
            // The desk tells a reused key from a repeat before it proposes; only a race comes here.
            SequencerError::KeyReused => Self::Unavailable("the same key is being used by another call".into()),
        }
    }
}
