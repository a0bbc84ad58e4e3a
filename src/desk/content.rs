//! What makes a call the call that it is, for its idempotency key: everything that it says but the key itself and the
//! trace context. A repeat says all of it again; whatever differs in any of it is another call.

use super::{
    audit::SearchCall,
    consent::GrantCall,
    consents::ConsentsCall,
    request::{ExplicitRequest, RequestCall},
    withdraw::WithdrawCall,
};
use crate::{
    domain::{record::RecordAuthority, subject::Identifier, time::Moment},
    exchange::submission::{CallContext, Submission},
    vault::{ContentHash, Hasher},
};

/// The keyed hash of a call: its name, what only it says, for whom and why it is made, whom it is about. A call must say
/// its own parts so that they can be told apart; where there may be several of one kind, with their count.
pub(super) fn of_call(
    hasher: &Hasher,
    name: &str,
    own: &[&[u8]],
    context: &CallContext,
    subject: &[Identifier],
) -> ContentHash {
    let rest = &context.rest;
    let acting_for = rest.acting_for.as_ref();
    let until = moment(acting_for.and_then(|who| who.until));
    let mut parts: Vec<&[u8]> = Vec::with_capacity(own.len() + 2 * subject.len() + 8);
    parts.push(name.as_bytes());
    parts.extend(own);
    parts.extend([
        context.on_behalf_of.as_deref().unwrap_or_default().as_bytes(),
        rest.actor.as_bytes(),
        rest.case.as_bytes(),
        rest.reason.as_bytes(),
        // No authority's word is empty, so none is not taken for an empty one.
        acting_for.map_or("", |who| who.authority.as_str()).as_bytes(),
        acting_for.map_or("", |who| who.representative.as_str()).as_bytes(),
        &until,
    ]);
    for identifier in subject {
        parts.extend([identifier.scheme().as_bytes(), identifier.value().as_bytes()]);
    }
    hasher.content(&parts)
}

/// One byte says whether there is a number, so that none is not taken for zero.
fn number(number: Option<u64>) -> [u8; 9] {
    let mut bytes = [0; 9];
    if let Some(number) = number {
        bytes[0] = 1;
        bytes[1..].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

fn moment(moment: Option<Moment>) -> [u8; 9] {
    number(moment.map(|moment| moment.0))
}

pub(super) fn of_submission(hasher: &Hasher, submission: &Submission) -> ContentHash {
    let record = &submission.record;
    let copy_of = match &record.authority {
        RecordAuthority::Authoritative => &[][..],
        RecordAuthority::CopyOf(transfer) => transfer.as_bytes(),
    };
    let (revision, as_of) = (number(record.revision), moment(record.as_of));
    let (corrects, only) = (number(record.corrects_revision), submission.only.len().to_be_bytes());
    let mut own: Vec<&[u8]> = Vec::with_capacity(10 + submission.only.len());
    own.extend([
        submission.record_type.as_bytes(),
        submission.schema_version.as_bytes(),
        &submission.payload,
        record.record_id.as_bytes(),
        &revision,
        &as_of,
        &corrects,
        record.change.as_str().as_bytes(),
        copy_of,
        &only,
    ]);
    own.extend(submission.only.iter().map(String::as_bytes));
    of_call(hasher, "submit", &own, &submission.context, &[])
}

/// The deadline is no content: it says how long the caller waits this time, and whoever repeats a call waits anew.
pub(super) fn of_request(hasher: &Hasher, call: &RequestCall) -> ContentHash {
    let explicit = call.explicit_request.as_ref();
    let own = [
        call.record_type.as_bytes(),
        call.purpose.as_bytes(),
        call.provider.as_bytes(),
        &[u8::from(explicit.is_some())],
        &moment(explicit.and_then(|said| said.asked_at)),
        explicit.map_or("", |ExplicitRequest { reference, .. }| reference).as_bytes(),
    ];
    of_call(hasher, "request", &own, &call.context, &call.subject)
}

pub(super) fn of_grant(hasher: &Hasher, call: &GrantCall) -> ContentHash {
    let own = [
        call.agreement.as_bytes(),
        &call.revision.to_be_bytes(),
        &moment(call.from),
        &moment(call.until),
        call.notice_version.as_bytes(),
        call.notice_language.as_bytes(),
        call.evidence_media_type.as_bytes(),
        &call.evidence,
    ];
    of_call(hasher, "grant", &own, &call.context, &call.subject)
}

pub(super) fn of_withdrawal(hasher: &Hasher, call: &WithdrawCall) -> ContentHash {
    of_call(hasher, "withdraw", &[call.consent.as_bytes()], &call.context, &call.subject)
}

pub(super) fn of_consents(hasher: &Hasher, call: &ConsentsCall) -> ContentHash {
    let only = call.only.as_deref().unwrap_or_default();
    let which = if call.only.is_some() { "consent" } else { "consents" };
    of_call(hasher, which, &[only.as_bytes()], &call.context, &call.subject)
}

pub(super) fn of_search(hasher: &Hasher, call: &SearchCall, context: &CallContext) -> ContentHash {
    let own = [
        call.agency.as_bytes(),
        call.purpose.as_bytes(),
        call.record_type.as_bytes(),
        call.outcome.as_bytes(),
        call.kind.as_bytes(),
        &moment(call.from),
        &moment(call.until),
        &call.page_size.to_be_bytes(),
        call.page_token.as_bytes(),
    ];
    of_call(hasher, "search", &own, context, &call.subject)
}

pub(super) fn of_entry(hasher: &Hasher, index: u64, context: &CallContext) -> ContentHash {
    of_call(hasher, "entry", &[&index.to_be_bytes()], context, &[])
}

pub(super) fn of_replay(hasher: &Hasher, transfer: &str, context: &CallContext) -> ContentHash {
    of_call(hasher, "replay", &[transfer.as_bytes()], context, &[])
}

pub(super) fn of_publication(hasher: &Hasher, context: &CallContext) -> ContentHash {
    of_call(hasher, "publish", &[], context, &[])
}

#[cfg(test)]
mod tests;
