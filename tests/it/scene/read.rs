//! Reads what the hub says: the details of a status, the attributes of an entry.

use tonic::{Code, Status};
use waybill::ledger;
use waybill_proto::v1;

/// The hub's own detail of a refused call.
pub fn refusal_in(status: &Status) -> v1::Refusal {
    try_refusal_in(status).unwrap_or_else(|| panic!("no refusal: {status:?}"))
}

/// The same, of a call that may have failed otherwise.
pub fn try_refusal_in(status: &Status) -> Option<v1::Refusal> {
    detail(status, "Refusal")
}

/// The answer of a request whose provider was away, which comes as a status.
pub fn absence_in(status: &Status) -> Option<v1::RequestResponse> {
    detail(status, "RequestResponse").filter(|_| status.code() == Code::Unavailable)
}

/// One of the hub's own details of a status.
pub fn detail<M: prost::Message + Default>(status: &Status, name: &str) -> Option<M> {
    let whole: tonic_types::pb::Status = prost::Message::decode(status.details()).ok()?;
    let wanted = format!("type.googleapis.com/waybill.v1.{name}");
    M::decode(whole.details.iter().find(|any| any.type_url == wanted)?.value.as_slice()).ok()
}

/// What an entry says under an attribute's number, as JSON; empty when it says nothing.
pub fn said(entry: &v1::EntryView, attribute: ledger::Attribute) -> String {
    let found = entry.attributes.iter().find(|one| one.number == u32::from(attribute.number()));
    found.map(|one| one.value.clone()).unwrap_or_default()
}
