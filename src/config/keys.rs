//! Where the hub's own keys lie. Not the TLS key, which is `tls`'s.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::paths::resolve;

/// `[keys]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Wraps every key of the store. Whoever has it and the data folder can read all; lost, nothing can be read.
    pub master: PathBuf,
    /// Signs the ledger's checkpoints (Ed25519).
    pub ledger: PathBuf,
}

impl Keys {
    pub(super) fn resolve(&mut self, base: &Path) {
        resolve(&mut self.master, base);
        resolve(&mut self.ledger, base);
    }
}
