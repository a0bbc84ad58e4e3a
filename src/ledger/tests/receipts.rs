//! Receipts: the good ones verify without the hub, each hostile one is refused and the error says where.
use super::super::{
    Checkpoint, CheckpointError, CommitmentError, Commitments, Entry, Hash, MAX_RECEIPT_BYTES, Note, NoteError,
    ProofError, Receipt, ReceiptError, ReceiptFileError, VerifierKey, leaf_hash,
};
use super::scene::{ITEMS, ORIGIN, Scene, signer};

fn keys() -> Vec<VerifierKey> {
    vec![signer().verifier().clone()]
}

fn verify(change: impl FnOnce(&mut Receipt)) -> Result<(), ReceiptError> {
    let mut receipt = Scene::new().receipt();
    change(&mut receipt);
    receipt.verify(&keys()).map(|_| ())
}

#[test]
fn a_receipt_verifies_and_says_whose_ledger_how_long_and_which_entry() {
    let scene = Scene::new();
    let verified = scene.receipt().verify(&keys()).unwrap();
    assert_eq!((verified.origin.as_str(), verified.origin.environment()), (ORIGIN, Some("demo")));
    assert_eq!((verified.size, verified.root), (3, scene.snapshot.root()));
    assert!(matches!(verified.entry, Entry::Person { time: 1_750_000_001, .. }));
}

#[test]
fn a_receipt_shows_as_little_as_its_holder_wants() {
    assert_eq!(verify(|receipt| drop(receipt.openings.remove(1))), Ok(()));
    assert_eq!(verify(|receipt| receipt.openings.clear()), Ok(()));
    let bare = |receipt: &mut Receipt| {
        receipt.openings.clear();
        receipt.commitments = None;
    };
    assert_eq!(verify(bare), Ok(()), "the entry's place alone, as after the erasure of its secret");
    assert_eq!(verify(|receipt| receipt.commitments = None), Err(ReceiptError::OpeningsWithoutCommitments));
}

#[test]
fn a_public_entry_has_a_receipt_without_commitments() {
    let scene = Scene::new();
    let mut receipt = scene.receipt_of(0);
    let verified = receipt.verify(&keys()).unwrap();
    assert!(matches!(verified.entry, Entry::Public { attributes, .. } if attributes[&1] == 23));
    receipt.commitments = Some(Commitments::from_bytes([0, 0]).unwrap());
    assert_eq!(receipt.verify(&keys()), Err(ReceiptError::CommitmentsOfPublicEntry));
}

#[test]
fn what_is_wrong_in_entry_commitments_or_openings_is_said() {
    assert!(matches!(verify(|receipt| receipt.entry[0] = 9), Err(ReceiptError::Entry(_))));
    assert!(matches!(verify(|receipt| _ = receipt.entry.pop()), Err(ReceiptError::Entry(_))));
    assert_eq!(verify(|receipt| receipt.entry[40] ^= 1), Err(ReceiptError::Digest));
    assert!(matches!(verify(|receipt| receipt.entry[8] ^= 1), Err(ReceiptError::Proof(ProofError::Root(_)))), "time");
    let list = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Scene::new().receipt().commitments.unwrap().as_bytes().to_vec();
        change(&mut bytes);
        verify(|receipt| receipt.commitments = Some(Commitments::from_bytes(bytes).unwrap()))
    };
    assert_eq!(list(&|bytes| bytes[2] ^= 1), Err(ReceiptError::Digest), "flipped");
    assert_eq!(list(&|bytes| bytes[2..66].rotate_left(32)), Err(ReceiptError::Digest), "swapped");
    let dropped = list(&|bytes| {
        bytes.truncate(bytes.len() - 32);
        bytes[1] -= 1;
    });
    assert_eq!(dropped, Err(ReceiptError::Digest));
    let opening = |at, error| {
        Err(ReceiptError::Opening(if error { CommitmentError::Mismatch(at) } else { CommitmentError::Order(at) }))
    };
    assert_eq!(verify(|receipt| receipt.openings[1].value = "\"Bratislava\"".to_owned()), opening(3, true));
    assert_eq!(verify(|receipt| receipt.openings[1].salt[0] ^= 1), opening(3, true));
    assert_eq!(verify(|receipt| receipt.openings.swap(0, 1)), opening(0, false));
    assert_eq!(verify(|receipt| receipt.openings[0].position = 1), opening(1, true));
}

#[test]
fn what_is_wrong_in_proof_or_checkpoint_is_said() {
    assert_eq!(verify(|receipt| _ = receipt.proof.pop()), Err(ReceiptError::Proof(ProofError::Length(1))));
    assert_eq!(verify(|receipt| receipt.proof.push(Hash::EMPTY_ROOT)), Err(ReceiptError::Proof(ProofError::Length(3))));
    assert!(matches!(verify(|receipt| receipt.proof.swap(0, 1)), Err(ReceiptError::Proof(ProofError::Root(_)))));
    assert!(matches!(verify(|receipt| receipt.proof[0] = Hash::EMPTY_ROOT), Err(ReceiptError::Proof(_))));
    for index in [0, 2] {
        assert!(matches!(verify(|receipt| receipt.index = index), Err(ReceiptError::Proof(_))), "{index}");
    }
    let index = Err(ReceiptError::Proof(ProofError::Index { index: 3, size: 3 }));
    assert_eq!(verify(|receipt| receipt.index = 3), index);

    let text = |change: &dyn Fn(&str) -> String| verify(|receipt| receipt.checkpoint = change(&receipt.checkpoint));
    let signature = Err(ReceiptError::Checkpoint(CheckpointError::Note(NoteError::Signature(ORIGIN.to_owned()))));
    assert_eq!(text(&|note| note.replacen("\n3\n", "\n4\n", 1)), signature, "another size");
    assert_eq!(text(&|note| note.replacen("/demo/7c1f\n", "/production/7c1f\n", 1)), signature, "another environment");
    assert!(matches!(text(&|note| note[..note.len() - 1].to_owned()), Err(ReceiptError::Note(_))));
    assert!(matches!(text(&|_| String::new()), Err(ReceiptError::Note(_))));
    let unsigned = Err(ReceiptError::Checkpoint(CheckpointError::Note(NoteError::Unsigned)));
    assert_eq!(Scene::new().receipt().verify(&[]).map(|_| ()), unsigned);
}

