//! Trees and proofs against vectors that another implementation made, and hostile changes of them.
use serde::Deserialize;

use super::super::{Hash, NoTiles, Snapshot, leaf_hash, verify_consistency, verify_inclusion};
use super::{Store, leaf};

#[derive(Deserialize)]
struct Vectors {
    #[serde(default)]
    leaves: Vec<String>,
    roots: Vec<Root>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
}

#[derive(Deserialize)]
struct Root {
    size: u64,
    root: String,
}

#[derive(Deserialize)]
struct Inclusion {
    index: u64,
    size: u64,
    proof: Vec<String>,
}

#[derive(Deserialize)]
struct Consistency {
    from: u64,
    to: u64,
    proof: Vec<String>,
}

fn eight() -> (Vectors, Vec<Hash>) {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../tests/vectors/rfc6962-8-leaves.json")).unwrap();
    let leaves = vectors.leaves.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect();
    (vectors, leaves)
}

fn large() -> Vectors {
    serde_json::from_str(include_str!("../../../tests/vectors/tree-66100-leaves.json")).unwrap()
}

fn hashes(proof: &[String]) -> Vec<Hash> {
    proof.iter().map(|hash| hash.parse().unwrap()).collect()
}

impl Vectors {
    fn root(&self, size: u64) -> Hash {
        self.roots.iter().find(|root| root.size == size).unwrap().root.parse().unwrap()
    }
}

fn eight_leaves() -> (Vectors, Vec<Hash>, Vec<Snapshot>) {
    let (vectors, leaves) = eight();
    let mut edge = super::Edge::new();
    let snapshots = leaves
        .iter()
        .map(|leaf| {
            edge.append(*leaf);
            edge.snapshot()
        })
        .collect();
    (vectors, leaves, snapshots)
}

