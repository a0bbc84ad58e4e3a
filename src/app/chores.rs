//! What a hub does beside its calls, in small steps that do not disturb them.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    domain::time::{Clock as _, SystemClock},
    store::embedded::EmbeddedStore,
};

/// Rows forgotten in one step: some milliseconds of work.
const ROWS: usize = 256;
/// How often the window is looked at.
const EVERY: Duration = Duration::from_mins(1);

/// Forgets calls whose keys are older than the window; a repeat of them is refused as too old.
pub(super) async fn forget_calls(store: EmbeddedStore, window: Duration, stopping: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        loop {
            let (store, since) = (store.clone(), SystemClock.now().before(window));
            match tokio::task::spawn_blocking(move || store.forget_before(since, ROWS)).await {
                Ok(Ok(ROWS)) => tokio::task::yield_now().await,
                Ok(Ok(_)) => break,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "old calls are not forgotten");
                    break;
                }
                Err(_) => return,
            }
        }
    }
}
