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

async fn scene() -> Scene {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo/catalogue/");
    let to_benefit = fs::read_to_string(format!("{folder}{TO_BENEFIT}")).unwrap();
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
