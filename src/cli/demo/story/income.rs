//! Step 2: she claims a benefit, and asks that her income be fetched from tax.

use anyhow::Context as _;
use serde_json::Value;
use waybill_proto::v1;

use super::{Stage, check};
use crate::cli::demo::{
    proof,
    say::Teller,
    systems::{context, identifiers, leaves, new_key},
};

/// Where benefit keeps what she asked for.
const HER_REQUEST: &str = "claim form, page 2";

pub(super) async fn play(stage: &mut Stage, teller: Teller) -> anyhow::Result<()> {
    teller.title("2. She claims a benefit, and asks that her income be fetched");
    // She gave it to tax once, with her tax return.
    let returned = stage.she()?.records().into_iter().find(|record| record.record_type == "tax/income-statement");
    stage.given_fields += returned.map_or(0, |record| leaves(&record.body));
    let evidence = ask(stage).await?;
    let record: Value = serde_json::from_slice(&evidence.payload)?;
    stage.answered_fields += leaves(&record);
    let receipt = evidence.receipt.context("evidence came without its receipt")?;
    proof::verify(&receipt, Some(&evidence.payload), &stage.place.verifier_key)?;
    let basis = proof::attribute(&receipt, 8).context("the receipt does not say its basis")?;
    check(basis.contains("6(1)(e)"), "the basis is a public task")?;
    teller.fact(&format!("tax answered in the same call: {} fields, and not one more", leaves(&record)));
    teller.detail(&format!("legal basis on the receipt: {}", plain_basis(&basis)));
    teller.detail("her own request is recorded beside it; it is not called consent, since the law suffices");
    stage.receipt = Some(receipt);
    Ok(())
}

/// Asks tax for her income, as benefit, at her request; that the request is recorded is looked at, too.
pub(super) async fn ask(stage: &mut Stage) -> anyhow::Result<v1::Evidence> {
    let request = v1::RequestRequest {
        idempotency_key: new_key(),
        record_type: "tax/income-statement".into(),
        purpose: "income-assessment".into(),
        provider: String::new(),
        subject: identifiers(&stage.she()?),
        explicit_request: Some(v1::ExplicitRequest { asked_at: None, reference: HER_REQUEST.into() }),
        context: context("clerk 31", "claim 2026-117", "income assessment"),
        deadline: None,
        traceparent: String::new(),
    };
    let answered = stage.benefit.exchange.request(request).await?.into_inner();
    let asked = answered.asked.context("the request came without its receipt")?;
    proof::verify(&asked, None, &stage.place.verifier_key)?;
    let hers = proof::attribute(&asked, 31).unwrap_or_default();
    check(hers.contains(HER_REQUEST), "her own request is recorded beside the basis")?;
    check(proof::attribute(&asked, 34).is_none(), "it is not called consent")?;
    match answered.answer {
        Some(v1::request_response::Answer::Evidence(evidence)) => Ok(evidence),
        other => anyhow::bail!("tax did not answer with a record: {other:?}"),
    }
}

/// A basis as people read it.
pub(super) fn plain_basis(json: &str) -> String {
    let basis: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |name: &str| basis[name].as_str().unwrap_or_default().to_owned();
    format!("GDPR Art. {}, {}", text("article"), text("law"))
}
