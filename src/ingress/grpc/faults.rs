//! Checks the fields of messages: what is not what it must be is named by its JSON Pointer and the keyword that it breaks.

use prost_types::Timestamp;
use waybill_proto::v1;

use crate::{
    desk::NoRecord,
    domain::{
        context::Authority,
        record::{Change, RecordAuthority},
        refusal::{Refusal, RefusalCode, Violation},
        subject::{IDENTIFIERS_MAX, Identifier, InvalidIdentifier},
        time::Moment,
    },
};

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 (and so `google.protobuf.Timestamp`) has.
const SECONDS_MAX: i64 = 253_402_300_799;
const NANOS: std::ops::Range<i32> = 0..1_000_000_000;
/// How many faults of one call are named.
const FAULTS_MAX: usize = 16;

/// What is wrong with a message. Messages are checked before they are taken apart, so that what is malformed is still
/// whole.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Violation>);

/// What was read of a record's identity while it was checked.
#[derive(Clone, Copy)]
pub(super) struct CheckedRecord {
    pub as_of: Option<Moment>,
    pub change: Change,
    pub authority: RecordAuthority,
}

/// What was read of a context while it was checked: the representative's authority and its end.
pub(super) type CheckedContext = Option<(Authority, Option<Moment>)>;

impl Faults {
    pub(super) fn add(&mut self, pointer: impl Into<String>, keyword: &'static str) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Violation { pointer: pointer.into(), keyword });
        }
    }

    pub(super) fn check(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal { code: RefusalCode::CallMalformed, violations: self.0 }) }
    }

    pub(super) fn moment(&mut self, pointer: &str, time: Option<&Timestamp>) -> Option<Moment> {
        let time = time?;
        if !NANOS.contains(&time.nanos) {
            self.add(pointer, "format");
            return None;
        }
        if time.seconds > SECONDS_MAX {
            self.add(pointer, "maximum");
            return None;
        }
        let Ok(seconds) = u64::try_from(time.seconds) else {
            self.add(pointer, "minimum");
            return None;
        };
        Some(Moment(seconds * 1000 + u64::from(time.nanos.unsigned_abs()) / 1_000_000))
    }

    pub(super) fn subject(&mut self, subject: &[v1::Identifier]) -> Vec<Identifier> {
        if subject.len() > IDENTIFIERS_MAX {
            self.add("/subject", "maxItems");
            return Vec::new();
        }
        let mut identifiers = Vec::with_capacity(subject.len());
        for (place, one) in subject.iter().enumerate() {
            match Identifier::new(&one.scheme, &one.value) {
                Ok(identifier) => identifiers.push(identifier),
                Err(why) => {
                    let part = if why == InvalidIdentifier::Scheme { "scheme" } else { "value" };
                    self.add(format!("/subject/{place}/{part}"), why.keyword());
                }
            }
        }
        identifiers
    }

    /// What of a context can be wrong.
    pub(super) fn context(&mut self, context: Option<&v1::Context>) -> CheckedContext {
        let acting_for = context?.acting_for.as_ref()?;
        let until = self.moment("/context/acting_for/until", acting_for.until.as_ref());
        let authority = match v1::Authority::try_from(acting_for.authority) {
            Ok(v1::Authority::Parent) => Authority::Parent,
            Ok(v1::Authority::Guardian) => Authority::Guardian,
            Ok(v1::Authority::Attorney) => Authority::Attorney,
            Ok(v1::Authority::Court) => Authority::Court,
            Ok(v1::Authority::Unspecified) => {
                self.add("/context/acting_for/authority", "required");
                return None;
            }
            Err(_) => {
                self.add("/context/acting_for/authority", "enum");
                return None;
            }
        };
        Some((authority, until))
    }

    /// What of a record's identity can be wrong; `None` with a fault.
    pub(super) fn record(&mut self, record: Option<&v1::RecordIdentity>) -> Option<CheckedRecord> {
        let Some(record) = record else {
            self.add("/record", "required");
            return None;
        };
        let as_of = self.moment("/record/as_of", record.as_of.as_ref());
        for (pointer, revision) in
            [("/record/revision", record.revision), ("/record/corrects_revision", record.corrects_revision)]
        {
            if revision == Some(0) {
                self.add(pointer, "minimum");
            }
        }
        let authority = match record.copy_of_transfer_id.as_str() {
            "" => Some(RecordAuthority::Authoritative),
            transfer => transfer.parse().ok().map(RecordAuthority::CopyOf),
        };
        if authority.is_none() {
            self.add("/record/copy_of_transfer_id", "format");
        }
        let change = self.change(record.change)?;
        Some(CheckedRecord { as_of, change, authority: authority? })
    }

    pub(super) fn no_record(&mut self, reason: i32, available_at: Option<Moment>) -> Option<NoRecord> {
        use v1::NoRecordReason as Reason;
        let keyword = match Reason::try_from(reason) {
            Ok(Reason::NoSuchPerson) => return Some(NoRecord::NoSuchPerson),
            Ok(Reason::SeveralMatches) => return Some(NoRecord::SeveralMatches),
            Ok(Reason::NoSuchRecord) => return Some(NoRecord::NoSuchRecord),
            Ok(Reason::NotAvailableUntil) => {
                if available_at.is_none() {
                    self.add("/available_at", "required");
                }
                return Some(NoRecord::NotAvailableUntil(available_at));
            }
            Ok(Reason::Declined) => return Some(NoRecord::Declined),
            Ok(Reason::Unspecified) => "required",
            // That the provider did not answer is the hub's to say.
            Ok(Reason::ProviderUnavailable) | Err(_) => "enum",
        };
        self.add("/no_record", keyword);
        None
    }

    fn change(&mut self, change: i32) -> Option<Change> {
        let keyword = match v1::Change::try_from(change) {
            Ok(v1::Change::New) => return Some(Change::New),
            Ok(v1::Change::Changed) => return Some(Change::Changed),
            Ok(v1::Change::Corrected) => return Some(Change::Corrected),
            Ok(v1::Change::Ended) => return Some(Change::Ended),
            Ok(v1::Change::Recalled) => return Some(Change::Recalled),
            Ok(v1::Change::Unspecified) => "required",
            Err(_) => "enum",
        };
        self.add("/record/change", keyword);
        None
    }
}
