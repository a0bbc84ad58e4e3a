//! Writes full chunks of the index beside the commits: a thread of its own, never in a commit's way.

use std::{sync::Arc, thread::JoinHandle};

use parking_lot::{Condvar, Mutex};

use super::{
    Index, StoreError,
    chunk::{self, CHUNK_SEGMENTS},
};
use crate::store::embedded::{
    block::Extent,
    health::Health,
    hook::CommitHook,
    keyspaces::{fatal, stand_back},
};

/// The row of `meta` that says how many chunks are flushed.
pub(in crate::store::embedded) const FLUSHED: &str = "index-chunks";
/// Chunks that may wait for the thread before a commit waits for it: bounds the memory of the tail.
pub(super) const WAITING_MAX: usize = 4;

/// The thread that flushes, and how it is woken and stopped.
pub(in crate::store::embedded) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    index: Arc<Index>,
    health: Arc<Health>,
    hook: Arc<dyn CommitHook>,
    stop: Mutex<bool>,
    changed: Condvar,
}

impl Flusher {
    /// Starts the thread.
    pub(in crate::store::embedded) fn start(
        index: Arc<Index>,
        health: Arc<Health>,
        hook: Arc<dyn CommitHook>,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared { index, health, hook, stop: Mutex::new(false), changed: Condvar::new() });
        let thread = std::thread::Builder::new()
            .name("waybill-index".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || {
                    let shared = PoisonedByPanic(shared);
                    stand_back();
                    shared.0.run();
                }
            })
            .map_err(|e| StoreError::Read(format!("the index's thread does not start: {e}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that a chunk is full. Waits only when the thread has fallen far behind.
    pub(in crate::store::embedded) fn wake(&self) {
        let mut stop = self.shared.stop.lock();
        self.shared.changed.notify_all();
        while !*stop && self.shared.index.waiting() > WAITING_MAX && self.shared.health.check().is_ok() {
            self.shared.changed.wait(&mut stop);
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        *self.shared.stop.lock() = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has poisoned the store; the index is derived and is built again.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            {
                let mut stop = self.stop.lock();
                while !*stop && self.index.waiting() == 0 {
                    self.changed.wait(&mut stop);
                }
                if *stop {
                    return;
                }
            }
            let flushed = self.hook.before_flush().and_then(|()| self.index.flush_chunk());
            if let Err(error) = flushed {
                self.health.poison(&error);
            }
            self.tell();
            if self.health.check().is_err() {
                return;
            }
        }
    }

    /// Wakes whoever waits for the thread.
    fn tell(&self) {
        let _stop = self.stop.lock();
        self.changed.notify_all();
    }
}

/// What the thread works with. If it panics nobody waits for it in vain: the store is poisoned, as by a failed write.
struct PoisonedByPanic(Arc<Shared>);

impl Drop for PoisonedByPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.poison(&StoreError::Fatal("the thread that writes the index has panicked".to_owned()));
            self.0.tell();
        }
    }
}

impl Index {
    /// Writes the oldest full chunk of the tail, then takes it out of the tail.
    ///
    /// If we crash before the batch is synced, the position still points before the chunk: it is built again from
    /// `commits`, and what was written of it is cut off.
    pub(super) fn flush_chunk(&self) -> Result<(), StoreError> {
        let (chunk, segments): (u64, Vec<_>) = {
            let tail = self.tail.read();
            (tail.flushed, tail.full.iter().take(CHUNK_SEGMENTS).cloned().collect())
        };
        if segments.len() < CHUNK_SEGMENTS {
            return Ok(());
        }
        let (keys, mut block) = chunk::parts(chunk, &segments);
        let (planned, extents) = self.volumes.plan(&mut block)?;
        self.volumes.write(&planned, &block)?;
        drop(block);
        let mut batch = self.keyspaces.synced_batch(keys.len() + 1);
        for (key, extent) in keys.into_iter().zip(extents) {
            batch.insert(&self.keyspaces.index, key, Extent::row(&[extent]));
        }
        batch.insert(&self.keyspaces.meta, FLUSHED, (chunk + 1).to_be_bytes());
        batch.commit().map_err(fatal)?;

        let mut tail = self.tail.write();
        tail.flushed += 1;
        tail.full.drain(..CHUNK_SEGMENTS);
        Ok(())
    }
}
