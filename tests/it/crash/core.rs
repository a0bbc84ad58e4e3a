//! The hub's core in this process, on a store whose disk the test plays. What is done with it: `readonly.rs`,
//! `faults.rs`.

use std::{path::Path, sync::Arc};

use waybill::{
    app::{Core, Surroundings, verify_data},
    catalogue::Catalogue,
    cli::demo::population::{Population, Record},
    config::Limits,
    domain::{
        environment::Environment,
        record::{Change, RecordAuthority, RecordIdentity},
        time::{Clock as _, SystemClock},
    },
    exchange::submission::{CallContext, ContextRest, Peer, Submission},
    ledger::{Origin, SignerKey, VerifierKey},
    sequencer::Signing,
    store::embedded::EmbeddedOptions,
    vault::MasterKey,
};

use super::scene::copy_folder;

pub const IDENTITY: Peer<'static> = Peer::San("urn:waybill:system:identity:registry");
const ORIGIN: &str = "hub.test/test/1";

pub fn key() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub fn context() -> CallContext {
    let rest = ContextRest { actor: "clerk 7".into(), case: "case 1".into(), reason: "test".into(), acting_for: None };
    CallContext { on_behalf_of: None, rest: Box::new(rest) }
}

fn signer() -> SignerKey {
    SignerKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

pub fn verifier() -> VerifierKey {
    signer().verifier().clone()
}

/// A store in `folder`/data.
pub fn options(folder: &Path) -> EmbeddedOptions {
    let master = Arc::new(MasterKey::new([2; 32]));
    let mut options = EmbeddedOptions::new(folder.join("data"), Environment::Test, ORIGIN, master);
    options.reserve_bytes = 0;
    options
}

pub async fn start(options: EmbeddedOptions) -> anyhow::Result<Core> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalogue = Catalogue::load(&root.join("deploy/demo/catalogue"), &root.join("schemas"));
    let catalogue = catalogue.unwrap_or_else(|problems| panic!("{problems:?}"));
    let origin: Origin = ORIGIN.parse().unwrap();
    let signing = Signing { origin, signer: signer() };
    Core::start(options, signing, catalogue, &Limits::default(), Surroundings::default()).await
}

pub fn people() -> Population {
    Population::generate(1, 30)
}

/// Somebody's `n`-th move, which goes to two agencies.
pub fn address(citizen: usize, n: u32) -> Submission {
    submission(&people().citizen(citizen).unwrap().moved_record(n))
}

pub fn submission(record: &Record) -> Submission {
    Submission {
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
    }
}

/// Stops the core, whose data lies in `folder`: the ledger verifies up to its newest entry.
pub async fn ends_whole(core: &Core, folder: &Path, at: &str) {
    core.sequencer.drain().await;
    let copy = folder.join("copy");
    copy_folder(&folder.join("data"), &copy);
    let report = verify_data(&copy, &[verifier()], |_| ()).unwrap();
    assert!(report.fault.is_none(), "{at}: {report:?}");
    assert_eq!(report.size, core.sequencer.newest().snapshot.size(), "{at}");
}
