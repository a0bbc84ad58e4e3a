//! What comes in: one record to be pushed, with who says so. Texts that the catalogue must know are still texts.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{agency::SystemId, context::Context, idempotency::IdempotencyKey, record::RecordIdentity};

/// The most recipients that a submission names.
pub const ONLY_RECIPIENTS_MAX: usize = 1_000;

/// Whether `text` is a W3C `traceparent` (Trace Context §3.2.2): version, trace id, parent id and flags in lower-case hex,
/// joined by `-`; no version `ff`, no id of zeros only. Of a later version nothing may follow: what the recipient gets
/// beside the agreed fields holds nothing but ids.
pub fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length| part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|b| b != b'0');
    let [version, trace, parent, flags] = parts[..] else { return false };
    hex(version, 2) && version != "ff" && id(trace, 32) && id(parent, 16) && hex(flags, 2)
}

/// A call's caller: how the ingress knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer<'a> {
    /// By the one SAN URI of its certificate.
    San(&'a str),
    /// By the system that the catalogue binds the way in to.
    System(&'a SystemId),
}

/// A caller, as [`Peer`], that outlives the call's own thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerName {
    /// By the one SAN URI of its certificate.
    San(Arc<str>),
    /// By the system that the catalogue binds the way in to.
    System(SystemId),
}

impl PeerName {
    /// The same, borrowed.
    pub fn peer(&self) -> Peer<'_> {
        match self {
            Self::San(san) => Peer::San(san),
            Self::System(id) => Peer::System(id),
        }
    }
}

/// How a call is named, so that a repeat of it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallKey {
    /// By its caller: an idempotency key, as text.
    Named(String),
    /// By the event that it came as.
    Event(IdempotencyKey),
}

impl From<String> for CallKey {
    fn from(text: String) -> Self {
        Self::Named(text)
    }
}

/// One record to be pushed.
#[derive(Clone)]
pub struct Submission {
    /// The idempotency key.
    pub key: CallKey,
    /// The record type, as text.
    pub record_type: String,
    /// The schema version, as text.
    pub schema_version: String,
    /// JSON.
    pub payload: Bytes,
    /// The record's identity at its source.
    pub record: RecordIdentity,
    /// Who acts, for whom, why; `None` for the agency: that of the calling system.
    pub context: CallContext,
    /// Only these of the recipients that agreements name; empty: all.
    pub only: Vec<String>,
    /// W3C trace context, handed on.
    pub traceparent: String,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Submission(…)")
    }
}

/// A context whose agency may be left to the calling system.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The agency named, if one was.
    pub on_behalf_of: Option<String>,
    /// The rest of it.
    pub rest: Box<ContextRest>,
}

/// A context but for the agency.
#[derive(Clone, Default)]
pub struct ContextRest {
    /// Who acts.
    pub actor: String,
    /// Which case.
    pub case: String,
    /// Why.
    pub reason: String,
    /// Through which representative.
    pub acting_for: Option<crate::domain::context::Representation>,
}

impl std::fmt::Debug for ContextRest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContextRest(…)")
    }
}

impl CallContext {
    /// The whole context, once the agency is known.
    pub fn on_behalf_of(self, agency: crate::domain::agency::AgencyId) -> Context {
        let ContextRest { actor, case, reason, acting_for } = *self.rest;
        Context { on_behalf_of: agency, actor, case, reason, acting_for }
    }
}
