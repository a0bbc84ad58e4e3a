//! The provider's long-lived stream: questions out, answers in, and what became of each answer.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming};
use waybill_proto::v1;

use super::{peer, read, status, write};
use crate::{
    desk::{CallError, Desk, ProvideLink, Question, Receipt},
    exchange::authenticate::Caller,
    ledger::Kind,
};

/// Messages that wait to be sent.
const OUT_MAX: usize = 64;

type Sent = Result<v1::ProvideResponse, Status>;

/// Opens the stream: its first message says for whom.
pub(super) async fn open(
    desk: &Arc<Desk>,
    request: Request<Streaming<v1::ProvideRequest>>,
    answers_max: usize,
    stopping: CancellationToken,
) -> Result<impl Stream<Item = Sent> + Send + use<>, Status> {
    let peer = peer::name(request.extensions())?;
    let mut messages = request.into_inner();
    let opening = match messages.message().await?.and_then(|first| first.message) {
        Some(v1::provide_request::Message::Open(opened)) => {
            Some((read::agency(opened.on_behalf_of), opened.record_types))
        }
        _ => None,
    };
    let registered = desk.provide(peer.peer(), opening).await;
    let (caller, link) = registered.map_err(status::of_error)?;
    let (out, sent) = mpsc::channel(OUT_MAX);
    let provider =
        Provider { desk: Arc::clone(desk), caller: Arc::new(caller), messages, link: Some(link), out, answers_max };
    tokio::spawn(provider.run(stopping));
    Ok(ReceiverStream::new(sent))
}

struct Provider {
    desk: Arc<Desk>,
    caller: Arc<Caller>,
    messages: Streaming<v1::ProvideRequest>,
    /// As long as questions are read from it: those that are left go to another stream.
    link: Option<ProvideLink>,
    out: mpsc::Sender<Sent>,
    answers_max: usize,
}

impl Provider {
    /// Runs until the provider ends its side, or goes, or the hub stops.
    async fn run(mut self, stopping: CancellationToken) {
        if self.say(v1::provide_response::Message::Ready(v1::ProvideReady {})).await.is_err() {
            return;
        }
        let mut recording = FuturesUnordered::new();
        while self.link.is_some() || !recording.is_empty() {
            let reading = self.link.is_some();
            let question = async {
                match &mut self.link {
                    Some(link) => link.questions.recv().await,
                    None => None,
                }
            };
            let said = tokio::select! {
                Some(recorded) = recording.next(), if !recording.is_empty() => {
                    self.say(v1::provide_response::Message::Recorded(recorded)).await
                }
                Some(question) = question, if reading => {
                    // A catalogue that was published meanwhile may say otherwise.
                    if !self.desk.may_provide(&self.caller.system, self.caller.agency()) {
                        self.link = None;
                        let status = status::connect_again("the catalogue has changed: connect again");
                        return drop(self.out.send(Err(status)).await);
                    }
                    self.say(v1::provide_response::Message::Question(written(question))).await
                }
                message = self.messages.message(), if reading && recording.len() < self.answers_max => {
                    match message.map(|message| message.map(answer_in)) {
                        Ok(Some(Ok(answer))) => {
                            recording.push(record(Arc::clone(&self.desk), Arc::clone(&self.caller), answer));
                        }
                        Ok(Some(Err(status))) => return drop(self.out.send(Err(status)).await),
                        Ok(None) | Err(_) => self.link = None,
                    }
                    Ok(())
                }
                () = stopping.cancelled(), if reading => {
                    self.link = None;
                    Ok(())
                }
            };
            if said.is_err() {
                return; // the provider has gone; what it answered is recorded all the same, or asked again
            }
        }
    }

    async fn say(&self, message: v1::provide_response::Message) -> Result<(), mpsc::error::SendError<Sent>> {
        self.out.send(Ok(v1::ProvideResponse { message: Some(message) })).await
    }
}

fn answer_in(message: v1::ProvideRequest) -> Result<v1::ProvideAnswer, Status> {
    match message.message {
        Some(v1::provide_request::Message::Answer(answer)) => Ok(answer),
        _ => Err(status::malformed("/answer", "required")),
    }
}

/// Records one answer. One that can't be recorded never ends the stream, and one that comes too fast waits as long as its
/// question does.
async fn record(desk: Arc<Desk>, caller: Arc<Caller>, message: v1::ProvideAnswer) -> v1::AnswerRecorded {
    let request_id = message.request_id.clone();
    let recorded = match read::answer(message) {
        Ok((answer, context)) => loop {
            match desk.answer(&caller, &request_id, answer.clone(), context.clone()).await {
                Err(CallError::Exhausted { retry_after, .. }) if desk.is_asked(&request_id, caller.agency()) => {
                    tokio::time::sleep(retry_after).await;
                }
                recorded => break recorded,
            }
        },
        Err(malformed) => {
            let peer = crate::exchange::submission::Peer::System(&caller.system);
            Err(desk.refuse_malformed(peer, Kind::Refusal, malformed).await)
        }
    };
    outcome(request_id, recorded)
}

fn outcome(request_id: String, recorded: Result<Receipt, CallError>) -> v1::AnswerRecorded {
    let (receipt, refusal) = match recorded {
        Ok(receipt) => (Some(write::receipt(receipt)), None),
        Err(CallError::Refused(refused)) => (None, Some(write::refusal(&refused.refusal, Some(refused.receipt)))),
        // Neither: the answer was not recorded, and the request ends otherwise.
        Err(error) => {
            status::log_fault(&error);
            (None, None)
        }
    };
    v1::AnswerRecorded { request_id, receipt, refusal }
}

fn written(question: Question) -> v1::Question {
    v1::Question {
        request_id: question.request.to_string(),
        requester: question.requester.to_string(),
        agreement: question.agreement,
        purpose: question.purpose,
        record_type: question.record_type.to_string(),
        schema_major: question.schema_major.into(),
        subject: question.subject.iter().map(write::identifier).collect(),
        explicitly_requested: question.explicitly_requested,
        deadline: Some(write::timestamp(question.deadline)),
        traceparent: question.traceparent,
    }
}
