//! How long the disk takes to make a small write durable.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// What a small commit writes.
const BYTES: usize = 16 << 10;

/// Times of `count` appends, each synced (fdatasync).
pub(super) fn sync_times(folder: &Path, count: usize) -> anyhow::Result<Vec<Duration>> {
    let mut file = File::create(folder.join("synced"))?;
    let block = vec![7; BYTES];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        file.write_all(&block)?;
        let started = Instant::now();
        file.sync_data()?;
        times.push(started.elapsed());
    }
    Ok(times)
}
