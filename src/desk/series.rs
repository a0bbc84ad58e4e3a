//! A series: many submissions of one caller, prepared in parallel and sequenced in the order in which they were sent.
//!
//! What is promised: of two submissions of one series that are both recorded, the one sent first has the lower index,
//! whatever becomes of either (transfer or refusal). It holds across decisions that had to be made again. It says
//! nothing about one that was not recorded (busy): when it is sent again it is a later one. Outcomes come as they are
//! decided, in any order.
//!
//! How: pieces of the series are prepared by tasks of their own; one driver takes the pieces in order and pushes what
//! they propose into a lane of the sequencer. When a proposal is stale the lane halts and gives back everything behind
//! it, unlooked at; the driver decides the stale one again and pushes all of it again, in order.
//!
//! The window bounds what has been taken and whose outcome has not yet been collected: a caller that does not collect
//! is not read any further. Nothing here waits for a caller while it holds places in the queue, so no caller can stop
//! it. A submission that makes the hub panic is alone in that: those beside it have their outcomes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinError, JoinHandle},
};

use super::{
    CallError, Consuming, Desk, ReceiptDetail, SubmitOutcome,
    quota::Admitted,
    submit::{Arrival, Call, Prepared},
};
use crate::{
    exchange::{authenticate, submission::PeerName},
    sequencer::{Lane, LaneAnswer, LaneAnswers, Places, Proposal, SequencerError},
    store::{Owner, SystemKey},
};

/// Submissions that one task prepares: enough that the task's own cost does not show, few enough that a second core
/// gets some of what waits.
const PIECE_MAX: usize = 32;

/// The outcome of the submission with this number.
pub type NumberedOutcome = (u64, Result<SubmitOutcome, CallError>);

/// Where submissions go in. Dropped, the series ends once what was sent has its outcomes.
#[derive(Debug)]
pub struct SeriesIn {
    desk: Arc<Desk>,
    peer: Arc<PeerName>,
    window: Arc<Semaphore>,
    window_max: usize,
    pieces: mpsc::UnboundedSender<Piece>,
}

/// Where outcomes come out. Dropped, nothing more is taken in; what was sent is recorded all the same.
#[derive(Debug)]
pub struct SeriesOut {
    window: Arc<Semaphore>,
    outcomes: mpsc::UnboundedReceiver<Vec<NumberedOutcome>>,
}

/// A submission that was read from a log, by its number.
#[derive(Debug)]
pub struct Consumable {
    /// Its number.
    pub number: u64,
    /// What came.
    pub arrival: Arrival,
    /// How it stands to the log.
    pub consuming: Consuming,
}

/// What one task prepares: numbers, submissions and, of those read from a log, how they stand to it and their admission.
type ToPrepare = Vec<(u64, Arrival, Option<(Consuming, Admitted)>)>;

/// Nobody collects the outcomes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the series has been given up")]
pub struct GivenUp;

impl Desk {
    /// Opens a series of `peer`, with at most `window` submissions (at least one) that have no outcome yet.
    pub fn series(self: &Arc<Self>, peer: PeerName, window: usize) -> (SeriesIn, SeriesOut) {
        let window_max = window.max(1);
        let window = Arc::new(Semaphore::new(window_max));
        // Both unbounded, but the window bounds what they hold.
        let (pieces, pieces_out) = mpsc::unbounded_channel();
        let (outcomes_in, outcomes) = mpsc::unbounded_channel();
        let system =
            authenticate::system(&self.catalogue(), peer.peer()).ok().map(|system| SystemKey::from(&system.id));
        let (lane, answers) = self.sequencer.lane(system);
        let driver = Driver {
            desk: Arc::clone(self),
            pieces: pieces_out,
            preparing: None,
            ready: VecDeque::new(),
            lane,
            answers,
            in_lane: InLane::default(),
            stale: Vec::new(),
            again: BTreeMap::new(),
            outcomes: outcomes_in,
        };
        tokio::spawn(driver.run());
        let peer = Arc::new(peer);
        let desk = Arc::clone(self);
        (SeriesIn { desk, peer, window: Arc::clone(&window), window_max, pieces }, SeriesOut { window, outcomes })
    }
}

impl SeriesIn {
    /// Takes numbered submissions, in order; waits while the window is full.
    pub async fn send(&self, arrivals: Vec<(u64, Arrival)>, detail: ReceiptDetail) -> Result<(), GivenUp> {
        let mut arrivals = arrivals.into_iter();
        loop {
            let piece: Vec<_> = arrivals.by_ref().take(PIECE_MAX.min(self.window_max)).collect();
            if piece.is_empty() {
                return Ok(());
            }
            let places = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            self.window.acquire_many(places).await.map_err(|_| GivenUp)?.forget();
            self.prepare(piece.into_iter().map(|(number, arrival)| (number, arrival, None)).collect(), detail)?;
        }
    }

