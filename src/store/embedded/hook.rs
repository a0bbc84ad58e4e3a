//! The moments of a commit, and of what is done beside the commits, at which a disk can fail or something can come in
//! between, for the tests. In production nothing is hooked.

use super::StoreError;

/// What happens around the durable steps of a commit. Each may fail in the place of the disk.
///
/// An error before a step says that the step failed and changed nothing; one after it, that it failed but took effect,
/// as when a power cut or a dying disk swallows the answer. The store treats both alike: fatal.
pub trait CommitHook: Send + Sync + 'static {
    /// Before the slot file is written and synced.
    fn before_slots_sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// After the slot file is synced, before the commit's rows are written.
    fn before_rows(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// After the rows are synced, before the batch is written.
    fn before_batch(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// After the batch is durable, before anybody is shown it.
    fn after_batch(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Before a chunk of the index is written, on the thread that does so.
    fn before_flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// When calls are forgotten, between looking for their events and removing these; others commit meanwhile.
    fn before_events_go(&self) {}

    /// When an epoch ends, between looking for what is pending and for dead letters; others commit meanwhile.
    fn before_dead_letters(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// After the key of an epoch was overwritten, before the rows that speak of it go.
    fn after_erase(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Before so many rows of payloads go in one batch, whose epoch's key was overwritten.
    fn before_resealed_go(&self, _rows: usize) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Nothing is hooked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHook;

impl CommitHook for NoHook {}
