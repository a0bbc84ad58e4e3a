//! Calls that go on when their caller has hung up, until the hub stops.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs such calls, each on a task of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Detached {
    calls: TaskTracker,
    stopped: CancellationToken,
}

impl Detached {
    /// Runs `call` to its end, whether somebody waits for it or not; `None` when the hub stops before, or it panics.
    pub(super) async fn run<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let stopped = self.stopped.clone();
        self.calls.spawn(stopped.run_until_cancelled_owned(call)).await.ok().flatten()
    }

    /// Ends the calls that are left, and returns when they hold nothing any more.
    pub(super) async fn stop(&self) {
        self.stopped.cancel();
        self.calls.close();
        self.calls.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_call_goes_on_when_nobody_waits_for_it_any_more() {
        let (detached, go_on, done) = (Detached::default(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, tells) = (Arc::clone(&go_on), Arc::clone(&done));
        let waiting = detached.run(async move {
            told.notified().await;
            tells.notify_one();
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err(), "the caller hangs up");
        go_on.notify_one();
        tokio::time::timeout(Duration::from_secs(30), done.notified()).await.expect("it went on");
    }

    #[tokio::test]
    async fn what_is_left_ends_when_the_hub_stops() {
        let (detached, held) = (Detached::default(), Arc::new(()));
        let holds = Arc::clone(&held);
        let never = detached.clone();
        let waiting = tokio::spawn(async move {
            never
                .run(async move {
                    std::future::pending::<()>().await;
                    drop(holds);
                })
                .await
        });
        while Arc::strong_count(&held) == 1 || detached.calls.is_empty() {
            tokio::task::yield_now().await;
        }
        detached.stop().await;
        assert_eq!(Arc::strong_count(&held), 1, "it holds nothing any more");
        assert_eq!(waiting.await.unwrap(), None);
    }
}
