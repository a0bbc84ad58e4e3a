//! What the demo's agencies do with what the hub hands them: check receipts with the ledger's public key, read refusals.

use anyhow::Context as _;
use prost::Message as _;
use waybill_proto::v1;

use crate::{cli::receipt::from_wire, ledger::VerifierKey};

/// Verifies a receipt offline; `record` is what came with it.
pub(super) fn verify(receipt: &v1::Receipt, record: Option<&[u8]>, key: &str) -> anyhow::Result<()> {
    let key: VerifierKey = key.parse()?;
    from_wire(receipt, record)?.verify(&[key])?;
    Ok(())
}

/// The value of an attribute that a receipt opens, as JSON.
pub(super) fn attribute(receipt: &v1::Receipt, number: u16) -> Option<String> {
    let name = number.to_string();
    let opening = receipt.openings.iter().find(|opening| opening.name == name)?;
    String::from_utf8(opening.value.to_vec()).ok()
}

/// The refusal in a failed call's details.
pub(super) fn refusal(status: &tonic::Status) -> anyhow::Result<v1::Refusal> {
    let details = tonic_types::pb::Status::decode(status.details())?.details;
    let refusal = details.iter().find(|any| any.type_url.ends_with("waybill.v1.Refusal"));
    let refusal = refusal.with_context(|| format!("a refusal was expected, not {status:?}"))?;
    Ok(v1::Refusal::decode(&*refusal.value)?)
}
