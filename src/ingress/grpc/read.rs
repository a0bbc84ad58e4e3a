//! Reads messages as what the desk takes. A field that is not what it must be makes the call malformed (`faults.rs`);
//! whether the call makes sense is not asked here.

use bytes::Bytes;
use prost::Message;
use tonic::metadata::MetadataMap;
use waybill_proto::v1;

use super::faults::{CheckedContext, CheckedRecord, Faults};
use crate::{
    desk::{
        Answer, Arrival, ExplicitRequest, GrantCall, Malformed, ProvidedRecord, RequestCall, SearchCall, WithdrawCall,
    },
    domain::{
        context::Representation,
        record::RecordIdentity,
        refusal::{Refusal, RefusalCode},
        subject::Identifier,
    },
    exchange::submission::{CallContext, ContextRest, Submission, is_traceparent},
};

fn context(checked: CheckedContext, context: Option<v1::Context>) -> CallContext {
    let Some(context) = context else {
        return CallContext { on_behalf_of: None, rest: Box::default() };
    };
    let representative = context.acting_for.map(|acting_for| acting_for.representative).unwrap_or_default();
    let acting_for = checked.map(|(authority, until)| Representation { representative, authority, until });
    let (actor, case, reason) = (context.actor, context.case_reference, context.reason);
    CallContext {
        on_behalf_of: Some(context.on_behalf_of).filter(|agency| !agency.is_empty()),
        rest: Box::new(ContextRest { actor, case, reason, acting_for }),
    }
}

fn record(checked: CheckedRecord, record: v1::RecordIdentity) -> RecordIdentity {
    let CheckedRecord { as_of, change, authority } = checked;
    RecordIdentity {
        record_id: record.record_id,
        revision: record.revision,
        as_of,
        change,
        corrects_revision: record.corrects_revision,
        authority,
    }
}

/// A call that could not be read. `message` is what came, so that a repeat of it can be told.
fn malformed(key: &str, message: &impl Message, refusal: Refusal) -> Malformed {
    Malformed { key: key.to_owned().into(), content: message.encode_to_vec().into(), refusal }
}

