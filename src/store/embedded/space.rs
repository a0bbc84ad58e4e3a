//! Free disk space: below the reserve nothing is written, since the LSM does not recover from a full disk while it
//! runs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::StoreError;

/// Tells how many bytes are free for the hub on the file system of a folder.
pub type FreeSpace = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// What the file system itself says (`statvfs`, for unprivileged users).
pub fn statvfs() -> FreeSpace {
    Arc::new(|folder| {
        let answer = rustix::fs::statvfs(folder)?;
        Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
    })
}

/// Watches free space, asking the file system at most once per interval.
pub(super) struct Space {
    folder: PathBuf,
    reserve_bytes: u64,
    measure: FreeSpace,
    interval: Duration,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Space {
    pub(super) fn new(folder: PathBuf, reserve_bytes: u64, measure: FreeSpace, interval: Duration) -> Self {
        Self { folder, reserve_bytes, measure, interval, last: Mutex::new(None) }
    }

    /// Whether at least the reserve is free, as of the last measurement.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let mut last = self.last.lock();
        let fresh = last.filter(|(when, _)| when.elapsed() < self.interval);
        let enough = if let Some((_, enough)) = fresh {
            enough
        } else {
            let free = (self.measure)(&self.folder).map_err(|e| StoreError::Read(format!("free space: {e}")))?;
            let enough = free >= self.reserve_bytes;
            *last = Some((Instant::now(), enough));
            enough
        };
        if enough { Ok(()) } else { Err(StoreError::OutOfSpace { reserve_bytes: self.reserve_bytes }) }
    }
}
