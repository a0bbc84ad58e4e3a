//! The scene: a store in a folder of its own, which can be closed and opened again, and commits built in a few words.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    domain::{
        agency::{AgencyId, AgencyKey},
        environment::Environment,
        facts::{Fact, FactScope, Facts},
        idempotency::IdempotencyKey,
        record::RecordTypeId,
        subject::{IdentifierHash, SubjectId},
        time::Moment,
        transfer::{DeliveryState, TransferId},
    },
    ledger::{Checkpoint, Hash, Kind, SignerKey},
    store::{
        Commit, DeliveryChange, Head, Known, NewEntry, Outgoing, PayloadSlots, Routing, SlotNumber, Store, StoreError,
        SubjectChange, SystemKey, WrappedSecret,
        embedded::{EmbeddedOptions, EmbeddedStore},
    },
    vault::{ContentHash, MasterKey, Term, WRAPPED_BYTES},
};

pub(super) const ORIGIN: &str = "hub/test/one";
pub(super) const NOON: Moment = Moment(1_800_000_000_000);
pub(super) const TAX: AgencyKey = AgencyKey(7);
pub(super) const BENEFIT: AgencyKey = AgencyKey(8);
pub(super) const SYSTEM: SystemKey = SystemKey(1);

/// A store and its folder.
pub(super) struct Scene {
    pub(super) folder: TempDir,
    pub(super) options: EmbeddedOptions,
    store: Option<EmbeddedStore>,
}

pub(super) fn options(path: &Path) -> EmbeddedOptions {
    let master = Arc::new(MasterKey::new([9; 32]));
    let mut options = EmbeddedOptions::new(path.to_owned(), Environment::Test, ORIGIN, master);
    options.reserve_bytes = 0;
    options.space_interval = Duration::ZERO;
    options
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut EmbeddedOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        change(&mut options);
        EmbeddedStore::create(&options).unwrap();
        let store = Some(EmbeddedStore::open(options.clone()).unwrap());
        Self { folder, options, store }
    }

    pub(super) fn store(&self) -> &EmbeddedStore {
        self.store.as_ref().unwrap()
    }

    pub(super) fn close(&mut self) {
        self.store = None;
    }

    pub(super) fn reopen(&mut self) {
        self.close();
        self.store = Some(EmbeddedStore::open(self.options.clone()).unwrap());
    }

    pub(super) async fn head(&self) -> Head {
        self.store().head().await.unwrap()
    }

    /// Commits what `build` adds to an empty commit a second after the head.
    pub(super) async fn commit(&self, build: impl FnOnce(Builder) -> Builder) -> Result<(), StoreError> {
        let guard = self.store().lock_head(&[], &[]).await?;
        let commit = build(Builder::after(guard.head())).done();
        guard.commit(commit).await
    }

    /// Commits one entry for each term, without anything else.
    pub(super) async fn commit_terms(&self, terms: &[u64]) {
        self.commit(|c| terms.iter().fold(c, |c, term| c.entry(&[*term], None))).await.unwrap();
    }

    /// Waits until what can be flushed of the index has been.
    pub(super) fn flush_index(&self) {
        while self.store().inner.index.waiting() > 0 {
            std::thread::yield_now();
        }
    }
}

/// Builds a commit.
pub(super) struct Builder {
    pub(super) commit: Commit,
    first: u64,
}

impl Builder {
    pub(super) fn after(head: &Head) -> Self {
        let time = if head.size == 0 { NOON } else { Moment(head.time.0 + 1000) };
        Self { commit: Commit { time, ..Commit::default() }, first: head.size }
    }

    pub(super) fn next(&self) -> u64 {
        self.first + self.commit.entries.len() as u64
    }

    pub(super) fn entry(mut self, terms: &[u64], recipient: Option<AgencyKey>) -> Self {
        let entry = entry(self.next(), terms, recipient);
        self.commit.entries.push(entry);
        self
    }

    /// A call that made the newest entry.
    pub(super) fn call(mut self, key: IdempotencyKey) -> Self {
        let known = Known { content: ContentHash([1; 16]), first: self.next() - 1, count: 1 };
        self.commit.known.push((SYSTEM, key, known));
        self
    }

