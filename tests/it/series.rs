//! A series keeps the order sent when decisions must be made again, and takes no more than its window. Commits wait at a
//! gate, so that what happens between a decision and its commit is the test's to say.

use std::{
    fs,
    path::Path,
    sync::{Arc, Condvar, Mutex},
};

use serde_json::json;
use waybill::{
    app::{Core, Surroundings},
    catalogue::Catalogue,
    cli::demo::population::{Population, Record},
    config::Limits,
    desk::{Arrival, CallError, GrantCall, LoadCatalogue, ReceiptDetail, SeriesOut, SubmitOutcome},
    domain::{
        environment::Environment,
        record::{Change, RecordAuthority, RecordIdentity},
        refusal::RefusalCode,
        subject::Identifier,
        transfer::DeliveryState,
    },
    exchange::submission::{CallContext, ContextRest, Peer, PeerName, Submission},
    ledger::{Attribute, Origin, SignerKey},
    sequencer::Signing,
    store::{
        Store as _, StoreError,
        embedded::{CommitHook, EmbeddedOptions},
    },
    vault::MasterKey,
};

use crate::crash::scene::copy_folder;

const REGISTRY: &str = "urn:waybill:system:identity:registry";
const PORTAL: &str = "urn:waybill:system:benefit:portal";
const OPERATOR: &str = "urn:waybill:system:hub:operator";
const DPO: &str = "urn:waybill:system:hub:dpo";

/// Commits wait here while it is shut.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    turned: Condvar,
}

#[derive(Default)]
struct GateState {
    shut: bool,
    someone_waits: bool,
    passed: usize,
}

impl Gate {
    fn turn(&self, shut: bool) {
        let mut state = self.state.lock().unwrap();
        (state.shut, state.someone_waits) = (shut, false);
        self.turned.notify_all();
    }
}

struct AtGate(Arc<Gate>);

impl CommitHook for AtGate {
    fn before_batch(&self) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().unwrap();
        while state.shut {
            state.someone_waits = true;
            state = self.0.turned.wait(state).unwrap();
        }
        state.passed += 1;
        Ok(())
    }
}

struct Scene {
    core: Core,
    gate: Arc<Gate>,
    people: Population,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let catalogue = Catalogue::load(&root.join("deploy/demo/catalogue"), &root.join("schemas"));
        let catalogue = catalogue.unwrap_or_else(|problems| panic!("{problems:?}"));
        let origin = Origin::new("hub.test", "test", "1").unwrap();
        let signer = SignerKey::from_seed(origin.as_str(), &[1; 32]).unwrap();
        let master = Arc::new(MasterKey::new([2; 32]));
        let gate = Arc::new(Gate::default());
        let path = folder.path().join("data");
        let mut options = EmbeddedOptions::new(path, Environment::Test, origin.as_str(), master);
        options.reserve_bytes = 0;
        options.hook = Arc::new(AtGate(Arc::clone(&gate)));
        let signing = Signing { origin, signer };
        let core = Core::start(options, signing, catalogue, &Limits::default(), Surroundings::default()).await;
        Self { core: core.unwrap(), gate, people: Population::generate(1, 20), folder }
    }

    fn record(&self, citizen: usize, record_type: &str) -> Submission {
        let records = self.people.citizen(citizen).unwrap().records();
        submission(records.iter().find(|record| record.record_type == record_type).unwrap())
    }

    /// Waits until so many decisions have a place in the queue.
    async fn waiting(&self, count: usize) {
        while self.core.sequencer.waiting() != count {
            tokio::task::yield_now().await;
        }
    }

    /// Shuts the gate, and has a commit wait at it: what is proposed from now on waits in the queue.
    async fn shut(&self) {
        self.gate.turn(true);
        let (desk, first) = (Arc::clone(&self.core.desk), self.record(9, "identity/person"));
        tokio::spawn(async move { desk.submit(Peer::San(REGISTRY), first, ReceiptDetail::Index).await.unwrap() });
        while !self.gate.state.lock().unwrap().someone_waits {
            tokio::task::yield_now().await;
        }
    }

    fn grant(&self, citizen: usize) -> tokio::task::JoinHandle<u64> {
        let citizen = self.people.citizen(citizen).unwrap();
        let (scheme, value) = citizen.identifier();
        let call = GrantCall {
            key: key(),
            subject: vec![Identifier::new(scheme, value).unwrap()],
            agreement: "identity-contact-to-benefit".into(),
            revision: 1,
            from: None,
            until: None,
            notice_version: "1".into(),
            notice_language: "en".into(),
            evidence_media_type: "text/plain".into(),
            evidence: "signed".into(),
            context: context(),
        };
        let desk = Arc::clone(&self.core.desk);
        tokio::spawn(async move { desk.grant(Peer::San(PORTAL), call).await.unwrap().receipt.index })
    }

    /// The catalogue with the next revision of what benefit hears of addresses.
    fn revised(&self) -> LoadCatalogue {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = self.folder.path().join("catalogue");
        copy_folder(&root.join("deploy/demo/catalogue"), &folder);
        let file = folder.join("agreements/identity-address-to-benefit.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("revision = 1", "revision = 2")).unwrap();
        let schemas = root.join("schemas");
        Arc::new(move || Catalogue::load(&folder, &schemas).map_err(|problems| format!("{problems:?}")))
    }

    /// Under which catalogue, and which revision of its agreement, an entry says that it was decided.
    async fn decided_under(&self, index: u64) -> (String, Option<u64>) {
        let (entry, _) = self.core.desk.entry(Peer::San(DPO), &key(), index, context()).await.unwrap();
        let trail = entry.trail.unwrap();
        (trail.text(Attribute::Catalogue).unwrap(), trail.number(Attribute::AgreementRevision))
    }
}

