//! Writes what became of a submission, and what says that something could not be taken. Only shapes change here.

use serde_json::{Map, Value, json};

use super::{partition::Arrived, read::EventName};
use crate::{
    desk::{CallError, Proof, Receipt, ReceiptDetail, RecipientOutcome, SubmitOutcome},
    domain::{environment::Environment, refusal::Refusal},
    kafka::{Coordinates, DeadLetter, EventHeaders, Message, OUTCOME_TYPE, Reason},
    ledger,
};

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
    let mut said = Map::new();
    said.insert("event".into(), json!({ "source": &*event.source, "id": &*event.id }));
    said.insert("environment".into(), environment.as_str().into());
    let word = match result {
        Ok(outcome) => {
            let recipients: Vec<Value> =
                outcome.recipients.iter().map(|one| recipient(one, receipt(&one.receipt))).collect();
            said.insert("recipients".into(), recipients.into());
            "recorded"
        }
        Err(CallError::Refused(refused)) => {
            said.insert("refusal".into(), refusal(&refused.refusal));
            said.insert("index".into(), refused.receipt.index.into());
            if let Some(receipt) = receipt(&refused.receipt) {
                said.insert("receipt".into(), receipt);
            }
            "refused"
        }
        // Consumed before the hub stopped: its entry is found by a search.
        Err(_) => "decided-before",
    };
    said.insert("outcome".into(), word.into());
    let headers = EventHeaders::new(3, OUTCOME_TYPE, source, &at.id())
        .with("ce_outcome", word)
        .with("ce_eventsource", &event.source)
        .with("ce_eventid", &event.id);
    Message { headers: headers.into_headers(), value: Value::Object(said).to_string().into_bytes() }
}

fn recipient(outcome: &RecipientOutcome, receipt: Option<Value>) -> Value {
    let mut said = json!({
        "recipient": outcome.recipient,
        "agreement": outcome.agreement,
        "transferId": outcome.id.to_string(),
        "index": outcome.receipt.index,
    });
    if let Some(told) = &outcome.refusal {
        said["refusal"] = refusal(told);
    }
    if let Some(receipt) = receipt {
        said["receipt"] = receipt;
    }
    said
}

fn refusal(refusal: &Refusal) -> Value {
    let mut said = json!({
        "code": refusal.code.code(),
        "stage": refusal.code.stage().as_str(),
        "message": refusal.code.text(),
    });
    if !refusal.violations.is_empty() {
        let violation =
            |fault: &crate::domain::refusal::Violation| json!({ "pointer": fault.pointer, "keyword": fault.keyword });
        said["violations"] = refusal.violations.iter().map(violation).collect::<Vec<_>>().into();
    }
    said
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
