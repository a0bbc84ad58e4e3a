//! Verification of inclusion and consistency proofs, total on hostile input. Not their making: that is `snapshot.rs`,
//! with which this file shares nothing but the hash of a node.
use super::hash::{Hash, node_hash};

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such entry in a tree of that size.
    #[error("a tree of {size} entries has no entry {index}")]
    Index {
        /// The entry.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The later tree is smaller than the earlier one.
    #[error("a tree of {to} entries does not continue one of {from}")]
    Sizes {
        /// The earlier size.
        from: u64,
        /// The later size.
        to: u64,
    },
    /// Too few or too many hashes for these sizes.
    #[error("a proof with {0} hashes has the wrong length")]
    Length(usize),
    /// The proof leads to another root than the (later) tree's.
    #[error("the proof leads to the root {0}, not to the tree's")]
    Root(Hash),
    /// The proof leads to another root than the earlier tree's.
    #[error("the proof leads to the root {0}, not to the earlier tree's")]
    EarlierRoot(Hash),
}

/// Whether `leaf` is entry `index` of the tree of `size` leaves with `root` (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let mut node = index;
    let mut last = size - 1;
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length(proof.len()));
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_levels_without_sibling(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(proof.len()));
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root(hash)) }
}

/// Whether the tree of `to` leaves with `to_root` continues the tree of `from` leaves with `from_root` (RFC 9162
/// §2.1.4.2). The proof from the empty tree, and from a tree to itself, is empty.
pub fn verify_consistency(
    from: u64,
    to: u64,
    from_root: &Hash,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::Sizes { from, to });
    }
    if from == 0 || from == to {
        let empty = Hash::EMPTY_ROOT;
        let earlier = if from == 0 { &empty } else { to_root };
        if !proof.is_empty() {
            return Err(ProofError::Length(proof.len()));
        }
        return check_roots(earlier, to_root, from_root, if to == 0 { &empty } else { to_root });
    }
    let wrong_length = ProofError::Length(proof.len());
    // A tree of 2^k leaves is itself a node of the later tree, so the proof leaves its root out.
    let (first, rest) =
        if from.is_power_of_two() { (from_root, proof) } else { proof.split_first().ok_or(wrong_length)? };
    let complete = (from - 1).trailing_ones();
    let mut node = (from - 1) >> complete;
    let mut last = (to - 1) >> complete;
    let (mut earlier, mut later) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            earlier = node_hash(sibling, &earlier);
            later = node_hash(sibling, &later);
            skip_levels_without_sibling(&mut node, &mut last);
        } else {
            later = node_hash(&later, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    check_roots(&earlier, &later, from_root, to_root)
}

/// A last node without a right sibling moves up unhashed until it is a right child. Called for a node that is either a
/// right child or the last one and not 0, so there is a 1 to find.
fn skip_levels_without_sibling(node: &mut u64, last: &mut u64) {
    let levels = node.trailing_zeros();
    *node >>= levels;
    *last >>= levels;
}

fn check_roots(earlier: &Hash, later: &Hash, from_root: &Hash, to_root: &Hash) -> Result<(), ProofError> {
    if earlier != from_root {
        return Err(ProofError::EarlierRoot(*earlier));
    }
    if later == to_root { Ok(()) } else { Err(ProofError::Root(*later)) }
}
