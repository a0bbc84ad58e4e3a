//! Deliveries of all recipients: their positions in memory and as rows, how a commit changes them, and what is pending.
//!
//! ```text
//! rows of `outbox`   0x00 · recipient u64               position: horizon and open deliveries (`outbox.rs`); everybody to
//!                                                       whom anything was ever addressed has one
//!                    0x01 · recipient u64 · index u64   how a delivery ended, unless it was simply acknowledged
//!                    0x02 · recipient u64 · index u64   a dead letter that is not replayed: nothing more in it
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fjall::OwnedWriteBatch;
use parking_lot::RwLock;

use super::{
    StoreError,
    codec::{Malformed, corrupt},
    index::Index,
    keyspaces::{Keyspaces, fatal, read},
    outbox::{Ended, Outbox},
};
use crate::{
    domain::{agency::AgencyKey, time::Moment, transfer::DeliveryState},
    store::{Delivery, DeliveryChange},
};

/// The row of `meta` that says that everybody has a position to whom anything is addressed. In a store of before, only who
/// had claimed something has.
pub(super) const ALL_BEGAN: &str = "outbox-all";
const POSITION: u8 = 0;
const ENDED: u8 = 1;
const DEAD: u8 = 2;

const BEYOND_THE_HEAD: StoreError = StoreError::Invalid("a claim reaches beyond the head");
const NO_END: StoreError = StoreError::Invalid("a delivery cannot end in a state that is not an end");
const NO_DELIVERY: StoreError = StoreError::Invalid("what is settled is no delivery of this recipient");
const NO_DEAD_LETTER: StoreError = StoreError::Invalid("what is replayed is no dead letter");

/// Where every recipient stands.
pub(super) struct Deliveries {
    keyspaces: Keyspaces,
    outboxes: RwLock<HashMap<AgencyKey, Arc<Outbox>>>,
}

/// The ledger as a change of deliveries sees it: with the entries of its own commit.
pub(super) trait Ledger {
    /// The recipient's deliveries in `from..until`, ascending.
    fn deliveries(&self, recipient: AgencyKey, from: u64, until: u64) -> Result<Vec<u64>, StoreError>;
    /// The size with the commit.
    fn size(&self) -> u64;
    /// The time of the commit.
    fn time(&self) -> Moment;
}

/// A page of dead letters that was looked through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeadPage {
    /// The rows of those that are old.
    pub(super) old: Vec<Vec<u8>>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<Vec<u8>>,
}

/// What one commit changes, ready to be written and then published.
#[derive(Default)]
pub(super) struct DeliveryChanges {
    outboxes: HashMap<AgencyKey, Outbox>,
    ended: BTreeMap<(AgencyKey, u64), Ended>,
    /// Dead letters that came (`true`) and went.
    dead: BTreeMap<(AgencyKey, u64), bool>,
}

