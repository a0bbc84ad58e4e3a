//! The recipient's long-lived stream: deliveries out, answers in. Who gets what and when is the relay's matter.

use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status, Streaming};
use waybill_proto::v1::{self, receive_request::Message as Read, receive_response::Message as Written};

use super::{peer, read, status, write};
use crate::{
    desk::{CallError, Desk, Receiver, TransferState, TransferView},
    domain::transfer::{DeliveryState, TransferId},
    drivers::{self, Outbound, Outcome, Port, Reporter},
    ledger::Kind,
    relay::Registry,
};

type Sent = Result<v1::ReceiveResponse, Status>;

/// Opens the stream: its first message says for whom, and how much may be unanswered (0, or more than the bound: the
/// bound).
pub(super) async fn open(
    desk: &Arc<Desk>,
    registry: &Registry,
    request: Request<Streaming<v1::ReceiveRequest>>,
) -> Result<impl Stream<Item = Sent> + Send + use<>, Status> {
    let peer = peer::name(request.extensions())?;
    let mut messages = request.into_inner();
    let opening = match messages.message().await? {
        Some(v1::ReceiveRequest { message: Some(Read::Open(opening)) }) => Some(opening),
        _ => None,
    };
    let asked = opening.as_ref().map_or(0, |opening| opening.credit as usize);
    let context = opening.map(|opening| read::agency(opening.on_behalf_of));
    let receiver = desk.open_receiver(peer.peer(), context).await.map_err(status::of_error)?;

    let limits = registry.limits();
    let credit = if asked == 0 { limits.credit_max } else { asked.min(limits.credit_max) };
    let terms = drivers::stream::terms(receiver.system.clone(), credit, limits.report_within);
    let port =
        registry.connect(&receiver.agency, &terms).map_err(|stopping| status::connect_again(stopping.to_string()))?;

    let (ended, end) = oneshot::channel();
    let sending_ends = CancellationToken::new();
    let may_receive = {
        let (desk, receiver) = (Arc::clone(desk), receiver.clone());
        move || desk.may_receive(&receiver)
    };
    let reading = read_answers(messages, may_receive, port.reporter(), sending_ends.clone());
    tokio::spawn(async move {
        let _ = ended.send(reading.await); // the other side may have ended first
    });
    let sending = Sending {
        desk: Arc::clone(desk),
        receiver,
        port,
        end: Some(end),
        ready: Some(credit as u32), // bounded by credit_max
        _reading: sending_ends.drop_guard(),
    };
    Ok(stream::unfold(sending, |mut sending| async {
        let sent = sending.next().await?;
        Some((sent, sending))
    }))
}

/// The way out. Dropping it is losing the link, and ends the way in.
struct Sending {
    desk: Arc<Desk>,
    receiver: Receiver,
    port: Port,
    /// Why the way in ended; `None` once the stream is at its end.
    end: Option<oneshot::Receiver<Option<Status>>>,
    ready: Option<u32>,
    _reading: DropGuard,
}

impl Sending {
    async fn next(&mut self) -> Option<Sent> {
        let end = self.end.as_mut()?;
        if let Some(credit) = self.ready.take() {
            return Some(Ok(said(Written::Ready(v1::ReceiveReady { credit }))));
        }
        let last = tokio::select! {
            batch = self.port.next() => match batch {
                // A catalogue that was published meanwhile may say otherwise.
                Some(_) if !self.desk.may_receive(&self.receiver) => Some(catalogue_changed()),
                Some(batch) => {
                    let deliveries = self.opened(batch).await;
                    return Some(Ok(said(Written::Deliveries(v1::Deliveries { deliveries }))));
                }
                None => Some(status::connect_again("the hub closes the stream: connect again")),
            },
            end = end => end.unwrap_or(None),
        };
        self.end = None;
        last.map(Err)
    }
}

impl Sending {
    /// Deliveries as they are written. One whose receipt does not open is left out, and counts as not arrived.
    async fn opened(&self, batch: Vec<Outbound>) -> Vec<v1::Delivery> {
        let (mut deliveries, mut failed) = (Vec::with_capacity(batch.len()), Vec::new());
        for outbound in batch {
            let (id, index) = (outbound.content.id, outbound.content.index);
            match delivery(outbound).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => {
                    tracing::error!(%error, index, "the receipt of a delivery does not open");
                    failed.push(id);
                }
            }
        }
        if !failed.is_empty() {
            drivers::stream::answer(&self.port.reporter(), failed, Outcome::Failed).await;
        }
        deliveries
    }
}

