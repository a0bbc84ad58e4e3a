//! The embedded store's sizes. What is stored and how is the `store` module's.

use serde::Deserialize;

/// One GiB.
const GIB: u64 = 1 << 30;

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Memory for blocks read, in bytes.
    pub cache_bytes: u64,
    /// Free space below which the hub is read-only, in bytes. See [`Store::reserve_bytes`].
    pub reserve_bytes: Option<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self { cache_bytes: GIB / 4, reserve_bytes: None }
    }
}

impl Store {
    /// Free space below which the hub is read-only: as configured, or one GiB, four times what the journals can take. A
    /// full disk in the middle of a flush would leave the store unusable until it is opened again.
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes.unwrap_or(GIB)
    }
}
