//! A lane into the sequencer: its proposals are committed in the order in which they were pushed, or not at all. It
//! does not decide again; that is its owner's.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    Proposal, SequencerError,
    queue::{Places, Queue},
    reply::{LaneAnswer, LaneEnd, Reply},
};
use crate::store::SystemKey;

/// One caller's ordered way in, all of it in one system's line of the queue.
///
/// Once a proposal is to be decided again, or breaks the contract, the lane is halted: every later one comes back
/// ([`LaneAnswer::Returned`]), until the owner has decided that one again, calls [`Lane::resume`], and pushes it before
/// those that came back.
#[derive(Debug)]
pub struct Lane {
    queue: Arc<Queue>,
    system: Option<SystemKey>,
    end: Arc<LaneEnd>,
}

/// The answers of a lane; each proposal that was pushed gets one.
#[derive(Debug)]
pub struct LaneAnswers(mpsc::UnboundedReceiver<Vec<(u64, LaneAnswer)>>);

pub(super) fn open(queue: Arc<Queue>, system: Option<SystemKey>) -> (Lane, LaneAnswers) {
    // Unbounded, but it never holds more than was pushed: the owner bounds that.
    let (sender, answers) = mpsc::unbounded_channel();
    (Lane { queue, system, end: LaneEnd::new(sender) }, LaneAnswers(answers))
}

impl Lane {
    /// The most proposals that can be pushed at once.
    pub fn push_max(&self) -> usize {
        self.queue.places_max()
    }

    /// Waits for places for `count` proposals, at most [`Lane::push_max`]. Safe to be cancelled.
    pub async fn places(&self, count: usize) -> Result<Places, SequencerError> {
        self.queue.places(self.system, count).await
    }

    /// Puts numbered proposals into the queue, in order, as many as there are `places`.
    pub fn push(&self, places: Places, proposals: impl IntoIterator<Item = (u64, Proposal)>) {
        let proposals = proposals.into_iter();
        let end = &self.end;
        self.queue
            .push(places, proposals.map(|(number, proposal)| (proposal, Reply::to_lane(Arc::clone(end), number))));
    }

    /// Lets a halted lane go on. To be called only when every proposal pushed has been answered.
    pub fn resume(&self) {
        self.end.resume();
    }
}

impl LaneAnswers {
    /// The next answers, each with its proposal's number; `None` once the lane has gone and all are answered. Safe to
    /// be cancelled.
    pub async fn next(&mut self) -> Option<Vec<(u64, LaneAnswer)>> {
        self.0.recv().await
    }
}
