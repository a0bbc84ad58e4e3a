//! Consumes a partition of a log (Kafka's): each record is a submission whose commit also moves the partition's position.
//! Which records there are, and what becomes of their outcomes, is the way in's matter.
//!
//! What is promised: a record has its effect once and in its order, wherever the hub stops. Each step says where the
//! partition stands before it; one that was assigned to somebody else, or whose predecessor was not committed, changes
//! nothing and comes back as an error, after which the consumer takes the partition again and goes on where it stands.

use super::{
    CallError, Desk, SubmitOutcome,
    submit::{Begun, Call, DECIDE_ATTEMPTS_MAX, Pending, Prepared},
};
use crate::{
    domain::{idempotency::IdempotencyKey, time::Moment},
    exchange::submission::CallKey,
    sequencer::{Proposal, SequencerError},
    store::{Consumed, Expect, PartitionKey, Position, SystemKey},
};

/// How a submission stands to the log that it was read from.
#[derive(Debug, Clone, Copy)]
pub enum Consuming {
    /// It comes next.
    Step(Consumed),
    /// It had its effect before, and only its outcome is asked for: nothing is written.
    Past,
}

impl Desk {
    /// Takes a partition: whoever had it before writes no more. Says from where to go on.
    pub async fn take_partition(&self, partition: PartitionKey) -> Result<Position, CallError> {
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let from = self.store.position(partition).await?;
            let to = Position { epoch: from.epoch + 1, ..from };
            let consumed = Some(Consumed { partition, from, to });
            match self.sequencer.propose(Proposal { consumed, ..Proposal::default() }).await {
                Ok(_) => return Ok(to),
                Err(SequencerError::Moved) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CallError::Unavailable("the partition keeps moving".into()))
    }

    /// The key of an event that is named by `parts` and arrived at `at`.
    pub fn event_key(&self, parts: &[&[u8]], at: Moment) -> CallKey {
        let named: Vec<&[u8]> = std::iter::once(&b"event"[..]).chain(parts.iter().copied()).collect();
        CallKey::Event(IdempotencyKey::of_event(&self.hasher.content(&named).0, at))
    }

    /// The key that an event had when it came first, if that is in the window; and what must still be so in the commit.
    pub(super) async fn first_key(
        &self,
        system: SystemKey,
        key: IdempotencyKey,
    ) -> Result<(IdempotencyKey, Option<Expect>), CallError> {
        let Some(event) = key.event() else { return Ok((key, None)) };
        let was = self.store.event(system, event).await?;
        let holds = was.filter(|was| was.check(self.clock.now(), self.limits.window).is_ok());
        Ok((holds.unwrap_or(key), Some(Expect::Event { system, event, was })))
    }
}

impl Begun {
    /// Whether a log's position moves with it.
    pub(super) const fn is_step(&self) -> bool {
        matches!(self.consuming, Some(Consuming::Step(_)))
    }

    /// What became of it, if its log has gone past it and nothing is known of it: under a good key it would be known, had it
    /// been recorded. An event that came before had the key of then, which may have been forgotten since.
    pub(super) const fn past(&self) -> CallError {
        let came_before = matches!(self.event, Some(Expect::Event { was: Some(_), .. }));
        if self.trace.key.is_some() && !self.unreadable && !came_before {
            CallError::Unrecordable("its log has gone past it without an entry")
        } else {
            CallError::Past
        }
    }

    /// Its outcome is known without a decision: only what is read from a log has something to write.
    pub(super) fn known(self, result: Result<SubmitOutcome, CallError>) -> Prepared {
        if self.is_step() {
            let system = self.trace.system.as_ref().map(SystemKey::from);
            self.propose(Pending::Known(result), Proposal { system, ..Proposal::default() })
        } else {
            Prepared::Done(result)
        }
    }

    /// It ends without anything of it being recorded now. What was refused before, or can never be recorded, must not hold
    /// up what follows in its log; for a caller who waits, the second is the hub's fault like any other.
    pub(super) fn ended(self, error: CallError) -> Prepared {
        match (error, self.consuming) {
            (CallError::Unrecordable(_), Some(Consuming::Past)) => Prepared::Done(Err(self.past())),
            (CallError::Unrecordable(why), None) => Prepared::Done(Err(CallError::Fault(why.into()))),
            (error @ (CallError::Refused(_) | CallError::Unrecordable(_)), _) => self.known(Err(error)),
            (error, _) => Prepared::Done(Err(error)),
        }
    }

    /// Has it proposed, with the step in its log, if it is one.
    pub(super) fn propose(self, pending: Pending, mut proposal: Proposal) -> Prepared {
        match self.consuming {
            None => {}
            Some(Consuming::Step(step)) => proposal.consumed = Some(step),
            Some(Consuming::Past) => return Prepared::Done(Err(self.past())),
        }
        if proposal.key.is_some() {
            proposal.expects.extend(self.event.clone());
        }
        Prepared::Proposal(Box::new(Call { begun: self, pending }), proposal)
    }
}
