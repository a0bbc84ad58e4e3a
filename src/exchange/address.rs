//! What a call is about: record type, schema version, and the agreements that apply. No fact about a person is looked
//! at.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    authenticate::{Authenticated, Caller},
    submission::{ONLY_RECIPIENTS_MAX, Submission, is_traceparent},
};
use crate::{
    catalogue::{Catalogue, CompiledAgreement, RecordType, RecordVersion},
    domain::{
        agency::AgencyId,
        agreement::{Agreement, Demand, PurposeId},
        context::{Context, ContextItem},
        idempotency::IdempotencyKey,
        record::{RECORD_ID_BYTES_MAX, RecordAuthority, RecordIdentity, RecordTypeId, SchemaVersion},
        refusal::{Refusal, RefusalCode, Violation},
        time::Moment,
    },
};

/// Where a record says of which transfer it is a copy.
pub const COPY_OF: &str = "/record/copy_of_transfer_id";

/// A submission whose record type, version and agreements are known.
#[derive(Debug, Clone)]
pub struct Addressed<'c> {
    /// Who submits.
    pub caller: Caller,
    /// Under which key.
    pub key: IdempotencyKey,
    /// What.
    pub submission: Submission,
    /// The schema that it says it obeys.
    pub version: &'c RecordVersion,
    /// Its type.
    pub record_type: RecordTypeId,
    /// The agreements that apply, by name; at least one.
    pub agreements: Vec<&'c Arc<CompiledAgreement>>,
}

/// Stage 2 of a push: agreements are checked before any fact about a person.
pub fn address(catalogue: &Catalogue, from: Authenticated, now: Moment) -> Result<Addressed<'_>, Refusal> {
    let Authenticated { caller, key, submission } = from;
    check_identity(&submission)?;
    let (record_type, version) = version(catalogue, &submission.record_type, &submission.schema_version)?;
    let agreements: Vec<_> = catalogue
        .agreements_for_push(caller.agency(), &record_type.id, version.version.major)
        .iter()
        .filter(|compiled| compiled.agreement.in_force(now))
        .filter(|compiled| {
            let recipient = compiled.agreement.recipient.as_str();
            submission.only.is_empty() || submission.only.iter().any(|only| only == recipient)
        })
        .collect();
    if agreements.is_empty() {
        return Err(RefusalCode::AgreementMissing.into());
    }
    check_context(agreements.iter().flat_map(|compiled| &compiled.agreement.context), &caller.context)?;
    check_authority(record_type, caller.agency(), &submission.record)?;
    Ok(Addressed { caller, key, submission, version, record_type: record_type.id.clone(), agreements })
}

/// Only a record type's authoritative agency speaks in its own name: others say what their record is a copy of.
pub fn check_authority(record_type: &RecordType, agency: &AgencyId, record: &RecordIdentity) -> Result<(), Refusal> {
    match record.authority {
        RecordAuthority::Authoritative if record_type.authority != *agency => Err(malformed(COPY_OF, "required")),
        RecordAuthority::Authoritative | RecordAuthority::CopyOf(_) => Ok(()),
    }
}

/// The agreement that a request rests on. A requester learns nothing of persons without one.
pub fn pull<'c>(
    catalogue: &'c Catalogue,
    caller: &Caller,
    record_type: &str,
    purpose: &str,
    provider: &str,
    now: Moment,
) -> Result<&'c Arc<CompiledAgreement>, Refusal> {
    let record_type = &catalogue.record_type(record_type).ok_or(RefusalCode::RecordTypeUnknown)?.id;
    let purpose = PurposeId::new(purpose).map_err(|_| RefusalCode::PurposeUnknown)?;
    if catalogue.purpose(&purpose).is_none() {
        return Err(RefusalCode::PurposeUnknown.into());
    }
    let provider = match provider {
        "" => None,
        name => Some(AgencyId::new(name).map_err(|_| RefusalCode::AgreementMissing)?),
    };
    let compiled = catalogue
        .agreement_for_pull(caller.agency(), record_type, &purpose, provider.as_ref(), now)
        .ok_or(RefusalCode::AgreementMissing)?;
    check_context(&compiled.agreement.context, &caller.context)?;
    Ok(compiled)
}

/// What the citizen must have said, where the agreement demands it to be said in the call.
pub fn check_explicit_request(agreement: &Agreement, given: bool) -> Result<(), Refusal> {
    if agreement.demand == Demand::ExplicitRequest && !given {
        Err(RefusalCode::ExplicitRequestMissing.into())
    } else {
        Ok(())
    }
}

/// The version of the schema that a record says it obeys.
pub fn version<'c>(
    catalogue: &'c Catalogue,
    record_type: &str,
    version: &str,
) -> Result<(&'c RecordType, &'c RecordVersion), Refusal> {
    let known = catalogue.record_type(record_type).ok_or(RefusalCode::RecordTypeUnknown)?;
    let version: SchemaVersion = version.parse().map_err(|_| RefusalCode::SchemaUnknown)?;
    let version = known.version(version).ok_or(RefusalCode::SchemaUnknown)?;
    Ok((known, version))
}

/// Refuses a context that lacks something that is demanded; each once.
pub fn check_context<'i>(
    demanded: impl IntoIterator<Item = &'i ContextItem>,
    context: &Context,
) -> Result<(), Refusal> {
    let missing: BTreeSet<ContextItem> = demanded.into_iter().copied().filter(|item| !context.has(*item)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let violation = |item: ContextItem| Violation { pointer: item.pointer().into(), keyword: "required" };
    let violations = missing.into_iter().map(violation).collect();
    Err(Refusal { code: RefusalCode::ContextMissing, violations })
}

fn check_identity(submission: &Submission) -> Result<(), Refusal> {
    check_record_id(&submission.record)?;
    if submission.only.len() > ONLY_RECIPIENTS_MAX {
        return Err(malformed("/only_recipients", "maxItems"));
    }
    check_traceparent(&submission.traceparent)
}

/// Whether a trace context, if there is one, is well-formed.
pub fn check_traceparent(traceparent: &str) -> Result<(), Refusal> {
    if traceparent.is_empty() || is_traceparent(traceparent) {
        Ok(())
    } else {
        Err(malformed("/traceparent", "pattern"))
    }
}

/// Whether the source's record id is within its bounds.
pub fn check_record_id(record: &RecordIdentity) -> Result<(), Refusal> {
    match record.record_id.len() {
        0 => Err(malformed("/record/record_id", "minLength")),
        1..=RECORD_ID_BYTES_MAX => Ok(()),
        _ => Err(malformed("/record/record_id", "maxLength")),
    }
}

/// A refusal of the call itself.
pub fn malformed(pointer: &str, keyword: &'static str) -> Refusal {
    Refusal { code: RefusalCode::CallMalformed, violations: vec![Violation { pointer: pointer.into(), keyword }] }
}
