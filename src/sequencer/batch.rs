//! Decides, in entry order, which proposals of a batch are committed, each seeing those before it.

use std::sync::Arc;

use ahash::{HashMap, HashSet, HashSetExt as _};
use bytes::Bytes;

use super::{Content, Proposal, SealedEntry, SequencerError};
use crate::{
    domain::{
        idempotency::{EventTail, IdempotencyKey},
        subject::{IdentifierHash, SubjectId},
        time::Moment,
        transfer::DeliveryState,
    },
    ledger::{Edge, Entry, encode_person, leaf_hash},
    store::{
        Commit, Consumed, DeliveryChange, Expect, Guard, Known, NewEntry, PartitionKey, Position, StoreError,
        SubjectChange, SystemKey,
    },
};

/// How a proposal stands before its batch is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// It is part of the commit, its entries from this index on.
    Part(u64),
    /// It is a repeat of this.
    Repeat(Known),
}

/// The commit as it grows, and what its proposals have changed so far.
pub(super) struct Draft<'g> {
    guard: &'g dyn Guard,
    edge: Edge,
    commit: Commit,
    changed: Changed,
}

/// What the guard cannot know, since it happened in this batch.
#[derive(Default)]
struct Changed {
    keys: HashMap<(SystemKey, IdempotencyKey), Known>,
    facts: HashSet<SubjectId>,
    linked: HashMap<IdentifierHash, SubjectId>,
    /// Deliveries that ended or became due again.
    deliveries: HashSet<u64>,
    /// Whether anybody's deliveries were claimed.
    claims: bool,
    events: HashMap<(SystemKey, EventTail), IdempotencyKey>,
    positions: HashMap<PartitionKey, Position>,
}

impl<'g> Draft<'g> {
    pub(super) fn new(guard: &'g dyn Guard, edge: Edge, time: Moment) -> Self {
        Self { guard, edge, commit: Commit { time, ..Commit::default() }, changed: Changed::default() }
    }

    /// Takes `proposal` into the commit, or says why not.
    pub(super) fn take(&mut self, proposal: Proposal) -> Result<Decided, SequencerError> {
        if proposal.consumed.is_some_and(|step| !self.holds(&step.expects())) {
            return Err(SequencerError::Moved);
        }
        if let Some((system, key, content)) = proposal.key
            && let Some(known) = self.known(system, key)
        {
            let same = subtle::ConstantTimeEq::ct_eq(&known.content.0[..], &content.0[..]);
            if !bool::from(same) {
                return Err(SequencerError::KeyReused);
            }
            self.consume(proposal.consumed);
            return Ok(Decided::Repeat(known));
        }
        if !proposal.expects.iter().all(|expect| self.holds(expect)) {
            return Err(SequencerError::Stale);
        }
        let entries = self.check(&proposal)?;
        Ok(Decided::Part(self.add(proposal, entries)))
    }

    /// Whether the proposal can be part of a commit: one that breaks the contract would take its whole batch with it. Its
    /// entries' bytes.
    fn check(&self, proposal: &Proposal) -> Result<Vec<Bytes>, SequencerError> {
        if proposal.key.is_some() && proposal.entries.is_empty() {
            return Err(SequencerError::Invalid("a call without an entry"));
        }
        let time = self.commit.time.as_secs();
        let entries = proposal.entries.iter().map(|sealed| encode(&sealed.content, time));
        let entries = entries.collect::<Result<Vec<Bytes>, _>>()?;
        if proposal.subjects.is_empty() && proposal.deliveries.is_empty() {
            return Ok(entries);
        }
        let again = |change: &SubjectChange| match change {
            SubjectChange::Facts { subject, .. } => self.changed.facts.contains(subject),
            SubjectChange::Link { .. } => false,
        };
        if proposal.subjects.iter().any(again) {
            return Err(SequencerError::Invalid("it does not expect the facts that it changes"));
        }
        let replays = proposal.deliveries.iter().filter_map(|change| match change {
            DeliveryChange::Replay { index, .. } => Some(*index),
            DeliveryChange::Claim { .. } | DeliveryChange::Settle { .. } => None,
        });
        let mut replayed = HashSet::new();
        for index in replays {
            if self.changed.deliveries.contains(&index) || !replayed.insert(index) {
                return Err(SequencerError::Invalid("it does not expect the dead letter that it replays"));
            }
        }
        let size = self.edge.size() + entries.len() as u64;
        match self.guard.check(&proposal.subjects, &proposal.deliveries, size) {
            Ok(()) => Ok(entries),
            Err(StoreError::Invalid(what)) => Err(SequencerError::Invalid(what)),
            Err(error) => Err(SequencerError::Unavailable(Arc::new(error))),
        }
    }