#[test]
fn an_older_checkpoint_or_a_forked_ledger_does_not_cover_the_entry() {
    let sign =
        |size, root| Checkpoint::new(ORIGIN.parse().unwrap(), size, root).sign(&[&signer()]).unwrap().to_string();
    let scene = Scene::new();
    let before = leaf_hash(&scene.entries[0]);
    let old = Err(ReceiptError::Proof(ProofError::Index { index: 1, size: 1 }));
    assert_eq!(verify(|receipt| receipt.checkpoint = sign(1, before)), old);
    let forked = verify(|receipt| receipt.checkpoint = sign(3, Hash::EMPTY_ROOT));
    assert_eq!(forked, Err(ReceiptError::Proof(ProofError::Root(scene.snapshot.root()))));
}

#[test]
fn a_note_that_is_no_checkpoint_is_refused_though_the_key_signed_it() {
    let note = Note::sign("hello\n", &[&signer()]).unwrap().to_string();
    let refused = verify(|receipt| receipt.checkpoint = note);
    assert!(matches!(refused, Err(ReceiptError::Checkpoint(CheckpointError::Malformed(_)))));
}

#[test]
fn a_receipt_goes_through_a_file_unchanged() {
    let scene = Scene::new();
    for mut receipt in [scene.receipt(), scene.receipt_of(0), scene.receipt_of(2)] {
        assert_eq!(Receipt::from_json(&receipt.to_json()), Ok(receipt.clone()));
        receipt.openings.clear();
        assert_eq!(Receipt::from_json(&receipt.to_json()), Ok(receipt));
    }
}

#[test]
fn a_file_is_strict_and_its_errors_repeat_nothing_of_it() {
    let json = Scene::new().receipt().to_json();
    let read = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        Receipt::from_json(&json.replacen(from, to, 1)).unwrap_err()
    };
    assert_eq!(read("waybill-receipt/1", "waybill-receipt/2"), ReceiptFileError::Format);
    assert_eq!(read("\"entry\": \"", "\"entry\": \"!"), ReceiptFileError::Base64("entry"));
    assert_eq!(read("\"commitments\": \"", "\"commitments\": \"!"), ReceiptFileError::Base64("commitments"));
    assert_eq!(read("\"salt\": \"", "\"salt\": \"AAAA"), ReceiptFileError::Base64("salt"));
    assert_eq!(
        read("\"commitments\": \"AAT", "\"commitments\": \"AAX"),
        ReceiptFileError::Commitments(CommitmentError::Malformed)
    );
    for (from, to) in [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 1", "index 01"),
        ("index 1", "extra AAAA\\nindex 1"),
        ("index 1\\n", "index 1\\nAAAA\\n"),
        ("\\n\\nhub", "\\nhub"),
    ] {
        let refused = read(from, to);
        assert!(matches!(refused, ReceiptFileError::Proof(_)), "{to}: {refused}");
    }
    for (from, to) in
        [("\"format\"", "\"marked\": 1, \"format\""), ("\"position\": 0", "\"position\": \"marked\""), ("}\n", "")]
    {
        let refused = read(from, to);
        assert!(matches!(refused, ReceiptFileError::Json { .. }), "{to}: {refused}");
        assert!(!refused.to_string().contains("marked"));
    }
}

#[test]
fn a_file_has_so_many_bytes_and_hashes() {
    let mut receipt = Scene::new().receipt();
    let json = receipt.to_json();
    let sized = |bytes: usize| Receipt::from_json(&format!("{json}{}", " ".repeat(bytes - json.len())));
    assert_eq!(sized(MAX_RECEIPT_BYTES).as_ref(), Ok(&receipt));
    assert_eq!(sized(MAX_RECEIPT_BYTES + 1), Err(ReceiptFileError::TooLong(MAX_RECEIPT_BYTES + 1)));
    receipt.proof = vec![Hash::EMPTY_ROOT; 64];
    assert_eq!(Receipt::from_json(&receipt.to_json()).as_ref(), Ok(&receipt));
    receipt.proof.push(Hash::EMPTY_ROOT);
    assert_eq!(Receipt::from_json(&receipt.to_json()), Err(ReceiptFileError::Proof("more than 64 hashes")));
}

#[test]
fn no_single_changed_bit_goes_unnoticed() {
    let receipt = Scene::new().receipt();
    let json = receipt.to_json();
    for at in 0..json.len() {
        let mut bytes = json.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let verified =
            Receipt::from_json(&changed).ok().filter(|read| *read != receipt).map(|read| read.verify(&keys()));
        assert!(!matches!(verified, Some(Ok(_))), "byte {at}");
    }
}

#[test]
fn debug_output_of_a_receipt_shows_no_opened_value() {
    let shown = format!("{:?}", Scene::new().receipt());
    assert!(ITEMS.iter().all(|(_, value)| value.len() < 3 || !shown.contains(value.trim_matches('"'))), "{shown}");
}
