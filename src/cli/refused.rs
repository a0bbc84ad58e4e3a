//! Reads what a hub says when it does not do what it was asked: refusals, back-pressure, faults, from a gRPC status and
//! its details. Not how a command ends by it: `exit.rs`.

use std::{error::Error as _, fmt, time::Duration};

use prost::Message as _;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};
use waybill_proto::v1;

use super::{exit::Failure, unconnected};

/// Where a `Refusal` stands in a status's details.
const REFUSAL: &str = "waybill.v1.Refusal";

/// The hub said no.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Refused {
    /// Stable, e.g. `consent.withdrawn`.
    pub(super) code: String,
    /// In the hub's words.
    pub(super) message: String,
    /// The stage that decided it; empty if it was not said.
    pub(super) stage: String,
    /// Whether the same call may succeed later.
    pub(super) retryable: bool,
    /// Pointer and keyword of each fault.
    pub(super) violations: Vec<(String, String)>,
    /// The entry that records it.
    pub(super) receipt: Option<v1::Receipt>,
}

/// The hub decided nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Busy {
    /// In the hub's words, or the connection's.
    pub(super) message: String,
    /// How long to wait, if it was said.
    pub(super) retry_after: Option<Duration>,
    /// The entry, where one was made all the same.
    pub(super) receipt: Option<v1::Receipt>,
    /// The idempotency key under which the call is executed once, however often it is given.
    pub(super) repeat_with: Option<String>,
}

impl From<v1::Refusal> for Refused {
    fn from(refusal: v1::Refusal) -> Self {
        Self {
            code: refusal.code,
            message: refusal.message,
            stage: refusal.stage,
            retryable: refusal.retryable,
            violations: refusal.violations.into_iter().map(|fault| (fault.pointer, fault.keyword)).collect(),
            receipt: refusal.receipt,
        }
    }
}

impl Refused {
    /// What its sender can do about it, where there is something to say.
    fn advice(&self) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "peer.unknown" => "use a certificate that names a system of the hub's catalogue (`waybill keys system`)",
            "peer.not-acting-for" => "leave out --on-behalf-of, or name an agency that the system may act for",
            "peer.role-missing" => "the catalogue gives each system its roles; the hub's operator can add one",
            "key.too-old" => "begin again with a new key: the hub no longer knows what the old one did",
            "key.too-new" => "correct this machine's clock",
            "key.reused" => "give other content a key of its own",
            "context.missing" => {
                "add what is missing: who acts (--actor), in which case (--case), why (--reason), through whom the person \
                 acts (--representative, --authority)"
            }
            "agreement.missing" => "`waybill catalogue show` lists the agreements in force",
            "record-type.unknown" => "`waybill catalogue show` lists the record types that the hub knows",
            "schema.unknown" => {
                "`waybill catalogue show` says with each agreement which major version of the record type it moves; of \
                 that, the hub's operator knows the minor versions"
            }
            "purpose.unknown" => "`waybill catalogue show` says with each agreement for which purpose it is",
            // No hub says this yet: it comes with the order of revisions.
            "record.stale" => "send the newest revision; the hub holds a later one than this",
            "record.invalid" => "correct the record at the places above and send it again",
            "explicit-request.missing" => "say with --explicit-request where the person's request is kept",
            "catalogue.refused" => {
                "run `waybill check` on the hub's catalogue folder; what it finds nothing in, the hub's log does"
            }
            _ => return None,
        })
    }

    /// For `--json`.
    pub(super) fn to_json(&self) -> Value {
        let faults = self.violations.iter().map(|(pointer, keyword)| json!({ "pointer": pointer, "keyword": keyword }));
        json!({
            "code": self.code,
            "message": self.message,
            "stage": self.stage,
            "retryable": self.retryable,
            "violations": faults.collect::<Vec<_>>(),
            "ledger_index": self.receipt.as_ref().map(|receipt| receipt.index),
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}: {}", self.code, self.message)?;
        for (pointer, keyword) in &self.violations {
            let pointer = if pointer.is_empty() { "(the whole)" } else { pointer };
            write!(f, "\n  at {pointer}: {keyword}")?;
        }
        if let Some(receipt) = &self.receipt {
            write!(f, "\n  recorded in the ledger at index {}", receipt.index)?;
        }
        if self.retryable {
            write!(f, "\n  the same call may succeed later, under a new key")?;
        }
        self.advice().map_or(Ok(()), |advice| write!(f, "\n  next: {advice}"))
    }
}

impl std::error::Error for Refused {}

impl Busy {
    /// For `--json`.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "message": self.message,
            "retry_after_ms": self.retry_after.map(|wait| wait.as_millis() as u64),
            "idempotency_key": self.repeat_with,
            "ledger_index": self.receipt.as_ref().map(|receipt| receipt.index),
        })
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done: {}", self.message)?;
        if let Some(receipt) = &self.receipt {
            write!(f, "\n  recorded in the ledger at index {}", receipt.index)?;
        }
        write!(f, "\n  next: give the command again")?;
        if let Some(wait) = self.retry_after {
            write!(f, " in {} ms", wait.as_millis())?;
        }
        match &self.repeat_with {
            Some(key) => write!(f, ", with --idempotency-key {key}, so that it is executed once"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Busy {}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if let Some(failure) = unconnected::broken(&status) {
            return failure;
        }
        let refusal = refusal_of(&status);
        let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay);
        match status.code() {
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Aborted => {
                let receipt = refusal.and_then(|refusal| refusal.receipt);
                Self::Busy(Box::new(Busy { message: message_of(&status), retry_after, receipt, repeat_with: None }))
            }
            // Not the business's no: the hub failed, or was asked for what there is not.
            code @ (Code::Internal | Code::OutOfRange) => fault(code, &status),
            code => match refusal.map(Refused::from).or_else(|| from_error_info(&status)) {
                Some(refused) => Self::Refused(Box::new(refused)),
                None => fault(code, &status),
            },
        }
    }
}

