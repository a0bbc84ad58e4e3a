//! Receipts from the wire: as the ledger's own type, as its JSON file, as a line for machines. Not their verification:
//! `ledger::Receipt::verify`.

use std::path::Path;

use serde_json::{Value, json};
use waybill_proto::v1;

use super::{exit::Failure, output::Out, printed::path_word};
use crate::{
    ledger::{Commitments, Hash, Opening, Receipt},
    tls::{Existing, write_private},
};

/// Why a receipt from the wire is none that could be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoReceipt {
    /// The hub sent the index alone, or nothing.
    #[error("the hub sent no proof with it")]
    WithoutProof,
    /// A part is not as long as it must be.
    #[error("the hub's receipt is malformed: {0}")]
    Malformed(&'static str),
}

/// Takes a receipt from the wire. Fields of `record`, which its holder has, are opened without their values on the wire:
/// they are put in, and those that are not there are left closed.
pub(super) fn from_wire(receipt: &v1::Receipt, record: Option<&[u8]>) -> Result<Receipt, NoReceipt> {
    if receipt.checkpoint.is_empty() {
        return Err(NoReceipt::WithoutProof);
    }
    let hash = |bytes: &bytes::Bytes| Hash::from_slice(bytes).ok_or(NoReceipt::Malformed("its proof"));
    let record: Option<Value> = record.and_then(|record| serde_json::from_slice(record).ok());
    let openings = receipt.openings.iter().filter_map(|opening| opened(opening, record.as_ref()).transpose());
    Ok(Receipt {
        entry: receipt.entry.to_vec(),
        index: receipt.index,
        proof: receipt.inclusion_proof.iter().map(hash).collect::<Result<_, _>>()?,
        checkpoint: receipt.checkpoint.clone(),
        commitments: commitments(&receipt.commitments)?,
        openings: openings.collect::<Result<_, _>>()?,
    })
}

/// On the wire the list stands without its count.
fn commitments(bytes: &[u8]) -> Result<Option<Commitments>, NoReceipt> {
    const WRONG: NoReceipt = NoReceipt::Malformed("its commitments");
    if bytes.is_empty() {
        return Ok(None);
    }
    if !bytes.len().is_multiple_of(Hash::LEN) {
        return Err(WRONG);
    }
    let count = u16::try_from(bytes.len() / Hash::LEN).map_err(|_| WRONG)?;
    let list = [&count.to_be_bytes(), bytes].concat();
    Commitments::from_bytes(list).map(Some).map_err(|_| WRONG)
}

fn opened(opening: &v1::Opening, record: Option<&Value>) -> Result<Option<Opening>, NoReceipt> {
    const WRONG: NoReceipt = NoReceipt::Malformed("its openings");
    let value = if opening.value.is_empty() {
        let Some(value) = record.and_then(|record| record.pointer(&opening.name)) else { return Ok(None) };
        serde_json_canonicalizer::to_string(value).map_err(|_| WRONG)?
    } else {
        std::str::from_utf8(&opening.value).map_err(|_| WRONG)?.to_owned()
    };
    Ok(Some(Opening {
        position: u16::try_from(opening.position).map_err(|_| WRONG)?,
        name: opening.name.clone(),
        value,
        salt: opening.salt[..].try_into().map_err(|_| WRONG)?,
    }))
}

/// For `--json`: index, environment, and the receipt file's content where there is a proof.
pub(super) fn to_json(receipt: Option<&v1::Receipt>, record: Option<&[u8]>) -> Value {
    let Some(receipt) = receipt else { return Value::Null };
    let file = from_wire(receipt, record).ok().and_then(|receipt| serde_json::from_str(&receipt.to_json()).ok());
    let file: Value = file.unwrap_or_default();
    json!({ "ledger_index": receipt.index, "environment": receipt.environment, "receipt": file })
}

/// ` (ledger index 17)`, or nothing.
pub(super) fn at(receipt: Option<&v1::Receipt>) -> String {
    receipt.map_or_else(String::new, |receipt| format!(" (ledger index {})", receipt.index))
}

/// Writes the receipt's file, readable by its owner only, since it shows whom it is about.
pub(super) fn save(path: &Path, receipt: &v1::Receipt, record: Option<&[u8]>, out: &mut Out) -> Result<(), Failure> {
    let file = from_wire(receipt, record).map_err(|error| Failure::Fault(format!("no receipt saved: {error}")))?;
    write_private(path, file.to_json().as_bytes(), Existing::Replace).map_err(Failure::fault)?;
    out.say(&saved(path))
}

