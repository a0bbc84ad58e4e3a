//! Messages of the hub as JSON or text, where several commands show the same. Not receipts: `receipt.rs`.

use serde_json::{Value, json};
use waybill_proto::v1;

use super::context::show;

/// A record as JSON; as text where a hub sends something else.
pub(super) fn record(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|_| Value::String(text(payload)))
}

/// A record as it came.
pub(super) fn text(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

/// A record for a person to read.
pub(super) fn pretty(payload: &[u8]) -> String {
    serde_json::from_slice::<Value>(payload)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| text(payload))
}

/// What a record is, apart from its content.
pub(super) fn identity(record: Option<&v1::RecordIdentity>) -> Value {
    let Some(record) = record else { return Value::Null };
    json!({
        "record_id": record.record_id,
        "revision": record.revision,
        "as_of": show(record.as_of),
        "change": change(record.change()),
        "corrects_revision": record.corrects_revision,
        "copy_of": Some(&record.copy_of_transfer_id).filter(|id| !id.is_empty()),
    })
}

const fn change(change: v1::Change) -> &'static str {
    match change {
        v1::Change::Unspecified => "unspecified",
        v1::Change::New => "new",
        v1::Change::Changed => "changed",
        v1::Change::Corrected => "corrected",
        v1::Change::Ended => "ended",
        v1::Change::Recalled => "recalled",
    }
}

/// The word for where a delivery stands.
pub(super) const fn delivery(state: v1::DeliveryState) -> &'static str {
    match state {
        v1::DeliveryState::Unspecified => "unknown",
        v1::DeliveryState::Due => "due",
        v1::DeliveryState::Claimed => "claimed",
        v1::DeliveryState::Acknowledged => "acknowledged",
        v1::DeliveryState::Rejected => "rejected",
        v1::DeliveryState::DeadLettered => "dead-lettered",
        v1::DeliveryState::Cancelled => "cancelled",
        v1::DeliveryState::Answered => "answered",
    }
}

/// Two objects in one.
pub(super) fn merged(mut first: Value, second: Value) -> Value {
    if let (Some(first), Value::Object(second)) = (first.as_object_mut(), second) {
        first.extend(second);
    }
    first
}

/// Seconds in the largest unit that they fill.
pub(super) fn duration(seconds: u64) -> String {
    let (number, unit) = match seconds {
        s if s >= 86_400 && s % 86_400 == 0 => (s / 86_400, "day"),
        s if s >= 3600 && s % 3600 == 0 => (s / 3600, "hour"),
        s if s >= 60 && s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_the_largest_unit_that_fits() {
        for (seconds, said) in
            [(1, "1 second"), (61, "61 seconds"), (3600, "1 hour"), (86_400, "1 day"), (172_800, "2 days")]
        {
            assert_eq!(duration(seconds), said);
        }
    }

    #[test]
    fn what_is_no_json_is_shown_as_text() {
        assert_eq!(record(b"x"), json!("x"));
        assert_eq!(pretty(b"x"), "x");
        assert_eq!(record(b"{\"a\":1}"), json!({ "a": 1 }));
    }

    #[test]
    fn an_identity_leaves_out_what_was_not_said() {
        let record =
            v1::RecordIdentity { record_id: "r".to_owned(), revision: Some(2), ..v1::RecordIdentity::default() };
        let json = identity(Some(&record));
        assert_eq!((&json["revision"], &json["copy_of"]), (&json!(2), &Value::Null));
        assert_eq!(identity(None), Value::Null);
    }
}
