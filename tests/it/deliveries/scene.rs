//! The scene: a hub with the demo's catalogue and people, its relay, and recipients that connect to it.

use std::{fs::OpenOptions, os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use waybill::{
    app::{Core, Surroundings, relay_limits},
    catalogue::Catalogue,
    cli::demo::population::{Population, Record},
    config::Limits,
    desk::{Desk, GrantCall, Receipt, ReceiptDetail, SearchCall},
    domain::{
        agency::{AgencyId, SystemId},
        environment::Environment,
        record::{Change, RecordAuthority, RecordIdentity},
        subject::Identifier,
        time::{Clock, SystemClock},
        transfer::TransferId,
    },
    drivers::{LinkTerms, OrderRule, Outbound, Outcome, Port, Report, Reporter},
    exchange::submission::{CallContext, ContextRest, Peer, Submission},
    ledger::{self, Origin, SignerKey, VerifierKey},
    relay::{Backoff, Registry, RelayLimits},
    sequencer::{Content, Proposal, Recorded, SealedEntry, Signing},
    store::{Store as _, embedded::EmbeddedOptions},
    vault::{MasterKey, SystemRandom},
};

pub const IDENTITY: Peer<'static> = Peer::San("urn:waybill:system:identity:registry");
pub const TAX: Peer<'static> = Peer::San("urn:waybill:system:tax:registry");
pub const BENEFIT: Peer<'static> = Peer::San("urn:waybill:system:benefit:claims");
pub const OPERATOR: Peer<'static> = Peer::San("urn:waybill:system:hub:operator");
pub const DPO: Peer<'static> = Peer::San("urn:waybill:system:hub:dpo");
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Scene {
    pub folder: TempDir,
    pub core: Core,
    pub relay: Arc<Registry>,
    pub people: Population,
}

/// A recipient's system.
pub struct Recipient {
    pub port: Port,
    pub reporter: Reporter,
}

pub fn key() -> String {
    uuid::Uuid::now_v7().to_string()
}

pub fn context() -> CallContext {
    let rest = ContextRest { actor: "clerk 7".into(), case: "case 1".into(), reason: "test".into(), acting_for: None };
    CallContext { on_behalf_of: None, rest: Box::new(rest) }
}

fn signer() -> SignerKey {
    SignerKey::from_seed("hub.test/test/1", &[1; 32]).unwrap()
}

pub fn verifier() -> VerifierKey {
    signer().verifier().clone()
}

async fn core(folder: &Path) -> Core {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalogue = Catalogue::load(&root.join("deploy/demo/catalogue"), &root.join("schemas"));
    let catalogue = catalogue.unwrap_or_else(|problems| panic!("{problems:?}"));
    let origin = Origin::new("hub.test", "test", "1").unwrap();
    let master = Arc::new(MasterKey::new([2; 32]));
    let mut options = EmbeddedOptions::new(folder.join("data"), Environment::Test, origin.as_str(), master);
    options.reserve_bytes = 0;
    let signing = Signing { origin, signer: signer() };
    Core::start(options, signing, catalogue, &Limits::default(), Surroundings::default()).await.unwrap()
}

fn relay(desk: &Arc<Desk>) -> Arc<Registry> {
    let limits = RelayLimits {
        attempts_max: 2,
        backoff: Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(4) },
        ..relay_limits(&Limits::default())
    };
    Registry::new(Arc::clone(desk), limits, Arc::new(SystemRandom))
}

