//! Which Kafka the hub is connected to, and as whom. Which agencies use it is the catalogue's matter.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{error::Fault, paths::resolve};
use crate::domain::environment::Environment;

/// Members of the consumer group that one hub runs at most.
const MEMBERS_MAX: usize = 64;
/// Partitions of a topic that the hub creates at most.
const PARTITIONS_MAX: u16 = 1024;

/// `[kafka]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to begin with, `host:port`, separated by commas.
    pub bootstrap: String,
    /// The hub's certificate as a client, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The authorities whose certificates brokers may show, PEM.
    pub ca: Option<PathBuf>,
    /// Whether the connection is neither encrypted nor authenticated. Never in production.
    #[serde(default)]
    pub plaintext: bool,
    /// Members of the consumer group in this hub.
    #[serde(default = "default_members")]
    pub members: usize,
    /// Of topics that `waybill kafka topics --apply` creates.
    #[serde(default)]
    pub topics: Topics,
}

/// `[kafka.topics]`: of topics that the hub creates, and what it demands of those that it finds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Partitions of a topic.
    pub partitions: u16,
    /// Brokers that hold each.
    pub replication: u16,
    /// Brokers that must have a record before it counts as written.
    pub min_insync: u16,
}

const fn default_members() -> usize {
    1
}

impl Default for Topics {
    fn default() -> Self {
        Self { partitions: 6, replication: 3, min_insync: 2 }
    }
}

impl Kafka {
    pub(super) fn check(&self, environment: Environment) -> Result<(), Fault> {
        let fault = |key: &'static str, message: &str| Err(Fault { table: "kafka", key, message: message.to_owned() });
        let named = |broker: &str| {
            broker
                .trim()
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
        };
        if !self.bootstrap.split(',').all(named) {
            return fault("bootstrap", "bootstrap is one or more of host:port, separated by commas");
        }
        let files = [&self.certificate, &self.key, &self.ca];
        if self.plaintext {
            if environment == Environment::Production {
                return fault("plaintext", "environment = production refuses a connection that is not encrypted");
            }
            if files.iter().any(|file| file.is_some()) {
                return fault("plaintext", "plaintext uses no certificate, key or ca: leave out the one or the others");
            }
        } else if files.iter().any(|file| file.is_none()) {
            return fault("bootstrap", "certificate, key and ca are needed, unless plaintext = true");
        }
        if !(1..=MEMBERS_MAX).contains(&self.members) {
            return fault("members", "members goes from 1 to 64");
        }
        let Topics { partitions, replication, min_insync } = self.topics;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return fault("topics", "topics.partitions goes from 1 to 1,024");
        }
        if replication == 0 || min_insync == 0 || min_insync > replication {
            return fault(
                "topics",
                "topics.replication and topics.min_insync are at least 1, the second at most the first",
            );
        }
        Ok(())
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        let files = [&mut self.certificate, &mut self.key, &mut self.ca];
        files.into_iter().flatten().for_each(|path| resolve(path, base));
    }
}
