//! ConsentService: what citizens allowed and took back.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use waybill_proto::v1::{self, consent_service_server::ConsentService};

use super::{peer, read, status, write};
use crate::{
    desk::{ConsentState, ConsentView, ConsentsCall, Desk, Malformed, Reached},
    domain::{subject::Identifier, transfer::DeliveryState},
    exchange::submission::{CallContext, PeerName},
    ledger::Kind,
};

/// The service.
#[derive(Debug)]
pub(super) struct Consents {
    pub desk: Arc<Desk>,
}

#[tonic::async_trait]
impl ConsentService for Consents {
    async fn grant(&self, request: Request<v1::GrantRequest>) -> Result<Response<v1::GrantResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let granted = match read::grant(request.into_inner()) {
            Ok(call) => self.desk.grant(peer.peer(), call).await,
            Err(malformed) => Err(self.desk.refuse_malformed(peer.peer(), Kind::Refusal, malformed).await),
        };
        let granted = granted.map_err(status::of_error)?;
        let receipt = Some(write::receipt(granted.receipt));
        Ok(Response::new(v1::GrantResponse { consent_id: granted.id.to_string(), receipt }))
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let withdrawn = match read::withdraw(request.into_inner()) {
            Ok(call) => self.desk.withdraw(peer.peer(), call).await,
            Err(malformed) => Err(self.desk.refuse_malformed(peer.peer(), Kind::Refusal, malformed).await),
        };
        let withdrawn = withdrawn.map_err(status::of_error)?;
        Ok(Response::new(v1::WithdrawResponse {
            receipt: Some(write::receipt(withdrawn.receipt)),
            cancelled: withdrawn.cancelled.into_iter().map(reached).collect(),
            may_have_been_received: withdrawn.may_have_been_received.into_iter().map(reached).collect(),
            still_given: withdrawn.still_given.iter().map(ToString::to_string).collect(),
        }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let message = request.into_inner();
        let about = read::about(&message.idempotency_key, &message, &message.subject, message.context.clone());
        let (found, read) = self.find(&peer, message.idempotency_key, about, Some(message.consent_id)).await?;
        Ok(Response::new(v1::GetResponse { consent: found.into_iter().next(), read: Some(read) }))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let message = request.into_inner();
        let about = read::about(&message.idempotency_key, &message, &message.subject, message.context.clone());
        let (consents, read) = self.find(&peer, message.idempotency_key, about, None).await?;
        Ok(Response::new(v1::ListResponse { consents, read: Some(read) }))
    }
}

impl Consents {
    async fn find(
        &self,
        peer: &PeerName,
        key: String,
        about: Result<(Vec<Identifier>, CallContext), Malformed>,
        only: Option<String>,
    ) -> Result<(Vec<v1::Consent>, v1::Receipt), Status> {
        let found = match about {
            Ok((subject, context)) => {
                self.desk.consents(peer.peer(), ConsentsCall { key, subject, only, context }).await
            }
            Err(malformed) => Err(self.desk.refuse_malformed(peer.peer(), Kind::Refusal, malformed).await),
        };
        let (found, read) = found.map_err(status::of_error)?;
        Ok((found.iter().map(consent).collect(), write::receipt(read)))
    }
}

fn consent(view: &ConsentView) -> v1::Consent {
    let agreement = view.compiled.as_ref().map(|compiled| &compiled.agreement);
    let state = match view.state {
        ConsentState::Future => v1::ConsentState::Future,
        ConsentState::Active => v1::ConsentState::Active,
        ConsentState::Withdrawn => v1::ConsentState::Withdrawn,
        ConsentState::Expired => v1::ConsentState::Expired,
    };
    v1::Consent {
        consent_id: view.id.to_string(),
        agreement: view.agreement.to_string(),
        agreement_revision: view.revision,
        source: agreement.map(|agreement| agreement.source.to_string()).unwrap_or_default(),
        recipient: agreement.map(|agreement| agreement.recipient.to_string()).unwrap_or_default(),
        purpose: agreement.map(|agreement| agreement.purpose.to_string()).unwrap_or_default(),
        valid_from: Some(write::timestamp(view.from)),
        valid_until: view.until.map(write::timestamp),
        withdrawn_at: view.withdrawn.map(write::timestamp),
        ledger_index: view.index,
        state: state.into(),
    }
}

fn reached(reached: Reached) -> v1::Reached {
    v1::Reached {
        transfer_id: reached.id.to_string(),
        ledger_index: reached.index,
        recipient: reached.recipient,
        record_type: reached.record_type,
        state: delivery_state(reached.state).into(),
        transferred_at: Some(write::timestamp(reached.at)),
    }
}

/// How a delivery stands; `None`: it was the answer to a request, in the call itself.
pub(super) const fn delivery_state(state: Option<DeliveryState>) -> v1::DeliveryState {
    match state {
        None => v1::DeliveryState::Answered,
        Some(DeliveryState::Due) => v1::DeliveryState::Due,
        Some(DeliveryState::Claimed) => v1::DeliveryState::Claimed,
        Some(DeliveryState::Acknowledged) => v1::DeliveryState::Acknowledged,
        Some(DeliveryState::Rejected) => v1::DeliveryState::Rejected,
        Some(DeliveryState::DeadLettered) => v1::DeliveryState::DeadLettered,
        Some(DeliveryState::Cancelled) => v1::DeliveryState::Cancelled,
    }
}
