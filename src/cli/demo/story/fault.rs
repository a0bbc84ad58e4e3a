//! Step 4: a record that breaks its schema.

use serde_json::json;
use waybill_proto::v1;

use super::{Stage, check};
use crate::cli::demo::{proof, say::Teller, systems::submission};

pub(super) async fn play(stage: &mut Stage, teller: Teller) -> anyhow::Result<()> {
    teller.title("4. A record with mistakes in it");
    let mut record = stage.she()?.moved_record(2);
    record.body["address"]["postCode"] = json!(12_345);
    record.body["address"]["favouriteColour"] = json!("blue");
    record.body["subject"]["nationalNumber"] = json!("not a number");
    let request = v1::SubmitRequest { submission: Some(submission(&record, v1::Change::Changed, "a mistake")) };
    let Err(status) = stage.identity.exchange.submit(request).await else {
        anyhow::bail!("a record that breaks its schema was accepted");
    };
    let refused = proof::refusal(&status)?;
    check(refused.code == "record.invalid", "the refusal says that the record is invalid")?;
    check(refused.violations.len() >= 3, "each fault is named")?;
    let told = format!("{refused:?}");
    check(!told.contains("12345") && !told.contains("blue") && !told.contains("not a number"), "no value is repeated")?;
    teller.fact("the hub refuses it and says where, but repeats none of what was written:");
    for fault in &refused.violations {
        let place = if fault.pointer.is_empty() { "the record itself" } else { &fault.pointer };
        teller.detail(&format!("{place}: {}", fault.keyword));
    }
    Ok(())
}