#[test]
fn the_eight_known_leaves_give_the_roots_and_proofs_that_all_implementations_know() {
    let (vectors, leaves, snapshots) = eight_leaves();
    // From the reference tests of Certificate Transparency, remembered apart from the file.
    assert_eq!(snapshots[7].root().to_string(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    for root in &vectors.roots {
        assert_eq!(snapshots[root.size as usize - 1].root().to_string(), root.root);
        assert_eq!(snapshots[7].root_at(root.size, &NoTiles).unwrap().to_string(), root.root);
    }
    for Inclusion { index, size, proof } in &vectors.inclusion {
        let proof = hashes(proof);
        assert_eq!(snapshots[*size as usize - 1].inclusion_proof(*index, *size, &NoTiles).unwrap(), proof);
        assert_eq!(snapshots[7].inclusion_proof(*index, *size, &NoTiles).unwrap(), proof);
        let leaf = leaves[*index as usize];
        assert_eq!(verify_inclusion(*index, *size, &leaf, &proof, &vectors.root(*size)), Ok(()));
    }
    for Consistency { from, to, proof } in &vectors.consistency {
        let proof = hashes(proof);
        assert_eq!(snapshots[7].consistency_proof(*from, *to, &NoTiles).unwrap(), proof);
        let (from_root, to_root) = (vectors.root(*from), vectors.root(*to));
        assert_eq!(verify_consistency(*from, *to, &from_root, &to_root, &proof), Ok(()));
    }
}

#[test]
fn a_tree_across_256_and_65536_leaves_gives_the_roots_and_proofs_of_another_implementation() {
    let vectors = large();
    let (store, snapshot) = Store::of(66_100);
    for root in &vectors.roots {
        assert_eq!(snapshot.root_at(root.size, &store.tiles).unwrap().to_string(), root.root);
    }
    for Inclusion { index, size, proof } in &vectors.inclusion {
        let made = snapshot.inclusion_proof(*index, *size, &store.tiles).unwrap();
        assert_eq!(made, hashes(proof), "entry {index} of {size}");
        assert_eq!(verify_inclusion(*index, *size, &leaf(*index), &made, &vectors.root(*size)), Ok(()));
    }
    for Consistency { from, to, proof } in &vectors.consistency {
        let made = snapshot.consistency_proof(*from, *to, &store.tiles).unwrap();
        assert_eq!(made, hashes(proof), "{from} to {to}");
    }
}

/// Every way to spoil a proof by one step: a bit flipped, a hash dropped, doubled or put in, two swapped, cut short.
fn spoiled(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..proof.len() {
        for bit in [0_u8, 7, 100, 255] {
            let mut bytes = *proof[at].as_bytes();
            bytes[usize::from(bit / 8)] ^= 1 << (bit % 8);
            let mut flipped = proof.to_vec();
            flipped[at] = Hash::new(bytes);
            all.push(flipped);
        }
        let mut dropped = proof.to_vec();
        dropped.remove(at);
        all.push(dropped);
        let mut doubled = proof.to_vec();
        doubled.insert(at, proof[at]);
        all.push(doubled);
        all.push(proof[..at].to_vec());
        for other in at + 1..proof.len() {
            let mut swapped = proof.to_vec();
            swapped.swap(at, other);
            all.push(swapped);
        }
    }
    for at in 0..=proof.len() {
        let mut extended = proof.to_vec();
        extended.insert(at, Hash::EMPTY_ROOT);
        all.push(extended);
    }
    all
}

#[test]
fn no_spoiled_inclusion_proof_verifies() {
    let (vectors, leaves, _) = eight_leaves();
    let mut tried = 0;
    for Inclusion { index, size, proof } in &vectors.inclusion {
        let (proof, root, leaf) = (hashes(proof), vectors.root(*size), leaves[*index as usize]);
        for spoiled in spoiled(&proof) {
            assert!(verify_inclusion(*index, *size, &leaf, &spoiled, &root).is_err());
            tried += 1;
        }
        for other in (0..12).chain([u64::MAX]).filter(|other| other != index) {
            assert!(verify_inclusion(other, *size, &leaf, &proof, &root).is_err(), "as entry {other}");
        }
        for other in leaves.iter().filter(|other| **other != leaf) {
            assert!(verify_inclusion(*index, *size, other, &proof, &root).is_err());
        }
        assert!(verify_inclusion(*index, *size, &leaf, &proof, &Hash::EMPTY_ROOT).is_err());
    }
    assert!(tried > 500, "{tried} spoiled proofs");
}

#[test]
fn no_spoiled_consistency_proof_verifies() {
    let (vectors, ..) = eight_leaves();
    for Consistency { from, to, proof } in &vectors.consistency {
        let (proof, from_root, to_root) = (hashes(proof), vectors.root(*from), vectors.root(*to));
        for spoiled in spoiled(&proof) {
            assert!(verify_consistency(*from, *to, &from_root, &to_root, &spoiled).is_err(), "{from} to {to}");
        }
        if from != to {
            assert!(verify_consistency(*to, *from, &to_root, &from_root, &proof).is_err(), "the wrong way round");
            assert!(verify_consistency(*from, *to, &to_root, &from_root, &proof).is_err(), "roots swapped");
        }
        assert!(verify_consistency(*from, *to, &Hash::EMPTY_ROOT, &to_root, &proof).is_err());
        assert!(verify_consistency(*from, *to, &from_root, &Hash::EMPTY_ROOT, &proof).is_err());
    }
}

#[test]
fn a_forked_ledger_is_not_consistent_with_the_one_before_the_fork() {
    let honest = Store::of(300).1;
    let mut forked = super::Edge::new();
    for index in 0..600 {
        // The fork rewrites entry 299, the last one that the first tree covers.
        forked.append(if index == 299 { leaf_hash(b"forked") } else { leaf(index) });
    }
    let forked = forked.snapshot();
    for claimed in [honest.consistency_proof(300, 300, &NoTiles), forked.consistency_proof(300, 600, &NoTiles)] {
        assert!(verify_consistency(300, 600, &honest.root(), &forked.root(), &claimed.unwrap()).is_err());
    }
}

#[test]
fn the_empty_tree_is_consistent_with_every_tree_and_only_by_the_empty_proof() {
    let root = leaf(0);
    assert_eq!(verify_consistency(0, 1, &Hash::EMPTY_ROOT, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(0, 0, &Hash::EMPTY_ROOT, &Hash::EMPTY_ROOT, &[]), Ok(()));
    assert!(verify_consistency(0, 0, &Hash::EMPTY_ROOT, &root, &[]).is_err());
    assert!(verify_consistency(0, 1, &root, &root, &[]).is_err());
    assert!(verify_consistency(0, 1, &Hash::EMPTY_ROOT, &root, &[root]).is_err());
}

#[test]
fn verifiers_are_total_at_the_largest_sizes() {
    let any = leaf(0);
    for length in [0, 1, 63, 64, 65, 200] {
        let proof = vec![any; length];
        for (small, large) in [(0, u64::MAX), (1, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 63, u64::MAX)] {
            assert!(verify_inclusion(small, large, &any, &proof, &any).is_err());
            assert!(verify_inclusion(large, small, &any, &proof, &any).is_err());
            assert!(verify_consistency(small, large, &any, &any, &proof).is_err());
            assert!(verify_consistency(large, small, &any, &any, &proof).is_err());
        }
    }
}
