//! The desk without a way in: the shortest thread through the hub's core.

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
        subject::Identifier,
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
async fn a_record_goes_in_and_two_entries_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path()).await;
    let people = Population::generate(1, 30);
    let record = people.citizen(0).unwrap().moved_record(1);
    let submission = Submission {
        key: key(),
        record_type: record.record_type.to_string(),
        schema_version: "1.0".into(),
        payload: record.body.to_string().into(),
        record: RecordIdentity {
            record_id: record.id.clone(),
            revision: Some(record.revision as u64),
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
    let outcome = core.desk.submit(peer, submission.clone(), ReceiptDetail::Proof).await.unwrap();
    assert_eq!(outcome.recipients.len(), 2, "{outcome:?}");
    let again = core.desk.submit(peer, submission.clone(), ReceiptDetail::Proof).await.unwrap();
    assert_eq!(
        again.recipients.iter().map(|one| one.receipt.index).collect::<Vec<_>>(),
        outcome.recipients.iter().map(|one| one.receipt.index).collect::<Vec<_>>()
    );
    let mut other = submission.clone();
    other.payload = b"{}".to_vec().into();
    let refused = core.desk.submit(peer, other.clone(), ReceiptDetail::Proof).await.unwrap_err();
    println!("{refused:?}");
    other.key = key();
    let refused = core.desk.submit(peer, other, ReceiptDetail::Proof).await.unwrap_err();
    println!("{refused:?}");

    let she = people.citizen(0).unwrap();
    let identifier = Identifier::new("national-number", she.national_number().unwrap()).unwrap();
    let search = SearchCall { key: key(), subject: vec![identifier.clone()], ..SearchCall::default() };
    let found = core.desk.search(Peer::San("urn:waybill:system:hub:dpo"), search, context()).await.unwrap();
    for entry in &found.entries {
        println!("{} {:?}", entry.index, entry.trail.as_ref().map(|trail| &trail.attributes));
    }
    assert_eq!(found.entries.len(), 2);
    let search = SearchCall { key: key(), subject: vec![identifier.clone()], ..SearchCall::default() };
    let found = core.desk.search(Peer::San("urn:waybill:system:benefit:dpo"), search, context()).await.unwrap();
    assert_eq!(found.entries.len(), 1);

    let grant = GrantCall {
        key: key(),
        subject: vec![identifier.clone()],
        agreement: "identity-contact-to-benefit".into(),
        revision: 1,
        from: None,
        until: None,
        notice_version: "1".into(),
        notice_language: "en".into(),
        evidence_media_type: "text/plain".into(),
        evidence: b"signed".to_vec().into(),
        context: context(),
    };
    let portal = Peer::San("urn:waybill:system:benefit:portal");
    let granted = core.desk.grant(portal, grant).await.unwrap();
    let contact =
        she.records().into_iter().find(|record| record.record_type.to_string() == "identity/contact").unwrap();
    let mut submission = submission;
    submission.key = key();
    submission.record_type = contact.record_type.to_string();
    submission.payload = contact.body.to_string().into();
    submission.record.record_id = contact.id.clone();
    submission.record.change = Change::New;
    let outcome = core.desk.submit(peer, submission.clone(), ReceiptDetail::Proof).await.unwrap();
    println!("{outcome:?}");
    let withdraw =
        WithdrawCall { key: key(), consent: granted.id.to_string(), subject: vec![identifier], context: context() };
    let withdrawn = core.desk.withdraw(portal, withdraw).await.unwrap();
    assert_eq!((withdrawn.cancelled.len(), withdrawn.may_have_been_received.len()), (1, 0), "{withdrawn:?}");
    tokio::time::timeout(Duration::from_secs(5), core.sequencer.drain()).await.unwrap();
    drop(core);
    let signer = SignerKey::from_seed("hub.test/test/1", &[1; 32]).unwrap();
    let keys = [signer.verifier().clone()];
    let data = folder.path().join("data");
    let report = waybill::app::verify_data(&data, &keys, |_| ()).unwrap();
    assert!(report.fault.is_none() && report.size == 11, "{report:?}");
    waybill::app::falsify_copy(&data, 3).unwrap();
    let report = waybill::app::verify_data(&data, &keys, |_| ()).unwrap();
    println!("{report:?}");
    assert!(report.fault.is_some());
}