fn fault(code: Code, status: &Status) -> Failure {
    Failure::Fault(format!("the hub answered {code:?}: {}", message_of(status)))
}

fn refusal_of(status: &Status) -> Option<v1::Refusal> {
    detail(status, REFUSAL)
}

/// The message of this type among the details of a status.
pub(super) fn detail<M: prost::Message + Default>(status: &Status, name: &str) -> Option<M> {
    let details = pb::Status::decode(status.details()).ok()?.details;
    let found = details.iter().find(|any| any.type_url.rsplit('/').next() == Some(name))?;
    M::decode(found.value.as_slice()).ok()
}

/// What a status says that has standard details only.
fn from_error_info(status: &Status) -> Option<Refused> {
    let info = status.get_details_error_info()?;
    let faults = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    Some(Refused {
        code: info.reason,
        message: status.message().to_owned(),
        violations: faults.into_iter().map(|fault| (fault.field, fault.description)).collect(),
        ..Refused::default()
    })
}

/// tonic's own message of a broken connection says less than its innermost cause.
pub(super) fn message_of(status: &Status) -> String {
    let mut cause = status.source();
    let mut innermost = None;
    while let Some(error) = cause {
        innermost = Some(error.to_string());
        cause = error.source();
    }
    match innermost {
        Some(cause) if cause != status.message() => format!("{} ({cause})", status.message()),
        _ => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    fn refusal() -> v1::Refusal {
        v1::Refusal {
            code: "record.invalid".to_owned(),
            stage: "validate".to_owned(),
            message: "the record breaks its schema".to_owned(),
            retryable: false,
            violations: vec![v1::Violation { pointer: "/names/0".to_owned(), keyword: "maxLength".to_owned() }],
            receipt: Some(v1::Receipt { index: 17, ..v1::Receipt::default() }),
        }
    }

    fn status(code: Code, refusal: &v1::Refusal) -> Status {
        let any =
            prost_types::Any { type_url: format!("type.googleapis.com/{REFUSAL}"), value: refusal.encode_to_vec() };
        let details = pb::Status { code: code as i32, message: "no".to_owned(), details: vec![any] };
        Status::with_details(code, "no", details.encode_to_vec().into())
    }

    #[test]
    fn a_refusal_says_code_message_places_index_and_what_to_do() {
        let failure = Failure::from(status(Code::InvalidArgument, &refusal()));
        assert_eq!(failure.exit(), Exit::Refused);
        assert_eq!(
            failure.to_string(),
            "refused: record.invalid: the record breaks its schema\n  at /names/0: maxLength\n  recorded in the \
             ledger at index 17\n  next: correct the record at the places above and send it again"
        );
        assert_eq!(failure.to_json()["refused"]["ledger_index"], 17);
    }

    #[test]
    fn advice_sends_nobody_where_there_is_no_answer() {
        let advice = |code: &str| Refused { code: code.to_owned(), ..Refused::default() }.advice().unwrap();
        // `catalogue show` has record types, and of each agreement purpose and major version.
        assert!(advice("record-type.unknown").contains("lists the record types"));
        assert!(advice("purpose.unknown").contains("with each agreement"));
        let schema = advice("schema.unknown");
        assert!(schema.contains("major version") && schema.contains("the hub's operator knows the minor"), "{schema}");
    }

    #[test]
    fn back_pressure_is_no_refusal_and_says_how_long_to_wait() {
        let details = tonic_types::ErrorDetails::with_retry_info(Some(Duration::from_millis(250)));
        let status = Status::with_error_details(Code::ResourceExhausted, "queue full", details);
        let failure = Failure::from(status);
        assert_eq!(failure.exit(), Exit::Busy);
        assert_eq!(failure.to_string(), "not done: queue full\n  next: give the command again in 250 ms");
    }

    #[test]
    fn a_hub_that_is_away_with_an_entry_is_busy_and_names_the_entry() {
        let failure = Failure::from(status(Code::Unavailable, &refusal()));
        assert_eq!(failure.exit(), Exit::Busy);
        assert!(failure.to_string().contains("index 17"), "{failure}");
    }

    #[test]
    fn standard_details_alone_are_a_refusal_too() {
        let mut details =
            tonic_types::ErrorDetails::with_error_info("peer.unknown", "waybill", std::collections::HashMap::new());
        details.add_bad_request_violation("/subject", "minItems");
        let failure = Failure::from(Status::with_error_details(Code::PermissionDenied, "who?", details));
        let Failure::Refused(refused) = failure else { panic!("{failure}") };
        assert_eq!(refused.code, "peer.unknown");
        assert_eq!(refused.violations, [("/subject".to_owned(), "minItems".to_owned())]);
    }

    #[test]
    fn what_has_no_reason_is_a_fault() {
        assert_eq!(Failure::from(Status::internal("oops")).exit(), Exit::Fault);
        for (code, reason) in [(Code::Internal, "hub.failed"), (Code::OutOfRange, "proof.out-of-range")] {
            let details =
                tonic_types::ErrorDetails::with_error_info(reason, "waybill", std::collections::HashMap::new());
            assert_eq!(
                Failure::from(Status::with_error_details(code, "oops", details)).exit(),
                Exit::Fault,
                "{reason}"
            );
        }
        let torn = Status::with_details(Code::InvalidArgument, "x", vec![0xff, 0xff].into());
        assert_eq!(Failure::from(torn).exit(), Exit::Fault);
    }
}
