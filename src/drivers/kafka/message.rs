//! A delivery as a CloudEvent in binary mode: the record is the value, everything else is headers. The key is the
//! recipient's own pseudonym of the subject, so that what concerns one person stays in order.

use rdkafka::message::OwnedHeaders;

use super::super::Outbound;
use crate::{
    domain::record::RecordAuthority,
    kafka::{DELIVERY_TYPE, EventHeaders},
};

/// Attributes of a delivery at most.
const ATTRIBUTES: usize = 18;

/// The headers of a delivery. Recipients de-duplicate by `ce_id`, the transfer's, and drop what has a lower `ce_index` than
/// what they hold of the same record.
pub(super) fn headers(outbound: &Outbound, source: &str) -> OwnedHeaders {
    let content = &outbound.content;
    let record = &content.record;
    let id = content.id.to_string();
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let mut headers = EventHeaders::new(ATTRIBUTES, DELIVERY_TYPE, source, &id)
        .with("ce_subject", &record.record_id)
        .with("ce_partitionkey", &content.pseudonym)
        .with("ce_dataschema", &format!("{}/{}", content.record_type, content.schema_version))
        .with("ce_index", &content.index.to_string())
        .with("ce_agency", &content.source)
        .with("ce_agreement", &content.agreement)
        .with("ce_purpose", &content.purpose)
        .with("ce_basis", &content.basis)
        .with("ce_change", record.change.as_str())
        .with_any("ce_revision", number(record.revision).as_deref())
        .with_any("ce_correctsrevision", number(record.corrects_revision).as_deref())
        .with_any("ce_time", record.as_of.map(|moment| moment.to_string()).as_deref())
        .with_any("ce_keepseconds", number(content.keep_for.map(|keep| keep.as_secs())).as_deref())
        .with_any("ce_traceparent", Some(&content.traceparent));
    if let RecordAuthority::CopyOf(transfer) = record.authority {
        headers = headers.with("ce_copyof", &transfer.to_string());
    }
    if content.replayed {
        headers = headers.with("ce_replayed", "true");
    }
    if content.answer_required {
        headers = headers.with("ce_answerrequired", "true");
    }
    headers.into_headers()
}
