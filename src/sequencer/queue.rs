//! The fair queue before the sequencer: each system has its own line, and lines take turns. It bounds, it does not
//! decide.

use std::{collections::VecDeque, sync::Arc};

use ahash::HashMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{Bounds, Proposal, SequencerError, reply::Reply};
use crate::store::SystemKey;

/// A proposal in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub proposal: Proposal,
    pub reply: Reply,
}

/// Places for proposals of one system; given back when they are dropped unused.
#[derive(Debug)]
pub struct Places {
    system: Option<SystemKey>,
    count: usize,
    of_line: OwnedSemaphorePermit,
    of_queue: OwnedSemaphorePermit,
}

impl Places {
    /// How many.
    pub const fn count(&self) -> usize {
        self.count
    }
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

    /// How many places are taken.
    pub(super) fn waiting(&self) -> usize {
        self.bounds.queue_max - self.places.available_permits()
    }

    /// The most places that can be had at once.
    pub(super) fn places_max(&self) -> usize {
        self.bounds.queue_per_system_max.min(self.bounds.queue_max)
    }

    /// Waits for places in the system's line, then in the whole queue; a full line holds up nobody else. `count` is at
    /// most [`Queue::places_max`]: for more it would wait for ever.
    pub(super) async fn places(&self, system: Option<SystemKey>, count: usize) -> Result<Places, SequencerError> {
        let line = {
            let mut lines = self.lines.lock();
            if lines.closed {
                return Err(SequencerError::Stopping);
            }
            Arc::clone(&lines.line(system, self.bounds).places)
        };
        let permits = u32::try_from(count).unwrap_or(u32::MAX);
        let of_line = line.acquire_many_owned(permits).await.map_err(|_| SequencerError::Stopping)?;
        let of_queue = Arc::clone(&self.places).acquire_many_owned(permits).await;
        let of_queue = of_queue.map_err(|_| SequencerError::Stopping)?;
        Ok(Places { system, count, of_line, of_queue })
    }

    /// Puts as many proposals as there are `places` at the end of the system's line. Those beyond, and all of them once
    /// the queue is closed, are answered by being dropped.
    pub(super) fn push(&self, places: Places, items: impl IntoIterator<Item = (Proposal, Reply)>) {
        let Places { system, count, mut of_line, mut of_queue } = places;
        let mut taken = 0;
        let mut items = items.into_iter();
        {
            let mut lines = self.lines.lock();
            if !lines.closed {
                let line = lines.line(system, self.bounds);
                let idle = line.waiting.is_empty();
                let before = line.waiting.len();
                line.waiting.extend(items.by_ref().take(count).map(|(proposal, reply)| Waiting { proposal, reply }));
                taken = line.waiting.len() - before;
                if idle && taken > 0 {
                    lines.turns.push_back(system);
                }
            }
        }
        // From here on the places belong to what waits; they are given back when it is taken.
        for permit in [&mut of_line, &mut of_queue] {
            permit.split(taken).expect("no more was taken than there are places").forget();
        }
        self.filled.notify_one();
        items.for_each(drop); // outside the lock: dropping a reply answers it
    }

    /// Waits for something, then takes what waits up to the bounds of a batch, one proposal of each system in turn.
    /// `None` once the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<Vec<Waiting>> {
        loop {
            let batch = {
                let mut lines = self.lines.lock();
                if lines.turns.is_empty() && lines.closed {
                    return None;
                }
                lines.batch(self.bounds)
            };
            if !batch.is_empty() {
                self.places.add_permits(batch.len());
                return Some(batch);
            }
            self.filled.notified().await;
        }
    }

    /// Takes nothing more; what waits can still be taken.
    pub(super) fn close(&self) {
        let mut lines = self.lines.lock();
        lines.closed = true;
        lines.by_system.values().for_each(|line| line.places.close());
        self.places.close();
        drop(lines);
        self.filled.notify_one();
    }

    /// Closes the queue and answers what waits: nobody will take it.
    pub(super) fn abandon(&self) {
        self.close();
        let waiting: Vec<Waiting> = {
            let mut lines = self.lines.lock();
            lines.turns.clear();
            lines.by_system.values_mut().flat_map(|line| line.waiting.drain(..)).collect()
        };
        drop(waiting); // outside the lock: dropping a reply answers it
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
            line.places.add_permits(1);
            self.turns.pop_front();
            if !line.waiting.is_empty() {
                self.turns.push_back(system);
            }
        }
        batch
    }
}
