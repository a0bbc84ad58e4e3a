//! Reads a message as a submission. What cannot be read is said by part and keyword, never by what it says; whether a
//! submission makes sense is not asked here.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};

use super::attributes::{Attributes, unreadable};
use crate::{
    catalogue::Kafka,
    domain::{
        agency::AgencyId,
        context::{Authority, Representation},
        record::{Change, RecordAuthority, RecordIdentity},
        time::Moment,
    },
    exchange::submission::{CallContext, CallKey, ContextRest, Submission, is_traceparent},
    kafka::{AROUND_RECORD_BYTES_MAX, Reason, SUBMISSION_TYPE},
};

/// The first byte of the Confluent wire format, with which no JSON begins; four bytes of schema id follow.
const MAGIC: u8 = 0;
const WIRE_HEADER_BYTES: usize = 5;
/// What an event takes in memory beside its bytes, about; and each recipient that it names.
pub(super) const AROUND_EVENT_BYTES: usize = 1024;
const AROUND_RECIPIENT_BYTES: usize = 48;

/// How an event is called by who sent it: what its outcome is correlated by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventName {
    pub source: Arc<str>,
    pub id: Arc<str>,
}

/// An event that could be read. Its key is still to be made.
pub(super) struct ReadEvent {
    pub name: EventName,
    pub submission: Submission,
    /// What it takes in memory, about.
    pub bytes: usize,
}

/// What reading needs to know.
pub(super) struct Reading<'a> {
    /// Whose topic it is.
    pub agency: &'a AgencyId,
    /// How that agency uses Kafka.
    pub kafka: &'a Kafka,
    /// The bound of a record.
    pub record_bytes_max: usize,
    /// How a submission is called, once the event's name is known.
    pub key: &'a dyn Fn(&EventName) -> CallKey,
}

impl Reading<'_> {
    /// Whether a message is small enough to be looked at.
    pub(super) fn fits(&self, bytes: usize) -> Result<(), Reason> {
        if bytes > self.record_bytes_max + AROUND_RECORD_BYTES_MAX {
            return Err(unreadable("/data", "maxLength"));
        }
        Ok(())
    }

    /// Reads an event.
    pub(super) fn event(&self, attributes: Attributes<'_>) -> Result<ReadEvent, Reason> {
        match attributes.get("specversion") {
            Some("1.0") => {}
            Some(_) => return Err(unreadable("/specversion", "const")),
            None => return Err(unreadable("/specversion", "required")),
        }
        let name = EventName {
            source: attributes.get("source").ok_or(unreadable("/source", "required"))?.into(),
            id: attributes.get("id").ok_or(unreadable("/id", "required"))?.into(),
        };
        match attributes.get("type") {
            Some(SUBMISSION_TYPE) => {}
            Some(_) => return Err(unreadable("/type", "const")),
            None => return Err(unreadable("/type", "required")),
        }
        let (record_type, schema_version, payload) = self.data(&attributes)?;
        let key = (self.key)(&name);
        let submission = Submission {
            key,
            record_type,
            schema_version,
            payload,
            record: record(&attributes)?,
            context: context(&attributes, self.agency)?,
            only: attributes.get("onlyrecipients").map(list).unwrap_or_default(),
            // One that is malformed is passed over, as Trace Context §4.3 has it.
            traceparent: attributes
                .get("traceparent")
                .filter(|text| is_traceparent(text))
                .unwrap_or_default()
                .to_owned(),
        };
        let bytes = submission.payload.len() + attributes.bytes() + submission.only.len() * AROUND_RECIPIENT_BYTES;
        Ok(ReadEvent { name, submission, bytes: bytes + AROUND_EVENT_BYTES })
    }

    /// Record type, schema version, record.
    fn data(&self, attributes: &Attributes<'_>) -> Result<(String, String, Bytes), Reason> {
        if let Some(media_type) = attributes.get("datacontenttype") {
            let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            if media_type != "application/json" && !media_type.ends_with("+json") {
                return Err(unreadable("/datacontenttype", "enum"));
            }
        }
        let mut data = attributes.data.clone();
        let named = attributes.get("dataschema").map(|schema| schema.rsplit_once('/').unwrap_or((schema, "")));
        if data.first() != Some(&MAGIC) {
            let (record_type, version) = named.ok_or(unreadable("/dataschema", "required"))?;
            if data.is_empty() {
                return Err(unreadable("/data", "required"));
            }
            return Ok((record_type.to_owned(), version.to_owned(), data));
        }
        if data.len() < WIRE_HEADER_BYTES {
            return Err(unreadable("/data", "format"));
        }
        data.advance(1);
        let id = data.get_u32();
        let (record_type, version) = self.kafka.schemas.get(&id).ok_or(unreadable("/dataschema", "enum"))?;
        let (record_type, version) = (record_type.to_string(), version.to_string());
        if named.is_some_and(|named| named != (record_type.as_str(), version.as_str())) {
            return Err(unreadable("/dataschema", "const"));
        }
        Ok((record_type, version, data))
    }
}

fn record(attributes: &Attributes<'_>) -> Result<RecordIdentity, Reason> {
    let change = match attributes.get("change") {
        Some("new") => Change::New,
        Some("changed") => Change::Changed,
        Some("corrected") => Change::Corrected,
        Some("ended") => Change::Ended,
        Some("recalled") => Change::Recalled,
        Some(_) => return Err(unreadable("/change", "enum")),
        None => return Err(unreadable("/change", "required")),
    };
    let authority = match attributes.get("copyof") {
        None => RecordAuthority::Authoritative,
        Some(transfer) => RecordAuthority::CopyOf(transfer.parse().map_err(|_| unreadable("/copyof", "format"))?),
    };
    Ok(RecordIdentity {
        record_id: attributes.text("subject"),
        revision: number(attributes, "revision", "/revision")?,
        as_of: moment(attributes, "time", "/time")?,
        change,
        corrects_revision: number(attributes, "correctsrevision", "/correctsrevision")?,
        authority,
    })
}

fn context(attributes: &Attributes<'_>, agency: &AgencyId) -> Result<CallContext, Reason> {
    let acting_for = match attributes.get("actingfor") {
        None => None,
        Some(representative) => Some(Representation {
            representative: representative.to_owned(),
            authority: match attributes.get("actingauthority") {
                Some("parent") => Authority::Parent,
                Some("guardian") => Authority::Guardian,
                Some("attorney") => Authority::Attorney,
                Some("court") => Authority::Court,
                Some(_) => return Err(unreadable("/actingauthority", "enum")),
                None => return Err(unreadable("/actingauthority", "required")),
            },
            until: moment(attributes, "actinguntil", "/actinguntil")?,
        }),
    };
    let rest = ContextRest {
        actor: attributes.text("actor"),
        case: attributes.text("casereference"),
        reason: attributes.text("reason"),
        acting_for,
    };
    let on_behalf_of = attributes.get("onbehalfof").unwrap_or(agency.as_str()).to_owned();
    Ok(CallContext { on_behalf_of: Some(on_behalf_of), rest: Box::new(rest) })
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

fn number(attributes: &Attributes<'_>, name: &str, pointer: &'static str) -> Result<Option<u64>, Reason> {
    let Some(text) = attributes.get(name) else { return Ok(None) };
    match text.parse() {
        Ok(0) => Err(unreadable(pointer, "minimum")),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(unreadable(pointer, "type")),
    }
}

fn moment(attributes: &Attributes<'_>, name: &str, pointer: &'static str) -> Result<Option<Moment>, Reason> {
    attributes.get(name).map(|text| text.parse().map_err(|_| unreadable(pointer, "format"))).transpose()
}