impl Scene {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let core = core(folder.path()).await;
        Self { relay: relay(&core.desk), core, folder, people: Population::generate(1, 30) }
    }

    /// Stops the hub and starts it again on the same folder.
    pub async fn restart(self) -> Self {
        self.relay.drain().await;
        self.core.sequencer.drain().await;
        let Self { folder, core: old, relay: old_relay, people } = self;
        drop((old, old_relay));
        let core = core(folder.path()).await;
        let relay = relay(&core.desk);
        relay.resume().await.unwrap();
        Self { folder, core, relay, people }
    }

    /// Damages the key slot of the first of those who keep a transfer's trail; a hub that has read it does not see that
    /// before it is started again.
    pub async fn damage_first_keeper(&self, transfer: TransferId) {
        let entries = self.core.store.entries(0, 1000).await.unwrap();
        let entry = entries.iter().find(|entry| entry.routing.id == transfer).unwrap();
        let slots = OpenOptions::new().write(true).open(self.folder.path().join("data/keys/slots")).unwrap();
        slots.write_all_at(&[0; 8], entry.routing.secrets[0].slot.0 * 64 + 1).unwrap();
    }

    /// Records an entry that is found as a transfer's is, and that no key opens; `due` to be delivered, or not.
    pub async fn record_damaged(&self, like: TransferId, due: bool) -> u64 {
        let entries = self.core.store.entries(0, 1000).await.unwrap();
        let entry = entries.iter().find(|entry| entry.routing.id == like).unwrap();
        let mut routing = entry.routing.clone();
        routing.id = TransferId(uuid::Uuid::now_v7());
        routing.outgoing = routing.outgoing.filter(|_| due);
        routing.payload = routing.payload.filter(|_| due);
        let content = Content::Person(ledger::Hash::new([7; 32]));
        let damaged = SealedEntry { content, routing, trail: entry.trail.clone(), payload: bytes::Bytes::new() };
        let proposal = Proposal { entries: vec![damaged], ..Proposal::default() };
        let Recorded::Committed { first, .. } = self.core.sequencer.propose(proposal).await.unwrap() else {
            panic!("it has no key")
        };
        first
    }

    /// Identity pushes a citizen's new address; says the ids of the transfers to benefit and tax.
    pub async fn move_citizen(&self, citizen: usize, revision: u32) -> [TransferId; 2] {
        let record = self.people.citizen(citizen).unwrap().moved_record(revision);
        let submission = Self::submission(&record, Change::Changed);
        let outcome = self.core.desk.submit(IDENTITY, submission, ReceiptDetail::Index).await.unwrap();
        let [benefit, tax] = &outcome.recipients[..] else { panic!("{outcome:?}") };
        assert_eq!((benefit.recipient.as_str(), tax.recipient.as_str()), ("benefit", "tax"));
        [benefit.id, tax.id]
    }

    fn submission(record: &Record, change: Change) -> Submission {
        Submission {
            key: key().into(),
            record_type: record.record_type.to_string(),
            schema_version: "1.0".into(),
            payload: record.body.to_string().into(),
            record: RecordIdentity {
                record_id: record.id.clone(),
                revision: Some(record.revision),
                as_of: Some(SystemClock.now()),
                change,
                corrects_revision: None,
                authority: RecordAuthority::Authoritative,
            },
            context: context(),
            only: vec![],
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        }
    }

    pub fn connect(&self, agency: &str, credit: usize) -> Recipient {
        let terms = LinkTerms {
            system: SystemId::new(&format!("{agency}/registry")).unwrap(),
            credit,
            order: OrderRule::OneUnacknowledged,
            report_within: Duration::from_secs(30),
        };
        let port = self.relay.connect(&AgencyId::new(agency).unwrap(), &terms).unwrap();
        Recipient { reporter: port.reporter(), port }
    }

    /// Waits until the ledger has as many entries of a kind; says what the newest of them says.
    pub async fn entries(&self, kind: &str, count: usize) -> Vec<waybill::desk::EntryView> {
        let search = async {
            loop {
                let call = SearchCall { key: key(), kind: kind.into(), ..SearchCall::default() };
                let found = self.core.desk.search(DPO, call, context()).await.unwrap().entries;
                if found.len() >= count {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await.expect("the entries come in time");
        assert_eq!(found.len(), count);
        found
    }
}

impl Recipient {
    pub async fn next(&mut self) -> Vec<Outbound> {
        tokio::time::timeout(PATIENCE, self.port.next()).await.expect("a delivery comes in time").unwrap()
    }

    /// The next one, which must be alone.
    pub async fn one(&mut self) -> Outbound {
        let mut batch = self.next().await;
        assert_eq!(batch.len(), 1);
        batch.pop().unwrap()
    }

    pub async fn say(&self, transfer: TransferId, outcome: Outcome) {
        self.reporter.report(vec![Report { transfer, outcome }]).await;
    }
}

/// Verifies a receipt offline, as whoever holds it can.
pub fn verify(receipt: &Receipt, payload: Option<&[u8]>) {
    let record: Option<serde_json::Value> = payload.map(|json| serde_json::from_slice(json).unwrap());
    let proof = receipt.proof.as_ref().expect("it has a proof");
    let mut openings = receipt.openings.clone();
    for opening in openings.iter_mut().filter(|opening| opening.name.starts_with('/')) {
        let value = record.as_ref().and_then(|record| record.pointer(&opening.name)).expect("a delivered field");
        opening.value = serde_json_canonicalizer::to_string(value).unwrap();
    }
    let receipt = ledger::Receipt {
        entry: receipt.entry.to_vec(),
        index: receipt.index,
        proof: proof.inclusion.clone(),
        checkpoint: String::from_utf8(proof.checkpoint.to_vec()).unwrap(),
        commitments: receipt.commitments.clone(),
        openings,
    };
    receipt.verify(&[verifier()]).unwrap();
}

/// Which attributes a receipt opens, by number.
pub fn opened(receipt: &Receipt) -> Vec<String> {
    receipt.openings.iter().map(|opening| opening.name.clone()).collect()
}

/// Of what rests on consent: a citizen's contact data, for benefit.
pub const PORTAL: Peer<'static> = Peer::San("urn:waybill:system:benefit:portal");

impl Scene {
    pub fn identifier(&self, citizen: usize) -> Identifier {
        let citizen = self.people.citizen(citizen).unwrap();
        Identifier::new("national-number", citizen.national_number().unwrap()).unwrap()
    }

    /// Says the consent's id.
    pub async fn grant_contact(&self, citizen: usize) -> String {
        self.move_citizen(citizen, 0).await;
        let grant = GrantCall {
            key: key(),
            subject: vec![self.identifier(citizen)],
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
        self.core.desk.grant(PORTAL, grant).await.unwrap().id.to_string()
    }

    /// Identity pushes a citizen's contact data; says the decision's id.
    pub async fn push_contact(&self, citizen: usize) -> TransferId {
        let records = self.people.citizen(citizen).unwrap().records();
        let contact = records.into_iter().find(|record| record.record_type == "identity/contact").unwrap();
        let submission = Self::submission(&contact, Change::New);
        self.core.desk.submit(IDENTITY, submission, ReceiptDetail::Index).await.unwrap().recipients[0].id
    }
}
