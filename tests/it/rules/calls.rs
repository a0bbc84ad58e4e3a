//! Any call of the hub as a value, so that it can be made by whoever, and again.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use waybill_proto::v1::{self, provide_request, provide_response, receive_request, receive_response};

use crate::scene::{Scene, absence_in, try_refusal_in};

/// A call, ready to be made.
#[derive(Clone, Debug)]
pub enum Call {
    Submit(v1::SubmitRequest),
    SubmitStream(v1::Submission),
    Request(v1::RequestRequest),
    Provide(v1::ProvideOpen),
    /// Opens a provider's stream and answers a question.
    Answer(v1::ProvideAnswer),
    Receive(v1::ReceiveOpen),
    GetTransfer(v1::GetTransferRequest),
    Grant(v1::GrantRequest),
    Withdraw(v1::WithdrawRequest),
    GetConsent(v1::GetRequest),
    ListConsents(v1::ListRequest),
    Search(v1::SearchRequest),
    GetEntry(v1::GetEntryRequest),
    GetCheckpoint(v1::GetCheckpointRequest),
    GetInclusionProof(v1::GetInclusionProofRequest),
    GetConsistencyProof(v1::GetConsistencyProofRequest),
    ListDeadLetters(v1::ListDeadLettersRequest),
    Replay(v1::ReplayDeadLetterRequest),
    ShowCatalogue(v1::ShowCatalogueRequest),
    Publish(v1::PublishCatalogueRequest),
}

/// How a call failed: with a status, or with a refusal inside a stream or an outcome.
#[derive(Debug)]
pub enum Failed {
    Status(Box<Status>),
    Inside(Box<v1::Refusal>),
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl Failed {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<v1::Refusal> {
        match self {
            Self::Status(status) => try_refusal_in(status),
            Self::Inside(refusal) => Some((**refusal).clone()),
        }
    }

    /// The code of the refusal, or the status where it is none.
    pub fn code(&self) -> String {
        let status = |code: Code| format!("{code:?}");
        self.refusal().map_or_else(
            || match self {
                Self::Status(failed) => status(failed.code()),
                Self::Inside(_) => String::new(),
            },
            |refusal| refusal.code,
        )
    }
}

impl Call {
    /// Makes the call as `agency/system`.
    pub async fn make(&self, scene: &Scene, system: &str) -> Result<(), Failed> {
        let call = self.clone();
        let mut exchange = scene.exchange(system).await;
        let mut consents = scene.consents(system).await;
        let mut ledger = scene.ledger(system).await;
        let mut operator = scene.operator(system).await;
        match call {
            Self::Submit(call) => return submitted(exchange.submit(call).await?.into_inner().outcome.unwrap()),
            Self::SubmitStream(submission) => return in_stream(scene, system, submission).await,
            Self::Request(call) => return requested(exchange.request(call).await),
            Self::Provide(open) => return provide(scene, system, open, None).await,
            Self::Answer(answer) => return provide(scene, system, v1::ProvideOpen::default(), Some(answer)).await,
            Self::Receive(open) => return receive(scene, system, open).await,
            Self::GetTransfer(call) => drop(exchange.get_transfer(call).await?),
            Self::Grant(call) => drop(consents.grant(call).await?),
            Self::Withdraw(call) => drop(consents.withdraw(call).await?),
            Self::GetConsent(call) => drop(consents.get(call).await?),
            Self::ListConsents(call) => drop(consents.list(call).await?),
            Self::Search(call) => drop(ledger.search(call).await?),
            Self::GetEntry(call) => drop(ledger.get_entry(call).await?),
            Self::GetCheckpoint(call) => drop(ledger.get_checkpoint(call).await?),
            Self::GetInclusionProof(call) => drop(ledger.get_inclusion_proof(call).await?),
            Self::GetConsistencyProof(call) => drop(ledger.get_consistency_proof(call).await?),
            Self::ListDeadLetters(call) => drop(operator.list_dead_letters(call).await?),
            Self::Replay(call) => drop(operator.replay_dead_letter(call).await?),
            Self::ShowCatalogue(call) => drop(operator.show_catalogue(call).await?),
            Self::Publish(call) => drop(operator.publish_catalogue(call).await?),
        }
        Ok(())
    }

