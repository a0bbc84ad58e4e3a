//! What the story shows besides when benefit is on Kafka: what goes over which way, an award on its way in, a topic out of
//! service, and a consumer that reads everything twice.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use waybill_proto::v1::{self, DeliveryState};

use super::{
    Stage, check, consent,
    moving::{missing, top_level},
    way::Way,
};
use crate::{
    cli::demo::{
        kafka::submitter,
        say::Teller,
        systems::{System, context, leaves, new_key},
    },
    ledger::{Receipt, VerifierKey},
};

/// The hub looks once a second who receives on Kafka.
const LOOKED: Duration = Duration::from_secs(2);
/// What is to be handed over is claimed long before this.
const CLAIMED: Duration = Duration::from_millis(500);
/// How often the hub may not have looked yet.
const TRIES: u64 = 5;

/// Says who uses what.
pub(super) fn introduce(teller: Teller) {
    teller.say(
        "Benefit is on Kafka: deliveries come from waybill.out.benefit, what it submits goes to waybill.in.benefit.",
    );
    teller.detail("what wants its answer in the same call stays on gRPC: asking for evidence, consents, proofs, audit");
}

/// Benefit decides on her claim, and says so on its topic. Tax hears of it over gRPC.
pub(super) async fn award(stage: &mut Stage, teller: Teller) -> anyhow::Result<()> {
    let Some(topic) = stage.way.topic() else { return Ok(()) };
    let record = stage.she()?.awarded();
    let outcome = submitter::submit(&topic.bootstrap, &record, "award of a benefit").await?;
    check(outcome["outcome"] == "recorded", "the hub takes what benefit writes to its topic")?;
    let told = outcome["recipients"].get(0).context("nobody is told of the award")?;
    let receipt = Receipt::from_json(&told["receipt"].to_string())?;
    let key: VerifierKey = stage.place.verifier_key.parse()?;
    receipt.verify(&[key])?;
    teller.fact("benefit writes her award to waybill.in.benefit; what became of it comes on waybill.outcomes.benefit");
    teller.detail(&format!("with its receipt, which verifies offline: entry {}", receipt.index));

    let transfer = told["transferId"].as_str().context("the outcome names no transfer")?;
    let delivery = stage.tax_inbox.transfer(transfer).await?;
    let seen: Value = serde_json::from_slice(&delivery.payload)?;
    let withheld = missing(&record.body, &seen);
    check(withheld.iter().any(|place| place == "/payment"), "the account stays with benefit")?;
    teller.fact(&format!("tax received {} fields of it over gRPC: {}", leaves(&seen), top_level(&seen)));
    teller.detail(&format!("withheld: {}", withheld.join(", ")));
    Ok(())
}

/// Her address changes while benefit's topic is out of service; returns the transfer that waits in the hub.
///
/// Handing a delivery to the brokers is its release. As long as the topic is in service, that happens at once, also when
/// benefit's own systems are away: so it is the topic that must be away for something to wait.
pub(super) async fn change_while_out_of_service(stage: &mut Stage, teller: Teller) -> anyhow::Result<String> {
    teller.detail("it lies on benefit's topic now: what the brokers have, the hub cannot call back");
    let index = publish(stage, false).await?;
    teller.fact(&format!("benefit's topic goes out of service; the operator says so in the catalogue (entry {index})"));
    for revision in 2..2 + TRIES {
        tokio::time::sleep(LOOKED).await;
        let transfer = consent::push_contact(stage, revision).await?;
        tokio::time::sleep(CLAIMED).await;
        if state(stage, &transfer).await? == DeliveryState::Due {
            teller.fact("her address changed meanwhile: that transfer waits in the hub, and nobody has claimed it");
            return Ok(transfer);
        }
    }
    anyhow::bail!("the hub hands over to a topic that is out of service")
}

/// The topic is back, and what was cancelled stays so.
pub(super) async fn back_in_service(stage: &mut Stage, teller: Teller, cancelled: String) -> anyhow::Result<()> {
    let index = publish(stage, true).await?;
    check(state(stage, &cancelled).await? == DeliveryState::Cancelled, "what was cancelled stays cancelled")?;
    tokio::time::sleep(LOOKED).await;
    teller.fact(&format!("benefit's topic is back in service (entry {index}); what was cancelled will not come"));
    if let Way::Topic(topic) = &mut stage.way {
        topic.cancelled = Some(cancelled);
    }
    Ok(())
}

/// Benefit's consumer reads its topic a second time, and takes nothing twice.
pub(super) async fn read_again(stage: &Stage, teller: Teller) -> anyhow::Result<()> {
    let Some(topic) = stage.way.topic() else { return Ok(()) };
    let before = topic.consumer.read_again().await?;
    let after = topic.consumer.counts();
    let again = after.read - before.read;
    check(before.taken == stage.benefit_inbox.count(), "what was taken is what benefit has")?;
    check(again >= before.read && before.read > 0, "everything comes a second time")?;
    check(after.taken == before.taken, "nothing is taken twice")?;
    check(after.repeated == before.repeated + again, "each was known by its transfer's id")?;
    let cancelled = topic.cancelled.as_deref().context("step 3 cancelled nothing")?;
    check(!stage.benefit_inbox.has(cancelled), "what was cancelled never came")?;
    teller.fact(&format!(
        "benefit's consumer goes back to the beginning of its topic, as after a restore: {again} messages come again"
    ));
    teller.detail(&format!(
        "each is known by its transfer's id and dropped: {} transfers, each taken once",
        stage.benefit_inbox.count()
    ));
    Ok(())
}

/// The proof of a transfer. A message on Kafka only names its entry.
pub(super) async fn proof_of(stage: &Stage, delivery: &v1::Delivery, teller: Teller) -> anyhow::Result<v1::Receipt> {
    let found = transfer(stage, &delivery.transfer_id).await?;
    let receipt = found.receipt.context("the hub has no proof of a transfer")?;
    check(receipt.index == delivery.ledger_index, "the message names its entry")?;
    teller.detail("it came from its topic; the proof, which no message carries, benefit fetched by the transfer's id");
    Ok(receipt)
}

async fn state(stage: &Stage, id: &str) -> anyhow::Result<DeliveryState> {
    Ok(transfer(stage, id).await?.state())
}

async fn transfer(stage: &Stage, id: &str) -> anyhow::Result<v1::GetTransferResponse> {
    let request = v1::GetTransferRequest {
        transfer_id: id.into(),
        context: context("clerk 31", "claim 2026-117", "what became of a transfer"),
    };
    Ok(stage.benefit.exchange.clone().get_transfer(request).await?.into_inner())
}

/// Publishes that benefit receives on Kafka, or does not; says which entry that is.
async fn publish(stage: &Stage, receives: bool) -> anyhow::Result<u64> {
    stage.place.let_benefit_receive(receives)?;
    let mut operator = System::connect(&stage.place, "hub/operator").await?.operator;
    let request = v1::PublishCatalogueRequest { idempotency_key: new_key() };
    let published = operator.publish_catalogue(request).await?.into_inner();
    Ok(published.receipt.context("the catalogue was published without an entry")?.index)
}
