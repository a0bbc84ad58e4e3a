//! The ledger of three entries that the tests of receipts and the README's worked example share.
use serde_json::json;

use super::super::{
    Checkpoint, Commitments, Edge, Entry, Name, NoTiles, Receipt, Secret, SignerKey, Snapshot, commit, encode_person,
    leaf_hash, open_all,
};

pub const ORIGIN: &str = "hub.example.gov/demo/7c1f";
/// What the second entry says: kind transfer, source, recipient, one field.
pub const ITEMS: [(&str, &str); 4] =
    [("1", "1"), ("3", "\"identity\""), ("4", "\"tax\""), ("/address/city", "\"Žilina\"")];

/// The ledger's key: RFC 8032 secret 0x03 thirty-two times.
pub fn signer() -> SignerKey {
    SignerKey::from_seed(ORIGIN, &[3; 32]).unwrap()
}

/// The second entry's secret: 00 01 02 … 1f.
pub fn secret() -> Secret {
    Secret::new(std::array::from_fn(|at| at as u8))
}

pub fn items() -> impl Iterator<Item = (Name<'static>, &'static [u8])> + Clone {
    ITEMS.iter().map(|(name, value)| (Name::parse(name).unwrap(), value.as_bytes()))
}

pub struct Scene {
    pub entries: Vec<Vec<u8>>,
    pub commitments: Commitments,
    pub snapshot: Snapshot,
    pub checkpoint: String,
}

impl Scene {
    pub fn new() -> Self {
        let attributes = [(1, json!(23)), (18, json!("ab12")), (45, json!("demo"))].into_iter().collect();
        let published = Entry::Public { time: 1_750_000_000, attributes }.encode().unwrap();
        let (commitments, digest) = commit(&secret(), items()).unwrap();
        let acknowledged = commit(&Secret::new([9; 32]), [(Name::Attribute(1), &b"6"[..])]).unwrap().1;
        let entries = vec![
            published,
            encode_person(1_750_000_001, &digest).to_vec(),
            encode_person(1_750_000_001, &acknowledged).to_vec(),
        ];
        let mut edge = Edge::new();
        for entry in &entries {
            edge.append(leaf_hash(entry));
        }
        let snapshot = edge.snapshot();
        let checkpoint = Checkpoint::new(ORIGIN.parse().unwrap(), snapshot.size(), snapshot.root());
        let checkpoint = checkpoint.sign(&[&signer()]).unwrap().to_string();
        Self { entries, commitments, snapshot, checkpoint }
    }

    /// The receipt of entry `index`, without commitments.
    pub fn receipt_of(&self, index: u64) -> Receipt {
        Receipt {
            entry: self.entries[index as usize].clone(),
            index,
            proof: self.snapshot.inclusion_proof(index, 3, &NoTiles).unwrap(),
            checkpoint: self.checkpoint.clone(),
            commitments: None,
            openings: Vec::new(),
        }
    }

    /// The receipt of the second entry that shows its kind and the city, and neither source nor recipient.
    pub fn receipt(&self) -> Receipt {
        let mut openings = open_all(&secret(), items()).unwrap();
        openings.retain(|opening| matches!(opening.position, 0 | 3));
        Receipt { commitments: Some(self.commitments.clone()), openings, ..self.receipt_of(1) }
    }
}
