//! The folders that the hub uses. What lies in them is others' matter.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[paths]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// The store's folder; the hub makes it and keeps it to itself.
    pub data: PathBuf,
    /// The catalogue's folder.
    pub catalogue: PathBuf,
    /// The schemas' folder; default `schemas` in the catalogue's.
    pub schemas: Option<PathBuf>,
}

impl Paths {
    /// Where the schemas lie.
    pub fn schemas(&self) -> PathBuf {
        self.schemas.clone().unwrap_or_else(|| self.catalogue.join("schemas"))
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        resolve(&mut self.data, base);
        resolve(&mut self.catalogue, base);
        self.schemas.iter_mut().for_each(|path| resolve(path, base));
    }
}

/// Makes a path begin at `base`, unless it is absolute.
pub(super) fn resolve(path: &mut PathBuf, base: &Path) {
    *path = base.join(&*path);
}
