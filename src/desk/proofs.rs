//! Proofs that are open to every system: checkpoint, inclusion, consistency. They say nothing of what an entry is
//! about.

use bytes::Bytes;

use super::{CallError, Desk};
use crate::{exchange::submission::Peer, ledger::Hash, sequencer::ReaderError};

/// Why there is no such proof.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProofError {
    /// The caller asks for what the ledger does not have. Not a refusal: nothing was decided, and nothing is recorded.
    #[error("{0}")]
    OutOfRange(String),
    /// The caller is not known, or over its rate; or the hub failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<ReaderError> for ProofError {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::Prove(error) => Self::OutOfRange(error.to_string()),
            ReaderError::Store(error) => Self::Call(CallError::Fault(error.to_string())),
        }
    }
}

/// That an entry is in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The size of the tree.
    pub size: u64,
    /// The entry's leaf hash.
    pub leaf: Hash,
    /// Leaf to root.
    pub proof: Vec<Hash>,
}

/// That one tree is a prefix of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The size of the larger tree.
    pub to: u64,
    /// RFC 9162 §2.1.4.
    pub proof: Vec<Hash>,
}

impl Desk {
    /// The newest signed checkpoint, for a system that the catalogue knows: a signed note.
    pub async fn checkpoint(&self, peer: Peer<'_>) -> Result<Bytes, CallError> {
        let _known = self.admit_known(peer).await?;
        Ok(self.sequencer.newest().checkpoint.clone())
    }

    /// That entry `index` is in the tree of `size` entries; 0: the newest.
    pub async fn inclusion_proof(&self, peer: Peer<'_>, index: u64, size: u64) -> Result<InclusionProof, ProofError> {
        let _known = self.admit_known(peer).await?;
        let newest = self.sequencer.newest();
        let size = if size == 0 { newest.snapshot.size() } else { size };
        let proof = self.reader.inclusion(&newest.snapshot, index, size).await?;
        let stored = self.stored(index).await?;
        let stored = stored.ok_or_else(|| CallError::Fault(format!("entry {index} is missing")))?;
        Ok(InclusionProof { size, leaf: crate::ledger::leaf_hash(&stored.entry), proof })
    }

    /// That the tree of `from` entries is a prefix of that of `to`; 0: the newest.
    pub async fn consistency_proof(&self, peer: Peer<'_>, from: u64, to: u64) -> Result<ConsistencyProof, ProofError> {
        let _known = self.admit_known(peer).await?;
        let newest = self.sequencer.newest();
        let to = if to == 0 { newest.snapshot.size() } else { to };
        let proof = self.reader.consistency(&newest.snapshot, from, to).await?;
        Ok(ConsistencyProof { to, proof })
    }
}