    /// The finished commit with the edge that it leads to.
    pub(super) fn finish(mut self) -> (Commit, Edge) {
        self.commit.positions = self.changed.positions.into_iter().collect();
        (self.commit, self.edge)
    }

    fn consume(&mut self, step: Option<Consumed>) {
        self.changed.positions.extend(step.map(|step| (step.partition, step.to)));
    }

    fn known(&self, system: SystemKey, key: IdempotencyKey) -> Option<Known> {
        self.changed.keys.get(&(system, key)).copied().or_else(|| self.guard.known(system, key))
    }

    fn holds(&self, expect: &Expect) -> bool {
        let untouched = match expect {
            Expect::Facts { subject, .. } => !self.changed.facts.contains(subject),
            // A person's first records come together: they agree on whom they make, so none waits for another.
            Expect::Newcomer { identifier, subject } => {
                let linked = self.changed.linked.get(identifier);
                linked.is_none_or(|linked| linked == subject) && !self.changed.facts.contains(subject)
            }
            Expect::Before(moment) => return self.commit.time < *moment,
            // No key is erased while the head is locked.
            Expect::Key(_) => true,
            // Few expect this, so they look through the batch, and nobody keeps a set of its terms.
            Expect::Quiet { term, .. } => !self.commit.entries.iter().any(|new| new.routing.terms.contains(term)),
            // Which deliveries a claim reaches is not known here, so any claim sends back whoever expects one to be due.
            Expect::Delivery { index, state } => {
                let claimed = self.changed.claims && *state == DeliveryState::Due;
                !claimed && !self.changed.deliveries.contains(index)
            }
            Expect::Event { system, event, was } => match self.changed.events.get(&(*system, *event)) {
                Some(now) => return Some(*now) == *was,
                None => true,
            },
            Expect::Position { partition, at } => match self.changed.positions.get(partition) {
                Some(now) => return now == at,
                None => true,
            },
        };
        untouched && self.guard.holds(expect)
    }

    fn add(&mut self, proposal: Proposal, entries: Vec<Bytes>) -> u64 {
        let first = self.edge.size();
        let count = proposal.entries.len() as u32;
        for (sealed, entry) in proposal.entries.into_iter().zip(entries) {
            self.append(sealed, entry);
        }
        for change in &proposal.subjects {
            match change {
                SubjectChange::Link { subject, identifiers } => {
                    self.changed.linked.extend(identifiers.iter().map(|identifier| (*identifier, *subject)));
                }
                SubjectChange::Facts { subject, .. } => {
                    self.changed.facts.insert(*subject);
                }
            }
        }
        for step in &proposal.deliveries {
            match step {
                DeliveryChange::Claim { .. } => self.changed.claims = true,
                DeliveryChange::Settle { index, .. } | DeliveryChange::Replay { index, .. } => {
                    self.changed.deliveries.insert(*index);
                }
            }
        }
        self.consume(proposal.consumed);
        self.commit.subjects.extend(proposal.subjects);
        self.commit.deliveries.extend(proposal.deliveries);
        if let Some((system, key, content)) = proposal.key {
            let known = Known { content, first, count };
            self.changed.keys.insert((system, key), known);
            self.changed.events.extend(key.event().map(|event| ((system, event), key)));
            self.commit.known.push((system, key, known));
        }
        first
    }

    fn append(&mut self, sealed: SealedEntry, entry: Bytes) {
        self.edge.append(leaf_hash(&entry));
        let SealedEntry { routing, trail, payload, .. } = sealed;
        self.commit.entries.push(NewEntry { entry, routing, trail, payload });
    }
}

/// The leaf's bytes.
fn encode(content: &Content, time: u64) -> Result<Bytes, SequencerError> {
    match content {
        Content::Person(digest) => Ok(Bytes::copy_from_slice(&encode_person(time, digest))),
        Content::Public(attributes) => {
            let entry = Entry::Public { time, attributes: attributes.clone() }.encode();
            entry.map(Bytes::from).map_err(|_| SequencerError::Invalid("an entry is too long, or cannot be written"))
        }
    }
}
