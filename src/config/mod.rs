//! The hub's configuration: one TOML file, strict, one module per concern. Loading it opens no port and no store.
//!
//! | question | file |
//! |---|---|
//! | how much, how long, how many? | [`limits`], and the table in `README.md` |
//! | where does it listen? | [`listen`] |
//! | which Kafka, as whom? | [`kafka`] |
//! | which certificates, which keys? | [`tls`], [`keys`], the key files themselves [`key_files`] |
//! | where does it keep things? | [`paths`], [`store`] |
//! | what does it log? | [`log`] |

pub mod error;
pub mod kafka;
pub mod key_files;
pub mod keys;
pub mod limits;
pub mod listen;
pub mod log;
pub mod paths;
pub mod store;
#[cfg(test)]
mod tests;
pub mod tls;

use std::path::Path;

use serde::Deserialize;

use crate::domain::environment::Environment;

pub use self::{
    error::ConfigError,
    kafka::{Kafka, Topics},
    key_files::{KeyFileError, LedgerIdentity, MasterKeyFile},
    keys::Keys,
    limits::Limits,
    listen::{Grpc, Metrics},
    log::{Log, LogFormat},
    paths::Paths,
    store::Store,
    tls::Tls,
};

/// The largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything that `waybill serve` is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the hub's data are worth. No default.
    pub environment: Environment,
    /// The hub's name, part of the checkpoints' origin: never changed, never used by another hub.
    pub hub: HubName,
    /// Folders.
    pub paths: Paths,
    /// Where agencies connect.
    pub grpc: Grpc,
    /// The hub's certificate and whose certificates it takes.
    pub tls: Tls,
    /// The hub's own keys.
    pub keys: Keys,
    /// The Kafka that agencies use; without it, none does.
    #[serde(default)]
    pub kafka: Option<Kafka>,
    /// Where metrics are read.
    #[serde(default)]
    pub metrics: Metrics,
    /// What is logged, and how.
    #[serde(default)]
    pub log: Log,
    /// The embedded store.
    #[serde(default)]
    pub store: Store,
    /// Every bound.
    #[serde(default)]
    pub limits: Limits,
}

/// A hub's name: like a host name, perhaps with a path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HubName(String);

impl HubName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HubName {
    type Error = &'static str;

    /// No blank and no `+`: the name goes into the key names of C2SP signed notes.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let ok = bytes.len() <= 200
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'.' | b'/'));
        if ok {
            Ok(Self(text))
        } else {
            Err("a hub's name is 1 to 200 characters of a-z, 0-9, '-', '.' and '/', e.g. hub.example")
        }
    }
}

impl std::fmt::Display for HubName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Config {
    /// Reads and checks a file. Relative paths in it begin at its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let unreadable = |error: std::io::Error| ConfigError::unreadable(&shown, &error);
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if size > FILE_BYTES_MAX {
            return Err(ConfigError::whole(&shown, format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, &shown, path.parent().unwrap_or(Path::new("")))
    }

    /// The same for a text that was read already: `shown` is the file's name in errors, `base` where relative paths
    /// begin.
    pub fn parse(text: &str, shown: &str, base: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::syntax(shown, text, &error))?;
        config.check().map_err(|fault| fault.locate(shown, text))?;
        config.paths.resolve(base);
        config.tls.resolve(base);
        config.keys.resolve(base);
        config.kafka.iter_mut().for_each(|kafka| kafka.resolve(base));
        Ok(config)
    }

    fn check(&self) -> Result<(), error::Fault> {
        self.metrics.check()?;
        self.log.check()?;
        self.kafka.iter().try_for_each(|kafka| kafka.check(self.environment))?;
        self.limits.check()
    }
}
