//! Which files TLS is made of. Reading and reloading them is the `tls` module's.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::paths::resolve;

/// `[tls]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The hub's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities whose certificates systems may show, PEM.
    pub client_ca: PathBuf,
    /// Revocation lists, PEM or DER; may be empty.
    #[serde(default)]
    pub crls: Vec<PathBuf>,
}

impl Tls {
    pub(super) fn resolve(&mut self, base: &Path) {
        let single = [&mut self.certificate, &mut self.key, &mut self.client_ca];
        single.into_iter().chain(&mut self.crls).for_each(|path| resolve(path, base));
    }
}
