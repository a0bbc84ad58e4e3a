//! Health that tells the truth: serving only while the sequencer commits.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::sequencer::Condition;

/// Keeps the status of `services` up to date until the hub stops.
pub(super) async fn report(
    mut reporter: HealthReporter,
    services: &[&'static str],
    mut condition: watch::Receiver<Condition>,
    stopping: CancellationToken,
) {
    let mut writer_lives = true;
    let mut told = None;
    while !stopping.is_cancelled() {
        // A writer that has gone without a word leaves a condition that is not true any more.
        let serving = writer_lives && *condition.borrow_and_update() == Condition::Serving;
        tell(&reporter, services, serving, &mut told).await;
        tokio::select! {
            () = stopping.cancelled() => {}
            changed = condition.changed(), if writer_lives => writer_lives = changed.is_ok(),
        }
    }
    tell(&reporter, services, false, &mut told).await;
    // Whoever watches has been told; a watch that stays open would hold up the end of its connection.
    for service in services {
        reporter.clear_service_status(service).await;
    }
}

/// Says how it stands, unless that was said last.
async fn tell(reporter: &HealthReporter, services: &[&'static str], serving: bool, told: &mut Option<bool>) {
    if told.replace(serving) == Some(serving) {
        return;
    }
    let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for service in services {
        reporter.set_service_status(service, status).await;
    }
}
