//! People: identifiers, and whom they point to; facts, sealed. Not what the facts allow: `domain/facts.rs`.

use std::{collections::BTreeMap, sync::Arc};

use fjall::{OwnedWriteBatch, Readable, Snapshot};
use parking_lot::RwLock;
use quick_cache::sync::Cache;

use super::{
    StoreError,
    codec::{Malformed, corrupt},
    facts_row,
    held::{cache_bytes, shared_bytes},
    keyspaces::{Keyspaces, read},
    random::random,
};
use crate::{
    domain::{
        facts::Facts,
        subject::{IdentifierHash, SubjectId},
    },
    store::{Found, Subject, SubjectChange},
    vault::SlotKey,
};

/// Reads people; prepares and publishes their changes.
pub(super) struct People {
    keyspaces: Keyspaces,
    rows_key: Arc<SlotKey>,
    subjects: Cache<SubjectId, Arc<Subject>>,
    identifiers: Cache<IdentifierHash, SubjectId>,
    /// What the caches agree with. Whoever reads both under one lock reads one state.
    state: RwLock<State>,
}

struct State {
    /// Counts published changes: what was read under another number must not enter the caches.
    epoch: u64,
    snapshot: Snapshot,
}

/// What one commit changes, ready to be written and then published.
#[derive(Default)]
pub(super) struct PeopleChanges {
    subjects: BTreeMap<SubjectId, Arc<Subject>>,
    identifiers: BTreeMap<IdentifierHash, SubjectId>,
}

impl PeopleChanges {
    fn is_empty(&self) -> bool {
        self.subjects.is_empty() && self.identifiers.is_empty()
    }
}

impl People {
    pub(super) fn new(keyspaces: Keyspaces, rows_key: Arc<SlotKey>, subjects_max: usize) -> Self {
        let state = RwLock::new(State { epoch: 0, snapshot: keyspaces.db.snapshot() });
        Self { keyspaces, rows_key, subjects: Cache::new(subjects_max), identifiers: Cache::new(subjects_max), state }
    }

    /// What the caches take, without the facts.
    pub(super) fn held_bytes(&self) -> usize {
        cache_bytes(&self.subjects) + shared_bytes::<Subject>(self.subjects.len()) + cache_bytes(&self.identifiers)
    }

    /// Whom the identifiers point to, as one snapshot.
    pub(super) fn find(&self, identifiers: &[IdentifierHash]) -> Result<Found, StoreError> {
        let (snapshot, epoch) = {
            let state = self.state.read();
            // Everything in the caches, under one lock: one snapshot, without touching the LSM.
            let cached: Option<Vec<_>> = identifiers.iter().map(|hash| self.identifiers.get(hash)).collect();
            if let Some(pointed) = cached
                && let Some(first) = pointed.first()
                && pointed.iter().all(|id| id == first)
                && let Some(subject) = self.subjects.get(first)
            {
                return Ok(Found::One { subject, unlinked: Vec::new() });
            }
            (state.snapshot.clone(), state.epoch)
        };
        let mut points_to: Option<SubjectId> = None;
        let (mut linked, mut unlinked) = (Vec::new(), Vec::new());
        for hash in identifiers {
            match (self.pointed_in(&snapshot, *hash)?, points_to) {
                (None, _) => unlinked.push(*hash),
                (Some(id), Some(other)) if id != other => return Ok(Found::Several),
                (Some(id), _) => {
                    points_to = Some(id);
                    linked.push(*hash);
                }
            }
        }
        let Some(id) = points_to else { return Ok(Found::Nobody) };
        let subject = self
            .subject_in(&snapshot, id)?
            .ok_or_else(|| StoreError::Corrupt("an identifier points to a person that is missing".to_owned()))?;
        let state = self.state.read();
        if state.epoch == epoch {
            self.subjects.insert(id, Arc::clone(&subject));
            for hash in linked {
                self.identifiers.insert(hash, id);
            }
        }
        Ok(Found::One { subject, unlinked })
    }

    /// Whom one identifier points to.
    pub(super) fn pointed(&self, identifier: IdentifierHash) -> Result<Option<SubjectId>, StoreError> {
        let snapshot = {
            let state = self.state.read();
            if let Some(id) = self.identifiers.get(&identifier) {
                return Ok(Some(id));
            }
            state.snapshot.clone()
        };
        self.pointed_in(&snapshot, identifier)
    }