fn said(message: Written) -> v1::ReceiveResponse {
    v1::ReceiveResponse { message: Some(message) }
}

fn catalogue_changed() -> Status {
    status::connect_again("the catalogue has changed: connect again")
}

/// The way in: runs until the recipient ends its side, goes, or says what cannot be understood.
async fn read_answers(
    mut messages: Streaming<v1::ReceiveRequest>,
    may_receive: impl Fn() -> bool,
    reporter: Reporter,
    sending_ends: CancellationToken,
) -> Option<Status> {
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = sending_ends.cancelled() => return None,
        };
        let answer = match message {
            Ok(Some(v1::ReceiveRequest { message: Some(Read::Answer(answer)) })) => answer,
            Ok(Some(_)) => return Some(status::malformed("/answer", "required")),
            Ok(None) => return None,
            Err(status) => return Some(status),
        };
        if !may_receive() {
            return Some(catalogue_changed());
        }
        match understood(&answer) {
            Ok((transfers, outcome)) => drivers::stream::answer(&reporter, transfers, outcome).await,
            Err(status) => return Some(status),
        }
    }
}

fn understood(answer: &v1::DeliveryAnswer) -> Result<(Vec<TransferId>, Outcome), Status> {
    use v1::{RejectionReason as Reason, delivery_answer::Answer};
    let outcome = match &answer.answer {
        Some(Answer::Acknowledged(v1::Acknowledged {})) => Outcome::Acknowledged,
        Some(Answer::Rejected(rejected)) => match rejected.reason() {
            Reason::Unprocessable => Outcome::Rejected,
            Reason::TryAgain => Outcome::Failed,
            Reason::Unspecified => return Err(status::malformed("/answer/rejected/reason", "required")),
        },
        None => return Err(status::malformed("/answer/answer", "required")),
    };
    let transfers: Result<Vec<TransferId>, _> = answer.transfer_ids.iter().map(|id| id.parse()).collect();
    let transfers = transfers.map_err(|_| status::malformed("/answer/transfer_ids", "format"))?;
    Ok((transfers, outcome))
}

async fn delivery(outbound: Outbound) -> Result<v1::Delivery, CallError> {
    let Outbound { content, attempt } = outbound;
    Ok(v1::Delivery {
        transfer_id: content.id.to_string(),
        ledger_index: content.index,
        source: content.source,
        agreement: content.agreement,
        purpose: content.purpose,
        record_type: content.record_type,
        schema_version: content.schema_version,
        payload: content.payload,
        record: Some(write::record(content.record)),
        subject_pseudonym: content.pseudonym,
        keep_seconds: content.keep_for.map_or(0, |keep| keep.as_secs()),
        attempt,
        replayed: content.replayed,
        receipt: Some(write::receipt(content.receipt.open().await?)),
        traceparent: content.traceparent,
    })
}

/// What became of a transfer.
pub(super) async fn transfer(
    desk: &Desk,
    request: Request<v1::GetTransferRequest>,
) -> Result<v1::GetTransferResponse, Status> {
    let peer = peer::name(request.extensions())?;
    let message = request.into_inner();
    let view = match read::context_of("", &message, message.context.clone()) {
        Ok(context) => desk.get_transfer(peer.peer(), &message.transfer_id, context).await,
        Err(malformed) => Err(desk.refuse_malformed(peer.peer(), Kind::Refusal, malformed).await),
    };
    let view = view.map_err(status::of_error)?;
    let TransferView { id, source, recipient, agreement, state, receipt } = view;
    Ok(v1::GetTransferResponse {
        transfer_id: id.to_string(),
        source,
        recipient,
        agreement,
        state: state.map_or(v1::DeliveryState::Unspecified, written_state).into(),
        receipt: Some(write::receipt(receipt)),
    })
}

const fn written_state(state: TransferState) -> v1::DeliveryState {
    match state {
        TransferState::Delivery(DeliveryState::Due) => v1::DeliveryState::Due,
        TransferState::Delivery(DeliveryState::Claimed) => v1::DeliveryState::Claimed,
        TransferState::Delivery(DeliveryState::Acknowledged) => v1::DeliveryState::Acknowledged,
        TransferState::Delivery(DeliveryState::Rejected) => v1::DeliveryState::Rejected,
        TransferState::Delivery(DeliveryState::DeadLettered) => v1::DeliveryState::DeadLettered,
        TransferState::Delivery(DeliveryState::Cancelled) => v1::DeliveryState::Cancelled,
        TransferState::Answered => v1::DeliveryState::Answered,
    }
}
