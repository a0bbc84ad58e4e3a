//! That the hub must not go on because of what it found in Kafka. Whoever finds it says so here; the hub's composition
//! waits for it, and stops.

use tokio::sync::watch;

/// Why the hub must not go on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Conflict(String);

/// What was found so far: the last one.
#[derive(Debug, Default)]
pub struct Conflicts(watch::Sender<Option<Conflict>>);

impl Conflicts {
    /// Says why the hub must not go on.
    pub fn found(&self, why: String) {
        tracing::error!("{why}");
        self.0.send_replace(Some(Conflict(why)));
    }

    /// Waits until there is one.
    pub async fn any(&self) -> Conflict {
        let mut seen = self.0.subscribe();
        match seen.wait_for(Option::is_some).await.map(|found| found.clone()) {
            Ok(Some(conflict)) => conflict,
            // Whoever could say it is here as long as we wait.
            _ => std::future::pending().await,
        }
    }
}
