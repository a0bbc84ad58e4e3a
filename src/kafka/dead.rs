//! What is said of a message that cannot be taken: where it stands and why. Never its bytes. Which those are is decided
//! where messages are read.

use serde_json::json;

use super::event::{DEAD_TYPE, EventHeaders, Message};
use crate::domain::time::Moment;

/// Where a message stands: what is said of it is called after that, so that it is called the same when it is said again.
#[derive(Debug, Clone, Copy)]
pub struct Coordinates<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: u64,
}

impl Coordinates<'_> {
    /// The id of what is said of it.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// Why a message cannot be taken: which part of it, and what that is not. Never what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// JSON Pointer to the part; the whole, if empty.
    pub pointer: &'static str,
    /// The keyword that it breaks.
    pub keyword: &'static str,
}

impl Reason {
    /// Nothing is wrong with the message, but the hub can never record it.
    pub const UNRECORDABLE: Self = Self { pointer: "", keyword: "unrecordable" };
}

/// A message that cannot be taken.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// Where it stands.
    pub at: Coordinates<'a>,
    /// When the brokers had it.
    pub time: Moment,
    /// Why.
    pub reason: Reason,
    /// Its entry, if it has one.
    pub index: Option<u64>,
    /// The event's source and id, if these could be read.
    pub event: Option<(&'a str, &'a str)>,
}

impl DeadLetter<'_> {
    /// As it is written by the hub that is called `source`.
    pub fn message(&self, source: &str) -> Message {
        let mut said = json!({
            "reason": { "pointer": self.reason.pointer, "keyword": self.reason.keyword },
            "topic": self.at.topic,
            "partition": self.at.partition,
            "offset": self.at.offset,
            "time": self.time.to_string(),
        });
        let mut headers = EventHeaders::new(2, DEAD_TYPE, source, &self.at.id());
        if let Some(index) = self.index {
            said["index"] = index.into();
        }
        if let Some((event_source, id)) = self.event {
            said["event"] = json!({ "source": event_source, "id": id });
            headers = headers.with("ce_eventsource", event_source).with("ce_eventid", id);
        }
        Message { headers: headers.into_headers(), value: said.to_string().into_bytes() }
    }
}
