//! Which gRPC code: one match from refusal codes, and what goes into the details of a failed call. Decides nothing else.

use std::{collections::HashMap, time::Duration};

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;
use waybill_proto::v1;

use super::write;
use crate::{
    desk::{CallError, ProofError, Refused},
    domain::refusal::RefusalCode,
    exchange,
};

/// The domain of `ErrorInfo.reason`.
const ERROR_DOMAIN: &str = "waybill";
/// The types of our own details.
const REFUSAL_TYPE: &str = "waybill.v1.Refusal";
const ANSWER_TYPE: &str = "waybill.v1.RequestResponse";
/// Details travel in a trailer, as base64 of 4/3 the size, and clients take 8 KiB of trailers at least.
const DETAILS_BYTES_MAX: usize = 5 << 10;
/// When to try again what the hub cannot decide now.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(1);

/// The gRPC code of a refusal, and whether the same call may succeed later (under a new key) without being changed.
pub(super) const fn of_refusal(code: RefusalCode) -> (Code, bool) {
    use RefusalCode::{
        AgreementMissing, CallMalformed, CatalogueRefused, ConsentExpired, ConsentMissing, ConsentUnknown,
        ConsentWithdrawn, ContextMissing, DeadLetterUnknown, EntryUnknown, ExplicitRequestMissing, FactsFull,
        InterestMissing, KeyInvalid, KeyReused, KeyTooNew, KeyTooOld, NotActingFor, NotAvailable, PeerUnknown,
        PurposeUnknown, RecordDuplicateKey, RecordInvalid, RecordNotJson, RecordNumber, RecordStale,
        RecordStringTooLong, RecordTooDeep, RecordTooLarge, RecordTooManyItems, RecordTypeUnknown, RequestUnknown,
        RoleMissing, SchemaUnknown, SubjectAmbiguous, SubjectMissing, TooManyFields, TransferUnknown,
    };
    match code {
        PeerUnknown => (Code::Unauthenticated, false),
        NotActingFor | RoleMissing => (Code::PermissionDenied, false),
        KeyReused => (Code::AlreadyExists, false),
        KeyTooNew => (Code::InvalidArgument, true),
        KeyInvalid
        | KeyTooOld
        | CallMalformed
        | ContextMissing
        | ExplicitRequestMissing
        | RecordTooLarge
        | RecordNotJson
        | RecordDuplicateKey
        | RecordTooDeep
        | RecordNumber
        | RecordStringTooLong
        | RecordTooManyItems
        | RecordInvalid
        | SubjectMissing
        | SubjectAmbiguous
        | TooManyFields => (Code::InvalidArgument, false),
        RecordStale => (Code::FailedPrecondition, false),
        RecordTypeUnknown | SchemaUnknown | PurposeUnknown | AgreementMissing | NotAvailable | InterestMissing
        | ConsentMissing | ConsentWithdrawn | ConsentExpired | FactsFull | CatalogueRefused => {
            (Code::FailedPrecondition, true)
        }
        TransferUnknown | EntryUnknown | ConsentUnknown | DeadLetterUnknown | RequestUnknown => (Code::NotFound, false),
    }
}

/// The status of a call that did not succeed. What went wrong inside the hub is logged here, once, and not told.
pub(super) fn of_error(error: CallError) -> Status {
    match error {
        CallError::Refused(refused) => of_refused(*refused),
        error => {
            let reason = match &error {
                CallError::Exhausted { .. } => "hub.exhausted",
                CallError::Unavailable(_) => "hub.unavailable",
                CallError::Past => "call.past",
                CallError::Unrecordable(_) => "call.unrecordable",
                CallError::Damaged(_) | CallError::Fault(_) | CallError::Refused(_) => "hub.failed",
            };
            let busy = of_undecided(&error);
            let retry = (busy.retry_after_ms > 0).then(|| retry_info(busy.retry_after_ms));
            let details = [Some(info(reason)), retry].into_iter().flatten().collect();
            status(Code::from(busy.code.cast_signed()), busy.message, details)
        }
    }
}

/// A message of a stream that cannot be understood: the stream ends, and no call was made that could be an entry.
pub(super) fn malformed(pointer: &str, keyword: &'static str) -> Status {
    let refusal = write::refusal(&exchange::address::malformed(pointer, keyword), None);
    let code = RefusalCode::CallMalformed;
    status(of_refusal(code).0, format!("{}: {pointer}", code.text()), details(code, &refusal))
}

/// The hub ends a stream: the client should connect again, to this hub or another.
pub(super) fn connect_again(why: impl Into<String>) -> Status {
    let retry = retry_info(UNAVAILABLE_RETRY.as_millis() as u64); // a second
    status(Code::Unavailable, why.into(), vec![info("stream.ended"), retry])
}