    /// One person.
    pub(super) fn subject(&self, id: SubjectId) -> Result<Option<Arc<Subject>>, StoreError> {
        let (snapshot, epoch) = {
            let state = self.state.read();
            if let Some(subject) = self.subjects.get(&id) {
                return Ok(Some(subject));
            }
            (state.snapshot.clone(), state.epoch)
        };
        let subject = self.subject_in(&snapshot, id)?;
        if let Some(subject) = &subject {
            let state = self.state.read();
            if state.epoch == epoch {
                self.subjects.insert(id, Arc::clone(subject));
            }
        }
        Ok(subject)
    }

    fn pointed_in(&self, snapshot: &Snapshot, identifier: IdentifierHash) -> Result<Option<SubjectId>, StoreError> {
        let Some(row) = snapshot.get(&self.keyspaces.identifiers, identifier.0).map_err(read)? else { return Ok(None) };
        let id = row.as_ref().try_into().map_err(|_| corrupt("identifiers")(Malformed))?;
        Ok(Some(SubjectId(id)))
    }

    fn subject_in(&self, snapshot: &Snapshot, id: SubjectId) -> Result<Option<Arc<Subject>>, StoreError> {
        let Some(row) = snapshot.get(&self.keyspaces.subjects, id.0).map_err(read)? else { return Ok(None) };
        let plain = self.rows_key.open_row(&row, &aad(id)).map_err(|_| corrupt("subjects")(Malformed))?;
        let facts = facts_row::decode(&plain).map_err(corrupt("subjects"))?;
        Ok(Some(Arc::new(Subject { id, facts })))
    }

    /// Works out what `changes`, in order, make of the people that they name. Under the lock of the head.
    pub(super) fn prepare(&self, changes: &[SubjectChange]) -> Result<PeopleChanges, StoreError> {
        let mut prepared = PeopleChanges::default();
        for change in changes {
            match change {
                SubjectChange::Link { subject, identifiers } => {
                    prepared.identifiers.extend(identifiers.iter().map(|hash| (*hash, *subject)));
                    if !prepared.subjects.contains_key(subject) && self.subject(*subject)?.is_none() {
                        let new = Subject { id: *subject, facts: Facts::default() };
                        prepared.subjects.insert(*subject, Arc::new(new));
                    }
                }
                SubjectChange::Facts { subject, facts } => {
                    let before = match prepared.subjects.get(subject) {
                        Some(newer) => newer.facts.version,
                        None => self.subject(*subject)?.map_or(0, |known| known.facts.version),
                    };
                    if facts.version != before + 1 {
                        return Err(StoreError::Invalid("new facts are not one version after those before"));
                    }
                    prepared.subjects.insert(*subject, Arc::new(Subject { id: *subject, facts: facts.clone() }));
                }
            }
        }
        Ok(prepared)
    }

    /// Adds the changed rows to a commit's batch.
    pub(super) fn write(&self, batch: &mut OwnedWriteBatch, changes: &PeopleChanges) {
        for (id, subject) in &changes.subjects {
            let sealed = self.rows_key.seal_row(&facts_row::encode(&subject.facts), random(), &aad(*id));
            batch.insert(&self.keyspaces.subjects, id.0, sealed);
        }
        for (hash, id) in &changes.identifiers {
            batch.insert(&self.keyspaces.identifiers, hash.0, id.0);
        }
    }

    /// Shows the changes, once they are durable.
    pub(super) fn publish(&self, changes: PeopleChanges) {
        let mut state = self.state.write();
        state.epoch += u64::from(!changes.is_empty());
        // With every commit: the LSM keeps each version of a row that an open snapshot might still need.
        state.snapshot = self.keyspaces.db.snapshot();
        for (id, subject) in changes.subjects {
            self.subjects.insert(id, subject);
        }
        for (hash, id) in changes.identifiers {
            self.identifiers.insert(hash, id);
        }
    }
}

fn aad(id: SubjectId) -> [u8; 23] {
    let mut aad = *b"subject\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    aad[7..].copy_from_slice(&id.0);
    aad
}
