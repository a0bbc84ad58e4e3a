//! Proofs that are open to every system: checkpoint, inclusion, consistency. They say nothing of what an entry is
//! about.

use bytes::Bytes;

use super::{CallError, Desk};
use crate::{ledger::Hash, sequencer::ReaderError};

/// Why there is no such proof. Not a refusal: nothing was decided, and nothing is recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The caller asks for what the ledger does not have.
    #[error("{0}")]
    OutOfRange(String),
    /// The hub failed.
    #[error("{0}")]
    Fault(String),
}

impl From<ReaderError> for ProofError {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::Prove(error) => Self::OutOfRange(error.to_string()),
            ReaderError::Store(error) => Self::Fault(error.to_string()),
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
    /// The newest signed checkpoint: a signed note.
    pub fn checkpoint(&self) -> Bytes {
        self.sequencer.newest().checkpoint.clone()
    }

    /// That entry `index` is in the tree of `size` entries; 0: the newest.
    pub async fn inclusion_proof(&self, index: u64, size: u64) -> Result<InclusionProof, ProofError> {
        let newest = self.sequencer.newest();
        let size = if size == 0 { newest.snapshot.size() } else { size };
        let proof = self.reader.inclusion(&newest.snapshot, index, size).await?;
        let stored = self.stored(index).await.map_err(|error: CallError| ProofError::Fault(error.to_string()))?;
        let stored = stored.ok_or_else(|| ProofError::Fault(format!("entry {index} is missing")))?;
        Ok(InclusionProof { size, leaf: crate::ledger::leaf_hash(&stored.entry), proof })
    }

    /// That the tree of `from` entries is a prefix of that of `to`; 0: the newest.
    pub async fn consistency_proof(&self, from: u64, to: u64) -> Result<ConsistencyProof, ProofError> {
        let newest = self.sequencer.newest();
        let to = if to == 0 { newest.snapshot.size() } else { to };
        let proof = self.reader.consistency(&newest.snapshot, from, to).await?;
        Ok(ConsistencyProof { to, proof })
    }
}
