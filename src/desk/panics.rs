//! Panics while a call is decided: the call ends, the hub goes on. Whose fault one is, the record's or the hub's, is told by
//! how many came in a row.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
};

use futures_util::FutureExt as _;

use super::CallError;

/// Panics in a row, without anything decided in between, that are still taken to be the fault of what was decided. If more
/// come, something is wrong with the hub, and no record is given up for it: what is in a log waits there.
const IN_A_ROW_MAX: u32 = 3;

const PANICKED: &str = "deciding it panicked; the hub's log says where";

/// Does a part of one call; `None` if that panicked. The process's hook logs where it was; the panic's own text may say what
/// the record says, and is dropped. The part is pinned where it is: it would be large to move.
pub(super) async fn caught<F: Future>(part: Pin<&mut F>) -> Option<F::Output> {
    AssertUnwindSafe(part).catch_unwind().await.ok()
}

/// Does a whole call whose caller waits: what panics in it ends it alone, as the hub's fault. Nothing is given up for it, so
/// it is not counted.
pub(super) async fn contained<T, F>(call: Pin<&mut F>) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    caught(call).await.unwrap_or_else(|| Err(panicked()))
}

/// What is told of a panic: nothing of its own text.
pub(super) fn panicked() -> CallError {
    CallError::Fault(PANICKED.into())
}

/// Counts panics since something was last decided.
#[derive(Debug, Default)]
pub(super) struct Panics(AtomicU32);

impl Panics {
    /// Does a part of one call's decision. What panics in it would do so again, so the hub can never record it, unless
    /// everything panics.
    pub(super) async fn contain<T, E, F>(&self, part: Pin<&mut F>) -> Result<T, E>
    where
        E: From<CallError>,
        F: Future<Output = Result<T, E>>,
    {
        if let Some(done) = caught(part).await {
            return done;
        }
        let in_a_row = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        Err(E::from(if in_a_row > IN_A_ROW_MAX {
            CallError::Fault("one decision after the other panics; the hub's log says where".into())
        } else {
            CallError::Unrecordable(PANICKED)
        }))
    }

    /// Something was decided.
    pub(super) fn over(&self) {
        if self.0.load(Ordering::Relaxed) > 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }
}
