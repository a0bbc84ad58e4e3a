//! `waybill request`: asks the agency that holds it for a record about a person.

use std::{path::PathBuf, time::Duration};

use clap::ArgAction;
use serde_json::{Value, json};
use waybill_proto::v1::{self, request_response::Answer};

use super::{
    context::{ContextOptions, KeyOption, show, timestamp},
    exit::{Exit, Failure},
    hub::HubOptions,
    output::{Out, aside},
    receipt, refused,
    subject::SubjectOption,
    wire,
};
use crate::domain::{
    agency::AgencyId,
    agreement::PurposeId,
    record::RecordTypeId,
    time::{Clock as _, Moment, SystemClock},
};

/// Where an answer stands in a status's details, when the provider was away or the record is kept no longer.
const ANSWER: &str = "waybill.v1.RequestResponse";
/// Stands where the record would.
const NOT_KEPT: &str = "  the record is kept no longer, or the consent is over; request it again under a new key";

/// `request`.
#[derive(Debug, clap::Args)]
pub(super) struct Request {
    /// What is wanted, e.g. tax/income-statement
    #[arg(long, value_name = "DOMAIN/NAME")]
    record_type: RecordTypeId,
    /// What for; with the record type and provider it names the agreement
    #[arg(long)]
    purpose: PurposeId,
    /// The agency asked [default: the record type's authoritative agency]
    #[arg(long, value_name = "AGENCY")]
    provider: Option<AgencyId>,
    #[command(flatten)]
    subject: SubjectOption,
    /// The person asked for this evidence to be fetched: a reference to how that is kept
    #[arg(long = "explicit-request", value_name = "REFERENCE")]
    explicit: Option<String>,
    /// When the person asked (RFC 3339) [default: now]
    #[arg(long, value_name = "MOMENT", requires = "explicit")]
    asked_at: Option<Moment>,
    /// Seconds after which the answer is of no use [default: as long as the hub waits]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    wait: Option<u32>,
    /// Save the answer's receipt
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Print the record alone
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "json")]
    record_only: bool,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

impl Request {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let subject = self.subject.read()?;
        let now = SystemClock.now();
        let request = v1::RequestRequest {
            idempotency_key: self.key.or_new(),
            record_type: self.record_type.to_string(),
            purpose: self.purpose.to_string(),
            provider: self.provider.as_ref().map(ToString::to_string).unwrap_or_default(),
            subject,
            explicit_request: self.explicit.clone().map(|reference| v1::ExplicitRequest {
                asked_at: Some(timestamp(self.asked_at.unwrap_or(now))),
                reference,
            }),
            context: Some(self.context.context(self.hub.agency())),
            deadline: self.wait.map(|seconds| timestamp(now.after(Duration::from_secs(seconds.into())))),
            traceparent: String::new(),
        };
        let key = request.idempotency_key.clone();
        let hub = if self.record_only { self.hub.dial().await? } else { self.hub.connect(out).await? };
        let (response, exit) = match hub.exchange().request(request).await {
            Ok(response) => (response.into_inner(), Exit::Ok),
            Err(status) => match refused::detail::<v1::RequestResponse>(&status, ANSWER) {
                Some(response) if is_evidence(&response) => (response, Exit::Refused),
                Some(response) => (response, Exit::Busy),
                None => return Err(super::undecided(status, &key)),
            },
        };
        match &response.answer {
            Some(Answer::Evidence(evidence)) if self.record_only && exit == Exit::Ok => {
                out.line(&wire::text(&evidence.payload))?;
            }
            Some(answer) if self.record_only => aside(&answer_text(&response, answer)),
            Some(answer) => out.show(|| answer_json(&response, answer), || answer_text(&response, answer))?,
            None => return Err(Failure::fault("the hub sent no answer")),
        }
        if let Some(path) = &self.receipt {
            let (receipt, record) = match &response.answer {
                Some(Answer::Evidence(evidence)) => (evidence.receipt.as_ref(), kept(evidence)),
                Some(Answer::NoRecord(none)) => (none.receipt.as_ref(), None),
                None => (None, None),
            };
            let receipt = receipt.ok_or_else(|| Failure::fault("no receipt saved: the hub sent none"))?;
            receipt::save(path, receipt, record, out)?;
        }
        Ok(exit)
    }
}

/// Evidence in a status's details is evidence that is kept no longer.
const fn is_evidence(response: &v1::RequestResponse) -> bool {
    matches!(response.answer, Some(Answer::Evidence(_)))
}

/// The record, unless the hub has destroyed it since it answered.
fn kept(evidence: &v1::Evidence) -> Option<&[u8]> {
    (!evidence.payload.is_empty()).then_some(&evidence.payload[..])
}