fn key() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn context() -> CallContext {
    let rest = ContextRest { actor: "clerk 7".into(), case: "case 1".into(), reason: "test".into(), acting_for: None };
    CallContext { on_behalf_of: None, rest: Box::new(rest) }
}

/// The size of the ledger once the catalogue, the record at the gate and one more are in it.
const ONE_MORE: u64 = 5;

fn submission(record: &Record) -> Submission {
    Submission {
        key: key().into(),
        record_type: record.record_type.to_owned(),
        schema_version: "1.0".into(),
        payload: record.body.to_string().into(),
        record: RecordIdentity {
            record_id: record.id.clone(),
            revision: Some(record.revision),
            as_of: None,
            change: Change::Changed,
            corrects_revision: None,
            authority: RecordAuthority::Authoritative,
        },
        context: context(),
        only: Vec::new(),
        traceparent: String::new(),
    }
}

fn arrivals(submissions: Vec<Submission>) -> Vec<(u64, Arrival)> {
    (0..).zip(submissions.into_iter().map(Arrival::from)).collect()
}

/// All outcomes, by number.
async fn collect(mut series: SeriesOut) -> Vec<SubmitOutcome> {
    let mut all = Vec::new();
    while let Some(outcomes) = series.next().await {
        all.extend(outcomes);
    }
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, outcome)| outcome.unwrap()).collect()
}

