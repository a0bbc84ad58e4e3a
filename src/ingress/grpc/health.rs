//! Health that tells the truth: serving only while the sequencer commits.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::sequencer::Condition;

/// Keeps the status of `services` (and of the hub as a whole, the empty name) up to date, until the hub stops.
pub(super) async fn report(
    reporter: HealthReporter,
    services: &[&'static str],
    mut condition: watch::Receiver<Condition>,
    stopping: CancellationToken,
) {
    loop {
        let serving = *condition.borrow_and_update() == Condition::Serving && !stopping.is_cancelled();
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in services {
            reporter.set_service_status(service, status).await;
        }
        if stopping.is_cancelled() {
            return;
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            changed = condition.changed() => if changed.is_err() {
                // The sequencer has gone without a word: the last condition is not true any more.
                for service in services {
                    reporter.set_service_status(service, ServingStatus::NotServing).await;
                }
                return;
            }
        }
    }
}