    /// Takes what was read from a log, in order. Where the system is over its rate or bounds, this waits: nothing that is
    /// in a log is turned away.
    pub async fn consume(&self, records: Vec<Consumable>, detail: ReceiptDetail) -> Result<(), GivenUp> {
        let mut piece: ToPrepare = Vec::new();
        for Consumable { number, arrival, consuming } in records {
            if piece.len() >= PIECE_MAX.min(self.window_max) {
                self.prepare(std::mem::take(&mut piece), detail)?;
            }
            let place = match Arc::clone(&self.window).try_acquire_owned() {
                Ok(place) => place,
                Err(_) => {
                    // Whoever waits here must hold back nothing that others wait for.
                    self.prepare(std::mem::take(&mut piece), detail)?;
                    Arc::clone(&self.window).acquire_owned().await.map_err(|_| GivenUp)?
                }
            };
            place.forget();
            let admitted = loop {
                match self.desk.admit(&self.desk.catalogue(), self.peer.peer()) {
                    Ok(admitted) => break admitted,
                    Err(error) => {
                        self.prepare(std::mem::take(&mut piece), detail)?;
                        let CallError::Exhausted { retry_after, .. } = error else { return Err(GivenUp) };
                        tokio::time::sleep(retry_after).await;
                    }
                }
            };
            piece.push((number, arrival, Some((consuming, admitted))));
        }
        self.prepare(piece, detail)
    }

    /// Has a piece prepared, by a task of its own.
    fn prepare(&self, piece: ToPrepare, detail: ReceiptDetail) -> Result<(), GivenUp> {
        if piece.is_empty() {
            return Ok(());
        }
        let numbers = piece.iter().map(|(number, ..)| *number).collect();
        let (desk, peer) = (Arc::clone(&self.desk), Arc::clone(&self.peer));
        let work = tokio::spawn(async move { prepare(&desk, &peer, piece, detail).await });
        self.pieces.send(Piece { numbers, work }).map_err(|_| GivenUp)
    }
}

impl SeriesOut {
    /// The next outcomes; `None` when there will be no more. Safe to be cancelled.
    pub async fn next(&mut self) -> Option<Vec<NumberedOutcome>> {
        let outcomes = self.outcomes.recv().await?;
        self.window.add_permits(outcomes.len());
        Some(outcomes)
    }

    /// More outcomes, if there are any now.
    pub fn ready(&mut self) -> Option<Vec<NumberedOutcome>> {
        let outcomes = self.outcomes.try_recv().ok()?;
        self.window.add_permits(outcomes.len());
        Some(outcomes)
    }
}

impl Drop for SeriesOut {
    fn drop(&mut self) {
        self.window.close();
    }
}

/// Submissions that are being prepared.
#[derive(Debug)]
struct Piece {
    numbers: Vec<u64>,
    work: JoinHandle<Vec<(u64, Prepared)>>,
}

async fn prepare(desk: &Desk, peer: &PeerName, arrivals: ToPrepare, detail: ReceiptDetail) -> Vec<(u64, Prepared)> {
    let mut prepared = Vec::with_capacity(arrivals.len());
    for (number, arrival, consumed) in arrivals {
        prepared.push((number, desk.prepare(peer.peer(), arrival, detail, consumed).await));
    }
    prepared
}

/// A submission that is to be recorded next.
#[derive(Debug)]
struct Ready {
    number: u64,
    call: Box<Call>,
    proposal: Proposal,
}

struct Driver {
    desk: Arc<Desk>,
    pieces: mpsc::UnboundedReceiver<Piece>,
    preparing: Option<Piece>,
    /// In order, to be pushed.
    ready: VecDeque<Ready>,
    lane: Lane,
    answers: LaneAnswers,
    in_lane: InLane,
    /// About whom decisions have gone stale since the lane was last empty.
    stale: Vec<Owner>,
    /// What came back from the lane, by its number there, to be pushed before anything else once the lane is empty.
    again: BTreeMap<u64, Ready>,
    outcomes: mpsc::UnboundedSender<Vec<NumberedOutcome>>,
}

/// What may happen next in a series.
enum Event {
    Answers(Vec<(u64, LaneAnswer)>),
    Places(Result<Places, SequencerError>),
    Piece(Vec<u64>, Result<Vec<(u64, Prepared)>, JoinError>),
}

impl Driver {
    async fn run(mut self) {
        while let Some(event) = self.event().await {
            match event {
                Event::Answers(answers) => self.answered(answers).await,
                Event::Places(Ok(places)) => self.push(places),
                Event::Places(Err(error)) => self.fail_ready(&error),
                Event::Piece(numbers, prepared) => self.prepared(numbers, prepared),
            }
            if self.outcomes.is_closed() {
                return; // what is in the lane is recorded; a repeat of it gets the outcome
            }
        }
    }

