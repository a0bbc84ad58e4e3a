//! The scene: a sequencer over an embedded store whose commits can be held up, or fail, at will; and proposals built in
//! a few words.

use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    domain::{
        agency::AgencyKey,
        environment::Environment,
        facts::Facts,
        idempotency::IdempotencyKey,
        subject::{IdentifierHash, SubjectId},
        time::{ManualClock, Moment},
        transfer::TransferId,
    },
    ledger::{Hash, Kind, SignerKey, VerifierKey},
    sequencer::{
        Bounds, Committed, Condition, Content, OpenError, Proposal, Recorded, SealedEntry, Sequencer, SequencerError,
        Signing,
    },
    store::{
        DeliveryChange, Expect, Outgoing, PayloadSlots, Routing, SlotNumber, Store, StoreError, SubjectChange,
        SystemKey,
        embedded::{CommitHook, EmbeddedOptions, EmbeddedStore},
    },
    vault::{ContentHash, MasterKey, Term},
};

pub(super) const ORIGIN: &str = "hub.example.gov/test/one";
pub(super) const NOON: Moment = Moment(1_800_000_000_000);
pub(super) const A: SystemKey = SystemKey(1);
pub(super) const B: SystemKey = SystemKey(2);
pub(super) const C: SystemKey = SystemKey(3);
pub(super) const TAX: AgencyKey = AgencyKey(7);

/// Where a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Before anything is written.
    BeforeSlots,
    /// The key slots are written, the commit is not.
    BeforeBatch,
    /// The commit is durable, but the store was told that it failed.
    AfterBatch,
}

/// Holds a commit up until it is let go, and makes one fail.
#[derive(Default)]
pub(super) struct Gate {
    /// Whether the next commit is to be held, and whether one is.
    state: Mutex<(bool, bool)>,
    let_go: Condvar,
    arrived: Notify,
    fails_at: Mutex<Option<Step>>,
}

impl Gate {
    fn reach(&self, step: Step) -> Result<(), StoreError> {
        if step == Step::BeforeBatch {
            let mut state = self.state.lock();
            if std::mem::take(&mut state.0) {
                state.1 = true;
                self.arrived.notify_one();
                self.let_go.wait_while(&mut state, |state| state.1);
            }
        }
        match self.fails_at.lock().take_if(|at| *at == step) {
            Some(_) => Err(StoreError::Read("the disk says no".to_owned())),
            None => Ok(()),
        }
    }
}

impl CommitHook for Gate {
    fn before_slots_sync(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeSlots)
    }
    fn before_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeBatch)
    }
    fn after_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::AfterBatch)
    }
}

/// A call that waits for its answer. It is in the queue, or waits for a place there.
pub(super) type Call = Pin<Box<dyn Future<Output = Result<Recorded, SequencerError>> + Send>>;

pub(super) struct Scene {
    folder: TempDir,
    options: EmbeddedOptions,
    gate: Arc<Gate>,
    bounds: Bounds,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: EmbeddedStore,
    pub(super) sequencer: Sequencer,
}

fn options(path: &Path) -> EmbeddedOptions {
    let master = Arc::new(MasterKey::new([9; 32]));
    let mut options = EmbeddedOptions::new(path.to_owned(), Environment::Test, ORIGIN, master);
    options.reserve_bytes = 0;
    options.space_interval = Duration::ZERO;
    options
}

pub(super) fn signing(seed: u8) -> Signing {
    Signing { origin: ORIGIN.parse().unwrap(), signer: SignerKey::from_seed(ORIGIN, &[seed; 32]).unwrap() }
}

pub(super) fn verifier() -> VerifierKey {
    signing(2).signer.verifier().clone()
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with(Bounds::default(), |_| {}).await
    }

    pub(super) async fn with(bounds: Bounds, change: impl FnOnce(&mut EmbeddedOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gate = Arc::new(Gate::default());
        let mut options = options(folder.path());
        options.hook = Arc::clone(&gate) as _;
        change(&mut options);
        EmbeddedStore::create(&options).unwrap();
        let store = EmbeddedStore::open(options.clone()).unwrap();
        let clock = Arc::new(ManualClock::at(NOON));
        let sequencer = Sequencer::start(Arc::new(store.clone()), signing(2), Arc::clone(&clock) as _, bounds).await;
        Self { folder, options, gate, bounds, clock, store, sequencer: sequencer.unwrap() }
    }

    /// Stops the sequencer, closes the store, and opens both again.
    pub(super) async fn restart(self) -> Self {
        let Self { folder, options, gate, bounds, clock, store, sequencer } = self;
        sequencer.drain().await;
        drop((sequencer, store));
        // Whoever has drained has let go of it.
        let store = EmbeddedStore::open(options.clone()).unwrap();
        let sequencer = Sequencer::start(Arc::new(store.clone()), signing(2), Arc::clone(&clock) as _, bounds).await;
        Self { folder, options, gate, bounds, clock, store, sequencer: sequencer.unwrap() }
    }

    /// Starts another sequencer over `store`, as a restart would.
    pub(super) async fn start_over(&self, store: impl Store, seed: u8) -> Result<Sequencer, OpenError> {
        Sequencer::start(Arc::new(store), signing(seed), Arc::clone(&self.clock) as _, self.bounds).await
    }

    /// Makes the writer stand still in the middle of a commit, so that what is proposed now waits for the next one.
    pub(super) async fn hold(&self) -> Call {
        self.gate.state.lock().0 = true;
        let call = self.call(person(u64::MAX));
        self.gate.arrived.notified().await;
        call
    }

    /// Lets the commit that is held up go on.
    pub(super) fn let_go(&self) {
        self.gate.state.lock().1 = false;
        self.gate.let_go.notify_all();
    }

    /// The next commit fails at `step`.
    pub(super) fn fail_at(&self, step: Step) {
        *self.gate.fails_at.lock() = Some(step);
    }

    /// Proposes, and returns when the proposal is in the queue, or has found no place there.
    pub(super) fn call(&self, proposal: Proposal) -> Call {
        let sequencer = self.sequencer.clone();
        // Unconstrained: otherwise tokio makes a test that proposes hundreds at once wait for places that are free.
        let mut call: Call = Box::pin(tokio::task::unconstrained(async move { sequencer.propose(proposal).await }));
        assert!((&mut call).now_or_never().is_none(), "nothing is answered before its batch is durable");
        call
    }

    /// Proposes and waits.
    pub(super) async fn commit(&self, proposal: Proposal) -> (u64, Arc<Committed>) {
        committed(self.sequencer.propose(proposal).await)
    }

    pub(super) async fn size(&self) -> u64 {
        self.store.head().await.unwrap().size
    }

    pub(super) async fn becomes(&self, condition: impl Fn(&Condition) -> bool) {
        self.sequencer.condition().wait_for(condition).await.unwrap();
    }
}