    pub(super) fn link(mut self, subject: SubjectId, identifiers: &[IdentifierHash]) -> Self {
        self.commit.subjects.push(SubjectChange::Link { subject, identifiers: identifiers.to_vec() });
        self
    }

    pub(super) fn facts(mut self, subject: SubjectId, facts: Facts) -> Self {
        self.commit.subjects.push(SubjectChange::Facts { subject, facts });
        self
    }

    pub(super) fn claim(mut self, recipient: AgencyKey, horizon: u64) -> Self {
        self.commit.deliveries.push(DeliveryChange::Claim { recipient, horizon });
        self
    }

    pub(super) fn settle(mut self, recipient: AgencyKey, index: u64, state: DeliveryState) -> Self {
        self.commit.deliveries.push(DeliveryChange::Settle { recipient, index, state, attempts: 3 });
        self
    }

    pub(super) fn replay(mut self, recipient: AgencyKey, index: u64) -> Self {
        self.commit.deliveries.push(DeliveryChange::Replay { recipient, index });
        self
    }

    pub(super) fn done(mut self) -> Commit {
        if !self.commit.entries.is_empty() {
            self.commit.checkpoint = checkpoint(ORIGIN, self.next());
        }
        self.commit
    }
}

pub(super) fn checkpoint(origin: &str, size: u64) -> Bytes {
    let signer = SignerKey::from_seed(origin, &[2; 32]).unwrap();
    let checkpoint = Checkpoint::new(origin.parse().unwrap(), size, Hash::new([3; 32]));
    checkpoint.sign(&[&signer]).unwrap().to_string().into()
}

/// The entry that stands at `index`: every byte of it follows from the arguments.
pub(super) fn entry(index: u64, terms: &[u64], recipient: Option<AgencyKey>) -> NewEntry {
    let text = |what: &str| Bytes::from(format!("{what} of {index}"));
    let slots = PayloadSlots { subject: SlotNumber(index), epoch: SlotNumber(1 << 40) };
    NewEntry {
        entry: text("leaf"),
        routing: Routing {
            kind: Kind::Transfer,
            id: transfer(index),
            terms: terms.iter().map(|term| Term(*term)).collect(),
            secrets: vec![WrappedSecret { slot: SlotNumber(index), wrapped: [index as u8; WRAPPED_BYTES] }],
            outgoing: recipient.map(|recipient| Outgoing { recipient, order: index * 3 }),
            payload: recipient.map(|_| slots),
        },
        trail: text("trail"),
        payload: if recipient.is_some() { text("payload") } else { Bytes::new() },
    }
}

pub(super) fn transfer(index: u64) -> TransferId {
    TransferId(Uuid::from_u64_pair(0x0192_0000_0000_7000, 0x8000_0000_0000_0000 | index))
}

/// A key whose own time is `moment`, the `number`-th of it.
pub(super) fn key(moment: Moment, number: u16) -> IdempotencyKey {
    let mut random = [0; 10];
    random[..2].copy_from_slice(&number.to_be_bytes());
    IdempotencyKey::from_uuid(uuid::Builder::from_unix_timestamp_millis(moment.0, &random).into_uuid()).unwrap()
}

pub(super) fn subject(number: u8) -> SubjectId {
    SubjectId([number; 16])
}

pub(super) fn identifier(number: u8) -> IdentifierHash {
    IdentifierHash([100 + number; 16])
}

/// Facts of every kind, at `version`.
pub(super) fn facts(version: u64) -> Facts {
    let types = vec![RecordTypeId::new("identity/address").unwrap()];
    let scopes = [
        FactScope::Consent { agreement: "identity-address-to-tax".parse().unwrap(), revision: 2 },
        FactScope::Restriction { record_types: types.clone() },
        FactScope::Interest { record_types: Vec::new() },
    ];
    let fact = |(at, scope)| Fact {
        id: transfer(at),
        agency: AgencyId::new("canary-agency").unwrap(),
        scope,
        from: NOON,
        until: (at == 1).then_some(Moment(NOON.0 + version)),
        ended: (at == 2).then_some(NOON),
    };
    Facts { version, rows: (0..).zip(scopes).map(fact).collect() }
}