/// The outcome, in a stream, of a submission that was not decided.
pub(super) fn of_undecided(error: &CallError) -> v1::Busy {
    let (code, retry_after, message) = match error {
        CallError::Exhausted { retry_after, .. } => (Code::ResourceExhausted, *retry_after, error.to_string()),
        CallError::Unavailable(_) => (Code::Unavailable, UNAVAILABLE_RETRY, error.to_string()),
        CallError::Damaged(_) | CallError::Fault(_) => {
            log_fault(error);
            (Code::Internal, Duration::ZERO, "the hub failed; its log says why".to_owned())
        }
        CallError::Refused(_) | CallError::Past | CallError::Unrecordable(_) => {
            (Code::FailedPrecondition, Duration::ZERO, error.to_string())
        }
    };
    // Whole milliseconds, never less than asked for.
    let retry_after_ms = u64::try_from(retry_after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    v1::Busy { code: code as u32, retry_after_ms, message }
}

/// Logs what went wrong inside the hub; nothing of it names a person.
pub(super) fn log_fault(error: &CallError) {
    if let CallError::Damaged(fault) | CallError::Fault(fault) = error {
        tracing::error!(%fault, "a call failed");
    }
}

/// Why there is no such proof.
pub(super) fn of_proof(error: ProofError) -> Status {
    match error {
        ProofError::OutOfRange(text) => status(Code::OutOfRange, text, vec![info("proof.out-of-range")]),
        ProofError::Call(error) => of_error(error),
    }
}

/// Why a request that was recorded gets no record and is no refusal.
#[derive(Debug, Clone, Copy)]
pub(super) enum WithoutRecord {
    /// Nobody answered.
    ProviderAway,
    /// It was answered before, and the record does not leave again: the hub has destroyed it, or the consent is over.
    NotKept,
}

impl WithoutRecord {
    /// Code, `ErrorInfo.reason` and text.
    const fn told(self) -> (Code, &'static str, &'static str) {
        match self {
            Self::ProviderAway => {
                (Code::Unavailable, "provider.unavailable", "the provider was away, or did not answer in time")
            }
            Self::NotKept => (
                Code::FailedPrecondition,
                "evidence.not-kept",
                "the request was answered before, and its evidence is kept no longer or may not leave any more; ask again \
                 under a new key",
            ),
        }
    }
}

/// A request that was recorded and gets no record. The whole answer is in the details, its entries' proofs included, and
/// a repeat under the same key gets it again. Only what names a person or record to those who know it is left out.
pub(super) fn of_answer(why: WithoutRecord, mut answer: v1::RequestResponse) -> Status {
    use v1::request_response::Answer;
    let (code, reason, text) = why.told();
    answer.asked = answer.asked.map(write::without_own_words);
    if let Some(Answer::Evidence(evidence)) = &mut answer.answer {
        // Trailers are logged on the way, so they do not name the record.
        evidence.record = None;
        evidence.receipt = evidence.receipt.take().map(write::without_own_words);
    }
    let mut details = vec![info(reason), any(ANSWER_TYPE, &answer)];
    if bytes(&details) > DETAILS_BYTES_MAX {
        let answered = match &mut answer.answer {
            Some(Answer::NoRecord(none)) => none.receipt.as_mut(),
            Some(Answer::Evidence(evidence)) => evidence.receipt.as_mut(),
            None => None,
        };
        answer.asked.as_mut().into_iter().chain(answered).for_each(close);
        details[1] = any(ANSWER_TYPE, &answer);
    }
    status(code, text.to_owned(), details)
}

fn of_refused(refused: Refused) -> Status {
    let code = refused.refusal.code;
    let mut refusal = write::refusal(&refused.refusal, Some(refused.receipt));
    let mut details = details(code, &refusal);
    while bytes(&details) > DETAILS_BYTES_MAX && shorten(&mut refusal) {
        details = self::details(code, &refusal);
    }
    status(of_refusal(code).0, code.text().to_owned(), details)
}

/// Leaves something out of a refusal that is too long for a trailer: first what its receipt opens (it can be had from
/// `GetEntry`), then the later half of the faults. `false` when nothing more can be left out.
fn shorten(refusal: &mut v1::Refusal) -> bool {
    if let Some(receipt) = &mut refusal.receipt
        && !receipt.commitments.is_empty()
    {
        close(receipt);
        return true;
    }
    let half = refusal.violations.len() / 2;
    let shorter = half < refusal.violations.len();
    refusal.violations.truncate(half);
    shorter
}

/// Leaves out what a receipt opens; its entry and proof stay.
fn close(receipt: &mut v1::Receipt) {
    receipt.openings.clear();
    receipt.commitments.clear();
}

fn error_info(reason: &str, metadata: HashMap<String, String>) -> pb::ErrorInfo {
    pb::ErrorInfo { reason: reason.to_owned(), domain: ERROR_DOMAIN.to_owned(), metadata }
}

/// An `ErrorInfo` that says nothing but why.
fn info(reason: &str) -> Any {
    any("google.rpc.ErrorInfo", &error_info(reason, HashMap::new()))
}

fn details(code: RefusalCode, refusal: &v1::Refusal) -> Vec<Any> {
    let info = error_info(code.code(), [("stage".to_owned(), code.stage().as_str().to_owned())].into());
    let mut details = vec![any("google.rpc.ErrorInfo", &info)];
    if !refusal.violations.is_empty() {
        let field_violations = refusal.violations.iter().map(|violation| pb::bad_request::FieldViolation {
            field: violation.pointer.clone(),
            description: violation.keyword.clone(),
            ..pb::bad_request::FieldViolation::default()
        });
        let bad_request = pb::BadRequest { field_violations: field_violations.collect() };
        details.push(any("google.rpc.BadRequest", &bad_request));
    }
    details.push(any(REFUSAL_TYPE, refusal));
    details
}

fn retry_info(after_ms: u64) -> Any {
    let delay = prost_types::Duration {
        seconds: i64::try_from(after_ms / 1000).unwrap_or(i64::MAX),
        nanos: (after_ms % 1000) as i32 * 1_000_000, // below a second
    };
    any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay: Some(delay) })
}

fn any(name: &str, message: &impl prost::Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn bytes(details: &[Any]) -> usize {
    details.iter().map(Any::encoded_len).sum()
}

fn status(code: Code, message: String, details: Vec<Any>) -> Status {
    if details.is_empty() {
        return Status::new(code, message);
    }
    let whole = pb::Status { code: code as i32, message: message.clone(), details };
    Status::with_details(code, message, whole.encode_to_vec().into())
}
