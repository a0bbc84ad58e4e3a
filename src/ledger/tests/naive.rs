//! RFC 9162 §2.1 word for word, over all leaves: slow, recursive, and shares nothing but the hash of a node with the
//! code under test.
use super::super::{Hash, node_hash};

/// The largest power of two smaller than `n`.
fn split(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

/// MTH(D[n]).
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// PATH(m, D[n]).
pub fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if index < k { (inclusion(index, left), root(right)) } else { (inclusion(index - k, right), root(left)) };
    path.push(sibling);
    path
}

/// PROOF(m, D[n]).
pub fn consistency(from: usize, leaves: &[Hash]) -> Vec<Hash> {
    if from == 0 { Vec::new() } else { subproof(from, leaves, true) }
}

fn subproof(from: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if from == leaves.len() {
        return if known { Vec::new() } else { vec![root(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if from <= k {
        (subproof(from, left, known), root(right))
    } else {
        (subproof(from - k, right, false), root(left))
    };
    path.push(sibling);
    path
}
