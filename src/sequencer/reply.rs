//! How a proposal is answered: its caller waits alone, or in a lane with others. A proposal that is dropped is answered
//! too.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::{Proposal, Recorded, SequencerError};

/// An answer in a lane.
#[derive(Debug)]
pub enum LaneAnswer {
    /// What became of the proposal. After one that may be proposed again in another form
    /// ([`SequencerError::Stale`], `KeyReused`, `Invalid`) the lane is halted.
    Decided(Result<Recorded, SequencerError>),
    /// The lane was halted before its turn: it was not looked at, and comes back whole.
    Returned(Box<Proposal>),
}

/// Answers of one lane, each with its proposal's number.
type Numbered = Vec<(u64, LaneAnswer)>;

/// The worker's side of a lane.
#[derive(Debug)]
pub(super) struct LaneEnd {
    halted: AtomicBool,
    answers: mpsc::UnboundedSender<Numbered>,
}

impl LaneEnd {
    pub(super) fn new(answers: mpsc::UnboundedSender<Numbered>) -> Arc<Self> {
        Arc::new(Self { halted: AtomicBool::new(false), answers })
    }

    /// Lets the lane go on. Only its owner does so, when nothing of it is in the queue.
    pub(super) fn resume(&self) {
        self.halted.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
enum To {
    Caller(oneshot::Sender<Result<Recorded, SequencerError>>),
    Lane(Arc<LaneEnd>, u64),
}

/// Where a proposal's answer goes. Dropped without one, it says that the hub is stopping.
#[derive(Debug)]
pub(super) struct Reply(Option<To>);

impl Reply {
    pub(super) const fn to_caller(sender: oneshot::Sender<Result<Recorded, SequencerError>>) -> Self {
        Self(Some(To::Caller(sender)))
    }

    pub(super) const fn to_lane(lane: Arc<LaneEnd>, number: u64) -> Self {
        Self(Some(To::Lane(lane, number)))
    }

    /// Whether it belongs to a lane that waits for an earlier proposal to be decided again.
    pub(super) fn halted(&self) -> bool {
        matches!(&self.0, Some(To::Lane(lane, _)) if lane.halted.load(Ordering::Acquire))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        match self.0.take() {
            None => {}
            Some(To::Caller(sender)) => drop(sender.send(Err(SequencerError::Stopping))),
            Some(To::Lane(lane, number)) => {
                let answer = LaneAnswer::Decided(Err(SequencerError::Stopping));
                let _ = lane.answers.send(vec![(number, answer)]); // the lane's owner may have gone
            }
        }
    }
}

/// Answers of one batch. Those of a lane are gathered and sent together, so that a batch wakes its owner once.
#[derive(Debug, Default)]
pub(super) struct Answers(Vec<(Arc<LaneEnd>, Numbered)>);

impl Answers {
    /// Answers one proposal.
    pub(super) fn give(&mut self, mut reply: Reply, answer: Result<Recorded, SequencerError>) {
        match reply.0.take() {
            None => {}
            Some(To::Caller(sender)) => drop(sender.send(answer)), // the caller may have gone
            Some(To::Lane(lane, number)) => {
                if matches!(answer, Err(SequencerError::Stale | SequencerError::KeyReused | SequencerError::Invalid(_)))
                {
                    lane.halted.store(true, Ordering::Release);
                }
                self.gather(lane, number, LaneAnswer::Decided(answer));
            }
        }
    }

    /// Gives a proposal back, whose lane is halted.
    pub(super) fn give_back(&mut self, mut reply: Reply, proposal: Proposal) {
        if let Some(To::Lane(lane, number)) = reply.0.take() {
            self.gather(lane, number, LaneAnswer::Returned(Box::new(proposal)));
        }
    }

    /// Sends what has been gathered.
    pub(super) fn send(&mut self) {
        for (lane, answers) in self.0.drain(..) {
            let _ = lane.answers.send(answers); // the lane's owner may have gone
        }
    }

    fn gather(&mut self, lane: Arc<LaneEnd>, number: u64, answer: LaneAnswer) {
        // A batch has proposals of few lanes, and those of one mostly follow each other.
        match self.0.iter_mut().rev().find(|(known, _)| Arc::ptr_eq(known, &lane)) {
            Some((_, answers)) => answers.push((number, answer)),
            None => self.0.push((lane, vec![(number, answer)])),
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.send();
    }
}
