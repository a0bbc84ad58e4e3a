//! LedgerService: checkpoints and proofs for every system that the catalogue knows, entries for those who may audit them.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status};
use waybill_proto::v1::{self, ledger_service_server::LedgerService};

use super::{peer, read, status, write};
use crate::{
    desk::{Desk, EntryView, SearchOutcome, page_after},
    domain::transfer::DeliveryState,
    ledger::{Attribute, Kind, VerifierKey},
};

/// What a field with a message or text takes beside it: a tag, and a length of up to five bytes.
const FIELD_BYTES: usize = 6;
/// The longest token of a page: an index.
const TOKEN_BYTES: usize = 20;

/// The service.
#[derive(Debug)]
pub(super) struct Ledger {
    pub desk: Arc<Desk>,
    pub verifier: VerifierKey,
    /// What a page of a search may take.
    pub message_bytes_max: usize,
}

#[tonic::async_trait]
impl LedgerService for Ledger {
    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let checkpoint = write::text(&self.desk.checkpoint(peer.peer()).await.map_err(status::of_error)?);
        Ok(Response::new(v1::GetCheckpointResponse { checkpoint, verifier_key: self.verifier.to_string() }))
    }

    async fn get_entry(&self, request: Request<v1::GetEntryRequest>) -> Result<Response<v1::GetEntryResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let message = request.into_inner();
        let read = match read::context_of(&message.idempotency_key, &message, message.context.clone()) {
            Ok(context) => self.desk.entry(peer.peer(), &message.idempotency_key, message.index, context).await,
            Err(malformed) => Err(self.desk.refuse_malformed(peer.peer(), Kind::Refusal, malformed).await),
        };
        let (entry, read) = read.map_err(status::of_error)?;
        let (entry, read) = (Some(view(entry)), Some(write::receipt(read)));
        Ok(Response::new(v1::GetEntryResponse { entry, read }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::GetInclusionProofResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let v1::GetInclusionProofRequest { index, size } = request.into_inner();
        let proven = self.desk.inclusion_proof(peer.peer(), index, size).await.map_err(status::of_proof)?;
        Ok(Response::new(v1::GetInclusionProofResponse {
            index,
            size: proven.size,
            leaf_hash: proven.leaf.as_bytes().to_vec().into(),
            inclusion_proof: write::hashes(&proven.proof),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let v1::GetConsistencyProofRequest { from_size, to_size } = request.into_inner();
        let proven = self.desk.consistency_proof(peer.peer(), from_size, to_size).await.map_err(status::of_proof)?;
        Ok(Response::new(v1::GetConsistencyProofResponse {
            from_size,
            to_size: proven.to,
            consistency_proof: write::hashes(&proven.proof),
        }))
    }

    async fn search(&self, request: Request<v1::SearchRequest>) -> Result<Response<v1::SearchResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let found = match read::search(request.into_inner()) {
            Ok((call, context)) => self.desk.search(peer.peer(), call, context).await,
            Err(malformed) => Err(self.desk.refuse_malformed(peer.peer(), Kind::Refusal, malformed).await),
        };
        Ok(Response::new(page(found.map_err(status::of_error)?, self.message_bytes_max)))
    }
}

/// A page of entries in a message of at most so many bytes: what does not fit is on the next page. One always goes.
fn page(found: SearchOutcome, bytes_max: usize) -> v1::SearchResponse {
    let read = write::receipt(found.read);
    let mut bytes = FIELD_BYTES + TOKEN_BYTES + FIELD_BYTES + read.encoded_len();
    let (mut entries, mut next_page) = (Vec::with_capacity(found.entries.len()), found.next_page);
    for entry in found.entries {
        let view = view(entry);
        bytes += FIELD_BYTES + view.encoded_len();
        if bytes > bytes_max && !entries.is_empty() {
            next_page = entries.last().map(|last: &v1::EntryView| page_after(last.index)).unwrap_or_default();
            break;
        }
        entries.push(view);
    }
    v1::SearchResponse { entries, next_page_token: next_page, read: Some(read) }
}

fn view(entry: EntryView) -> v1::EntryView {
    let EntryView { index, time, trail, public, delivery, receipt } = entry;
    // About a person, and no key opens it any more.
    let erased = trail.is_none() && public.is_none();
    let mut kind = trail.as_ref().and_then(crate::exchange::trail::Trail::kind);
    let mut attributes = Vec::new();
    if let Some(public) = public {
        let number = public.get(&Attribute::Kind.number()).and_then(serde_json::Value::as_u64);
        kind = number.and_then(|number| u16::try_from(number).ok()).and_then(Kind::from_number);
        attributes.extend(public.iter().map(|(number, value)| attribute(*number, value.to_string())));
    }
    let mut fields = Vec::new();
    if let Some(trail) = trail {
        attributes.extend(trail.attributes().map(|(number, value)| attribute(number, value.to_owned())));
        fields.extend(trail.fields().map(|(path, _)| path.to_owned()));
    }
    v1::EntryView {
        index,
        time: Some(write::timestamp(time)),
        kind: kind.map_or("", Kind::name).to_owned(),
        attributes,
        fields,
        delivery: delivery.map_or("", DeliveryState::as_str).to_owned(),
        receipt: Some(write::receipt(receipt)),
        erased,
    }
}

fn attribute(number: u16, value: String) -> v1::Attribute {
    let name = Attribute::from_number(number).map_or("", Attribute::name).to_owned();
    v1::Attribute { number: number.into(), name, value }
}
