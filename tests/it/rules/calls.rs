//! Any call of the hub as a value, so that it can be made by whoever, and again.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use waybill_proto::v1::{self, provide_request, provide_response, receive_request, receive_response};

use crate::scene::{Scene, try_refusal_in};

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
    ListDeadLetters(v1::ListDeadLettersRequest),
    Replay(v1::ReplayDeadLetterRequest),
    ShowCatalogue(v1::ShowCatalogueRequest),
    Publish(v1::PublishCatalogueRequest),
}

/// How a call failed: with a status, or with a refusal inside a stream.
#[derive(Debug)]
pub enum Failed {
    Status(Box<Status>),
    InStream(Box<v1::Refusal>),
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
            Self::InStream(refusal) => Some((**refusal).clone()),
        }
    }

    /// The code of the refusal, or the status where it is none.
    pub fn code(&self) -> String {
        let status = |code: Code| format!("{code:?}");
        self.refusal().map_or_else(
            || match self {
                Self::Status(failed) => status(failed.code()),
                Self::InStream(_) => String::new(),
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
            Self::Submit(call) => drop(exchange.submit(call).await?),
            Self::SubmitStream(submission) => return in_stream(scene, system, submission).await,
            Self::Request(call) => drop(exchange.request(call).await?),
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

async fn in_stream(scene: &Scene, system: &str, submission: v1::Submission) -> Result<(), Failed> {
    use v1::numbered_outcome::Result as Decided;
    let message = v1::SubmitStreamRequest {
        receipt_detail: v1::ReceiptDetail::Proof.into(),
        submissions: vec![v1::NumberedSubmission { number: 7, submission: Some(submission) }],
    };
    let mut exchange = scene.exchange(system).await;
    let mut outcomes = exchange.submit_stream(tokio_stream::once(message)).await?.into_inner();
    while let Some(response) = outcomes.message().await? {
        for outcome in response.outcomes {
            match outcome.result.unwrap() {
                Decided::Outcome(_) => return Ok(()),
                Decided::Refusal(refusal) => return Err(Failed::InStream(Box::new(refusal))),
                Decided::Busy(busy) => return Err(Status::new(Code::from(busy.code as i32), busy.message).into()),
            }
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
    recorded.refusal.map_or(Ok(()), |refusal| Err(Failed::InStream(Box::new(refusal))))
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