impl Deliveries {
    /// Reads the positions of all recipients.
    pub(super) fn open(keyspaces: Keyspaces, index: &Index) -> Result<Self, StoreError> {
        if keyspaces.meta.get(ALL_BEGAN).map_err(read)?.is_none() {
            begin_all(&keyspaces, index)?;
        }
        let mut outboxes = HashMap::new();
        for row in keyspaces.outbox.prefix([POSITION]) {
            let (key, row) = row.into_inner().map_err(read)?;
            let recipient = key.get(1..9).and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed);
            let recipient = AgencyKey(u64::from_be_bytes(recipient.map_err(corrupt("outbox"))?));
            let mut outbox = Outbox::decode(&row).map_err(corrupt("outbox"))?;
            let start = row_key(ENDED, recipient, outbox.horizon);
            for row in keyspaces.outbox.range(start..=row_key(ENDED, recipient, u64::MAX)) {
                outbox.restore_ended(row_index(&row.key().map_err(read)?)?);
            }
            outboxes.insert(recipient, Arc::new(outbox));
        }
        Ok(Self { keyspaces, outboxes: RwLock::new(outboxes) })
    }

    /// Where the recipient stands.
    pub(super) fn outbox(&self, recipient: AgencyKey) -> Arc<Outbox> {
        self.outboxes.read().get(&recipient).cloned().unwrap_or_default()
    }

    /// The open delivery of the entry at `index`, whoever's it is: an entry is delivered to one recipient at most.
    pub(super) fn open_delivery(&self, index: u64) -> Option<Delivery> {
        let outboxes = self.outboxes.read();
        outboxes.iter().find_map(|(recipient, outbox)| {
            outbox.open_at(index)?;
            Some(Delivery { recipient: *recipient, state: outbox.state(index)? })
        })
    }

    /// Where a delivery of `recipient` stands.
    pub(super) fn state(&self, recipient: AgencyKey, index: u64) -> Result<DeliveryState, StoreError> {
        // Memory first: a row may already be there for a commit that is not shown yet.
        if let Some(state) = self.outbox(recipient).state(index) {
            return Ok(state);
        }
        Ok(self.ended(recipient, index)?.map_or(DeliveryState::Acknowledged, |ended| ended.state))
    }

    fn ended(&self, recipient: AgencyKey, index: u64) -> Result<Option<Ended>, StoreError> {
        let row = self.keyspaces.outbox.get(row_key(ENDED, recipient, index)).map_err(read)?;
        row.map(|row| Ended::decode(&row).map_err(corrupt("outbox"))).transpose()
    }

    /// Everybody to whom anything was ever addressed, as of the head that is shown.
    pub(super) fn recipients(&self) -> Vec<AgencyKey> {
        self.outboxes.read().keys().copied().collect()
    }

    /// Gives those of `recipients` who have no position one at the ledger's front, so that nobody is forgotten who has not
    /// claimed anything yet.
    pub(super) fn begin(&self, changes: &mut DeliveryChanges, recipients: impl Iterator<Item = AgencyKey>) {
        let outboxes = self.outboxes.read();
        for recipient in recipients.filter(|recipient| !outboxes.contains_key(recipient)) {
            changes.outboxes.entry(recipient).or_default();
        }
    }

    /// Of a page of dead letters from the row `from` on, those that were given up before `moment`.
    pub(super) fn dead_before(&self, from: &[u8], moment: Moment, rows: usize) -> Result<DeadPage, StoreError> {
        let (mut old, mut last) = (Vec::new(), None);
        let mut seen = 0;
        for row in self.keyspaces.outbox.range(from.to_vec()..vec![DEAD + 1]).take(rows) {
            let key = row.key().map_err(read)?.to_vec();
            seen += 1;
            if self.was_dead_before(&key, moment)? {
                old.push(key.clone());
            }
            last = Some(key);
        }
        // The key that follows the last one.
        let next = last.filter(|_| seen == rows).map(|mut key| {
            key.push(0);
            key
        });
        Ok(DeadPage { old, next })
    }

    /// Whether a dead letter's row is of one from before `moment`.
    fn was_dead_before(&self, key: &[u8], moment: Moment) -> Result<bool, StoreError> {
        let recipient = key.get(1..9).and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed);
        let recipient = AgencyKey(u64::from_be_bytes(recipient.map_err(corrupt("outbox"))?));
        Ok(self.ended(recipient, row_index(key)?)?.is_none_or(|ended| ended.since < moment))
    }

    /// Forgets those of `rows` that are still dead letters from before `moment`; says how many. Under the lock of the head.
    pub(super) fn forget_dead(&self, rows: &[Vec<u8>], moment: Moment) -> Result<usize, StoreError> {
        let mut batch = self.keyspaces.synced_batch(rows.len());
        let mut count = 0;
        for key in rows {
            if self.keyspaces.outbox.contains_key(key).map_err(read)? && self.was_dead_before(key, moment)? {
                batch.remove(&self.keyspaces.outbox, key.clone());
                count += 1;
            }
        }
        batch.commit().map_err(fatal)?;
        Ok(count)
    }

    /// The row before all dead letters.
    pub(super) fn first_dead() -> Vec<u8> {
        vec![DEAD]
    }

    /// Up to `limit` dead letters from `from` on: index, attempts, since when.
    pub(super) fn dead(
        &self,
        recipient: AgencyKey,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, u32, Moment)>, StoreError> {
        let mut dead = Vec::new();
        let range = row_key(DEAD, recipient, from)..=row_key(DEAD, recipient, u64::MAX);
        for row in self.keyspaces.outbox.range(range).take(limit) {
            let index = row_index(&row.key().map_err(read)?)?;
            let ended = self.ended(recipient, index)?.ok_or(Malformed).map_err(corrupt("outbox"))?;
            dead.push((index, ended.attempts, ended.since));
        }
        Ok(dead)
    }

    /// Whether each of `changes`, by itself, can be part of a commit that leads to a ledger of `size`. `is_delivery` says
    /// whether the entry at an index is a delivery of a recipient. Reads no more than it must: it is asked for each change.
    pub(super) fn check(
        &self,
        changes: &[DeliveryChange],
        size: u64,
        is_delivery: impl Fn(AgencyKey, u64) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for change in changes {
            match *change {
                DeliveryChange::Claim { horizon, .. } if horizon > size => return Err(BEYOND_THE_HEAD),
                DeliveryChange::Settle { state: DeliveryState::Due | DeliveryState::Claimed, .. } => {
                    return Err(NO_END);
                }
                DeliveryChange::Settle { recipient, index, .. }
                    if self.outbox(recipient).open_at(index).is_none() && !is_delivery(recipient, index)? =>
                {
                    return Err(NO_DELIVERY);
                }
                DeliveryChange::Replay { recipient, index }
                    if self.state(recipient, index)? != DeliveryState::DeadLettered =>
                {
                    return Err(NO_DEAD_LETTER);
                }
                DeliveryChange::Claim { .. } | DeliveryChange::Settle { .. } | DeliveryChange::Replay { .. } => {}
            }
        }
        Ok(())
    }

    /// Works out what `changes`, in order, make of the recipients that they name. Under the lock of the head.
    pub(super) fn prepare(
        &self,
        changes: &[DeliveryChange],
        ledger: &dyn Ledger,
    ) -> Result<DeliveryChanges, StoreError> {
        let mut prepared = DeliveryChanges::default();
        for change in changes {
            match *change {
                DeliveryChange::Claim { recipient, horizon } => {
                    if horizon > ledger.size() {
                        return Err(BEYOND_THE_HEAD);
                    }
                    let outbox = prepared.outbox(self, recipient);
                    let new = ledger.deliveries(recipient, outbox.horizon, horizon)?;
                    outbox.claim(horizon, &new);
                }
                DeliveryChange::Settle { recipient, index, state, attempts } => {
                    let ended = Ended { state, attempts, since: ledger.time() };
                    self.settle(&mut prepared, recipient, index, ended, ledger)?;
                }
                DeliveryChange::Replay { recipient, index } => {
                    if self.state_with(&mut prepared, recipient, index)? != DeliveryState::DeadLettered {
                        return Err(NO_DEAD_LETTER);
                    }
                    prepared.outbox(self, recipient).replay(index);
                    prepared.dead.insert((recipient, index), false);
                }
            }
        }
        Ok(prepared)
    }

    fn settle(
        &self,
        prepared: &mut DeliveryChanges,
        recipient: AgencyKey,
        index: u64,
        ended: Ended,
        ledger: &dyn Ledger,
    ) -> Result<(), StoreError> {
        if matches!(ended.state, DeliveryState::Due | DeliveryState::Claimed) {
            return Err(NO_END);
        }
        let outbox = prepared.outbox(self, recipient);
        let was_open = outbox.open_at(index);
        let above = index >= outbox.horizon;
        if was_open.is_none() && !ledger.deliveries(recipient, index, index.saturating_add(1))?.contains(&index) {
            return Err(NO_DELIVERY);
        }
        let before = self.state_with(prepared, recipient, index)?;
        if before == DeliveryState::Acknowledged {
            // It was received: nothing that comes later can take that back.
            return Ok(());
        }
        prepared.outbox(self, recipient).end(index);
        // Acknowledged is what a delivery below the horizon is when no row says otherwise; a replayed one has a row.
        let plain = ended.state == DeliveryState::Acknowledged && !above && was_open.is_some_and(|open| !open.replayed);
        if !plain {
            prepared.ended.insert((recipient, index), ended);
        }
        if before == DeliveryState::DeadLettered || ended.state == DeliveryState::DeadLettered {
            prepared.dead.insert((recipient, index), ended.state == DeliveryState::DeadLettered);
        }
        Ok(())
    }

    /// Where a delivery stands with the changes before it in the same commit.
    fn state_with(
        &self,
        prepared: &mut DeliveryChanges,
        recipient: AgencyKey,
        index: u64,
    ) -> Result<DeliveryState, StoreError> {
        if let Some(state) = prepared.outbox(self, recipient).state(index) {
            return Ok(state);
        }
        let ended = match prepared.ended.get(&(recipient, index)) {
            Some(ended) => Some(*ended),
            None => self.ended(recipient, index)?,
        };
        Ok(ended.map_or(DeliveryState::Acknowledged, |ended| ended.state))
    }

    /// Adds the changed rows to a commit's batch.
    pub(super) fn write(&self, batch: &mut OwnedWriteBatch, changes: &DeliveryChanges) {
        let keyspace = &self.keyspaces.outbox;
        for (recipient, outbox) in &changes.outboxes {
            batch.insert(keyspace, position_key(*recipient), outbox.encode());
        }
        for ((recipient, index), ended) in &changes.ended {
            batch.insert(keyspace, row_key(ENDED, *recipient, *index), ended.encode());
        }
        for ((recipient, index), came) in &changes.dead {
            let key = row_key(DEAD, *recipient, *index);
            if *came { batch.insert(keyspace, key, []) } else { batch.remove(keyspace, key) }
        }
    }

    /// Shows the changes, once they are durable.
    pub(super) fn publish(&self, changes: DeliveryChanges) {
        if !changes.outboxes.is_empty() {
            let mut outboxes = self.outboxes.write();
            outboxes.extend(changes.outboxes.into_iter().map(|(recipient, outbox)| (recipient, Arc::new(outbox))));
        }
    }
}