    /// Makes the call, which must fail.
    pub async fn fails(&self, scene: &Scene, system: &str) -> Failed {
        match self.make(scene, system).await {
            Err(failed) => failed,
            Ok(()) => panic!("{system} must be refused: {self:.300?}"),
        }
    }
}

/// That the provider is away is an outcome, though its status is an error's.
fn requested(answer: Result<tonic::Response<v1::RequestResponse>, tonic::Status>) -> Result<(), Failed> {
    match answer {
        Err(status) if absence_in(&status).is_none() => Err(status.into()),
        _ => Ok(()),
    }
}

/// A source is told of what lies in its own submission, recipient by recipient.
fn submitted(outcome: v1::Outcome) -> Result<(), Failed> {
    for recipient in outcome.recipients {
        if let Some(refusal) = recipient.refusal {
            let receipt = refusal.receipt.clone().or(recipient.receipt);
            return Err(Failed::Inside(Box::new(v1::Refusal { receipt, ..refusal })));
        }
    }
    Ok(())
}

async fn in_stream(scene: &Scene, system: &str, submission: v1::Submission) -> Result<(), Failed> {
    use v1::numbered_outcome::Result as Decided;
    let message = v1::SubmitStreamRequest {
        receipt_detail: v1::ReceiptDetail::Proof.into(),
        submissions: vec![v1::NumberedSubmission { number: 7, submission: Some(submission) }],
    };
    let mut exchange = scene.exchange(system).await;
    let mut outcomes = exchange.submit_stream(tokio_stream::once(message)).await?.into_inner();
    while let Some(response) = outcomes.message().await? {
        if let Some(outcome) = response.outcomes.into_iter().next() {
            return match outcome.result.unwrap() {
                Decided::Outcome(_) => Ok(()),
                Decided::Refusal(refusal) => Err(Failed::Inside(Box::new(refusal))),
                Decided::Busy(busy) => Err(Status::new(Code::from(busy.code as i32), busy.message).into()),
            };
        }
    }
    panic!("the stream ended without an outcome")
}

async fn provide(
    scene: &Scene,
    system: &str,
    open: v1::ProvideOpen,
    answer: Option<v1::ProvideAnswer>,
) -> Result<(), Failed> {
    let (answers, sent) = mpsc::channel(2);
    let said = |message| v1::ProvideRequest { message: Some(message) };
    answers.send(said(provide_request::Message::Open(open))).await.unwrap();
    let mut exchange = scene.exchange(system).await;
    let mut questions = exchange.provide(ReceiverStream::new(sent)).await?.into_inner();
    let ready = questions.message().await?.unwrap().message;
    assert!(matches!(ready, Some(provide_response::Message::Ready(_))));
    let Some(answer) = answer else { return Ok(()) };
    answers.send(said(provide_request::Message::Answer(answer))).await.unwrap();
    let Some(provide_response::Message::Recorded(recorded)) = questions.message().await?.unwrap().message else {
        panic!("an answer is recorded")
    };
    recorded.refusal.map_or(Ok(()), |refusal| Err(Failed::Inside(Box::new(refusal))))
}

async fn receive(scene: &Scene, system: &str, open: v1::ReceiveOpen) -> Result<(), Failed> {
    let (answers, sent) = mpsc::channel(1);
    let open = v1::ReceiveRequest { message: Some(receive_request::Message::Open(open)) };
    answers.send(open).await.unwrap();
    let mut exchange = scene.exchange(system).await;
    let mut deliveries = exchange.receive(ReceiverStream::new(sent)).await?.into_inner();
    let ready = deliveries.message().await?.unwrap().message;
    assert!(matches!(ready, Some(receive_response::Message::Ready(_))));
    Ok(())
}

/// A recipient that is connected.
pub struct Recipient {
    answers: mpsc::Sender<v1::ReceiveRequest>,
    stream: tonic::Streaming<v1::ReceiveResponse>,
    waiting: std::collections::VecDeque<v1::Delivery>,
}

impl Recipient {
    pub async fn connect(scene: &Scene, system: &str) -> Self {
        Self::with_credit(scene, system, 0).await.0
    }