    /// `None` when everything that was sent has its outcome and nothing more comes.
    async fn event(&mut self) -> Option<Event> {
        let Self { pieces, preparing, ready, lane, answers, in_lane, again, .. } = self;
        // While something is to be pushed again, nothing may overtake it.
        let pushable = if again.is_empty() { ready.len().min(lane.push_max()) } else { 0 };
        tokio::select! {
            biased;
            Some(answers) = answers.next(), if !in_lane.is_empty() => Some(Event::Answers(answers)),
            places = lane.places(pushable), if pushable > 0 => Some(Event::Places(places)),
            Some((numbers, prepared)) = next_piece(pieces, preparing), if ready.is_empty() => {
                Some(Event::Piece(numbers, prepared))
            }
            else => None,
        }
    }

    fn prepared(&mut self, numbers: Vec<u64>, prepared: Result<Vec<(u64, Prepared)>, JoinError>) {
        // Not why it has ended: what a panic says may be personal.
        let Ok(prepared) = prepared else {
            let fault = CallError::Fault("the task that prepared a submission has ended".into());
            return self.tell(numbers.into_iter().map(|number| (number, Err(fault.clone()))).collect());
        };
        let mut done = Vec::new();
        for (number, prepared) in prepared {
            match prepared {
                Prepared::Done(result) => done.push((number, result)),
                Prepared::Proposal(call, proposal) => self.ready.push_back(Ready { number, call, proposal }),
            }
        }
        self.tell(done);
    }

    fn push(&mut self, places: Places) {
        let Self { ready, lane, in_lane, .. } = self;
        let count = places.count().min(ready.len());
        let proposals =
            ready.drain(..count).map(|Ready { number, call, proposal }| (in_lane.enter(number, call), proposal));
        lane.push(places, proposals);
    }

    async fn answered(&mut self, answers: Vec<(u64, LaneAnswer)>) {
        let mut done = Vec::with_capacity(answers.len());
        for (turn, answer) in answers {
            let Some((number, call)) = self.in_lane.leave(turn) else { continue };
            let answer = match answer {
                // What came back is decided again too if it is about a person of whom a decision was stale: or else each
                // of that person's would halt the lane once more.
                LaneAnswer::Returned(_) if self.stale.contains(&call.about()) => Err(SequencerError::Stale),
                LaneAnswer::Returned(proposal) => {
                    self.again.insert(turn, Ready { number, call, proposal: *proposal });
                    continue;
                }
                LaneAnswer::Decided(answer) => answer,
            };
            if matches!(answer, Err(SequencerError::Stale)) {
                self.stale.push(call.about());
            }
            match self.desk.conclude(*call, answer).await {
                Prepared::Done(result) => done.push((number, result)),
                Prepared::Proposal(call, proposal) => {
                    self.again.insert(turn, Ready { number, call, proposal });
                }
            }
        }
        self.tell(done);
        if self.in_lane.is_empty() {
            self.lane.resume();
            self.stale.clear();
            for ready in std::mem::take(&mut self.again).into_values().rev() {
                self.ready.push_front(ready);
            }
        }
    }

    /// The queue takes nothing more.
    fn fail_ready(&mut self, error: &SequencerError) {
        let failed = self.ready.drain(..).map(|ready| (ready.number, Err(error.clone().into()))).collect();
        self.tell(failed);
    }

    fn tell(&self, outcomes: Vec<NumberedOutcome>) {
        if !outcomes.is_empty() {
            let _ = self.outcomes.send(outcomes); // nobody may collect them any more: `run` looks
        }
    }
}

/// The next piece that has been prepared; `None` when there will be none. Safe to be cancelled.
async fn next_piece(
    pieces: &mut mpsc::UnboundedReceiver<Piece>,
    preparing: &mut Option<Piece>,
) -> Option<(Vec<u64>, Result<Vec<(u64, Prepared)>, JoinError>)> {
    let piece = match preparing {
        Some(piece) => piece,
        None => preparing.insert(pieces.recv().await?),
    };
    let prepared = (&mut piece.work).await;
    let piece = preparing.take()?;
    Some((piece.numbers, prepared))
}

/// Calls in the lane, by their turns there: consecutive numbers.
#[derive(Default)]
struct InLane {
    first: u64,
    calls: VecDeque<Option<(u64, Box<Call>)>>,
}

impl InLane {
    fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    fn enter(&mut self, number: u64, call: Box<Call>) -> u64 {
        self.calls.push_back(Some((number, call)));
        self.first + self.calls.len() as u64 - 1
    }

    fn leave(&mut self, turn: u64) -> Option<(u64, Box<Call>)> {
        let position = usize::try_from(turn.checked_sub(self.first)?).ok()?;
        let left = self.calls.get_mut(position)?.take();
        while let Some(None) = self.calls.front() {
            self.calls.pop_front();
            self.first += 1;
        }
        left
    }
}
