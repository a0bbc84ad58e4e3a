//! Opens deliveries for their recipient: the record, and the receipt with its proof. What leaves the hub is made here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{super::record_of, DeliveryRef, Parties};
#[cfg(test)]
use crate::domain::{
    environment::Environment,
    record::{Change, RecordAuthority},
};
use crate::{
    catalogue::Catalogue,
    desk::{Audience, CallError, Desk, Proof, Receipt, decide::payload_parts, receipts::open_for},
    domain::{record::RecordIdentity, transfer::TransferId},
    exchange::trail::Trail,
    ledger::{Attribute, FullTile, Secret, TileId},
    sequencer::Committed,
    store::{PendingDelivery, Store},
    vault,
};

/// A record as the agreement lets its recipient see it, with the receipt.
#[derive(Clone)]
pub struct DeliveryContent {
    /// The transfer.
    pub id: TransferId,
    /// The transfer's entry: the order of what is known about a person.
    pub index: u64,
    /// Whose record it is.
    pub source: String,
    /// Under which agreement.
    pub agreement: String,
    /// What for.
    pub purpose: String,
    /// Why it is lawful: RFC 8785 JSON, as the entry says it.
    pub basis: String,
    /// What it is.
    pub record_type: String,
    /// Which version of its schema.
    pub schema_version: String,
    /// RFC 8785 JSON.
    pub payload: Bytes,
    /// Which record of its source.
    pub record: RecordIdentity,
    /// How the recipient knows the person.
    pub pseudonym: String,
    /// How long the recipient may keep it, if that is said.
    pub keep_for: Option<Duration>,
    /// W3C trace context; empty when the source sent none.
    pub traceparent: String,
    /// For the recipient.
    pub receipt: Unopened,
    /// Whether it is a dead letter that is replayed.
    pub replayed: bool,
    /// Whether only the recipient's own answer acknowledges it.
    pub answer_required: bool,
}

/// It is personal data, so it prints only which delivery it is.
impl std::fmt::Debug for DeliveryContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeliveryContent({})", self.index)
    }
}

#[cfg(test)]
impl DeliveryContent {
    /// One that says nothing, for tests of what carries it.
    pub(crate) fn example(id: TransferId, index: u64) -> Self {
        let receipt = Receipt {
            index,
            entry: Bytes::new(),
            proof: None,
            commitments: None,
            openings: Vec::new(),
            environment: Environment::Test,
        };
        Self {
            id,
            index,
            source: "identity".into(),
            agreement: "a".into(),
            purpose: "p".into(),
            basis: "{}".into(),
            record_type: "identity/address".into(),
            schema_version: "1.0".into(),
            payload: Bytes::from_static(b"{}"),
            record: RecordIdentity {
                record_id: "r".into(),
                revision: None,
                as_of: None,
                change: Change::New,
                corrects_revision: None,
                authority: RecordAuthority::Authoritative,
            },
            pseudonym: "s".into(),
            keep_for: None,
            traceparent: String::new(),
            receipt: Unopened::new(receipt, Secret::new([0; 32]), Trail::default()),
            replayed: false,
            answer_required: false,
        }
    }
}

/// A receipt that nobody has asked for yet. Its openings cost about as much as the rest of a delivery, its proof a part of
/// that, and not every driver hands them over.
#[derive(Clone)]
pub struct Unopened {
    receipt: Receipt,
    secret: Secret,
    trail: Trail,
    /// Where its proof comes from, if it has none.
    prover: Option<Arc<Prover>>,
}

impl Unopened {
    /// A receipt that `secret` and `trail` open.
    pub const fn new(receipt: Receipt, secret: Secret, trail: Trail) -> Self {
        Self { receipt, secret, trail, prover: None }
    }

    /// The receipt, proven to the checkpoint that was newest when the delivery was opened, and opened for the recipient.
    pub async fn open(self) -> Result<Receipt, CallError> {
        let Self { mut receipt, secret, trail, prover } = self;
        if let Some(prover) = prover {
            receipt.proof = Some(prover.prove(receipt.index).await?);
        }
        open_for(receipt, &secret, &trail, Audience::Recipient)
    }
}

/// A delivery that was to be opened.
#[derive(Debug)]
pub struct Opened {
    /// Which.
    pub delivery: DeliveryRef,
    /// What is in it.
    pub content: Content,
}

/// What opening found.
#[derive(Debug)]
pub enum Content {
    /// The delivery.
    Ready(Box<DeliveryContent>),
    /// Its keys were erased, or its bytes are damaged: it can never be delivered.
    Gone,
    /// It could not be read this time.
    Failed,
}

/// Proofs to one checkpoint, for many entries; each stored tile is read once.
struct Prover {
    store: Arc<dyn Store>,
    commit: Arc<Committed>,
    tiles: Mutex<HashMap<TileId, FullTile>>,
}

impl Prover {
    async fn prove(&self, index: u64) -> Result<Proof, CallError> {
        let fault = |error: &dyn std::fmt::Display| CallError::Fault(error.to_string());
        let snapshot = &self.commit.snapshot;
        let size = snapshot.size();
        for id in snapshot.tiles_for_inclusion(index, size).map_err(|error| fault(&error))? {
            let known = self.tiles.lock().contains_key(&id);
            if !known && let Some(tile) = self.store.tile(id).await? {
                self.tiles.lock().insert(id, tile);
            }
        }
        let inclusion = snapshot.inclusion_proof(index, size, &*self.tiles.lock()).map_err(|error| fault(&error))?;
        Ok(Proof { inclusion, checkpoint: self.commit.checkpoint.clone() })
    }
}

