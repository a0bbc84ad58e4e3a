//! The verifiable ledger: what is provable, and how. Pure: no I/O, no clock, no randomness. Not where it is stored.
//! `README.md` beside this file gives every byte, so that another implementation can be written from it.
//!
//! | question | file |
//! |---|---|
//! | what is an entry? | `entry.rs`, with the numbers in `attribute.rs` and `kind.rs` |
//! | how does it hold what it says without showing it? | `commitment.rs`, `salts.rs`, `name.rs` |
//! | how is one fact shown without the rest? | `opening.rs` |
//! | how does the ledger grow? | `tree.rs`, one tile while it fills: `nodes.rs` |
//! | who makes proofs, who checks them? | `snapshot.rs`, `proof.rs` |
//! | how are tiles and bundles stored and served? | `tile.rs` |
//! | what is signed? | `checkpoint.rs`, in the form of `note.rs`, with the keys of `key.rs` |
//! | what does a citizen, court or agency check offline? | `receipt.rs`, as a file: `receipt_file.rs` |
//! | is the whole ledger sound? | `verify.rs` |

mod attribute;
mod checkpoint;
mod commitment;
mod entry;
mod hash;
mod key;
mod kind;
mod name;
mod nodes;
mod note;
mod numbered;
mod opening;
mod proof;
mod receipt;
mod receipt_file;
mod salts;
mod snapshot;
#[cfg(test)]
mod tests;
mod tile;
mod tree;
mod verify;

pub use attribute::Attribute;
pub use checkpoint::{Checkpoint, CheckpointError, Origin};
pub use commitment::{CommitmentError, Commitments, Committer, MAX_ITEMS, commit, commit_value};
pub use entry::{Entry, EntryError, MAX_ENTRY_BYTES, PERSON_ENTRY_BYTES, PublicAttributes, encode_person};
pub use hash::{Hash, HashError, leaf_hash, node_hash};
pub use key::{KeyId, SignerKey, VerifierKey};
pub use kind::Kind;
pub use name::Name;
pub use note::{MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, NoteSignature};
pub use opening::{Opening, open, open_all, verify_opening, verify_openings};
pub use proof::{ProofError, verify_consistency, verify_inclusion};
pub use receipt::{Receipt, ReceiptError, Verified};
pub use receipt_file::{MAX_RECEIPT_BYTES, ReceiptFileError};
pub use salts::{SALT_BYTES, Salts, Secret};
pub use snapshot::{ProveError, Snapshot};
pub use tile::{
    FullTile, MAX_TILE_LEVEL, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, TileError, TileId, TilePath, decode_bundle,
    encode_bundle, full_tiles, hashes_at, partial_width,
};
pub use tree::{CompletedTile, Edge, NoTiles, ReadError, RebuildError, TileReader};
pub use verify::{Fault, LedgerReport, PROGRESS_STEP, verify_ledger};
