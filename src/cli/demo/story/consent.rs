//! Step 3: she had agreed to reminders by e-mail, and takes it back.

use std::sync::Arc;

use anyhow::Context as _;
use waybill_proto::v1;

use super::{Stage, check, income, topic, way::Way};
use crate::cli::demo::{
    population::Record,
    proof,
    say::Teller,
    systems::{context, identifiers, leaves, new_key, receive, submission},
};

const PUSHED: &str = "identity-contact-to-benefit";
const ASKED: &str = "benefit-asks-contact";

pub(super) async fn play(stage: &mut Stage, teller: Teller) -> anyhow::Result<()> {
    teller.title("3. She had agreed to reminders by e-mail, and takes it back");
    let pushed = grant(stage, PUSHED).await?;
    let asked = grant(stage, ASKED).await?;
    let first = push_contact(stage, 1).await?;
    stage.benefit_inbox.transfer(&first).await?;
    teller.fact("with her consent, identity gave benefit her e-mail address");

    // Benefit's systems go away, so that the next change waits in the hub.
    let second = match &stage.way {
        Way::Stream(stream) => {
            stream.abort();
            let second = push_contact(stage, 2).await?;
            teller.fact("her address changed while benefit's systems were away: that transfer waits");
            second
        }
        Way::Topic(_) => topic::change_while_out_of_service(stage, teller).await?,
    };

    let withdrawn = withdraw(stage, &pushed).await?;
    withdraw(stage, &asked).await?;
    check(withdrawn.cancelled.iter().any(|one| one.transfer_id == second), "what waited is cancelled")?;
    check(withdrawn.may_have_been_received.iter().any(|one| one.transfer_id == first), "what had left is listed")?;
    teller.fact("she withdraws; the hub answers at once");
    teller.detail(&format!("cancelled before anybody received it: {} transfer", withdrawn.cancelled.len()));
    teller.detail(&format!("had already left, and is named: {}", withdrawn.may_have_been_received.len()));
    for left in &withdrawn.may_have_been_received {
        let v1::Reached { record_type, recipient, ledger_index, .. } = left;
        teller.detail(&format!("  {record_type} to {recipient}, entry {ledger_index}"));
    }

    let status = ask_contact(stage).await.expect_err("a request without consent cannot succeed");
    let refused = proof::refusal(&status)?;
    check(refused.code == "consent.withdrawn", "the refusal says that she withdrew")?;
    teller.fact(&format!("benefit asks for the address again and is refused: {}", refused.message));
    if let Some(receipt) = &refused.receipt {
        teller.detail(&format!("the refusal itself is entry {} of the ledger", receipt.index));
    }

    let evidence = income::ask(stage).await?;
    let receipt = evidence.receipt.context("evidence came without its receipt")?;
    let basis = proof::attribute(&receipt, 8).context("the receipt does not say its basis")?;
    stage.answered_fields += serde_json::from_slice(&evidence.payload).map_or(0, |record| leaves(&record));
    teller.fact("the request for her income still succeeds");
    teller.detail(&format!("because it never rested on consent, but on {}", income::plain_basis(&basis)));
    match &mut stage.way {
        Way::Stream(stream) => *stream = receive(&stage.benefit, Arc::clone(&stage.benefit_inbox)).await?,
        Way::Topic(_) => topic::back_in_service(stage, teller, second).await?,
    }
    Ok(())
}

async fn grant(stage: &mut Stage, agreement: &str) -> anyhow::Result<String> {
    let request = v1::GrantRequest {
        idempotency_key: new_key(),
        subject: identifiers(&stage.she()?),
        agreement: agreement.into(),
        agreement_revision: 1,
        valid_from: None,
        valid_until: None,
        notice: Some(v1::Notice { version: "2026-03".into(), language: "en".into() }),
        evidence: Some(v1::grant_request::Evidence {
            media_type: "text/plain".into(),
            content: b"ticked on the claim form".to_vec().into(),
        }),
        context: context("portal", "claim 2026-117", "her own wish"),
    };
    Ok(stage.portal.consent.grant(request).await?.into_inner().consent_id)
}

async fn withdraw(stage: &mut Stage, consent: &str) -> anyhow::Result<v1::WithdrawResponse> {
    let request = v1::WithdrawRequest {
        idempotency_key: new_key(),
        consent_id: consent.into(),
        subject: identifiers(&stage.she()?),
        context: context("portal", "claim 2026-117", "her own wish"),
    };
    Ok(stage.portal.consent.withdraw(request).await?.into_inner())
}

/// Pushes her contact data in its `revision`, and says which transfer that made.
pub(super) async fn push_contact(stage: &mut Stage, revision: u64) -> anyhow::Result<String> {
    let record = contact(stage, revision)?;
    if revision == 1 {
        stage.given_fields += leaves(&record.body);
    }
    let change = if revision == 1 { v1::Change::New } else { v1::Change::Changed };
    let request = v1::SubmitRequest { submission: Some(submission(&record, change, "contact data")) };
    let outcome = stage.identity.exchange.submit(request).await?.into_inner().outcome.context("no outcome")?;
    Ok(outcome.recipients.first().context("nobody may have her contact data")?.transfer_id.clone())
}

fn contact(stage: &Stage, revision: u64) -> anyhow::Result<Record> {
    let records = stage.she()?.records();
    let mut record =
        records.into_iter().find(|one| one.record_type == "identity/contact").context("she has no contact data")?;
    record.revision = revision;
    Ok(record)
}

async fn ask_contact(stage: &mut Stage) -> Result<v1::RequestResponse, tonic::Status> {
    let subject = identifiers(&stage.she().map_err(|error| tonic::Status::internal(error.to_string()))?);
    let request = v1::RequestRequest {
        idempotency_key: new_key(),
        record_type: "identity/contact".into(),
        purpose: "optional-reminders".into(),
        provider: String::new(),
        subject,
        explicit_request: None,
        context: context("clerk 31", "claim 2026-117", "reminder"),
        deadline: None,
        traceparent: String::new(),
    };
    stage.benefit.exchange.request(request).await.map(tonic::Response::into_inner)
}
