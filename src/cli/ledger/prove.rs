//! `waybill ledger prove`: the newest checkpoint, an entry's inclusion, and that the ledger only grew since an earlier one;
//! all verified here, so that the hub is not believed.

use std::path::PathBuf;

use serde_json::json;
use waybill_proto::v1;

use super::verifier_keys;
use crate::{
    cli::{
        exit::{Exit, Failure},
        hub::HubOptions,
        input::Source,
        output::Out,
    },
    ledger::{Checkpoint, Hash, MAX_RECEIPT_BYTES, Note, Receipt, VerifierKey, verify_consistency, verify_inclusion},
    tls::{Existing, write_public},
};

/// `ledger prove`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Prove {
    /// The entry's place in the ledger
    #[arg(value_name = "INDEX")]
    index: u64,
    /// The ledger's verifier key, or a file that holds it; may be given again [default: as the hub says, unproven]
    #[arg(long, value_name = "VERIFIERKEY", env = "WAYBILL_LEDGER_KEY")]
    ledger_key: Vec<String>,
    /// An earlier checkpoint or a receipt that holds one: proves that the ledger only grew since
    #[arg(long, value_name = "FILE")]
    since: Option<Source>,
    /// Save the newest checkpoint, to be given with --since another time
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    hub: HubOptions,
}

impl Prove {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let given = verifier_keys(&self.ledger_key)?;
        let since = self.since.as_ref().map(read_note).transpose()?;
        let hub = self.hub.connect(out).await?;
        let mut ledger = hub.ledger();
        let newest = ledger.get_checkpoint(v1::GetCheckpointRequest {}).await?.into_inner();
        let keys = if given.is_empty() { verifier_keys(std::slice::from_ref(&newest.verifier_key))? } else { given };
        let trusted = !self.ledger_key.is_empty();
        let head = checkpoint(&newest.checkpoint, &keys)?;

        let request = v1::GetInclusionProofRequest { index: self.index, size: head.size };
        let inclusion = ledger.get_inclusion_proof(request).await?.into_inner();
        let leaf = Hash::from_slice(&inclusion.leaf_hash).ok_or_else(|| Failure::unverified("the leaf is no hash"))?;
        let path = hashes(&inclusion.inclusion_proof)?;
        verify_inclusion(self.index, head.size, &leaf, &path, &head.root)
            .map_err(|error| Failure::Unverified(format!("entry {} is not proven: {error}", self.index)))?;

        let mut grown = None;
        if let Some(note) = since {
            let before = checkpoint(&note, &keys)?;
            let request = v1::GetConsistencyProofRequest { from_size: before.size, to_size: head.size };
            let path = if before.size > head.size {
                Vec::new()
            } else {
                hashes(&ledger.get_consistency_proof(request).await?.into_inner().consistency_proof)?
            };
            grown = Some(check_growth(&before, &head, &path)?);
        }
        if let Some(path) = &self.save {
            write_public(path, newest.checkpoint.as_bytes(), Existing::Replace).map_err(Failure::fault)?;
        }
        out.show(
            || {
                json!({
                    "ledger_index": self.index,
                    "leaf_hash": leaf.to_string(),
                    "origin": head.origin.as_str(),
                    "size": head.size,
                    "root": head.root.to_string(),
                    "consistent_since": grown,
                    "key_from_hub": !trusted,
                    "checkpoint": newest.checkpoint,
                })
            },
            || sentence(self.index, &head, grown, &leaf, (!trusted).then_some(&newest.verifier_key)),
        )?;
        Ok(Exit::Ok)
    }
}

