//! A data folder without its hub: verified with the ledger's public key alone, and a falsified copy found out.

use std::time::Duration;

use waybill::{desk::ReceiptDetail, ledger::SignerKey};

use crate::crash::core;

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_verifies_without_the_hub_and_a_changed_bit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let hub = core::start(core::options(folder.path())).await.unwrap();
    let outcome = hub.desk.submit(core::IDENTITY, core::address(0, 1), ReceiptDetail::Proof).await.unwrap();
    assert_eq!(outcome.recipients.len(), 2);
    tokio::time::timeout(Duration::from_secs(60), hub.sequencer.drain()).await.unwrap();
    drop(hub);

    let keys = [core::verifier()];
    let data = folder.path().join("data");
    let report = waybill::app::verify_data(&data, &keys, |_| ()).unwrap();
    assert!(report.fault.is_none() && report.size == 3, "{report:?}");
    let other = SignerKey::from_seed("hub.test/test/1", &[2; 32]).unwrap();
    assert!(waybill::app::verify_data(&data, &[other.verifier().clone()], |_| ()).is_err(), "another ledger's key");
    waybill::app::falsify_copy(&data, 2).unwrap();
    let report = waybill::app::verify_data(&data, &keys, |_| ()).unwrap();
    assert!(report.fault.is_some());
}
