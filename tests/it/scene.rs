//! The whole hub, as `waybill serve` composes it, on loopback with the demo's catalogue and a clock that the test holds;
//! and agency systems with certificates of its CA.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls_pki_types::UnixTime;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tonic::{Status, transport::Channel};
use waybill::{
    app::{Core, Hub},
    cli::demo::population::{Citizen, Population, Record},
    config::{LedgerIdentity, Limits, MasterKeyFile},
    domain::{
        environment::Environment,
        facts::{Fact, Facts},
        subject::Identifier,
        time::{Clock as _, ManualClock, Moment, SystemClock},
    },
    ledger::{self, Commitments, Hash, Opening, VerifierKey},
    sequencer::Proposal,
    store::{Expect, Found, Store as _, SubjectChange},
    tls::{
        Existing,
        authority::{Authority, Validity},
        client::{ClientFiles, ClientTls, connect, endpoint},
        system_clock,
    },
    vault::{MasterKey, Random, SystemRandom},
};
use waybill_proto::v1::{
    self, consent_service_client::ConsentServiceClient, exchange_service_client::ExchangeServiceClient,
    ledger_service_client::LedgerServiceClient, operator_service_client::OperatorServiceClient,
};

mod agreed;
mod read;
mod start;

pub use agreed::Agreed;
pub use read::{absence_in, detail, refusal_in, said, try_refusal_in};

const MASTER: [u8; 32] = [2; 32];

/// What a scene has beside the demo's catalogue and the default limits.
#[derive(Default)]
pub struct Setup {
    pub limits: Limits,
    /// Files laid over the catalogue's, by path.
    pub catalogue: Vec<(&'static str, String)>,
    /// Files laid over the schemas, by path.
    pub schemas: Vec<(&'static str, String)>,
    /// Where random bytes come from, if not from the system.
    pub random: Option<Arc<dyn Random>>,
}

/// The hub and everybody who calls it.
pub struct Scene {
    pub hub: Hub,
    pub clock: Arc<ManualClock>,
    pub people: Population,
    pub verifier: VerifierKey,
    limits: Limits,
    random: Arc<dyn Random>,
    ca: Authority,
    channels: Mutex<HashMap<String, Channel>>,
    folder: TempDir,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        Self::with(Setup { limits, ..Setup::default() }).await
    }

    pub async fn with(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        copy(&root.join("deploy/demo/catalogue"), &place.join("catalogue"));
        copy(&root.join("schemas"), &place.join("schemas"));
        for (folder, files) in [("catalogue", &setup.catalogue), ("schemas", &setup.schemas)] {
            for (path, text) in files {
                let file = place.join(folder).join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
        }
        let now = UnixTime::now;
        let ca = Authority::create("test", Validity::starting(now(), Duration::from_hours(48))).unwrap();
        ca.save(place).unwrap();
        let validity = Validity::starting(now(), Duration::from_hours(24));
        ca.issue_server(&["localhost"], validity).unwrap().save(place, "hub", Existing::Replace).unwrap();
        MasterKeyFile::write(&place.join("master.key"), &MASTER).unwrap();
        let identity =
            LedgerIdentity::create(&place.join("ledger.key"), "hub.test", Environment::Test, &[1; 32]).unwrap();
        let verifier: VerifierKey = identity.verifier_key().parse().unwrap();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let random = setup.random.unwrap_or_else(|| Arc::new(SystemRandom));
        let hub = start::start(place, &setup.limits, &clock, &random).await.unwrap();
        let people = Population::generate(1, 500);
        Self { hub, limits: setup.limits, clock, random, people, verifier, ca, channels: Mutex::default(), folder }
    }

    pub fn core(&self) -> &Core {
        self.hub.core()
    }

    /// Where the catalogue lies.
    pub fn catalogue(&self) -> PathBuf {
        self.folder.path().join("catalogue")
    }

    /// The certificate of `agency/system`, and whom it trusts.
    pub fn tls(&self, system: &str) -> ClientTls {
        let (agency, name) = system.split_once('/').unwrap();
        let issued = self.ca.issue_system(agency, name, Validity::starting(UnixTime::now(), Duration::from_hours(24)));
        let stem = format!("{agency}-{name}");
        let (certificate, key) = issued.unwrap().save(self.folder.path(), &stem, Existing::Replace).unwrap();
        let files = ClientFiles { ca: self.folder.path().join("ca.pem"), certificate, key };
        ClientTls::load(&files, &system_clock()).unwrap()
    }

    /// A connection as `agency/system`; the same one for each who asks.
    pub async fn channel(&self, system: &str) -> Channel {
        let mut channels = self.channels.lock().await;
        if let Some(channel) = channels.get(system) {
            return channel.clone();
        }
        let address = format!("https://localhost:{}", self.hub.address().port());
        let channel = connect(&endpoint(&address).unwrap(), &self.tls(system)).await.unwrap();
        channels.insert(system.to_owned(), channel.clone());
        channel
    }

    pub async fn exchange(&self, system: &str) -> ExchangeServiceClient<Channel> {
        ExchangeServiceClient::new(self.channel(system).await)
    }

    pub async fn consents(&self, system: &str) -> ConsentServiceClient<Channel> {
        ConsentServiceClient::new(self.channel(system).await)
    }

    pub async fn ledger(&self, system: &str) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel(system).await)
    }