/// A checkpoint whose signature is verified.
fn checkpoint(note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, Failure> {
    let note = Note::parse(note).map_err(Failure::unverified)?;
    Checkpoint::verify(&note, keys).map_err(Failure::unverified)
}

fn hashes(proof: &[bytes::Bytes]) -> Result<Vec<Hash>, Failure> {
    let hash = |bytes: &bytes::Bytes| Hash::from_slice(bytes);
    proof.iter().map(hash).collect::<Option<_>>().ok_or_else(|| Failure::unverified("the proof is not made of hashes"))
}

/// Whether `head` continues `before`; the size that it does so from.
fn check_growth(before: &Checkpoint, head: &Checkpoint, path: &[Hash]) -> Result<u64, Failure> {
    if before.origin != head.origin {
        return Err(Failure::Unverified(format!(
            "the earlier checkpoint is of {}, not of {}",
            before.origin, head.origin
        )));
    }
    verify_consistency(before.size, head.size, &before.root, &head.root, path).map_err(|error| {
        Failure::Unverified(format!(
            "the ledger does not continue the one of {} entries: {error}\n  keep both checkpoints: together they prove it",
            before.size
        ))
    })?;
    Ok(before.size)
}

/// The note in a file: a checkpoint, or the one of a receipt.
fn read_note(source: &Source) -> Result<String, Failure> {
    let bytes = source.read("a checkpoint or a receipt", MAX_RECEIPT_BYTES as u64)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage("the earlier checkpoint is not UTF-8"))?;
    if text.trim_start().starts_with('{') {
        return Receipt::from_json(&text).map(|receipt| receipt.checkpoint).map_err(Failure::usage);
    }
    Ok(text)
}

fn sentence(index: u64, head: &Checkpoint, grown: Option<u64>, leaf: &Hash, key_of_hub: Option<&String>) -> String {
    let mut lines = vec![
        format!("verified: entry {index} stands in the ledger {} of {} entries", head.origin, head.size),
        format!("  leaf:  {leaf}"),
        format!("  root:  {}", head.root),
    ];
    lines.push(match grown {
        Some(size) => format!("  grown: nothing of its first {size} entries was changed since that checkpoint"),
        None => {
            "  next: give an earlier checkpoint or receipt with --since, to see that the ledger only grew".to_owned()
        }
    });
    if let Some(key) = key_of_hub {
        lines.push(format!("  the key is the one that the hub itself tells: {key}"));
        lines.push("  next: get the ledger's key by a way that you trust, and give it with --ledger-key".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Edge, Origin, SignerKey, leaf_hash};

    fn head(size: u64) -> (Checkpoint, Edge) {
        let mut edge = Edge::new();
        (0..size).for_each(|entry| {
            edge.append(leaf_hash(&entry.to_be_bytes()));
        });
        let origin = Origin::new("hub.example", "test", "7c1f").unwrap();
        (Checkpoint::new(origin, size, edge.root()), edge)
    }

    #[test]
    fn a_ledger_that_was_changed_does_not_continue_the_earlier_one() {
        let (one, _) = head(1);
        let (two, _) = head(2);
        let path = [leaf_hash(&1u64.to_be_bytes())];
        assert_eq!(check_growth(&one, &two, &path).unwrap(), 1);
        let forged = Checkpoint { root: leaf_hash(b"other"), ..one.clone() };
        assert!(matches!(check_growth(&forged, &two, &path), Err(Failure::Unverified(_))));
        assert!(matches!(check_growth(&two, &one, &[]), Err(Failure::Unverified(_))), "it never shrinks");
        let elsewhere = Checkpoint { origin: Origin::new("hub.other", "test", "1").unwrap(), ..one };
        assert!(matches!(check_growth(&elsewhere, &two, &path), Err(Failure::Unverified(_))));
    }

    #[test]
    fn an_earlier_checkpoint_comes_as_a_note_and_must_be_signed_by_the_key() {
        let (one, _) = head(1);
        let key = SignerKey::from_seed(one.origin.as_str(), &[3; 32]).unwrap();
        let other = SignerKey::from_seed(one.origin.as_str(), &[4; 32]).unwrap();
        let note = one.sign(&[&key]).unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        std::fs::write(&path, &note).unwrap();
        let read = read_note(&Source::File(path)).unwrap();
        assert_eq!(checkpoint(&read, &[key.verifier().clone()]).unwrap(), one);
        assert!(matches!(checkpoint(&read, &[other.verifier().clone()]), Err(Failure::Unverified(_))));
    }
}