/// The W3C trace context among a call's metadata; one that is malformed is passed over, as Trace Context §4.3 has it.
pub(super) fn traceparent(metadata: &MetadataMap) -> String {
    let found = metadata.get("traceparent").and_then(|value| value.to_str().ok());
    found.filter(|text| is_traceparent(text)).unwrap_or_default().to_owned()
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

/// A submission; `traceparent` is that of the call, for one without its own.
pub(super) fn arrival(message: Option<v1::Submission>, traceparent: &str) -> Arrival {
    let message = message.unwrap_or_default();
    match submission(&message) {
        Err(refusal) => Arrival::Malformed(malformed(&message.idempotency_key, &message, refusal)),
        Ok((checked_record, checked_context)) => Arrival::Submission(Submission {
            key: message.idempotency_key.into(),
            record_type: message.record_type,
            schema_version: message.schema_version,
            payload: message.payload,
            record: record(checked_record, message.record.unwrap_or_default()),
            context: context(checked_context, message.context),
            only: message.only_recipients,
            traceparent: or(message.traceparent, traceparent),
        }),
    }
}

fn submission(message: &v1::Submission) -> Result<(CheckedRecord, CheckedContext), Refusal> {
    let mut faults = Faults::default();
    let record = faults.record(message.record.as_ref());
    let context = faults.context(message.context.as_ref());
    faults.check()?;
    Ok((record.ok_or(RefusalCode::CallMalformed)?, context))
}

/// A request for evidence.
pub(super) fn request(message: v1::RequestRequest, traceparent: &str) -> Result<RequestCall, Malformed> {
    let mut faults = Faults::default();
    let subject = faults.subject(&message.subject);
    let deadline = faults.moment("/deadline", message.deadline.as_ref());
    let asked_at = message.explicit_request.as_ref().and_then(|said| said.asked_at.as_ref());
    let asked_at = faults.moment("/explicit_request/asked_at", asked_at);
    let checked = faults.context(message.context.as_ref());
    if let Err(refusal) = faults.check() {
        return Err(malformed(&message.idempotency_key, &message, refusal));
    }
    Ok(RequestCall {
        key: message.idempotency_key,
        record_type: message.record_type,
        purpose: message.purpose,
        provider: message.provider,
        subject,
        explicit_request: message.explicit_request.map(|said| ExplicitRequest { asked_at, reference: said.reference }),
        context: context(checked, message.context),
        deadline,
        traceparent: or(message.traceparent, traceparent),
    })
}

/// A bare context, of calls that carry nothing else that can be wrong.
pub(super) fn context_of(key: &str, message: &impl Message, of: Option<v1::Context>) -> Result<CallContext, Malformed> {
    let mut faults = Faults::default();
    let checked = faults.context(of.as_ref());
    faults.check().map_err(|refusal| malformed(key, message, refusal))?;
    Ok(context(checked, of))
}

/// A context of which only the agency is said.
pub(super) fn agency(on_behalf_of: String) -> CallContext {
    context(None, Some(v1::Context { on_behalf_of, ..v1::Context::default() }))
}

/// A provider's answer to a question. It has no idempotency key: the question can be answered once.
pub(super) fn answer(message: v1::ProvideAnswer) -> Result<(Answer, CallContext), Malformed> {
    use v1::provide_answer::Answer as Read;
    let malformed = |refusal| Malformed { key: String::new().into(), content: Bytes::new(), refusal };
    let mut faults = Faults::default();
    let available_at = faults.moment("/available_at", message.available_at.as_ref());
    let checked = faults.context(message.context.as_ref());
    let answer = match message.answer {
        None => {
            faults.add("/answer", "required");
            None
        }
        Some(Read::NoRecord(reason)) => faults.no_record(reason, available_at).map(Answer::None),
        Some(Read::Record(provided)) => faults.record(provided.record.as_ref()).map(|checked| {
            Answer::Record(ProvidedRecord {
                schema_version: provided.schema_version,
                payload: provided.payload,
                record: record(checked, provided.record.unwrap_or_default()),
            })
        }),
    };
    faults.check().map_err(malformed)?;
    let answer = answer.ok_or_else(|| malformed(RefusalCode::CallMalformed.into()))?;
    Ok((answer, context(checked, message.context)))
}

/// A consent to be recorded.
pub(super) fn grant(message: v1::GrantRequest) -> Result<GrantCall, Malformed> {
    let mut faults = Faults::default();
    let subject = faults.subject(&message.subject);
    let from = faults.moment("/valid_from", message.valid_from.as_ref());
    let until = faults.moment("/valid_until", message.valid_until.as_ref());
    let checked = faults.context(message.context.as_ref());
    if let Err(refusal) = faults.check() {
        return Err(malformed(&message.idempotency_key, &message, refusal));
    }
    let (notice, evidence) = (message.notice.unwrap_or_default(), message.evidence.unwrap_or_default());
    Ok(GrantCall {
        key: message.idempotency_key,
        subject,
        agreement: message.agreement,
        revision: message.agreement_revision,
        from,
        until,
        notice_version: notice.version,
        notice_language: notice.language,
        evidence_media_type: evidence.media_type,
        evidence: evidence.content,
        context: context(checked, message.context),
    })
}

/// A withdrawal.
pub(super) fn withdraw(message: v1::WithdrawRequest) -> Result<WithdrawCall, Malformed> {
    let mut faults = Faults::default();
    let subject = faults.subject(&message.subject);
    let checked = faults.context(message.context.as_ref());
    if let Err(refusal) = faults.check() {
        return Err(malformed(&message.idempotency_key, &message, refusal));
    }
    let context = context(checked, message.context);
    Ok(WithdrawCall { key: message.idempotency_key, consent: message.consent_id, subject, context })
}

/// A person and a context, of calls that carry nothing else that can be wrong.
pub(super) fn about(
    key: &str,
    message: &impl Message,
    subject: &[v1::Identifier],
    of: Option<v1::Context>,
) -> Result<(Vec<Identifier>, CallContext), Malformed> {
    let mut faults = Faults::default();
    let subject = faults.subject(subject);
    let checked = faults.context(of.as_ref());
    faults.check().map_err(|refusal| malformed(key, message, refusal))?;
    Ok((subject, context(checked, of)))
}

/// A search of the ledger.
pub(super) fn search(message: v1::SearchRequest) -> Result<(SearchCall, CallContext), Malformed> {
    let mut faults = Faults::default();
    let subject = faults.subject(&message.subject);
    let from = faults.moment("/from", message.from.as_ref());
    let until = faults.moment("/until", message.until.as_ref());
    let checked = faults.context(message.context.as_ref());
    if let Err(refusal) = faults.check() {
        return Err(malformed(&message.idempotency_key, &message, refusal));
    }
    let call = SearchCall {
        key: message.idempotency_key,
        subject,
        agency: message.agency,
        purpose: message.purpose,
        record_type: message.record_type,
        outcome: message.outcome,
        kind: message.kind,
        from,
        until,
        page_size: message.page_size,
        page_token: message.page_token,
    };
    Ok((call, context(checked, message.context)))
}
