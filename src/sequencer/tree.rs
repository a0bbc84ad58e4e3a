//! The stored tree: checked against its newest signed checkpoint when the hub starts, and read for proofs.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{Committed, Signing};
use crate::{
    ledger::{
        Checkpoint, CheckpointError, Edge, FullTile, Hash, MAX_TILE_LEVEL, Note, NoteError, ProveError, RebuildError,
        Snapshot, TileId, full_tiles, hashes_at, leaf_hash, partial_width,
    },
    store::{Store, StoreError},
};

/// Why the ledger cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored checkpoint is no note.
    #[error("the stored checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The stored checkpoint is not signed by this ledger's key.
    #[error("the stored checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The stored tree is not the one that was signed.
    #[error("the stored ledger is not the one that was signed: {0}")]
    Tree(#[from] RebuildError),
    /// Size of the ledger and of the checkpoint differ.
    #[error("the ledger has {stored} entries, its signed checkpoint says {signed}")]
    Size {
        /// Entries stored.
        stored: u64,
        /// Entries signed.
        signed: u64,
    },
    /// The writer's thread could not be started.
    #[error("the sequencer's thread cannot start: {0}")]
    Thread(String),
}

/// Rebuilds the right edge from what is stored and checks it against the newest signed checkpoint.
pub(super) async fn open(store: &dyn Store, signing: &Signing) -> Result<(Edge, Committed), OpenError> {
    let head = store.head().await?;
    let root = if head.size == 0 { Hash::EMPTY_ROOT } else { signed_root(&head.checkpoint, head.size, signing)? };
    let leaves = tail_leaves(store, head.size).await?;
    let mut edge = Edge::rebuild(head.size, &leaves, &edge_tiles(store, head.size).await?, &root)?;
    let checkpoint = if head.size == 0 { sign(signing, &edge)? } else { head.checkpoint };
    let committed = Committed { time: head.time, snapshot: edge.snapshot(), checkpoint };
    Ok((edge, committed))
}

fn signed_root(checkpoint: &Bytes, stored: u64, signing: &Signing) -> Result<Hash, OpenError> {
    let text = String::from_utf8_lossy(checkpoint);
    let checkpoint = Checkpoint::verify(&Note::parse(&text)?, &[signing.signer.verifier().clone()])?;
    if checkpoint.size == stored {
        Ok(checkpoint.root)
    } else {
        Err(OpenError::Size { stored, signed: checkpoint.size })
    }
}

/// Signs the tree that `edge` leads to.
pub(super) fn sign(signing: &Signing, edge: &Edge) -> Result<Bytes, CheckpointError> {
    let checkpoint = Checkpoint::new(signing.origin.clone(), edge.size(), edge.root());
    Ok(checkpoint.sign(&[&signing.signer])?.to_string().into())
}

/// Leaf hashes after the last full tile.
async fn tail_leaves(store: &dyn Store, size: u64) -> Result<Vec<Hash>, StoreError> {
    let count = usize::from(partial_width(0, size));
    let mut leaves = Vec::with_capacity(count);
    while leaves.len() < count {
        let from = size - (count - leaves.len()) as u64;
        let entries = store.entries(from, count - leaves.len()).await?;
        if entries.is_empty() {
            return Err(StoreError::Corrupt(format!("entry {from} is missing")));
        }
        leaves.extend(entries.iter().map(|stored| leaf_hash(&stored.entry)));
    }
    Ok(leaves)
}

/// The full tiles whose roots stand in the partial tile of the level above: at most 255 a level.
async fn edge_tiles(store: &dyn Store, size: u64) -> Result<HashMap<TileId, FullTile>, StoreError> {
    let mut wanted = Vec::new();
    for level in (1..=MAX_TILE_LEVEL).take_while(|level| hashes_at(*level, size) > 0) {
        let below = full_tiles(level - 1, size);
        let first = below - u64::from(partial_width(level, size));
        wanted.extend((first..below).map(|index| TileId { level: level - 1, index }));
    }
    fetch(store, wanted).await
}

async fn fetch(store: &dyn Store, ids: Vec<TileId>) -> Result<HashMap<TileId, FullTile>, StoreError> {
    let mut tiles = HashMap::with_capacity(ids.len());
    for id in ids {
        if let Some(tile) = store.tile(id).await? {
            tiles.insert(id, tile);
        }
    }
    Ok(tiles)
}

/// Why a proof could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such proof.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

/// Makes proofs of any entry at any size up to a commit's.
#[derive(Clone)]
pub struct LedgerReader {
    store: Arc<dyn Store>,
}

impl std::fmt::Debug for LedgerReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerReader")
    }
}

impl LedgerReader {
    /// Reads the tiles of `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// RFC 9162 §2.1.3: that entry `index` is in the tree of `size` entries.
    pub async fn inclusion(&self, tree: &Snapshot, index: u64, size: u64) -> Result<Vec<Hash>, ReaderError> {
        let tiles = fetch(&*self.store, tree.tiles_for_inclusion(index, size)?).await?;
        Ok(tree.inclusion_proof(index, size, &tiles)?)
    }

    /// RFC 9162 §2.1.4: that the tree of `from` entries is a prefix of that of `to`.
    pub async fn consistency(&self, tree: &Snapshot, from: u64, to: u64) -> Result<Vec<Hash>, ReaderError> {
        let tiles = fetch(&*self.store, tree.tiles_for_consistency(from, to)?).await?;
        Ok(tree.consistency_proof(from, to, &tiles)?)
    }
}