fn indices(outcomes: &[SubmitOutcome]) -> Vec<u64> {
    outcomes.iter().flat_map(|outcome| outcome.recipients.iter().map(|one| one.receipt.index)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_behind_a_stale_decision_does_not_overtake_it() {
    let scene = Scene::new().await;
    let portal = Peer::San(REGISTRY);
    for citizen in [1, 2] {
        let known = scene.record(citizen, "identity/person");
        scene.core.desk.submit(portal, known, ReceiptDetail::Index).await.unwrap();
    }
    scene.shut().await;
    // The consent is before the series in the queue, and was not there when the series was decided.
    let granted = scene.grant(1);
    scene.waiting(1).await;
    let sent = vec![
        scene.record(2, "identity/address"),
        scene.record(1, "identity/contact"),
        scene.record(2, "identity/person"),
        scene.record(1, "identity/contact"),
        scene.record(2, "identity/address"),
    ];
    let count = sent.len();
    let (series, outcomes) = scene.core.desk.series(PeerName::San(REGISTRY.into()), 10);
    series.send(arrivals(sent), ReceiptDetail::Index).await.unwrap();
    scene.waiting(1 + count).await;
    scene.gate.turn(false);
    drop(series);
    let outcomes = collect(outcomes).await;
    let indices = indices(&outcomes);
    assert_eq!(outcomes.len(), count);
    assert!(indices.is_sorted_by(|one, next| one < next), "{indices:?}");
    let consent = granted.await.unwrap();
    let contacts: Vec<u64> = [1, 3].iter().map(|place| outcomes[*place].recipients[0].receipt.index).collect();
    assert!(contacts.iter().all(|index| *index > consent), "{contacts:?} after {consent}");
    // Decided again, on the consent: the e-mail address is on its way.
    for index in contacts {
        let delivery = scene.core.store.delivery(index).await.unwrap();
        assert_eq!(delivery.map(|delivery| delivery.state), Some(DeliveryState::Due));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_first_records_are_committed_together() {
    let scene = Scene::new().await;
    scene.shut().await;
    let types = ["identity/person", "identity/address", "identity/contact", "identity/civil-status"];
    let sent: Vec<Submission> = (1..4).flat_map(|citizen| types.map(|name| scene.record(citizen, name))).collect();
    let count = sent.len();
    let (series, outcomes) = scene.core.desk.series(PeerName::San(REGISTRY.into()), 100);
    series.send(arrivals(sent), ReceiptDetail::Index).await.unwrap();
    scene.waiting(count).await;
    let passed = || scene.gate.state.lock().unwrap().passed;
    let before = passed();
    scene.gate.turn(false);
    drop(series);
    let outcomes = collect(outcomes).await;
    let indices = indices(&outcomes);
    assert!(indices.is_sorted_by(|one, next| one < next), "{indices:?}");
    assert_eq!(passed() - before, 2, "the commit at the gate, and one for all of these");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_takes_its_window_and_no_more_until_outcomes_are_collected() {
    let scene = Scene::new().await;
    let (series, mut outcomes) = scene.core.desk.series(PeerName::San(REGISTRY.into()), 2);
    let sent: Vec<Submission> = (0..3).map(|citizen| scene.record(citizen, "identity/person")).collect();
    let mut sending = Box::pin(series.send(arrivals(sent), ReceiptDetail::Index));
    // Both of the window are decided and committed, and the third is still not taken: nobody collected.
    let committed = async {
        let mut commits = scene.core.sequencer.commits();
        commits.wait_for(|now| now.snapshot.size() >= ONE_MORE).await.unwrap();
    };
    tokio::select! {
        _ = &mut sending => panic!("three were taken into a window of two"),
        () = committed => {}
    }
    assert!(futures_util::FutureExt::now_or_never(&mut sending).is_none());
    outcomes.next().await.unwrap();
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_that_nobody_collects_is_given_up_and_what_was_sent_is_recorded() {
    let scene = Scene::new().await;
    scene.shut().await;
    let (series, outcomes) = scene.core.desk.series(PeerName::San(REGISTRY.into()), 1);
    let sent = scene.record(1, "identity/person");
    series.send(arrivals(vec![sent.clone()]), ReceiptDetail::Index).await.unwrap();
    scene.waiting(1).await;
    drop(outcomes);
    assert!(series.send(arrivals(vec![scene.record(2, "identity/person")]), ReceiptDetail::Index).await.is_err());
    scene.gate.turn(false);
    let size = {
        let mut commits = scene.core.sequencer.commits();
        let now = commits.wait_for(|now| now.snapshot.size() >= ONE_MORE).await.unwrap();
        now.snapshot.size()
    };
    let repeated = scene.core.desk.submit(Peer::San(REGISTRY), sent, ReceiptDetail::Index).await.unwrap();
    assert!(repeated.recipients.iter().all(|one| one.receipt.index < size), "{repeated:?}");
}

/// An address of whom these identifiers name.
fn address_of(scene: &Scene, subject: serde_json::Value) -> Submission {
    let record = scene.people.citizen(1).unwrap().records();
    let mut record = record.into_iter().find(|record| record.record_type == "identity/address").unwrap();
    record.body["subject"] = subject;
    submission(&record)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_becomes_somebody_elses_before_the_commit_is_looked_at_again() {
    let scene = Scene::new().await;
    let push = |subject: serde_json::Value| {
        let (desk, submission) = (Arc::clone(&scene.core.desk), address_of(&scene, subject));
        tokio::spawn(async move { desk.submit(Peer::San(REGISTRY), submission, ReceiptDetail::Index).await })
    };
    let (national, tax) = ("ZZN0000002350", "ZZT0000001862");
    push(json!({ "nationalNumber": national })).await.unwrap().unwrap();
    scene.shut().await;
    // Nobody has the tax number yet. Another person comes with it, ahead of a record that gives it to her.
    let other = push(json!({ "taxNumber": tax }));
    scene.waiting(1).await;
    let hers = push(json!({ "nationalNumber": national, "taxNumber": tax }));
    scene.waiting(2).await;
    scene.gate.turn(false);
    other.await.unwrap().unwrap();
    let refused = hers.await.unwrap().unwrap_err();
    let CallError::Refused(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.refusal.code, RefusalCode::SubjectAmbiguous);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_under_the_catalogue_that_it_was_decided_under() {
    let scene = Scene::new().await;
    let old = scene.core.desk.catalogue().digest().to_string();
    scene.shut().await;
    // The publication is before the record in the queue, and in force only once it is committed.
    let (desk, revised) = (Arc::clone(&scene.core.desk), scene.revised());
    let publication = async move { desk.publish_for(Peer::San(OPERATOR), &key(), context(), revised).await.unwrap() };
    let publication = tokio::spawn(publication);
    scene.waiting(1).await;
    let (desk, record) = (Arc::clone(&scene.core.desk), scene.record(1, "identity/address"));
    let under_way = tokio::spawn(async move { desk.submit(Peer::San(REGISTRY), record, ReceiptDetail::Index).await });
    scene.waiting(2).await;
    scene.gate.turn(false);
    let published = publication.await.unwrap();
    let (new, at) = (published.digest.to_string(), published.receipt.unwrap().index);
    assert_ne!(old, new);
    let record = scene.record(2, "identity/address");
    let next = scene.core.desk.submit(Peer::San(REGISTRY), record, ReceiptDetail::Index).await;
    for (outcome, catalogue, revision) in [(under_way.await.unwrap(), old, 1), (next, new, 2)] {
        let [to_benefit, _] = <[_; 2]>::try_from(outcome.unwrap().recipients).unwrap();
        let index = to_benefit.receipt.index;
        assert!(index > at, "it is recorded after the publication");
        assert_eq!(scene.decided_under(index).await, (catalogue, Some(revision)));
    }
}
