//! ExchangeService: how records move.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use waybill_proto::v1::{self, exchange_service_server::ExchangeService};

use super::{
    GrpcLimits, detached::Detached, peer, provide, read, receive, status, status::WithoutRecord, submit_stream, write,
};
use crate::{
    desk::{AnswerOutcome, CallError, Desk, Evidence, NoRecord, Receipt, ReceiptDetail, RequestOutcome},
    ledger::Kind,
    relay::Registry,
};

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service.
#[derive(Debug)]
pub(super) struct Exchange {
    pub desk: Arc<Desk>,
    pub relay: Arc<Registry>,
    pub limits: GrpcLimits,
    pub stopping: CancellationToken,
    pub detached: Detached,
}

#[tonic::async_trait]
impl ExchangeService for Exchange {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let traceparent = read::traceparent(request.metadata());
        let arrival = read::arrival(request.into_inner().submission, &traceparent);
        let submitted = self.desk.submit(peer.peer(), arrival, ReceiptDetail::Proof).await;
        let outcome = submitted.map_err(status::of_error)?;
        Ok(Response::new(v1::SubmitResponse { outcome: Some(write::outcome(outcome)) }))
    }

    type SubmitStreamStream = Messages<v1::SubmitStreamResponse>;

    async fn submit_stream(
        &self,
        request: Request<Streaming<v1::SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let window = self.limits.stream_window_max;
        let outcomes = submit_stream::open(&self.desk, request, window, self.stopping.clone())?;
        Ok(Response::new(Box::pin(outcomes)))
    }

    async fn request(&self, request: Request<v1::RequestRequest>) -> Result<Response<v1::RequestResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let traceparent = read::traceparent(request.metadata());
        let asked = match read::request(request.into_inner(), &traceparent) {
            Ok(call) => {
                // What was asked has its outcome, also when the requester hangs up: it asks again under the same key.
                let desk = Arc::clone(&self.desk);
                let asked = self.detached.run(async move { desk.request(peer.peer(), call).await }).await;
                asked.unwrap_or_else(|| Err(CallError::Unavailable("the hub stops; ask again".to_owned())))
            }
            Err(malformed) => Err(self.desk.refuse_malformed(peer.peer(), Kind::Refusal, malformed).await),
        };
        answered(asked.map_err(status::of_error)?).map(Response::new)
    }

    type ProvideStream = Messages<v1::ProvideResponse>;

    async fn provide(
        &self,
        request: Request<Streaming<v1::ProvideRequest>>,
    ) -> Result<Response<Self::ProvideStream>, Status> {
        let answers_max = self.limits.provide_answers_max;
        let questions = provide::open(&self.desk, request, answers_max, self.stopping.clone()).await?;
        Ok(Response::new(Box::pin(questions)))
    }

    type ReceiveStream = Messages<v1::ReceiveResponse>;

    async fn receive(
        &self,
        request: Request<Streaming<v1::ReceiveRequest>>,
    ) -> Result<Response<Self::ReceiveStream>, Status> {
        let deliveries = receive::open(&self.desk, &self.relay, request).await?;
        Ok(Response::new(Box::pin(deliveries)))
    }

    async fn get_transfer(
        &self,
        request: Request<v1::GetTransferRequest>,
    ) -> Result<Response<v1::GetTransferResponse>, Status> {
        Ok(Response::new(receive::transfer(&self.desk, request).await?))
    }
}

/// The answer; as a status where it is that nobody answered, or where what was answered is kept no longer.
fn answered(outcome: RequestOutcome) -> Result<v1::RequestResponse, Status> {
    use v1::request_response::Answer;
    let without_record = match &outcome.answer {
        AnswerOutcome::NoRecord { answer: Some(NoRecord::ProviderUnavailable), .. } => {
            Some(WithoutRecord::ProviderAway)
        }
        AnswerOutcome::NoRecord { answer: None, .. } => Some(WithoutRecord::NotKept),
        AnswerOutcome::Evidence(evidence) if evidence.payload.is_none() => Some(WithoutRecord::NotKept),
        _ => None,
    };
    let answer = match outcome.answer {
        AnswerOutcome::Evidence(evidence) => Answer::Evidence(written(*evidence)),
        AnswerOutcome::NoRecord { answer, receipt } => Answer::NoRecord(no_record(answer, receipt)),
    };
    let response = v1::RequestResponse {
        request_id: outcome.request.to_string(),
        asked: Some(write::receipt(outcome.asked)),
        answer: Some(answer),
    };
    match without_record {
        Some(why) => Err(status::of_answer(why, response)),
        None => Ok(response),
    }
}

fn written(evidence: Evidence) -> v1::Evidence {
    v1::Evidence {
        transfer_id: evidence.id.to_string(),
        record_type: evidence.record_type,
        schema_version: evidence.schema_version,
        payload: evidence.payload.unwrap_or_default(),
        record: Some(write::record(evidence.record)),
        subject_pseudonym: evidence.pseudonym,
        keep_seconds: evidence.keep.map_or(0, |keep| keep.as_secs()),
        receipt: Some(write::receipt(evidence.receipt)),
    }
}

fn no_record(answer: Option<NoRecord>, receipt: Receipt) -> v1::NoRecord {
    use v1::NoRecordReason as Reason;
    let (reason, available_at) = match answer {
        None => (Reason::Unspecified, None),
        Some(NoRecord::NoSuchPerson) => (Reason::NoSuchPerson, None),
        Some(NoRecord::SeveralMatches) => (Reason::SeveralMatches, None),
        Some(NoRecord::NoSuchRecord) => (Reason::NoSuchRecord, None),
        Some(NoRecord::NotAvailableUntil(moment)) => (Reason::NotAvailableUntil, moment),
        Some(NoRecord::Declined) => (Reason::Declined, None),
        Some(NoRecord::ProviderUnavailable) => (Reason::ProviderUnavailable, None),
    };
    v1::NoRecord {
        reason: reason.into(),
        available_at: available_at.map(write::timestamp),
        receipt: Some(write::receipt(receipt)),
    }
}
