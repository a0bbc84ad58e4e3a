//! Step 1: she moves house, and says so once.

use anyhow::Context as _;
use serde_json::Value;
use waybill_proto::v1;

use super::{Stage, check, topic};
use crate::cli::demo::{
    proof,
    say::Teller,
    systems::{leaves, submission},
};

pub(super) async fn play(stage: &mut Stage, teller: Teller) -> anyhow::Result<()> {
    teller.title("1. She moves, and tells identity once");
    let record = stage.she()?.moved_record(1);
    stage.given_fields += leaves(&record.body);
    teller.say(&format!("Her notice of the move has {} fields.", leaves(&record.body)));
    let request = v1::SubmitRequest { submission: Some(submission(&record, v1::Change::Changed, "notice of a move")) };
    let outcome = stage.identity.exchange.submit(request).await?.into_inner().outcome.context("no outcome")?;
    check(outcome.recipients.len() == 2, "two agencies are told")?;

    for recipient in &outcome.recipients {
        let inbox = if recipient.recipient == "tax" { &stage.tax_inbox } else { &stage.benefit_inbox };
        let delivery = inbox.transfer(&recipient.transfer_id).await?;
        let seen: Value = serde_json::from_slice(&delivery.payload)?;
        let withheld = missing(&record.body, &seen);
        check(!withheld.is_empty(), "something is withheld from each agency")?;
        teller.fact(&format!("{} received {} fields: {}", recipient.recipient, leaves(&seen), top_level(&seen)));
        teller.detail(&format!("withheld: {}", withheld.join(", ")));
        let receipt = match delivery.receipt.clone() {
            Some(receipt) => receipt,
            None if recipient.recipient == "benefit" && stage.way.topic().is_some() => {
                topic::proof_of(stage, &delivery, teller).await?
            }
            None => anyhow::bail!("a delivery came without its receipt"),
        };
        proof::verify(&receipt, Some(&delivery.payload), &stage.place.verifier_key)?;
        teller.detail(&format!(
            "entry {} of the ledger proves it; tax and benefit each hold their own proof",
            receipt.index
        ));
    }
    Ok(())
}

pub(super) fn top_level(record: &Value) -> String {
    let names: Vec<&str> = record.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

/// The topmost places that `full` has and `part` has not.
pub(super) fn missing(full: &Value, part: &Value) -> Vec<String> {
    fn walk(full: &Value, part: Option<&Value>, path: &str, out: &mut Vec<String>) {
        match (full, part) {
            (_, None) => out.push(path.to_owned()),
            (Value::Object(members), Some(Value::Object(seen))) => {
                for (name, value) in members {
                    walk(value, seen.get(name), &format!("{path}/{name}"), out);
                }
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(full, Some(part), "", &mut out);
    out
}
