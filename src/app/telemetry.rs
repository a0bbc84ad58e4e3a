//! Logs and metrics. Neither names a person: no layer below puts anything about one into an event or a label.

use std::{io::IsTerminal as _, panic::PanicHookInfo};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, Metrics};

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
    let builder = PrometheusBuilder::new().with_http_listener(metrics.listen);
    builder.install().with_context(|| format!("metrics on {}", metrics.listen))
}

#[cfg(test)]
mod tests {
    use super::*;

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
