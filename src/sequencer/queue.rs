//! The fair queue before the sequencer: each system has its own line, and lines take turns. It bounds, it does not
//! decide.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Bounds, Proposal, Recorded, SequencerError};
use crate::store::SystemKey;

pub(super) type Reply = oneshot::Sender<Result<Recorded, SequencerError>>;

/// A proposal in the queue. Its places are given back when it is answered.
#[derive(Debug)]
pub(super) struct Waiting {
    pub proposal: Proposal,
    pub reply: Reply,
    _places: [OwnedSemaphorePermit; 2],
}

#[derive(Debug)]
struct Line {
    waiting: VecDeque<Waiting>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Lines {
    by_system: HashMap<Option<SystemKey>, Line>,
    /// Systems that have something waiting, in the order of their turns.
    turns: VecDeque<Option<SystemKey>>,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    bounds: Bounds,
    places: Arc<Semaphore>,
    lines: Mutex<Lines>,
    filled: Notify,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            places: Arc::new(Semaphore::new(bounds.queue_max)),
            lines: Mutex::default(),
            filled: Notify::new(),
        }
    }

    /// Waits for a place in the system's line, then for one in the whole queue; a full line holds up nobody else.
    pub(super) async fn push(&self, proposal: Proposal, reply: Reply) -> Result<(), SequencerError> {
        let system = proposal.system;
        let line = {
            let mut lines = self.lines.lock();
            if lines.closed {
                return Err(SequencerError::Stopping);
            }
            Arc::clone(&lines.line(system, self.bounds).places)
        };
        let of_line = line.acquire_owned().await.map_err(|_| SequencerError::Stopping)?;
        let of_queue = Arc::clone(&self.places).acquire_owned().await.map_err(|_| SequencerError::Stopping)?;
        {
            let mut lines = self.lines.lock();
            if lines.closed {
                return Err(SequencerError::Stopping);
            }
            let line = lines.line(system, self.bounds);
            let first = line.waiting.is_empty();
            line.waiting.push_back(Waiting { proposal, reply, _places: [of_line, of_queue] });
            if first {
                lines.turns.push_back(system);
            }
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for something, then takes what waits up to the bounds of a batch, one proposal of each system in turn.
    /// `None` once the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<Vec<Waiting>> {
        loop {
            {
                let mut lines = self.lines.lock();
                if !lines.turns.is_empty() {
                    return Some(lines.batch(self.bounds));
                }
                if lines.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Takes nothing more; what waits can still be taken.
    pub(super) fn close(&self) {
        self.lines.lock().closed = true;
        self.places.close();
        self.filled.notify_one();
    }
}

impl Lines {
    fn line(&mut self, system: Option<SystemKey>, bounds: Bounds) -> &mut Line {
        self.by_system.entry(system).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            places: Arc::new(Semaphore::new(bounds.queue_per_system_max)),
        })
    }

    fn batch(&mut self, bounds: Bounds) -> Vec<Waiting> {
        let (mut entries, mut bytes) = (0, 0);
        let mut batch = Vec::new();
        while let Some(system) = self.turns.front().copied() {
            let line =
                self.by_system.get_mut(&system).expect("a system in the turns has a line: lines are never removed");
            let next = line.waiting.front().expect("a system in the turns has something waiting");
            entries += next.proposal.entries.len();
            bytes += next.proposal.bytes();
            // One alone is always taken: its size is bounded where it is made.
            if !batch.is_empty() && (entries > bounds.batch_entries_max || bytes > bounds.batch_bytes_max) {
                break;
            }
            batch.extend(line.waiting.pop_front());
            self.turns.pop_front();
            if !line.waiting.is_empty() {
                self.turns.push_back(system);
            }
        }
        batch
    }
}
