//! Opens deliveries for their recipient: the record, and the receipt with its proof. What leaves the hub is made here.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{super::record_of, DeliveryRef, Parties};
use crate::{
    catalogue::Catalogue,
    desk::{Audience, CallError, Desk, Proof, Receipt, decide::payload_parts, receipts::open_for},
    domain::{record::RecordIdentity, transfer::TransferId},
    exchange::trail::Trail,
    ledger::{Attribute, FullTile, Secret, TileId},
    sequencer::Committed,
    store::{PendingDelivery, StoredEntry},
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

/// A receipt that nobody has asked for yet. Its openings cost about as much as the rest of a delivery, and not every driver
/// hands them over.
#[derive(Clone)]
pub struct Unopened {
    receipt: Receipt,
    secret: Secret,
    trail: Trail,
}

impl Unopened {
    /// A receipt that `secret` and `trail` open.
    pub const fn new(receipt: Receipt, secret: Secret, trail: Trail) -> Self {
        Self { receipt, secret, trail }
    }

    /// The receipt, opened for the recipient.
    pub fn open(self) -> Result<Receipt, CallError> {
        open_for(self.receipt, &self.secret, &self.trail, Audience::Recipient)
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
    commit: Arc<Committed>,
    tiles: HashMap<TileId, FullTile>,
}

pub(super) fn parties_of(trail: &Trail) -> Arc<Parties> {
    let text = |attribute| trail.text(attribute).unwrap_or_default();
    Arc::new(Parties {
        source: text(Attribute::Source),
        recipient: text(Attribute::Recipient),
        agreement: text(Attribute::Agreement),
    })
}

impl Desk {
    /// Opens deliveries for their recipient, with proofs to the newest checkpoint.
    pub async fn open_deliveries(&self, items: &[PendingDelivery]) -> Vec<Opened> {
        let catalogue = self.catalogue();
        let mut prover = Prover { commit: self.sequencer.newest(), tiles: HashMap::new() };
        let mut opened = Vec::with_capacity(items.len());
        for item in items {
            let Some(mut delivery) = DeliveryRef::of(&item.entry) else { continue };
            let content = match self.open_delivery(item, &catalogue, &mut prover, &mut delivery).await {
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
        catalogue: &Catalogue,
        prover: &mut Prover,
        delivery: &mut DeliveryRef,
    ) -> Result<Option<Box<DeliveryContent>>, CallError> {
        let stored = &item.entry;
        let Some((secret, trail)) = self.open_entry(stored).await? else { return Ok(None) };
        delivery.parties = Some(parties_of(&trail));
        let Some((traceparent, payload)) = self.unseal(item).await? else { return Ok(None) };
        let receipt = Receipt {
            index: stored.index,
            entry: stored.entry.clone(),
            proof: Some(self.prove(prover, stored).await?),
            commitments: None,
            openings: Vec::new(),
            environment: self.environment,
        };
        let text = |attribute| trail.text(attribute).unwrap_or_default();
        let agreement = text(Attribute::Agreement);
        let agreed = agreement.parse().ok().and_then(|id| catalogue.agreement(&id));
        Ok(Some(Box::new(DeliveryContent {
            id: stored.routing.id,
            index: stored.index,
            source: text(Attribute::Source),
            purpose: text(Attribute::Purpose),
            basis: trail.get(Attribute::Basis).unwrap_or_default().to_owned(),
            record_type: text(Attribute::RecordType),
            schema_version: text(Attribute::SchemaVersion),
            payload,
            record: record_of(&trail),
            pseudonym: text(Attribute::Subject),
            answer_required: agreed.is_some_and(|known| known.agreement.answer_required),
            keep_for: agreed.and_then(|known| known.agreement.retention.at_recipient),
            agreement,
            traceparent,
            receipt: Unopened::new(receipt, secret, trail),
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

    async fn prove(&self, prover: &mut Prover, stored: &StoredEntry) -> Result<Proof, CallError> {
        let fault = |error: &dyn std::fmt::Display| CallError::Fault(error.to_string());
        let snapshot = &prover.commit.snapshot;
        let size = snapshot.size();
        for id in snapshot.tiles_for_inclusion(stored.index, size).map_err(|error| fault(&error))? {
            if !prover.tiles.contains_key(&id)
                && let Some(tile) = self.store.tile(id).await?
            {
                prover.tiles.insert(id, tile);
            }
        }
        let inclusion = snapshot.inclusion_proof(stored.index, size, &prover.tiles).map_err(|error| fault(&error))?;
        Ok(Proof { inclusion, checkpoint: prover.commit.checkpoint.clone() })
    }
}
