//! The writer's loop: take what waits, decide under the lock, sign, sync, answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::HashMap;
use tokio::sync::watch;

use super::{
    Bounds, Committed, Condition, Proposal, Recorded, SequencerError, Signing,
    batch::{Decided, Draft},
    clock::ClockWatch,
    queue::{Queue, Waiting},
    reply::{Answers, Reply},
    tree,
};
use crate::{
    ledger::{Edge, Kind},
    store::{Commit, Expect, PartitionKey, Position, Store, StoreError, note_commit_step},
};

/// How often a writer without work looks whether it could do some.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) struct Parts {
    pub store: Arc<dyn Store>,
    pub signing: Signing,
    pub watch: Arc<ClockWatch>,
    pub bounds: Bounds,
    pub queue: Arc<Queue>,
    pub edge: Edge,
    pub newest: watch::Sender<Arc<Committed>>,
    /// The last field, so that it goes when the store has been let go of.
    pub condition: watch::Sender<Condition>,
}

pub(super) struct Worker {
    parts: Parts,
}

/// From so many proposals in a batch on, more are taken to be on their way. A commit costs nearly the same for one as for
/// a hundred (a signature, a sync, wake-ups), so while they come like this it pays to wait for some. After a batch of
/// fewer nobody waits.
pub(super) const COMPANY: usize = 8;

/// A proposal that waits for its batch to become durable.
type Undecided = (Reply, Decided);

impl Worker {
    pub(super) const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Runs until the queue is closed and drained, or the store has failed for good.
    pub(super) async fn run(mut self) {
        let mut able = self.look();
        loop {
            match able {
                Ok(()) => self.say(Condition::Serving),
                Err(SequencerError::Unavailable(error)) if matches!(*error, StoreError::OutOfSpace { .. }) => {
                    self.say(Condition::Waiting(error.to_string()));
                }
                Err(SequencerError::Clock(fault)) => self.say(Condition::Waiting(format!("the clock is {fault}"))),
                // Nothing was written, and nothing is wrong with what comes next.
                Err(error @ SequencerError::InvalidBatch(_)) => {
                    tracing::error!(%error, "a batch was not committed");
                    self.say(Condition::Serving);
                }
                Err(error) => {
                    tracing::error!(%error, "the ledger cannot be written: stopping");
                    self.say(Condition::Failed(error.to_string()));
                    return;
                }
            }
            able = match tokio::time::timeout(LOOK_EVERY, self.parts.queue.take()).await {
                Ok(Some(batch)) => {
                    let (begun, company) = (Instant::now(), batch.len());
                    let able = self.commit_batch(batch).await;
                    if company >= COMPANY && able.is_ok() {
                        self.await_more(begun);
                    }
                    able
                }
                Ok(None) => break,
                Err(_) => self.look(),
            };
        }
        self.say(Condition::Stopped);
    }

    /// Whether a batch could be committed now. Asked while there is none: who is told that the hub does not serve stays
    /// away, so the hub must find out by itself that it does again.
    fn look(&self) -> Result<(), SequencerError> {
        self.parts.store.writable().map_err(|error| SequencerError::Unavailable(Arc::new(error)))?;
        let newest = self.parts.newest.borrow().time;
        self.parts.watch.entry_time(newest).map(drop).map_err(SequencerError::Clock)
    }

