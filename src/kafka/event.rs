//! How events are written: CloudEvents 1.0 in binary mode (its Kafka protocol binding): attributes are headers that begin
//! with `ce_`, the data is the message's value.

use rdkafka::message::{Header, OwnedHeaders};

/// What the names of attributes begin with in headers.
pub const PREFIX: &str = "ce_";
/// The `type` of a submission.
pub const SUBMISSION_TYPE: &str = "waybill.submission.v1";
/// The `type` of what became of one.
pub const OUTCOME_TYPE: &str = "waybill.outcome.v1";
/// The `type` of what says that nobody could read something.
pub const DEAD_TYPE: &str = "waybill.dead.v1";
/// The `type` of a delivery.
pub const DELIVERY_TYPE: &str = "waybill.delivery.v1";
/// The `type` of an answer to one.
pub const ACK_TYPE: &str = "waybill.ack.v1";

/// The `source` of what a hub writes.
pub fn hub_source(hub: &str) -> String {
    format!("urn:waybill:hub:{hub}")
}

/// An event that is to be written.
#[derive(Debug)]
pub struct Message {
    /// Its attributes.
    pub headers: OwnedHeaders,
    /// Its data.
    pub value: Vec<u8>,
}

/// An event's headers as they are put together.
#[derive(Debug)]
pub struct EventHeaders(OwnedHeaders);

impl EventHeaders {
    /// Headers of a JSON event with the attributes that each has.
    pub fn new(capacity: usize, kind: &str, source: &str, id: &str) -> Self {
        let headers = OwnedHeaders::new_with_capacity(capacity + 5);
        let json = Header { key: "content-type", value: Some("application/json") };
        Self(headers.insert(json))
            .with("ce_specversion", "1.0")
            .with("ce_type", kind)
            .with("ce_source", source)
            .with("ce_id", id)
    }

    /// One more.
    pub fn with(self, name: &str, value: &str) -> Self {
        Self(self.0.insert(Header { key: name, value: Some(value) }))
    }

    /// One more, if it has a value.
    pub fn with_any(self, name: &str, value: Option<&str>) -> Self {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// As the library takes them.
    pub fn into_headers(self) -> OwnedHeaders {
        self.0
    }
}