fn answer_json(response: &v1::RequestResponse, answer: &Answer) -> Value {
    let mut value = match answer {
        Answer::Evidence(evidence) => wire::merged(
            json!({
                "transfer_id": evidence.transfer_id,
                "record_type": evidence.record_type,
                "schema_version": evidence.schema_version,
                "identity": wire::identity(evidence.record.as_ref()),
                "subject_pseudonym": evidence.subject_pseudonym,
                "keep_seconds": evidence.keep_seconds,
                "record": kept(evidence).map(wire::record),
            }),
            receipt::to_json(evidence.receipt.as_ref(), kept(evidence)),
        ),
        Answer::NoRecord(none) => wire::merged(
            json!({ "no_record": reason(none.reason()).0, "available_at": show(none.available_at) }),
            receipt::to_json(none.receipt.as_ref(), None),
        ),
    };
    value["request_id"] = json!(response.request_id);
    value["asked_ledger_index"] = json!(response.asked.as_ref().map(|asked| asked.index));
    value
}

fn answer_text(response: &v1::RequestResponse, answer: &Answer) -> String {
    let asked = format!("request {}{}", response.request_id, receipt::at(response.asked.as_ref()));
    match answer {
        Answer::Evidence(evidence) => {
            let keep = match evidence.keep_seconds {
                0 => String::new(),
                seconds => format!("\n  keep it at most: {}", wire::duration(seconds)),
            };
            format!(
                "{asked}\nanswered: {} {}, transfer {}{}{keep}\n{}",
                evidence.record_type,
                evidence.schema_version,
                evidence.transfer_id,
                receipt::at(evidence.receipt.as_ref()),
                kept(evidence).map_or_else(|| NOT_KEPT.to_owned(), wire::pretty)
            )
        }
        Answer::NoRecord(none) => {
            let until = show(none.available_at).map_or_else(String::new, |moment| format!(" {moment}"));
            format!("{asked}\nno record: {}{until}{}", reason(none.reason()).1, receipt::at(none.receipt.as_ref()))
        }
    }
}

/// The word and the sentence of an answer that holds no record.
const fn reason(reason: v1::NoRecordReason) -> (&'static str, &'static str) {
    match reason {
        v1::NoRecordReason::Unspecified => ("unspecified", "the provider did not say why"),
        v1::NoRecordReason::NoSuchPerson => ("no-such-person", "the provider knows no such person"),
        v1::NoRecordReason::SeveralMatches => ("several-matches", "the provider knows several people who fit"),
        v1::NoRecordReason::NoSuchRecord => ("no-such-record", "the provider has no such record of this person"),
        v1::NoRecordReason::NotAvailableUntil => ("not-available-until", "it is not available before"),
        v1::NoRecordReason::Declined => ("declined", "the provider declined"),
        v1::NoRecordReason::ProviderUnavailable => {
            ("provider-unavailable", "the provider was away, or did not answer in time; ask again later")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(answer: Answer) -> v1::RequestResponse {
        let asked = Some(v1::Receipt { index: 4, ..v1::Receipt::default() });
        v1::RequestResponse { request_id: "r-1".to_owned(), asked, answer: Some(answer) }
    }

    #[test]
    fn evidence_is_shown_with_its_transfer_and_how_long_it_may_be_kept() {
        let answer = Answer::Evidence(v1::Evidence {
            transfer_id: "t-1".to_owned(),
            record_type: "tax/income-statement".to_owned(),
            schema_version: "1.0".to_owned(),
            payload: br#"{"year":2025}"#.to_vec().into(),
            keep_seconds: 172_800,
            receipt: Some(v1::Receipt { index: 5, ..v1::Receipt::default() }),
            ..v1::Evidence::default()
        });
        assert_eq!(
            answer_text(&response(answer.clone()), &answer),
            "request r-1 (ledger index 4)\nanswered: tax/income-statement 1.0, transfer t-1 (ledger index 5)\n  keep it \
             at most: 2 days\n{\n  \"year\": 2025\n}"
        );
        let json = answer_json(&response(answer.clone()), &answer);
        assert_eq!((&json["record"]["year"], &json["ledger_index"]), (&json!(2025), &json!(5)));
        assert_eq!(json["asked_ledger_index"], 4);
    }

    #[test]
    fn evidence_that_is_kept_no_longer_is_said_to_be() {
        let answer = Answer::Evidence(v1::Evidence { transfer_id: "t-1".to_owned(), ..v1::Evidence::default() });
        assert!(answer_text(&response(answer.clone()), &answer).ends_with(NOT_KEPT));
        assert_eq!(answer_json(&response(answer.clone()), &answer)["record"], Value::Null);
    }

    #[test]
    fn an_answer_without_a_record_says_why() {
        let answer = Answer::NoRecord(v1::NoRecord {
            reason: v1::NoRecordReason::NotAvailableUntil.into(),
            available_at: Some(timestamp(Moment(0))),
            receipt: None,
        });
        let text = answer_text(&response(answer.clone()), &answer);
        assert!(text.ends_with("no record: it is not available before 1970-01-01T00:00:00Z"), "{text}");
        assert_eq!(answer_json(&response(answer.clone()), &answer)["no_record"], "not-available-until");
    }
}