    /// Waits for company for the commit after the one that was `begun`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the thread is the writer's own; the runtime's timer counts whole milliseconds, and would wait up to two more"
    )]
    fn await_more(&self, begun: Instant) {
        let Bounds { batch_entries_max, batch_wait_max, .. } = self.parts.bounds;
        if self.parts.queue.waiting() < batch_entries_max {
            std::thread::sleep(batch_wait_max.saturating_sub(begun.elapsed()));
        }
    }

    async fn commit_batch(&mut self, mut batch: Vec<Waiting>) -> Result<(), SequencerError> {
        // The hub's own come last: a withdrawal cancels what a claim beside it would have taken, and is not sent back
        // because of it.
        batch.sort_by_key(|waiting| waiting.proposal.system.is_none());
        metrics::histogram!("waybill_batch_proposals").record(batch.len() as f64);
        self.commit(batch).await
    }

    fn say(&self, condition: Condition) {
        self.parts.condition.send_if_modified(|now| {
            let changed = *now != condition;
            if changed {
                tracing::info!(?condition, "sequencer");
                *now = condition;
            }
            changed
        });
    }

    /// One group commit. Every proposal of the batch is answered, whatever happens.
    async fn commit(&mut self, batch: Vec<Waiting>) -> Result<(), SequencerError> {
        let mut answers = Answers::default();
        let (mut proposals, mut replies) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for Waiting { proposal, reply } in batch {
            proposals.push(proposal);
            replies.push(reply);
        }
        let store = Arc::clone(&self.parts.store);
        let locking = Instant::now();
        let locked = {
            let steps = first_steps(&proposals);
            let expects: Vec<&Expect> = proposals.iter().flat_map(|p| &p.expects).chain(&steps).collect();
            let keys: Vec<_> = proposals.iter().filter_map(|p| p.key.map(|(system, key, _)| (system, key))).collect();
            match store.writable() {
                Ok(()) => store.lock_head(&expects, &keys).await,
                Err(error) => Err(error),
            }
        };
        let guard = match locked {
            Ok(guard) => guard,
            Err(error) => return refuse_all(answers, replies, &SequencerError::Unavailable(Arc::new(error))),
        };
        note_commit_step("lock", locking);
        let deciding = Instant::now();
        let time = match self.parts.watch.entry_time(guard.head().time) {
            Ok(time) => time,
            Err(fault) => return refuse_all(answers, replies, &SequencerError::Clock(fault)),
        };

        let mut draft = Draft::new(&*guard, self.parts.edge.clone(), time);
        let mut undecided: Vec<Undecided> = Vec::with_capacity(replies.len());
        for (proposal, reply) in proposals.into_iter().zip(replies) {
            if reply.halted() {
                answers.give_back(reply, proposal);
                continue;
            }
            match draft.take(proposal) {
                Ok(decided) => undecided.push((reply, decided)),
                Err(error) => {
                    metrics::counter!("waybill_decisions_stale_total")
                        .increment(u64::from(matches!(error, SequencerError::Stale)));
                    if matches!(error, SequencerError::Invalid(_)) {
                        tracing::error!(%error, "left out of its batch");
                    }
                    answers.give(reply, Err(error));
                }
            }
        }
        // Nothing of these is in the draft, so they need not wait for the disk.
        answers.send();
        let (commit, edge) = draft.finish();
        note_commit_step("decide", deciding);
        match self.write(guard, commit, edge).await {
            Ok(committed) => {
                answer(answers, undecided, &committed);
                Ok(())
            }
            Err(error) => refuse_all(answers, undecided.into_iter().map(|(reply, _)| reply).collect(), &error),
        }
    }

    /// Signs and writes. The new edge is kept, and shown, only when the commit is durable: if we crash before, the
    /// stored tree is still the one of the last checkpoint; if after, the new one is found when the hub starts again.
    async fn write(
        &mut self,
        guard: Box<dyn crate::store::Guard + '_>,
        mut commit: Commit,
        mut edge: Edge,
    ) -> Result<Arc<Committed>, SequencerError> {
        let unavailable = |error| match error {
            StoreError::Invalid(what) => SequencerError::InvalidBatch(what),
            error => SequencerError::Unavailable(Arc::new(error)),
        };
        if commit.entries.is_empty() {
            if !(commit.deliveries.is_empty() && commit.subjects.is_empty() && commit.positions.is_empty()) {
                guard.commit(commit).await.map_err(unavailable)?;
            }
            return Ok(Arc::clone(&self.parts.newest.borrow()));
        }
        let signing = Instant::now();
        let snapshot = edge.snapshot();
        let checkpoint = tree::sign(&self.parts.signing, &edge).map_err(|_| SequencerError::Stopping)?;
        commit.tiles = snapshot.completed().iter().map(|tile| (tile.id(), tile.to_tile())).collect();
        commit.checkpoint = checkpoint.clone();
        note_commit_step("sign", signing);
        let time = commit.time;
        let kinds = kinds_of(&commit);
        let started = Instant::now();
        guard.commit(commit).await.map_err(unavailable)?;
        metrics::histogram!("waybill_commit_seconds").record(started.elapsed().as_secs_f64());
        for (kind, count) in kinds {
            metrics::counter!("waybill_entries_total", "kind" => kind.name()).increment(count);
        }

        self.parts.edge = edge;
        let committed = Arc::new(Committed { time, snapshot, checkpoint });
        self.parts.newest.send_replace(Arc::clone(&committed));
        Ok(committed)
    }
}

/// What the store is asked of the partitions that the proposals go on in. One that goes on where another of the batch leads
/// to holds only if that one becomes part of it, which is known then without the store.
fn first_steps(proposals: &[Proposal]) -> Vec<Expect> {
    let mut led: HashMap<PartitionKey, Position> = HashMap::default();
    let steps = proposals.iter().filter_map(|proposal| proposal.consumed);
    let first = steps.filter(|step| led.insert(step.partition, step.to) != Some(step.from));
    first.map(|step| step.expects()).collect()
}

/// How many entries of each kind; few kinds, so a list.
fn kinds_of(commit: &Commit) -> Vec<(Kind, u64)> {
    let mut kinds: Vec<(Kind, u64)> = Vec::new();
    for new in &commit.entries {
        match kinds.iter_mut().find(|(kind, _)| *kind == new.routing.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((new.routing.kind, 1)),
        }
    }
    kinds
}

impl Drop for Worker {
    /// However the worker ends (a panic included), nobody waits for an answer that will not come.
    fn drop(&mut self) {
        self.parts.queue.abandon();
    }
}

fn refuse_all(mut answers: Answers, replies: Vec<Reply>, error: &SequencerError) -> Result<(), SequencerError> {
    for reply in replies {
        answers.give(reply, Err(error.clone()));
    }
    Err(error.clone())
}

fn answer(mut answers: Answers, undecided: Vec<Undecided>, committed: &Arc<Committed>) {
    for (reply, decided) in undecided {
        let recorded = match decided {
            Decided::Part(first) => Recorded::Committed { first, commit: Arc::clone(committed) },
            Decided::Repeat(known) => Recorded::Repeat(known),
        };
        answers.give(reply, Ok(recorded));
    }
}