    pub async fn operator(&self, system: &str) -> OperatorServiceClient<Channel> {
        OperatorServiceClient::new(self.channel(system).await)
    }

    /// The time, by the scene's clock.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// A new idempotency key, of now by the scene's clock.
    pub fn key(&self) -> String {
        key_at(self.clock.now())
    }

    pub fn citizen(&self, index: usize) -> Citizen {
        self.people.citizen(index).unwrap()
    }

    /// One of a citizen's records, as it would be submitted.
    pub fn record(&self, citizen: usize, record_type: &str) -> v1::Submission {
        let records = self.citizen(citizen).records();
        self.submission(&records.into_iter().find(|record| record.record_type == record_type).unwrap())
    }

    pub fn submission(&self, record: &Record) -> v1::Submission {
        v1::Submission {
            idempotency_key: self.key(),
            record_type: record.record_type.to_owned(),
            schema_version: "1.0".into(),
            payload: record.body.to_string().into(),
            record: Some(v1::RecordIdentity {
                record_id: record.id.clone(),
                revision: Some(record.revision),
                as_of: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 0 }),
                change: v1::Change::Changed.into(),
                corrects_revision: None,
                copy_of_transfer_id: String::new(),
            }),
            context: context(),
            only_recipients: Vec::new(),
            traceparent: String::new(),
        }
    }

    /// Pushes a record as identity's registry.
    pub async fn push(&self, submission: v1::Submission) -> Result<v1::Outcome, Status> {
        let request = v1::SubmitRequest { submission: Some(submission) };
        let submitted = self.exchange("identity/registry").await.submit(request).await?;
        Ok(submitted.into_inner().outcome.unwrap())
    }

    /// The number that a citizen is called by.
    pub fn subject(&self, citizen: usize) -> Vec<v1::Identifier> {
        let citizen = self.citizen(citizen);
        let (scheme, value) = citizen.identifier();
        vec![v1::Identifier { scheme: scheme.into(), value: value.into() }]
    }

    /// A consent to an agreement, as a portal would record it.
    pub fn grant(&self, citizen: usize, agreement: &str) -> v1::GrantRequest {
        v1::GrantRequest {
            idempotency_key: self.key(),
            subject: self.subject(citizen),
            agreement: agreement.into(),
            agreement_revision: 1,
            notice: Some(v1::Notice { version: "1".into(), language: "en".into() }),
            evidence: Some(v1::grant_request::Evidence { media_type: "text/plain".into(), content: "signed".into() }),
            context: context(),
            ..v1::GrantRequest::default()
        }
    }

    pub async fn granted(&self, grant: v1::GrantRequest) -> v1::GrantResponse {
        self.consents("benefit/portal").await.grant(grant).await.unwrap().into_inner()
    }

    pub fn withdrawal(&self, citizen: usize, consent: &str) -> v1::WithdrawRequest {
        v1::WithdrawRequest {
            idempotency_key: self.key(),
            consent_id: consent.into(),
            subject: self.subject(citizen),
            context: context(),
        }
    }

    pub async fn withdrawn(&self, withdrawal: v1::WithdrawRequest) -> v1::WithdrawResponse {
        self.consents("benefit/portal").await.withdraw(withdrawal).await.unwrap().into_inner()
    }

    /// Benefit's request for a citizen's record.
    pub fn request(&self, citizen: usize, record_type: &str, purpose: &str) -> v1::RequestRequest {
        v1::RequestRequest {
            idempotency_key: self.key(),
            record_type: record_type.into(),
            purpose: purpose.into(),
            subject: self.subject(citizen),
            explicit_request: Some(v1::ExplicitRequest { reference: "form 3".into(), asked_at: None }),
            context: context(),
            ..v1::RequestRequest::default()
        }
    }

    /// Everything that a search finds, page by page, newest first.
    pub async fn found(&self, system: &str, search: v1::SearchRequest) -> Vec<v1::EntryView> {
        let mut ledger = self.ledger(system).await;
        let mut page = v1::SearchRequest { context: context(), page_size: 500, ..search };
        let mut all = Vec::new();
        loop {
            page.idempotency_key = self.key();
            let found = ledger.search(page.clone()).await.unwrap().into_inner();
            all.extend(found.entries);
            if found.next_page_token.is_empty() {
                return all;
            }
            page.page_token = found.next_page_token;
        }
    }

    /// One entry, as the hub's own officer sees it.
    pub async fn entry(&self, index: u64) -> v1::EntryView {
        let asked = v1::GetEntryRequest { idempotency_key: self.key(), index, context: context() };
        let read = self.ledger("hub/dpo").await.get_entry(asked).await.unwrap().into_inner();
        read.entry.unwrap()
    }

    /// How many entries the ledger has.
    pub fn size(&self) -> u64 {
        self.core().sequencer.newest().snapshot.size()
    }

    /// Puts facts about a citizen into the store as no call can yet, behind the desk's back. The citizen must be known.
    pub async fn put_facts(&self, citizen: usize, facts: impl IntoIterator<Item = Fact>) {
        let citizen = self.citizen(citizen);
        let (scheme, value) = citizen.identifier();
        let hash = MasterKey::new(MASTER).hasher().identifier(&Identifier::new(scheme, value).unwrap());
        let Found::One { subject, .. } = self.core().store.find_subject(&[hash]).await.unwrap() else {
            panic!("nobody knows the citizen yet")
        };
        let version = subject.facts.version;
        let rows = subject.facts.rows.iter().cloned().chain(facts).collect();
        let changed = SubjectChange::Facts { subject: subject.id, facts: Facts { version: version + 1, rows } };
        let proposal = Proposal {
            expects: vec![Expect::Facts { subject: subject.id, version }],
            subjects: vec![changed],
            ..Proposal::default()
        };
        self.core().sequencer.propose(proposal).await.unwrap();
    }

    /// Verifies a receipt offline, as whoever holds it can. Fields are opened with what `record` says.
    pub fn verify(&self, receipt: &v1::Receipt, record: Option<&serde_json::Value>) {
        let opened = |one: &v1::Opening| {
            let value = match record.and_then(|record| record.pointer(&one.name)) {
                Some(value) if one.name.starts_with('/') => serde_json_canonicalizer::to_string(value).unwrap(),
                _ => String::from_utf8(one.value.to_vec()).unwrap(),
            };
            Opening {
                position: one.position as _,
                name: one.name.clone(),
                value,
                salt: one.salt[..].try_into().unwrap(),
            }
        };
        let told = |one: &&v1::Opening| !one.value.is_empty() || one.name.starts_with('/');
        let count = u16::try_from(receipt.commitments.len() / Hash::LEN).unwrap();
        let list = [&count.to_be_bytes(), &receipt.commitments[..]].concat();
        let commitments = (count > 0).then(|| Commitments::from_bytes(list).unwrap());
        let receipt = ledger::Receipt {
            entry: receipt.entry.to_vec(),
            index: receipt.index,
            proof: receipt.inclusion_proof.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect(),
            checkpoint: receipt.checkpoint.clone(),
            commitments,
            // What the caller itself said is opened without its value; fields take theirs from the record.
            openings: receipt.openings.iter().filter(told).map(opened).collect(),
        };
        receipt.verify(std::slice::from_ref(&self.verifier)).unwrap();
    }
}

/// An idempotency key of that moment.
pub fn key_at(moment: Moment) -> String {
    let (seconds, rest) = (moment.0 / 1000, (moment.0 % 1000) as u32);
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, rest * 1_000_000)).to_string()
}

/// The moment as messages carry it.
pub fn timestamp(moment: Moment) -> Option<prost_types::Timestamp> {
    let seconds = i64::try_from(moment.0 / 1000).unwrap();
    Some(prost_types::Timestamp { seconds, nanos: (moment.0 % 1000) as i32 * 1_000_000 })
}

#[allow(clippy::unnecessary_wraps, reason = "as the messages want it")]
pub fn context() -> Option<v1::Context> {
    Some(v1::Context {
        actor: "clerk 7".into(),
        case_reference: "case 1".into(),
        reason: "a test".into(),
        ..v1::Context::default()
    })
}

/// A context on behalf of an agency.
pub fn for_agency(agency: &str) -> Option<v1::Context> {
    Some(v1::Context { on_behalf_of: agency.into(), ..context().unwrap() })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
