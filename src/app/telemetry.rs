//! Logs and metrics. Neither names a person: no layer below puts anything about one into an event or a label.

use std::{io::IsTerminal as _, panic::PanicHookInfo};

use anyhow::Context as _;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, Metrics};

/// Bounds of the buckets in which times are counted, in seconds: three a decade.
const SECONDS: [f64; 21] = [
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
];
/// Bounds of the buckets in which sizes of batches are counted.
const PROPOSALS: [f64; 13] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0];

/// Starts logging to stderr, panics too, once in a process; a second call changes nothing.
pub fn start_logging(log: &Log) {
    let filter = EnvFilter::try_new(&log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
    log_panics();
}

/// From now on a panic says in the log where it happened, and nothing else: its own text may quote what was being read.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        metrics::counter!("waybill_panics_total").increment(1);
        tracing::error!(at, thread = thread.name(), "a panic: a fault of the hub; please report it with this place");
    }));
}

/// Serves Prometheus metrics in plain HTTP; the configuration has seen to it that this is loopback, or wanted.
pub(super) fn start_metrics(metrics: &Metrics) -> anyhow::Result<()> {
    let installed = builder().and_then(|builder| builder.with_http_listener(metrics.listen).install());
    installed.with_context(|| format!("metrics on {}", metrics.listen))
}

/// Times and sizes are counted in buckets: they take the same memory however long the hub runs, and those of several hubs
/// can be added.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let proposals = Matcher::Suffix("_proposals".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS)?.set_buckets_for_metric(proposals, &PROPOSALS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_counted_in_buckets() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("waybill_commit_seconds").record(0.2);
            metrics::histogram!("waybill_batch_proposals").record(3.0);
        });
        let page = recorder.handle().render();
        for line in [
            "waybill_commit_seconds_bucket{le=\"0.1\"} 0",
            "waybill_commit_seconds_bucket{le=\"0.25\"} 1",
            "waybill_batch_proposals_bucket{le=\"2\"} 0",
            "waybill_batch_proposals_bucket{le=\"4\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in {page}");
        }
        assert!(!page.contains("quantile"), "{page}");
    }

    /// Tells the test that it is the process that panics.
    const PANICS: &str = "WAYBILL_TEST_PANICS";

    /// Plays both parts: the process that panics, and the one that reads what it logged.
    #[test]
    fn a_panic_says_where_it_was_and_not_what_it_says() {
        if std::env::var_os(PANICS).is_some() {
            start_logging(&Log::default());
            let panicked = std::thread::spawn(|| panic!("the name of {}", "a person")).join();
            return assert!(panicked.is_err());
        }
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "app::telemetry::tests::a_panic_says_where_it_was_and_not_what_it_says", "--nocapture"]);
        let ran = again.env(PANICS, "1").output().unwrap();
        let logged = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{logged}");
        assert!(logged.contains("a panic") && logged.contains("telemetry.rs:"), "{logged}");
        assert!(!logged.contains("a person"), "{logged}");
    }
}
