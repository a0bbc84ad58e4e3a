//! A receipt (the waybill): one entry, what may be shown of it, and the proof of its place. Verified without the hub.
//! Not its file form: that is `receipt_file.rs`.
use super::checkpoint::{Checkpoint, CheckpointError, Origin};
use super::commitment::{CommitmentError, Commitments};
use super::entry::{Entry, EntryError};
use super::hash::{Hash, leaf_hash};
use super::key::VerifierKey;
use super::note::{Note, NoteError};
use super::opening::{Opening, verify_openings};
use super::proof::{ProofError, verify_inclusion};

/// Everything that a verifier needs, but for the verifier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The entry's index in the ledger, from 0.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up.
    pub proof: Vec<Hash>,
    /// The signed checkpoint, as a note.
    pub checkpoint: String,
    /// The list of the entry's commitments. Without it the receipt proves the entry's place and nothing of its content.
    pub commitments: Option<Commitments>,
    /// What is shown of the entry, ascending by position.
    pub openings: Vec<Opening>,
}

/// What a verified receipt says.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Whose ledger.
    pub origin: Origin,
    /// The ledger's size at the checkpoint.
    pub size: u64,
    /// The ledger's root at the checkpoint.
    pub root: Hash,
    /// The entry. The receipt's openings are true of it.
    pub entry: Entry,
}

/// What is wrong with a receipt, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The entry is none.
    #[error("in the entry: {0}")]
    Entry(#[source] EntryError),
    /// There are openings without a list of commitments that they could open.
    #[error("in the openings: there is no list of commitments for them to open")]
    OpeningsWithoutCommitments,
    /// A public entry has no commitments.
    #[error("in the commitments: an entry in the clear has none")]
    CommitmentsOfPublicEntry,
    /// The list of commitments is not the one that the entry holds the digest of.
    #[error("in the commitments: their digest is not the entry's")]
    Digest,
    /// An opening does not open, or is out of order.
    #[error("in the openings: {0}")]
    Opening(#[source] CommitmentError),
    /// The checkpoint is not a signed note.
    #[error("in the checkpoint: {0}")]
    Note(#[source] NoteError),
    /// The checkpoint is malformed, or not signed by a key of the ledger.
    #[error("in the checkpoint: {0}")]
    Checkpoint(#[source] CheckpointError),
    /// The entry is not in the tree of the checkpoint.
    #[error("in the inclusion proof: {0}")]
    Proof(#[source] ProofError),
}

impl Receipt {
    /// Verifies all of the receipt. `keys` are the ledger's keys, which must come from elsewhere than the receipt.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Verified, ReceiptError> {
        let entry = Entry::decode(&self.entry).map_err(ReceiptError::Entry)?;
        self.verify_content(&entry)?;
        let note = Note::parse(&self.checkpoint).map_err(ReceiptError::Note)?;
        let Checkpoint { origin, size, root, .. } =
            Checkpoint::verify(&note, keys).map_err(ReceiptError::Checkpoint)?;
        verify_inclusion(self.index, size, &leaf_hash(&self.entry), &self.proof, &root).map_err(ReceiptError::Proof)?;
        Ok(Verified { origin, size, root, entry })
    }

    fn verify_content(&self, entry: &Entry) -> Result<(), ReceiptError> {
        let Some(commitments) = &self.commitments else {
            return if self.openings.is_empty() { Ok(()) } else { Err(ReceiptError::OpeningsWithoutCommitments) };
        };
        let Entry::Person { digest, .. } = entry else { return Err(ReceiptError::CommitmentsOfPublicEntry) };
        if commitments.digest() != *digest {
            return Err(ReceiptError::Digest);
        }
        verify_openings(commitments, &self.openings).map_err(ReceiptError::Opening)
    }
}
