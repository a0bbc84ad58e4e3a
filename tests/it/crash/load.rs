//! Load on a hub that comes and goes: clients that send until they know, each submission under one key for ever.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use waybill::cli::demo::{
    population::Population,
    setup::Place,
    systems::{System, submission},
};
use waybill_proto::v1::{self, numbered_outcome::Result as Decided};

use super::scene::{PATIENCE, connect};

const SOURCE: &str = "identity/registry";
/// Submissions in one message of a stream, and without an outcome at most.
const TOGETHER: usize = 64;

/// What a client learned about one submission: the same, however often it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Index and bytes of each entry.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// Recipient and transfer id.
    pub transfers: Vec<(String, String)>,
}

/// The submissions of a test and what became of them.
pub struct Load {
    place: Arc<Place>,
    people: Population,
    made: Mutex<usize>,
    answers: Mutex<HashMap<String, (v1::Submission, Answer)>>,
    answered: watch::Sender<usize>,
    going: watch::Sender<bool>,
}

impl Load {
    pub fn new(place: Arc<Place>) -> Arc<Self> {
        let (answered, going) = (watch::Sender::new(0), watch::Sender::new(true));
        let people = Population::generate(1, 300);
        Arc::new(Self { place, people, made: Mutex::default(), answers: Mutex::default(), answered, going })
    }

    /// The next submission, while there are to be more: addresses and people. Some of those for streams break their
    /// schema.
    fn next(&self, streamed: bool) -> Option<v1::Submission> {
        if !*self.going.borrow() {
            return None;
        }
        let mut made = self.made.lock().unwrap();
        let number = *made;
        *made += 1;
        let citizen = self.people.citizen(number % self.people.len()).unwrap();
        let round = 1 + number / self.people.len();
        let record = if number % 3 == 0 {
            let mut person = citizen.records().into_iter().next().unwrap();
            person.revision = round as u64;
            person
        } else {
            citizen.moved_record(round as u32)
        };
        let mut made = submission(&record, v1::Change::Changed, "load");
        if streamed && number % 40 == 7 {
            made.payload = "{}".into();
        }
        Some(made)
    }

    /// No more submissions; those that were begun are finished.
    pub fn finish(&self) {
        self.going.send_replace(false);
    }

    /// How many submissions have an answer.
    pub fn answered(&self) -> usize {
        *self.answered.borrow()
    }

    /// Waits until `count` submissions have an answer.
    pub async fn reach(&self, count: usize) {
        let mut answered = self.answered.subscribe();
        let reached = answered.wait_for(|now| *now >= count);
        let reached = tokio::time::timeout(PATIENCE, reached).await.is_ok_and(|reached| reached.is_ok());
        assert!(reached, "{} of {count} submissions were answered", self.answered());
    }

    /// Every submission with its answer.
    pub fn answers(&self) -> Vec<(v1::Submission, Answer)> {
        self.answers.lock().unwrap().values().cloned().collect()
    }

    fn learn(&self, submission: v1::Submission, answer: Answer) {
        let mut answers = self.answers.lock().unwrap();
        if let Some((_, before)) = answers.get(&submission.idempotency_key) {
            assert_eq!(*before, answer, "one key has two answers");
        } else {
            answers.insert(submission.idempotency_key.clone(), (submission, answer));
        }
        self.answered.send_replace(answers.len());
    }

    /// A client of the unary call.
    pub async fn call(self: Arc<Self>) {
        let mut system = self.connect().await;
        while let Some(submission) = self.next(false) {
            loop {
                let request = v1::SubmitRequest { submission: Some(submission.clone()) };
                match system.exchange.submit(request).await {
                    Ok(response) => break self.learn(submission, outcome(&response.into_inner().outcome.unwrap())),
                    Err(status) => assert_undecided(&status),
                }
                system = self.connect().await;
            }
        }
    }

    /// A client of the stream.
    pub async fn stream(self: Arc<Self>) {
        let mut waiting = VecDeque::new();
        loop {
            let system = self.connect().await;
            match self.drive(&system, &mut waiting, || self.next(true)).await {
                Ok(()) => return,
                Err(status) => assert_undecided(&status),
            }
        }
    }

    /// A connection as who sends.
    pub async fn connect(&self) -> System {
        connect(&self.place, SOURCE).await
    }

    /// Sends every submission again, under its key; [`Load::learn`] finds other answers.
    pub async fn repeat(&self) {
        let system = self.connect().await;
        let mut again = self.answers().into_iter().map(|(submission, _)| submission);
        self.drive(&system, &mut VecDeque::new(), || again.next()).await.unwrap();
    }

    /// One stream: sends what waits and then what is `next`, until there is no more. What has no outcome stays waiting.
    async fn drive(
        &self,
        system: &System,
        waiting: &mut VecDeque<v1::Submission>,
        mut next: impl FnMut() -> Option<v1::Submission>,
    ) -> Result<(), tonic::Status> {
        let (requests, sent) = mpsc::channel(1);
        let mut outcomes = system.exchange.clone().submit_stream(ReceiverStream::new(sent)).await?.into_inner();
        loop {
            waiting.extend(std::iter::from_fn(&mut next).take(TOGETHER - waiting.len()));
            if waiting.is_empty() {
                return Ok(());
            }
            let mut open: HashMap<u64, v1::Submission> = (0..).zip(waiting.iter().cloned()).collect();
            if requests.send(message(&open)).await.is_err() {
                return Err(tonic::Status::unavailable("the stream has ended"));
            }
            let mut missing = open.len();
            while missing > 0 {
                let Some(response) = outcomes.message().await? else {
                    return Err(tonic::Status::unavailable("the stream has ended"));
                };
                for numbered in response.outcomes {
                    missing -= 1;
                    let submission = open.remove(&numbered.number).expect("one outcome for each number");
                    if let Some(answer) = answer(&numbered.result.unwrap()) {
                        waiting.retain(|one| one.idempotency_key != submission.idempotency_key);
                        self.learn(submission, answer);
                    }
                }
            }
        }
    }
}

fn message(open: &HashMap<u64, v1::Submission>) -> v1::SubmitStreamRequest {
    let number = |(number, one): (&u64, &v1::Submission)| v1::NumberedSubmission {
        number: *number,
        submission: Some(one.clone()),
    };
    v1::SubmitStreamRequest {
        receipt_detail: v1::ReceiptDetail::Index.into(),
        submissions: open.iter().map(number).collect(),
    }
}

fn outcome(outcome: &v1::Outcome) -> Answer {
    let transfers = outcome.recipients.iter().map(|one| (one.recipient.clone(), one.transfer_id.clone())).collect();
    Answer { entries: outcome.recipients.iter().map(|one| entry(one.receipt.as_ref())).collect(), transfers }
}

/// `None`: it was not decided.
fn answer(decided: &Decided) -> Option<Answer> {
    match decided {
        Decided::Outcome(decided) => Some(outcome(decided)),
        Decided::Refusal(refused) => {
            Some(Answer { entries: vec![entry(refused.receipt.as_ref())], transfers: Vec::new() })
        }
        Decided::Busy(_) => None,
    }
}

fn entry(receipt: Option<&v1::Receipt>) -> (u64, Vec<u8>) {
    let receipt = receipt.expect("what is decided is recorded");
    (receipt.index, receipt.entry.to_vec())
}

/// The hub was killed or is busy: the client does not know, and asks again.
fn assert_undecided(status: &tonic::Status) {
    let undecided =
        [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled, Code::ResourceExhausted, Code::Aborted];
    assert!(undecided.contains(&status.code()), "{status:?}");
}
