//! Records of others: who may pass copies on says that they are copies, and pushes nothing of theirs in its own name.

use std::fs;

use waybill::ledger::Attribute;
use waybill_proto::v1;

use super::calls::{Call, Recipient};
use crate::scene::{Agreed, Scene, Setup, said};

const TO_BENEFIT: &str = "agreements/identity-address-to-benefit.toml";
/// Benefit passes on what it has from identity.
const ONWARD: Agreed<'static> = Agreed {
    revision: 1,
    direction: "push",
    source: "benefit",
    recipient: "tax",
    record_type: "identity/address",
    purpose: "taxation-of-benefits",
    fields: &["/subject/nationalNumber", "/address"],
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo/catalogue/");

async fn scene() -> Scene {
    let to_benefit = fs::read_to_string(format!("{FOLDER}{TO_BENEFIT}")).unwrap();
    let to_benefit = to_benefit.replace("direction =", "onward = true\ndirection =");
    let catalogue = vec![(TO_BENEFIT, to_benefit), ("agreements/benefit-address-to-tax.toml", ONWARD.file())];
    Scene::with(Setup { catalogue, ..Setup::default() }).await
}

/// What an entry says of whose word the record is, and of which transfer it is a copy.
fn authority(entry: &v1::EntryView) -> (String, String) {
    (said(entry, Attribute::Authoritative), said(entry, Attribute::CopyOf))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_pass_copies_on_pushes_none_in_its_own_name() {
    let scene = scene().await;
    let own = Call::Submit(v1::SubmitRequest { submission: Some(scene.record(0, "identity/address")) });
    let before = scene.size();
    let refused = own.fails(&scene, "benefit/claims").await.refusal().unwrap();
    let faults: Vec<_> = refused.violations.iter().map(|one| (one.pointer.as_str(), one.keyword.as_str())).collect();
    assert_eq!(refused.code, "call.malformed");
    assert_eq!(faults, [("/record/copy_of_transfer_id", "required")]);
    assert_eq!(scene.size(), before + 1, "one entry, and nothing is on its way");
    let entry = scene.entry(refused.receipt.unwrap().index).await;
    let by = said(&entry, Attribute::System);
    assert_eq!((entry.kind.as_str(), by.as_str()), ("refusal_of_submission", "\"benefit/claims\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_recorded_and_delivered_as_a_copy_of_its_transfer() {
    let scene = scene().await;
    let original = scene.push(scene.record(0, "identity/address")).await.unwrap();
    let [to_benefit, to_tax] = <[_; 2]>::try_from(original.recipients).unwrap();
    let entry = scene.entry(to_benefit.receipt.unwrap().index).await;
    assert_eq!(authority(&entry), ("true".into(), String::new()));
    let too_early = passed_on(&scene, 0, &to_benefit.transfer_id).await;
    assert_eq!(too_early, not_received(), "it is on its way, and may be stopped before it leaves");
    let mut benefit = Recipient::connect(&scene, "benefit/claims").await;
    received(&mut benefit, &to_benefit.transfer_id).await;

    let mut copy = scene.record(0, "identity/address");
    copy.record.as_mut().unwrap().copy_of_transfer_id = to_benefit.transfer_id.clone();
    let request = v1::SubmitRequest { submission: Some(copy) };
    let passed_on = scene.exchange("benefit/claims").await.submit(request).await.unwrap().into_inner();
    let [passed_on] = <[_; 1]>::try_from(passed_on.outcome.unwrap().recipients).unwrap();
    let entry = scene.entry(passed_on.receipt.unwrap().index).await;
    assert_eq!((entry.kind.as_str(), said(&entry, Attribute::Source)), ("transfer", "\"benefit\"".into()));
    assert_eq!(authority(&entry), ("false".into(), format!("\"{}\"", to_benefit.transfer_id)));

    let mut tax = Recipient::connect(&scene, "tax/registry").await;
    for (transfer, copy_of) in [(&to_tax.transfer_id, ""), (&passed_on.transfer_id, &*to_benefit.transfer_id)] {
        let delivery = tax.next().await;
        tax.acknowledge(&delivery).await;
        assert_eq!((&delivery.transfer_id, &*delivery.record.unwrap().copy_of_transfer_id), (transfer, copy_of));
    }
}

/// Benefit receives this transfer, and acknowledges it.
async fn received(benefit: &mut Recipient, transfer: &str) {
    let delivery = benefit.next().await;
    assert_eq!(delivery.transfer_id, transfer);
    benefit.acknowledge(&delivery).await;
}

fn not_received() -> [(String, String); 1] {
    [("/record/copy_of_transfer_id".to_owned(), "const".to_owned())]
}

/// What benefit is told when it passes a record on as a copy of this transfer.
async fn passed_on(scene: &Scene, citizen: usize, transfer: &str) -> Vec<(String, String)> {
    let mut copy = scene.record(citizen, "identity/address");
    copy.record.as_mut().unwrap().copy_of_transfer_id = transfer.to_owned();
    let call = Call::Submit(v1::SubmitRequest { submission: Some(copy) });
    let refused = call.fails(scene, "benefit/claims").await.refusal().unwrap();
    assert_eq!(refused.code, "call.malformed", "{transfer}");
    refused.violations.into_iter().map(|one| (one.pointer, one.keyword)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_its_sender_did_not_receive_is_refused_whatever_it_is_of() {
    let scene = scene().await;
    let addresses = scene.push(scene.record(0, "identity/address")).await.unwrap().recipients;
    let anothers = scene.push(scene.record(1, "identity/address")).await.unwrap().recipients;
    let persons = scene.push(scene.record(0, "identity/person")).await.unwrap().recipients;
    let to = |recipients: &[v1::RecipientOutcome], who: &str| {
        recipients.iter().find(|one| one.recipient == who).unwrap().transfer_id.clone()
    };
    for transfer in
        [uuid::Uuid::now_v7().to_string(), to(&addresses, "tax"), to(&anothers, "benefit"), to(&persons, "benefit")]
    {
        let told = passed_on(&scene, 0, &transfer).await;
        assert_eq!(told, not_received());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_without_leave_to_pass_it_on_is_no_copy_to_be_had() {
    // Benefit may pass on what it has from tax, and keeps what it has from identity.
    let (to_tax, from_tax) = ("agreements/identity-address-to-tax.toml", "agreements/tax-address-to-benefit.toml");
    let onward = |file: String| file.replace("direction =", "onward = true\ndirection =");
    let by_tax = Agreed { source: "tax", recipient: "benefit", ..ONWARD };
    let catalogue = vec![
        (to_tax, onward(fs::read_to_string(format!("{FOLDER}{to_tax}")).unwrap())),
        (from_tax, onward(by_tax.file())),
        ("agreements/benefit-address-to-tax.toml", ONWARD.file()),
    ];
    let scene = Scene::with(Setup { catalogue, ..Setup::default() }).await;
    let addresses = scene.push(scene.record(0, "identity/address")).await.unwrap().recipients;
    let to_benefit = addresses.iter().find(|one| one.recipient == "benefit").unwrap();
    let mut benefit = Recipient::connect(&scene, "benefit/claims").await;
    received(&mut benefit, &to_benefit.transfer_id).await;
    let told = passed_on(&scene, 0, &to_benefit.transfer_id).await;
    assert_eq!(told, not_received());

    // A later revision gives no leave for what came under an earlier one.
    let (file, revision) = (scene.catalogue().join(TO_BENEFIT), "revision = 1");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains(revision));
    fs::write(&file, onward(kept).replace(revision, "revision = 2")).unwrap();
    let request = v1::PublishCatalogueRequest { idempotency_key: scene.key() };
    assert!(scene.operator("hub/operator").await.publish_catalogue(request).await.unwrap().into_inner().changed);
    let told = passed_on(&scene, 0, &to_benefit.transfer_id).await;
    assert_eq!(told, not_received());
    let later = scene.push(scene.record(0, "identity/address")).await.unwrap().recipients;
    let later = &later.iter().find(|one| one.recipient == "benefit").unwrap().transfer_id;
    received(&mut benefit, later).await;
    let mut copy = scene.record(0, "identity/address");
    copy.record.as_mut().unwrap().copy_of_transfer_id.clone_from(later);
    let request = v1::SubmitRequest { submission: Some(copy) };
    scene.exchange("benefit/claims").await.submit(request).await.unwrap();
}
