//! Receipts: an entry with its proof, and as much of what it says as its reader may see.

use bytes::Bytes;

use super::{Desk, call::CallError};
use crate::{
    domain::environment::Environment,
    exchange::{
        seal::Sealed,
        trail::{Item, Trail},
    },
    ledger::{Attribute, Commitments, Hash, NoTiles, Opening, Secret, encode_person},
    sequencer::{Committed, Content},
    store::{StoredEntry, WrappedSecret},
    vault,
};

/// How much of a receipt is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiptDetail {
    /// Index and entry.
    #[default]
    Index,
    /// With proof.
    Proof,
}

/// A proof of an entry's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// RFC 9162 inclusion proof, leaf to root.
    pub inclusion: Vec<Hash>,
    /// The signed checkpoint that it leads to.
    pub checkpoint: Bytes,
}

/// The waybill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's place.
    pub index: u64,
    /// The entry.
    pub entry: Bytes,
    /// Its proof, if it was asked for.
    pub proof: Option<Proof>,
    /// The list of its commitments, where the reader may know how many there are.
    pub commitments: Option<Commitments>,
    /// What the reader may see.
    pub openings: Vec<Opening>,
    /// The environment.
    pub environment: Environment,
}

/// Who reads a receipt: decides which commitments it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The source of a push: that a decision is recorded, and nothing of what it says. Not even how many commitments
    /// there are, since a refusal that lies in the person has no fields.
    Source,
    /// The recipient of a transfer: all but the source's own context, what was withheld, and others' references.
    Recipient,
    /// Whoever made the call that the entry is about: all but the subject's pseudonym at somebody else.
    Caller,
    /// Audit: everything.
    Audit,
}

impl Audience {
    /// Whether this reader may see `item`.
    pub fn may_see(self, item: Item<'_>) -> bool {
        const FROM_RECIPIENT: [Attribute; 7] = [
            Attribute::Actor,
            Attribute::Case,
            Attribute::Reason,
            Attribute::ActingFor,
            Attribute::System,
            Attribute::Withheld,
            Attribute::ConsentId,
        ];
        match (self, item) {
            (Self::Source, _) => false,
            (Self::Recipient, Item::Attribute(number)) => FROM_RECIPIENT.iter().all(|hidden| hidden.number() != number),
            (Self::Caller, Item::Attribute(number)) => number != Attribute::Subject.number(),
            (Self::Recipient | Self::Caller, Item::Field(_)) | (Self::Audit, _) => true,
        }
    }
}

impl Desk {
    /// The receipt of an entry that `commit` has just made durable, for somebody to whom it is not opened.
    pub(super) fn fresh_receipt(
        &self,
        commit: &Committed,
        index: u64,
        content: &Content,
        detail: ReceiptDetail,
    ) -> Result<Receipt, CallError> {
        let Content::Person(digest) = content else {
            return Err(CallError::Fault("an entry in the clear has its receipt from the store".into()));
        };
        let entry = Bytes::copy_from_slice(&encode_person(commit.time.as_secs(), digest));
        let proof = match detail {
            ReceiptDetail::Index => None,
            ReceiptDetail::Proof => Some(Proof {
                inclusion: commit
                    .snapshot
                    .inclusion_proof(index, commit.snapshot.size(), &NoTiles)
                    .map_err(|error| CallError::Fault(error.to_string()))?,
                checkpoint: commit.checkpoint.clone(),
            }),
        };
        let environment = self.environment;
        Ok(Receipt { index, entry, proof, commitments: None, openings: Vec::new(), environment })
    }

    /// The receipt of an entry that `commit` has just made durable, opened for `audience`.
    pub(super) fn opened_receipt(
        &self,
        commit: &Committed,
        index: u64,
        sealed: &Sealed,
        audience: Audience,
    ) -> Result<Receipt, CallError> {
        let receipt = self.fresh_receipt(commit, index, &sealed.entry.content, ReceiptDetail::Proof)?;
        let trail = open_trail(&sealed.secret, &sealed.entry.trail)?;
        open_for(receipt, &sealed.secret, &trail, audience)
    }