pub(super) fn parties_of(trail: &Trail) -> Arc<Parties> {
    let text = |attribute| trail.text(attribute).unwrap_or_default();
    Arc::new(Parties {
        source: text(Attribute::Source),
        recipient: text(Attribute::Recipient),
        agreement: text(Attribute::Agreement),
    })
}

/// What deliveries under one agreement have in common.
struct Common {
    parties: Arc<Parties>,
    answer_required: bool,
    keep_for: Option<Duration>,
}

impl Common {
    fn of(trail: &Trail, catalogue: &Catalogue) -> Self {
        let parties = parties_of(trail);
        let agreed = parties.agreement.parse().ok().and_then(|id| catalogue.agreement(&id));
        Self {
            answer_required: agreed.is_some_and(|known| known.agreement.answer_required),
            keep_for: agreed.and_then(|known| known.agreement.retention.at_recipient),
            parties,
        }
    }

    fn is_of(&self, trail: &Trail) -> bool {
        let Parties { source, recipient, agreement } = &*self.parties;
        trail.says(Attribute::Agreement, agreement)
            && trail.says(Attribute::Source, source)
            && trail.says(Attribute::Recipient, recipient)
    }
}

/// What deliveries are opened with together.
struct Batch {
    catalogue: Arc<Catalogue>,
    prover: Arc<Prover>,
    /// Of the delivery before: most are under one agreement.
    common: Option<Common>,
}

impl Desk {
    /// Opens deliveries for their recipient; their receipts will be proven to what is the newest checkpoint now.
    pub async fn open_deliveries(&self, items: &[PendingDelivery]) -> Vec<Opened> {
        let (store, commit) = (Arc::clone(&self.store), self.sequencer.newest());
        let prover = Arc::new(Prover { store, commit, tiles: Mutex::default() });
        let mut batch = Batch { catalogue: self.catalogue(), prover, common: None };
        let mut opened = Vec::with_capacity(items.len());
        for item in items {
            let Some(mut delivery) = DeliveryRef::of(&item.entry) else { continue };
            let content = match self.open_delivery(item, &mut batch, &mut delivery).await {
                Ok(Some(content)) => Content::Ready(content),
                Ok(None) => Content::Gone,
                Err(error) => {
                    tracing::error!(%error, index = item.entry.index, "a delivery could not be opened");
                    Content::Failed
                }
            };
            opened.push(Opened { delivery, content });
        }
        opened
    }

    async fn open_delivery(
        &self,
        item: &PendingDelivery,
        batch: &mut Batch,
        delivery: &mut DeliveryRef,
    ) -> Result<Option<Box<DeliveryContent>>, CallError> {
        let stored = &item.entry;
        let Some((secret, trail)) = self.open_entry(stored).await? else { return Ok(None) };
        let Batch { catalogue, prover, common } = batch;
        let common = match common.take().filter(|common| common.is_of(&trail)) {
            Some(same) => common.insert(same),
            None => common.insert(Common::of(&trail, catalogue)),
        };
        let parties = &common.parties;
        delivery.parties = Some(Arc::clone(parties));
        let Some((traceparent, payload)) = self.unseal(item).await? else { return Ok(None) };
        let receipt = Receipt {
            index: stored.index,
            entry: stored.entry.clone(),
            proof: None,
            commitments: None,
            openings: Vec::new(),
            environment: self.environment,
        };
        let text = |attribute| trail.text(attribute).unwrap_or_default();
        Ok(Some(Box::new(DeliveryContent {
            id: stored.routing.id,
            index: stored.index,
            source: parties.source.clone(),
            agreement: parties.agreement.clone(),
            purpose: text(Attribute::Purpose),
            basis: trail.get(Attribute::Basis).unwrap_or_default().to_owned(),
            record_type: text(Attribute::RecordType),
            schema_version: text(Attribute::SchemaVersion),
            payload,
            record: record_of(&trail),
            pseudonym: text(Attribute::Subject),
            answer_required: common.answer_required,
            keep_for: common.keep_for,
            traceparent,
            receipt: Unopened { prover: Some(Arc::clone(prover)), ..Unopened::new(receipt, secret, trail) },
            replayed: item.replayed,
        })))
    }

    /// Trace context and record; `None` when their keys were erased or their bytes are damaged.
    async fn unseal(&self, item: &PendingDelivery) -> Result<Option<(String, Bytes)>, CallError> {
        if let Some(opened) = self.try_unseal(item).await? {
            return Ok(Some(opened));
        }
        // It may have been sealed again, under another hour's key, since it was read.
        let Some(outgoing) = item.entry.routing.outgoing else { return Ok(None) };
        let index = item.entry.index;
        let again = self.store.pending(outgoing.recipient, index, 1).await?.items.into_iter().next();
        match again.filter(|again| again.entry.index == index) {
            Some(again) if again.entry.routing.payload != item.entry.routing.payload => self.try_unseal(&again).await,
            _ => Ok(None),
        }
    }

    async fn try_unseal(&self, item: &PendingDelivery) -> Result<Option<(String, Bytes)>, CallError> {
        let routing = &item.entry.routing;
        let Some(slots) = routing.payload else { return Ok(None) };
        let (Some(subject), Some(epoch)) =
            (self.store.slot_key(slots.subject).await?, self.store.slot_key(slots.epoch).await?)
        else {
            return Ok(None);
        };
        let opened = vault::open(&vault::payload_key(&subject, &epoch, routing.id), &item.payload);
        let parts = opened.ok().and_then(|plain| payload_parts(&plain));
        if parts.is_none() {
            tracing::error!(index = item.entry.index, "the payload of a delivery does not open: it is damaged");
        }
        Ok(parts)
    }
}