#[track_caller]
pub(super) fn committed(recorded: Result<Recorded, SequencerError>) -> (u64, Arc<Committed>) {
    match recorded.unwrap() {
        Recorded::Committed { first, commit } => (first, commit),
        Recorded::Repeat(known) => panic!("a repeat of {known:?}"),
    }
}

/// A sealed entry; `number` makes it distinct, and is its one search term.
pub(super) fn sealed(number: u64) -> SealedEntry {
    SealedEntry {
        content: Content::Person(Hash::new([number as u8; 32])),
        routing: Routing {
            kind: Kind::Transfer,
            id: TransferId(Uuid::from_u64_pair(0x0192_0000_0000_7000, 0x8000_0000_0000_0000 | (number >> 2))),
            terms: vec![Term(number)],
            secrets: Vec::new(),
            outgoing: None,
            payload: None,
        },
        trail: Bytes::from(format!("trail of {number}")),
        payload: Bytes::new(),
    }
}

/// A proposal of one entry, of the system [`A`].
pub(super) fn person(number: u64) -> Proposal {
    Proposal { system: Some(A), entries: vec![sealed(number)], ..Proposal::default() }
}

/// Says the rest of a proposal.
pub(super) trait Says: Sized {
    fn of(self, system: SystemKey) -> Self;
    fn entries(self, count: u64) -> Self;
    fn bytes(self, count: usize) -> Self;
    fn keyed(self, key: IdempotencyKey, content: u8) -> Self;
    fn expecting(self, expect: Expect) -> Self;
    fn facts(self, subject: SubjectId, version: u64) -> Self;
    fn link(self, subject: SubjectId, identifier: IdentifierHash) -> Self;
    fn delivered(self) -> Self;
    fn claim(self, horizon: u64) -> Self;
}

impl Says for Proposal {
    fn of(mut self, system: SystemKey) -> Self {
        self.system = Some(system);
        self
    }

    /// So many entries in all, numbered from the first.
    fn entries(mut self, count: u64) -> Self {
        let Term(first) = self.entries[0].routing.terms[0];
        self.entries = (first..first + count).map(sealed).collect();
        self
    }

    fn bytes(mut self, count: usize) -> Self {
        self.entries[0].trail = vec![0; count].into();
        self
    }

    fn keyed(mut self, key: IdempotencyKey, content: u8) -> Self {
        self.key = self.system.map(|system| (system, key, ContentHash([content; 16])));
        self
    }

    fn expecting(mut self, expect: Expect) -> Self {
        self.expects.push(expect);
        self
    }

    fn facts(mut self, subject: SubjectId, version: u64) -> Self {
        self.subjects.push(SubjectChange::Facts { subject, facts: Facts { version, rows: Vec::new() } });
        self
    }

    fn link(mut self, subject: SubjectId, identifier: IdentifierHash) -> Self {
        self.subjects.push(SubjectChange::Link { subject, identifiers: vec![identifier] });
        self
    }

    fn delivered(mut self) -> Self {
        let entry = &mut self.entries[0];
        entry.routing.outgoing = Some(Outgoing { recipient: TAX, order: 1 });
        entry.routing.payload = Some(PayloadSlots { subject: SlotNumber(0), epoch: SlotNumber(1) });
        entry.payload = Bytes::from_static(b"sealed");
        self
    }

    fn claim(mut self, horizon: u64) -> Self {
        self.deliveries.push(DeliveryChange::Claim { recipient: TAX, horizon });
        self
    }
}

pub(super) fn key(number: u16) -> IdempotencyKey {
    let mut random = [0; 10];
    random[..2].copy_from_slice(&number.to_be_bytes());
    IdempotencyKey::from_uuid(uuid::Builder::from_unix_timestamp_millis(NOON.0, &random).into_uuid()).unwrap()
}

pub(super) fn subject(number: u8) -> SubjectId {
    SubjectId([number; 16])
}

pub(super) fn identifier(number: u8) -> IdentifierHash {
    IdentifierHash([100 + number; 16])
}
