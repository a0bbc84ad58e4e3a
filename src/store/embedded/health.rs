//! Whether the store may still be used: after a write or sync has failed, nothing is known, and everything says so.

use std::sync::OnceLock;

use super::StoreError;

/// Set once, by the first failure.
#[derive(Debug, Default)]
pub(super) struct Health(OnceLock<String>);

impl Health {
    /// Fails once the store is poisoned.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.0.get().map_or(Ok(()), |why| Err(StoreError::Fatal(why.clone())))
    }

    /// Poisons the store, whatever the error was: what is durable is unknown.
    pub(super) fn poison(&self, error: &StoreError) -> StoreError {
        let why = match error {
            StoreError::Fatal(why) => why.clone(),
            other => other.to_string(),
        };
        StoreError::Fatal(self.0.get_or_init(|| why).clone())
    }

    /// Poisons the store if the error is fatal; any other concerns only who asked.
    pub(super) fn poison_if_fatal(&self, error: StoreError) -> StoreError {
        if matches!(error, StoreError::Fatal(_)) { self.poison(&error) } else { error }
    }
}