impl DeliveryChanges {
    /// The recipient's position with the changes so far.
    fn outbox(&mut self, deliveries: &Deliveries, recipient: AgencyKey) -> &mut Outbox {
        self.outboxes.entry(recipient).or_insert_with(|| Arc::unwrap_or_clone(deliveries.outbox(recipient)))
    }
}

/// Writes positions for those to whom something is addressed and who have none, as in a store of before.
fn begin_all(keyspaces: &Keyspaces, index: &Index) -> Result<(), StoreError> {
    let mut batch = keyspaces.synced_batch(1);
    for recipient in index.recipients()? {
        let key = position_key(recipient);
        if !keyspaces.outbox.contains_key(key).map_err(read)? {
            batch.insert(&keyspaces.outbox, key, Outbox::default().encode());
        }
    }
    batch.insert(&keyspaces.meta, ALL_BEGAN, []);
    batch.commit().map_err(fatal)
}

fn position_key(recipient: AgencyKey) -> [u8; 9] {
    let mut key = [POSITION; 9];
    key[1..].copy_from_slice(&recipient.0.to_be_bytes());
    key
}

fn row_key(tag: u8, recipient: AgencyKey, index: u64) -> [u8; 17] {
    let mut key = [tag; 17];
    key[1..9].copy_from_slice(&recipient.0.to_be_bytes());
    key[9..].copy_from_slice(&index.to_be_bytes());
    key
}

fn row_index(key: &[u8]) -> Result<u64, StoreError> {
    let index = key.get(9..).and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed).map_err(corrupt("outbox"))?;
    Ok(u64::from_be_bytes(index))
}