    /// The receipt of any entry, with a proof to the newest checkpoint.
    pub(super) async fn stored_receipt(&self, stored: &StoredEntry) -> Result<Receipt, CallError> {
        let newest = self.sequencer.newest();
        let inclusion = self
            .reader
            .inclusion(&newest.snapshot, stored.index, newest.snapshot.size())
            .await
            .map_err(|error| CallError::Fault(error.to_string()))?;
        Ok(Receipt {
            index: stored.index,
            entry: stored.entry.clone(),
            proof: Some(Proof { inclusion, checkpoint: newest.checkpoint.clone() }),
            commitments: None,
            openings: Vec::new(),
            environment: self.environment,
        })
    }

    /// The secret and trail of a stored entry; `None` when every key to it has been erased, or it has none. Damaged only
    /// if no keeper's key opens it.
    pub(super) async fn open_entry(&self, stored: &StoredEntry) -> Result<Option<(Secret, Trail)>, CallError> {
        let mut damaged = None;
        for wrapped in &stored.routing.secrets {
            match self.open_with(stored, wrapped).await {
                Ok(Some(opened)) => return Ok(Some(opened)),
                Ok(None) => {}
                Err(error @ CallError::Damaged(_)) => damaged = Some(error),
                Err(error) => return Err(error),
            }
        }
        damaged.map_or(Ok(None), Err)
    }

    /// Opens an entry as one of its keepers; `None` when that key has been erased.
    async fn open_with(
        &self,
        stored: &StoredEntry,
        wrapped: &WrappedSecret,
    ) -> Result<Option<(Secret, Trail)>, CallError> {
        let Some(key) = self.store.slot_key(wrapped.slot).await? else { return Ok(None) };
        let secret = key
            .unwrap(&wrapped.wrapped, stored.routing.id.as_bytes())
            .map_err(|_| CallError::Damaged(format!("the secret of entry {} does not open", stored.index)))?;
        let secret = Secret::new(*secret);
        let trail = open_trail(&secret, &stored.trail)?;
        Ok(Some((secret, trail)))
    }

    /// The receipt of any entry, opened for `audience` as far as its keys still exist.
    pub(super) async fn stored_opened_receipt(
        &self,
        stored: &StoredEntry,
        audience: Audience,
    ) -> Result<Receipt, CallError> {
        let receipt = self.stored_receipt(stored).await?;
        match self.open_entry(stored).await? {
            Some((secret, trail)) => open_for(receipt, &secret, &trail, audience),
            None => Ok(receipt),
        }
    }

    /// One stored entry.
    pub(super) async fn stored(&self, index: u64) -> Result<Option<StoredEntry>, CallError> {
        Ok(self.store.entries(index, 1).await?.into_iter().next().filter(|stored| stored.index == index))
    }
}

fn open_trail(secret: &Secret, sealed: &[u8]) -> Result<Trail, CallError> {
    let plain = vault::open(&vault::trail_key(secret.expose()), sealed);
    let plain = plain.map_err(|error| CallError::Damaged(format!("a trail: {error}")))?;
    Trail::decode(&plain).map_err(|error| CallError::Damaged(format!("a trail: {error}")))
}

/// Opens `receipt` as far as `audience` may see.
pub(super) fn open_for(
    mut receipt: Receipt,
    secret: &Secret,
    trail: &Trail,
    audience: Audience,
) -> Result<Receipt, CallError> {
    if audience == Audience::Source {
        return Ok(receipt);
    }
    let opened = trail.open(secret, |item| audience.may_see(item));
    let (commitments, openings) = opened.map_err(|error| CallError::Fault(error.to_string()))?;
    receipt.commitments = Some(commitments);
    receipt.openings = openings;
    Ok(receipt)
}
