//! What is logged, and in which form. That no person is in it is not configurable.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::error::Fault;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which events, as `tracing` writes it: `info,waybill::relay=debug`.
    pub filter: String,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Log {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let fault = |error| Fault { table: "log", key: "filter", message: format!("it is no filter: {error}") };
        EnvFilter::try_new(&self.filter).map(drop).map_err(fault)
    }
}
