//! What a store is opened with: where it lies, whose it is, and how much memory and disk it may use.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use super::{
    hook::{CommitHook, NoHook},
    space::{FreeSpace, statvfs},
};
use crate::{domain::environment::Environment, vault::MasterKey};

/// The LSM's journals together stay below this, and a restart replays at most this much.
pub const JOURNAL_BYTES_MAX: u64 = 256 << 20;
/// Unless configured, this much disk space is kept free: the larger of 1 GiB and the journals' limit.
pub const RESERVE_BYTES_DEFAULT: u64 = 1 << 30;

/// Upper bounds of what is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The LSM's cache of blocks, in bytes.
    pub block_bytes: u64,
    /// The rows of the newest commits, payloads included, in bytes: recipients that keep up are served from here. What is
    /// decoded of them for a reader comes on top, until they make room.
    pub recent_bytes: usize,
    /// Idempotency keys. The seconds that one call asks about are held even when they are more.
    pub known_keys: usize,
    /// People with their facts, and as many identifiers.
    pub subjects: usize,
    /// Opened key slots; and as many in the lists of those whose they are.
    pub slots: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { block_bytes: 64 << 20, recent_bytes: 64 << 20, known_keys: 500_000, subjects: 100_000, slots: 200_000 }
    }
}

/// What [`EmbeddedStore`](super::EmbeddedStore) is created and opened with.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The store's folder.
    pub path: PathBuf,
    /// Another environment's store is refused.
    pub environment: Environment,
    /// The ledger's origin, as its checkpoints name it; another ledger's store is refused.
    pub origin: String,
    /// What opens it; another key's store is refused.
    pub master_key: Arc<MasterKey>,
    /// Bounds of memory.
    pub memory: Memory,
    /// Below this many free bytes nothing is written.
    pub reserve_bytes: u64,
    /// How often free space is measured at most.
    pub space_interval: Duration,
    /// Measures free space.
    pub free_space: FreeSpace,
    /// Fails in the place of the disk, in tests.
    pub hook: Arc<dyn CommitHook>,
}

impl EmbeddedOptions {
    /// The defaults for everything that has one.
    pub fn new(path: PathBuf, environment: Environment, origin: &str, master_key: Arc<MasterKey>) -> Self {
        Self {
            path,
            environment,
            origin: origin.to_owned(),
            master_key,
            memory: Memory::default(),
            reserve_bytes: RESERVE_BYTES_DEFAULT.max(JOURNAL_BYTES_MAX),
            space_interval: Duration::from_millis(250),
            free_space: statvfs(),
            hook: Arc::new(NoHook),
        }
    }
}

impl fmt::Debug for EmbeddedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedOptions")
            .field("path", &self.path)
            .field("environment", &self.environment)
            .field("origin", &self.origin)
            .field("memory", &self.memory)
            .field("reserve_bytes", &self.reserve_bytes)
            .finish_non_exhaustive()
    }
}