fn saved(path: &Path) -> String {
    let (shown, word) = (path.display(), path_word(path));
    format!("receipt saved: {shown}\n  next: waybill ledger verify {word} --key VERIFIERKEY")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cli::tests::assert_commands;
    use crate::ledger::{
        Checkpoint, Edge, Name, Origin, Secret, SignerKey, commit, encode_person, leaf_hash, open_all,
    };

    const RECORD: &[u8] = br#"{"city":"\u017dilina"}"#;

    /// A ledger of one entry, which commits to a kind and a city; the wire form has the city's opening without its value.
    fn wire() -> (v1::Receipt, SignerKey) {
        let origin = Origin::new("hub.example", "demo", "7c1f").unwrap();
        let key = SignerKey::from_seed(origin.as_str(), &[3; 32]).unwrap();
        let secret = Secret::new([7; 32]);
        let city = "\"\u{17d}ilina\"";
        let items = [(Name::Attribute(1), &b"1"[..]), (Name::Field("/city"), city.as_bytes())];
        let (list, digest) = commit(&secret, items).unwrap();
        let entry = encode_person(1_763_640_000, &digest);
        let mut edge = Edge::new();
        edge.append(leaf_hash(&entry));
        let checkpoint = Checkpoint::new(origin, 1, edge.root()).sign(&[&key]).unwrap();
        let openings = open_all(&secret, items).unwrap().into_iter().map(|opening| v1::Opening {
            position: opening.position.into(),
            value: if opening.name.starts_with('/') { Bytes::new() } else { opening.value.into() },
            name: opening.name,
            salt: opening.salt.to_vec().into(),
        });
        let receipt = v1::Receipt {
            index: 0,
            entry: entry.to_vec().into(),
            inclusion_proof: Vec::new(),
            checkpoint: checkpoint.to_string(),
            commitments: list.as_bytes()[2..].to_vec().into(),
            openings: openings.collect(),
            environment: "demo".to_owned(),
        };
        (receipt, key)
    }

    #[test]
    fn a_receipt_from_the_wire_verifies_with_the_record_that_came_with_it() {
        let (wire, key) = wire();
        let receipt = from_wire(&wire, Some(RECORD)).unwrap();
        assert_eq!(receipt.openings[1].value, "\"\u{17d}ilina\"");
        receipt.verify(&[key.verifier().clone()]).unwrap();
        let read = Receipt::from_json(&receipt.to_json()).unwrap();
        assert_eq!(read, receipt);
    }

    #[test]
    fn without_the_record_its_fields_stay_closed_and_the_rest_verifies() {
        let (wire, key) = wire();
        let receipt = from_wire(&wire, None).unwrap();
        assert_eq!(receipt.openings.len(), 1);
        receipt.verify(&[key.verifier().clone()]).unwrap();
    }

    #[test]
    fn another_record_does_not_open_it() {
        let (wire, key) = wire();
        let receipt = from_wire(&wire, Some(br#"{"city":"Brno"}"#)).unwrap();
        assert!(receipt.verify(&[key.verifier().clone()]).is_err());
    }

    #[test]
    fn an_index_alone_is_no_receipt() {
        let alone = v1::Receipt { index: 3, ..v1::Receipt::default() };
        assert_eq!(from_wire(&alone, None), Err(NoReceipt::WithoutProof));
        assert_eq!(to_json(Some(&alone), None)["ledger_index"], 3);
        assert_eq!(to_json(None, None), Value::Null);
        assert_eq!(at(Some(&alone)), " (ledger index 3)");
    }

    #[test]
    fn torn_receipts_are_malformed() {
        let (good, _) = wire();
        let torn = |change: &dyn Fn(&mut v1::Receipt)| {
            let mut wire = good.clone();
            change(&mut wire);
            assert!(matches!(from_wire(&wire, None), Err(NoReceipt::Malformed(_))), "{wire:?}");
        };
        torn(&|wire| wire.commitments.truncate(33));
        torn(&|wire| wire.inclusion_proof.push(Bytes::from_static(b"short")));
        torn(&|wire| wire.openings[0].salt.truncate(15));
        torn(&|wire| wire.openings[0].position = 70_000);
        torn(&|wire| wire.openings[0].value = Bytes::from_static(&[0xff]));
    }

    #[test]
    fn a_receipt_is_verified_as_its_saving_says_wherever_it_lies() {
        assert_commands(
            &saved(Path::new("its place/receipt.json")),
            &[&["ledger", "verify", "its place/receipt.json"]],
        );
    }

    #[test]
    fn a_saved_receipt_is_the_ledgers_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipt.json");
        let (wire, key) = wire();
        save(&path, &wire, Some(RECORD), &mut Out::to(true, Box::new(std::io::sink()))).unwrap();
        let read = Receipt::from_json(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(read.verify(&[key.verifier().clone()]).is_ok());
    }
}