    /// Says what credit was granted, too.
    pub async fn with_credit(scene: &Scene, system: &str, credit: u32) -> (Self, u32) {
        let (answers, sent) = mpsc::channel(64);
        let open = receive_request::Message::Open(v1::ReceiveOpen { credit, ..v1::ReceiveOpen::default() });
        answers.send(v1::ReceiveRequest { message: Some(open) }).await.unwrap();
        let mut exchange = scene.exchange(system).await;
        let mut stream = exchange.receive(ReceiverStream::new(sent)).await.unwrap().into_inner();
        let ready = stream.message().await.unwrap().unwrap().message;
        let Some(receive_response::Message::Ready(ready)) = ready else { panic!("{ready:?}") };
        (Self { answers, stream, waiting: Default::default() }, ready.credit)
    }

    pub async fn next(&mut self) -> v1::Delivery {
        loop {
            if let Some(delivery) = self.waiting.pop_front() {
                return delivery;
            }
            let message = tokio::time::timeout(PATIENCE, self.stream.message()).await.expect("a delivery in time");
            let Some(receive_response::Message::Deliveries(batch)) = message.unwrap().unwrap().message else {
                continue;
            };
            self.waiting.extend(batch.deliveries);
        }
    }

    /// Whether no delivery has come beyond those that were taken.
    pub fn has_nothing_more(&mut self) -> bool {
        use futures_util::FutureExt as _;
        self.waiting.is_empty() && self.stream.message().now_or_never().is_none()
    }

    pub async fn acknowledge(&self, delivery: &v1::Delivery) {
        self.answer(delivery, v1::delivery_answer::Answer::Acknowledged(v1::Acknowledged {})).await;
    }

    pub async fn reject(&self, delivery: &v1::Delivery, reason: v1::RejectionReason) {
        let rejected = v1::Rejected { reason: reason.into() };
        self.answer(delivery, v1::delivery_answer::Answer::Rejected(rejected)).await;
    }

    async fn answer(&self, delivery: &v1::Delivery, answer: v1::delivery_answer::Answer) {
        let (transfer_ids, answer) = (vec![delivery.transfer_id.clone()], Some(answer));
        let answer = v1::DeliveryAnswer { transfer_ids, answer };
        let answer = receive_request::Message::Answer(answer);
        self.answers.send(v1::ReceiveRequest { message: Some(answer) }).await.unwrap();
    }
}

/// How long a test waits for what must come.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A provider that answers every question with the same record, until the scene ends.
pub async fn provide_always(scene: &Scene, system: &str, record: v1::Submission) {
    let (answers, sent) = mpsc::channel(4);
    let said = |message| v1::ProvideRequest { message: Some(message) };
    answers.send(said(provide_request::Message::Open(v1::ProvideOpen::default()))).await.unwrap();
    let mut exchange = scene.exchange(system).await;
    let mut questions = exchange.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
    questions.message().await.unwrap().unwrap();
    tokio::spawn(async move {
        while let Ok(Some(message)) = questions.message().await {
            let Some(provide_response::Message::Question(question)) = message.message else { continue };
            let provided = v1::ProvidedRecord {
                schema_version: record.schema_version.clone(),
                payload: record.payload.clone(),
                record: record.record.clone(),
            };
            let answer = v1::ProvideAnswer {
                request_id: question.request_id,
                answer: Some(v1::provide_answer::Answer::Record(provided)),
                context: crate::scene::context(),
                ..v1::ProvideAnswer::default()
            };
            if answers.send(said(provide_request::Message::Answer(answer))).await.is_err() {
                return;
            }
        }
    });
}
