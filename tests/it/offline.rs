//! A data folder without its hub: verified with the ledger's public key alone, and a falsified copy found out.

use std::{path::Path, sync::Arc, time::Duration};

use waybill::{
    app::{Core, Surroundings},
    catalogue::Catalogue,
    cli::demo::population::Population,
    config::Limits,
    desk::*,
    domain::{
        environment::Environment,
        record::*,
        time::{Clock, SystemClock},
    },
    exchange::submission::*,
    ledger::{Origin, SignerKey},
    sequencer::Signing,
    store::embedded::EmbeddedOptions,
    vault::MasterKey,
};

fn key() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn context() -> CallContext {
    let rest = ContextRest { actor: "clerk 7".into(), case: "case 1".into(), reason: "test".into(), acting_for: None };
    CallContext { on_behalf_of: None, rest: Box::new(rest) }
}

async fn core(folder: &Path) -> Core {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalogue = Catalogue::load(&root.join("deploy/demo/catalogue"), &root.join("schemas"));
    let catalogue = catalogue.unwrap_or_else(|problems| panic!("{problems:?}"));
    let origin = Origin::new("hub.test", "test", "1").unwrap();
    let signer = SignerKey::from_seed(origin.as_str(), &[1; 32]).unwrap();
    let mut options = EmbeddedOptions::new(
        folder.join("data"),
        Environment::Test,
        origin.as_str(),
        Arc::new(MasterKey::new([2; 32])),
    );
    options.reserve_bytes = 0;
    Core::start(options, Signing { origin, signer }, catalogue, &Limits::default(), Surroundings::default())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_verifies_without_the_hub_and_a_changed_bit_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path()).await;
    let record = Population::generate(1, 30).citizen(0).unwrap().moved_record(1);
    let submission = Submission {
        key: key().into(),
        record_type: record.record_type.to_string(),
        schema_version: "1.0".into(),
        payload: record.body.to_string().into(),
        record: RecordIdentity {
            record_id: record.id.clone(),
            revision: Some(record.revision),
            as_of: Some(SystemClock.now()),
            change: Change::Changed,
            corrects_revision: None,
            authority: RecordAuthority::Authoritative,
        },
        context: context(),
        only: vec![],
        traceparent: String::new(),
    };
    let peer = Peer::San("urn:waybill:system:identity:registry");
    let outcome = core.desk.submit(peer, submission, ReceiptDetail::Proof).await.unwrap();
    assert_eq!(outcome.recipients.len(), 2);
    tokio::time::timeout(Duration::from_secs(60), core.sequencer.drain()).await.unwrap();
    drop(core);

    let signer = SignerKey::from_seed("hub.test/test/1", &[1; 32]).unwrap();
    let keys = [signer.verifier().clone()];
    let data = folder.path().join("data");
    let report = waybill::app::verify_data(&data, &keys, |_| ()).unwrap();
    assert!(report.fault.is_none() && report.size == 3, "{report:?}");
    let other = SignerKey::from_seed("hub.test/test/1", &[2; 32]).unwrap();
    assert!(waybill::app::verify_data(&data, &[other.verifier().clone()], |_| ()).is_err(), "another ledger's key");
    waybill::app::falsify_copy(&data, 2).unwrap();
    let report = waybill::app::verify_data(&data, &keys, |_| ()).unwrap();
    assert!(report.fault.is_some());
}
