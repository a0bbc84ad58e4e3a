//! Writes what became of a submission, and what says that something could not be taken. Only shapes change here.

use serde::Serialize;
use serde_json::Value;

use super::{partition::Arrived, read::EventName};
use crate::{
    desk::{CallError, Proof, Receipt, ReceiptDetail, RecipientOutcome, SubmitOutcome},
    domain::{
        environment::Environment,
        refusal::{Refusal, Violation},
    },
    kafka::{Coordinates, DeadLetter, EventHeaders, Message, OUTCOME_TYPE, Reason},
    ledger,
};

/// What is said of a submission. Members stand in the order of their names, as in all that the hub writes.
#[derive(Serialize)]
struct Said<'a> {
    environment: &'static str,
    event: SaidEvent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<Vec<SaidRecipient<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<SaidRefusal<'a>>,
}

#[derive(Serialize)]
struct SaidEvent<'a> {
    id: &'a str,
    source: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SaidRecipient<'a> {
    agreement: &'a str,
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Value>,
    recipient: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<SaidRefusal<'a>>,
    transfer_id: String,
}

#[derive(Serialize)]
struct SaidRefusal<'a> {
    code: &'static str,
    message: &'static str,
    stage: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<SaidViolation<'a>>,
}

#[derive(Serialize)]
struct SaidViolation<'a> {
    keyword: &'a str,
    pointer: &'a str,
}

impl<'a> From<&'a Refusal> for SaidRefusal<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        let violation = |fault: &'a Violation| SaidViolation { keyword: fault.keyword, pointer: &fault.pointer };
        Self {
            code: refusal.code.code(),
            message: refusal.code.text(),
            stage: refusal.code.stage().as_str(),
            violations: refusal.violations.iter().map(violation).collect(),
        }
    }
}

/// What became of a submission.
pub(super) fn outcome(
    source: &str,
    at: Coordinates<'_>,
    event: &EventName,
    result: &Result<SubmitOutcome, CallError>,
    detail: ReceiptDetail,
    environment: Environment,
) -> Message {
    // A repeat's receipts have their proofs in any case: it is told as the first was.
    let receipt = |of: &Receipt| if detail == ReceiptDetail::Proof { receipt(of) } else { None };
    let mut said = Said {
        environment: environment.as_str(),
        event: SaidEvent { id: &event.id, source: &event.source },
        index: None,
        // Consumed before the hub stopped: its entry is found by a search.
        outcome: "decided-before",
        receipt: None,
        recipients: None,
        refusal: None,
    };
    match result {
        Ok(outcome) => {
            said.recipients =
                Some(outcome.recipients.iter().map(|one| recipient(one, receipt(&one.receipt))).collect());
            said.outcome = "recorded";
        }
        Err(CallError::Refused(refused)) => {
            said.refusal = Some((&refused.refusal).into());
            said.index = Some(refused.receipt.index);
            said.receipt = receipt(&refused.receipt);
            said.outcome = "refused";
        }
        Err(_) => {}
    }
    let headers = EventHeaders::new(3, OUTCOME_TYPE, source, &at.id())
        .with("ce_outcome", said.outcome)
        .with("ce_eventsource", &event.source)
        .with("ce_eventid", &event.id);
    let mut value = Vec::with_capacity(512);
    let _ = serde_json::to_writer(&mut value, &said); // texts and numbers, to memory: it does not fail
    Message { headers: headers.into_headers(), value }
}

fn recipient(outcome: &RecipientOutcome, receipt: Option<Value>) -> SaidRecipient<'_> {
    SaidRecipient {
        agreement: &outcome.agreement,
        index: outcome.receipt.index,
        receipt,
        recipient: &outcome.recipient,
        refusal: outcome.refusal.as_ref().map(SaidRefusal::from),
        transfer_id: outcome.id.to_string(),
    }
}

/// The receipt as its file has it, if it comes with its proof.
fn receipt(receipt: &Receipt) -> Option<Value> {
    let Proof { inclusion, checkpoint } = receipt.proof.as_ref()?;
    let file = ledger::Receipt {
        entry: receipt.entry.to_vec(),
        index: receipt.index,
        proof: inclusion.clone(),
        checkpoint: String::from_utf8_lossy(checkpoint).into_owned(),
        commitments: receipt.commitments.clone(),
        openings: receipt.openings.clone(),
    };
    serde_json::from_str(&file.to_json()).ok()
}

/// That a message could not be taken: why, and where it stands. Never its bytes.
pub(super) fn dead(
    source: &str,
    at: Coordinates<'_>,
    arrived: &Arrived,
    result: &Result<SubmitOutcome, CallError>,
) -> Message {
    let (reason, event) = match &arrived.event {
        Ok(event) => (Reason::UNRECORDABLE, Some((&*event.source, &*event.id))),
        Err(reason) => (*reason, None),
    };
    let index = if let Err(CallError::Refused(refused)) = result { Some(refused.receipt.index) } else { None };
    DeadLetter { at, time: arrived.time, reason, index, event }.message(source)
}
