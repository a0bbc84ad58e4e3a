//! Logs and metrics. Neither names a person: no layer below puts anything about one into an event or a label.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, Metrics};

/// Starts logging to stderr, once in a process; a second call changes nothing.
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
}

/// Serves Prometheus metrics in plain HTTP; the configuration has seen to it that this is loopback, or wanted.
pub(super) fn start_metrics(metrics: &Metrics) -> anyhow::Result<()> {
    let builder = PrometheusBuilder::new().with_http_listener(metrics.listen);
    builder.install().with_context(|| format!("metrics on {}", metrics.listen))
}
