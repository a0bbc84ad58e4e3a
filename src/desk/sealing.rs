//! Seals an entry for those who keep its trail: whose keys, which search terms.

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Desk, call::CallError, with_committer};
use crate::{
    domain::{
        agency::{AgencyId, AgencyKey},
        agreement::Agreement,
        refusal::RefusalCode,
        transfer::TransferId,
    },
    exchange::{
        seal::{self, Sealed},
        statement::Statement,
    },
    ledger::Kind,
    store::{Class, Owner, PayloadSlots, Slot},
    vault::{self, Term, TermKind},
};

/// The hub itself, as a keeper of trails: for calls that no known agency made.
pub(super) const HUB: AgencyKey = AgencyKey(0);

/// The epoch slot of the current hour.
#[derive(Debug, Default)]
pub(super) struct EpochCache(Mutex<Option<(u32, Slot)>>);

impl EpochCache {
    fn of(&self, hour: u32) -> Option<Slot> {
        self.0.lock().as_ref().filter(|(of, _)| *of == hour).map(|(_, slot)| slot.clone())
    }

    /// Wipes the key, unless it is of this hour.
    fn keep_only(&self, hour: u32) {
        self.0.lock().take_if(|(of, _)| *of != hour);
    }
}

/// What an entry is about, for its search terms and trail slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// What happened.
    pub kind: Kind,
    /// The decision's own id.
    pub id: TransferId,
    /// Whom it is about.
    pub owner: Owner,
    /// How it ended: a refusal's code, an answer, empty for none.
    pub outcome: &'a str,
    /// Who takes part; each keeps a trail.
    pub agencies: &'a [&'a AgencyId],
    /// Under which agreement.
    pub agreement: Option<&'a Agreement>,
    /// Ids of other decisions under which it is found: a request's, a consent's, a transfer's.
    pub ids: &'a [TransferId],
    /// The consent that it rests on.
    pub consent: Option<TransferId>,
    /// The record at its source.
    pub record: Option<(&'a AgencyId, &'a str, &'a str)>,
}

impl About<'_> {
    /// An entry about somebody, with nothing else said yet.
    pub(super) const fn new(kind: Kind, id: TransferId, owner: Owner) -> Self {
        Self { kind, id, owner, outcome: "", agencies: &[], agreement: None, ids: &[], consent: None, record: None }
    }
}

impl Desk {
    /// The search terms of an entry; the first is whom it is about.
    pub(super) fn terms(&self, about: &About<'_>) -> Vec<Term> {
        let words = &self.words;
        let mut terms = Vec::with_capacity(12);
        terms.push(words.about(about.owner));
        terms.push(words.id(about.id));
        terms.push(words.term(TermKind::Kind, about.kind.name()));
        if !about.outcome.is_empty() {
            terms.push(words.term(TermKind::Outcome, about.outcome));
        }
        terms.extend(about.agencies.iter().map(|agency| words.term(TermKind::Agency, agency.as_str())));
        if let Some(agreement) = about.agreement {
            terms.push(words.term(TermKind::Agreement, agreement.id.as_str()));
            terms.push(words.term(TermKind::Purpose, agreement.purpose.as_str()));
            terms.push(words.term(TermKind::RecordType, agreement.record_type.as_str()));
        }
        terms.extend(about.ids.iter().map(|id| words.id(*id)));
        terms.extend(about.consent.map(|consent| words.rests_on(consent)));
        if let Some((source, record_type, record_id)) = about.record {
            terms.push(words.record(source.as_str(), record_type, record_id));
        }
        terms
    }

    /// Seals an entry that carries nothing.
    pub(super) async fn seal(&self, about: About<'_>, statement: &Statement) -> Result<Sealed, CallError> {
        self.seal_with(about, statement, None).await
    }

    /// Seals an entry that carries no record, but may carry something sealed: the evidence of a consent.
    pub(super) async fn seal_with(
        &self,
        about: About<'_>,
        statement: &Statement,
        carried: Option<(PayloadSlots, Bytes)>,
    ) -> Result<Sealed, CallError> {
        let keepers: Vec<AgencyKey> = about.agencies.iter().map(|agency| agency.key()).collect();
        let wants: Vec<_> = match keepers.as_slice() {
            [] => vec![(HUB, Class::Trail)],
            keepers => keepers.iter().map(|keeper| (*keeper, Class::Trail)).collect(),
        };
        let slots = self.store.slots(about.owner, &wants).await?;
        self.seal_for(&about, statement, &slots, carried)
    }

    /// Seals an entry for the trail slots given, with a payload that is sealed already.
    pub(super) fn seal_for(
        &self,
        about: &About<'_>,
        statement: &Statement,
        keepers: &[Slot],
        payload: Option<(PayloadSlots, Bytes)>,
    ) -> Result<Sealed, CallError> {
        let parties: Vec<&Slot> = keepers.iter().collect();
        let draft = seal::Draft {
            kind: about.kind,
            id: about.id,
            statement,
            projection: None,
            parties: &parties,
            terms: self.terms(about),
            outgoing: None,
            payload,
        };
        with_committer(|committer| seal::seal(draft, committer, &*self.random)).map_err(too_much)
    }

    /// The epoch slot of this hour. Payloads sealed under it are gone when it is destroyed.
    pub(super) async fn epoch(&self) -> Result<Slot, CallError> {
        let hour = self.hour();
        if let Some(slot) = self.epoch.of(hour) {
            return Ok(slot);
        }
        let slots = self.store.slots(Owner::Epoch(hour), &[(HUB, Class::Epoch)]).await?;
        let slot = slots.into_iter().next().ok_or_else(|| CallError::Fault("the store gave no epoch slot".into()))?;
        *self.epoch.0.lock() = Some((hour, slot.clone()));
        Ok(slot)
    }

    /// Keeps no key of an hour that is over.
    pub fn forget_epoch(&self) {
        self.epoch.keep_only(self.hour());
    }

    fn hour(&self) -> u32 {
        u32::try_from(self.clock.now().as_secs() / 3600).unwrap_or(u32::MAX)
    }
}

/// Seals a payload under the subject's slot, the hour's epoch and the transfer's id.
pub(super) fn seal_payload(subject: &Slot, epoch: &Slot, id: TransferId, plain: Vec<u8>) -> (PayloadSlots, Bytes) {
    let key = vault::payload_key(&subject.key, &epoch.key, id);
    (PayloadSlots { subject: subject.number, epoch: epoch.number }, vault::seal(&key, plain).into())
}

/// The hub's own statements are bounded far below what an entry can hold.
pub(super) fn too_much(code: RefusalCode) -> CallError {
    CallError::Fault(format!("an entry of the hub's own says too much: {code}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::SlotNumber;

    #[test]
    fn the_key_of_an_hour_is_gone_when_the_hour_is_over() {
        let (cache, key) = (EpochCache::default(), Arc::new(vault::SlotKey::new(&[7; 32])));
        *cache.0.lock() = Some((11, Slot { number: SlotNumber(3), key: Arc::clone(&key) }));
        cache.keep_only(11);
        assert!(cache.of(11).is_some() && cache.of(12).is_none());
        cache.keep_only(12);
        assert!(cache.of(11).is_none());
        assert_eq!(Arc::strong_count(&key), 1, "nobody else has it");
    }
}
