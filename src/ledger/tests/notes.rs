//! Signed notes and checkpoints: vectors of another implementation, strictness, round trips.
use proptest::prelude::*;
use serde::Deserialize;

use super::super::{
    Checkpoint, CheckpointError, Hash, MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, Origin, SignerKey, VerifierKey,
};

#[derive(Deserialize)]
struct Vectors {
    name: String,
    seed: String,
    verifier: String,
    text: String,
    signed: String,
    bad_keys: Vec<String>,
    notes: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    what: String,
    verifier: String,
    note: String,
    opens: bool,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../tests/vectors/signed-notes.json")).unwrap()
}

const ORIGIN: &str = "hub.example.gov/demo/7c1f";

fn signer(name: &str, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, &[seed; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new(ORIGIN.parse().unwrap(), 42, Hash::EMPTY_ROOT)
}

#[test]
fn a_note_is_signed_byte_for_byte_as_another_implementation_signs_it() {
    let vectors = vectors();
    let seed = hex::decode(&vectors.seed).unwrap().try_into().unwrap();
    let signer = SignerKey::from_seed(&vectors.name, &seed).unwrap();
    assert_eq!(signer.verifier().to_string(), vectors.verifier);
    assert_eq!(Note::sign(vectors.text, &[&signer]).unwrap().to_string(), vectors.signed);
}

#[test]
fn notes_open_exactly_when_another_implementation_opens_them() {
    for Case { what, verifier, note, opens } in vectors().notes {
        let key: VerifierKey = verifier.parse().unwrap();
        let opened = Note::parse(&note).and_then(|note| note.verify(&[key]).map(|signed| signed.len()));
        assert_eq!(opened.is_ok(), opens, "{what}: {opened:?}");
    }
}

#[test]
fn verifier_keys_are_read_as_another_implementation_reads_them() {
    let vectors = vectors();
    let key: VerifierKey = vectors.verifier.parse().unwrap();
    assert_eq!(
        (key.name(), hex::encode(key.id()).as_str(), key.to_string()),
        ("PeterNeumann", "c74f20a3", vectors.verifier)
    );
    for bad in vectors.bad_keys {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\nb", "a\u{1}b"] {
        assert_eq!(VerifierKey::new(name, [1; 32]), Err(NoteError::Name), "{name:?}");
    }
}

#[test]
fn a_key_is_read_from_pkcs8_and_shows_nothing_of_itself() {
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[0x5a; 32]).unwrap();
    let key = SignerKey::from_pkcs8("k", pair.to_pkcs8().unwrap().as_ref()).unwrap();
    assert_eq!(key.verifier(), signer("k", 0x5a).verifier());
    assert!(!format!("{key:?}").contains("5a5a"));
    assert_eq!(SignerKey::from_pkcs8("k", b"no key").unwrap_err(), NoteError::SignerKey);
    assert_eq!(SignerKey::from_seed("a b", &[1; 32]).unwrap_err(), NoteError::Name);
}

#[test]
fn two_keys_sign_one_note_and_a_bad_signature_of_either_refuses_it() {
    let (old, new) = (signer(ORIGIN, 1), signer(ORIGIN, 2));
    let keys = [old.verifier().clone(), new.verifier().clone()];
    let note = checkpoint().sign(&[&old, &new]).unwrap();
    assert_eq!(note.verify(&keys).unwrap(), [&keys[0], &keys[1]]);
    assert_eq!(note.verify(&keys[1..]).unwrap(), [&keys[1]]);
    let text = note.to_string();
    let other = checkpoint().sign(&[&old]).unwrap().to_string().replace("42", "43");
    let spliced = format!("{other}{}\n", text.lines().last().unwrap());
    let spliced = Note::parse(&spliced).unwrap();
    assert_eq!(spliced.verify(&keys), Err(NoteError::Signature(ORIGIN.to_owned())));
}

#[test]
fn a_checkpoint_has_the_text_of_the_specification() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let parsed = Checkpoint::parse(text).unwrap();
    assert_eq!((parsed.origin.as_str(), parsed.size), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(parsed.to_string(), text);
    let extended = format!("{text}one\ntwo three\n");
    assert_eq!(Checkpoint::parse(&extended).unwrap().extensions, ["one", "two three"]);
    assert_eq!(Checkpoint::parse(&extended).unwrap().to_string(), extended);

    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    for bad in [
        String::new(),
        "o\n".to_owned(),
        "o\n1\n".to_owned(),
        format!("o\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("o\n\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n1 \n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n1\n{}\n", &root[..40]),
        format!("o\n1\n{}\n", root.trim_end_matches('=')),
        format!("o\n1\n{}\n", root.replace("2I=", "2J=")),
        format!("o\n1\n{root}\n\n"),
        format!("o\n1\n{root}\n\nx\n"),
        format!("o\n1\n{root}\nx\r\n"),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_checkpoint_is_signed_and_trusted_only_under_its_own_name() {
    let (own, other) = (signer(ORIGIN, 1), signer("hub.example.gov/production/7c1f", 1));
    assert_eq!(checkpoint().sign(&[&other]).unwrap_err(), CheckpointError::Origin(ORIGIN.to_owned()));
    let note = checkpoint().sign(&[&own]).unwrap();
    assert_eq!(Checkpoint::verify(&note, &[own.verifier().clone()]), Ok(checkpoint()));
    let by_other = Note::sign(checkpoint().to_string(), &[&other]).unwrap();
    let keys = [other.verifier().clone(), own.verifier().clone()];
    assert_eq!(Checkpoint::verify(&by_other, &keys), Err(CheckpointError::Origin(ORIGIN.to_owned())));
    assert_eq!(Checkpoint::verify(&note, &keys[..1]), Err(CheckpointError::Note(NoteError::Unsigned)));
    assert!(checkpoint().sign(&[]).is_err());
}

#[test]
fn an_origin_tells_hub_environment_and_ledger() {
    let origin = Origin::new("hub.example.gov/east", "demo", "7c1f").unwrap();
    assert_eq!(origin.as_str(), "hub.example.gov/east/demo/7c1f");
    assert_eq!(
        (origin.hub(), origin.environment(), origin.ledger()),
        (Some("hub.example.gov/east"), Some("demo"), Some("7c1f"))
    );
    for other in ["example.com/log", "log", "//", "a//b"] {
        assert_eq!(other.parse::<Origin>().unwrap().environment(), None, "{other}");
    }
    for (hub, environment, ledger) in [
        ("", "demo", "1"),
        ("h", "", "1"),
        ("h", "demo", ""),
        ("h", "a/b", "1"),
        ("h", "demo", "a/b"),
        ("h h", "demo", "1"),
        ("h", "d+", "1"),
        ("h\n", "d", "1"),
    ] {
        assert!(Origin::new(hub, environment, ledger).is_err(), "{hub}/{environment}/{ledger}");
    }
}

#[test]
fn a_note_has_so_many_bytes_and_signatures() {
    let key = signer("k", 1);
    let sized = |bytes: usize| {
        let around = Note::sign("\n", &[&key]).unwrap().to_string().len();
        let note = Note::sign("x".repeat(bytes - around) + "\n", &[&key]).unwrap().to_string();
        assert_eq!(note.len(), bytes);
        Note::parse(&note).map(|_| ())
    };
    assert_eq!(sized(MAX_NOTE_BYTES), Ok(()));
    assert_eq!(sized(MAX_NOTE_BYTES + 1), Err(NoteError::Malformed("longer than 1 MiB")));

    let signers: Vec<SignerKey> = (0..=100).map(|seed| signer(&format!("k{seed}"), seed)).collect();
    let signers: Vec<&SignerKey> = signers.iter().collect();
    assert!(Note::sign("x\n", &signers).is_err() && Note::sign("x\n", &[]).is_err());
    let most = Note::sign("x\n", &signers[..MAX_SIGNATURES]).unwrap();
    assert_eq!(Note::parse(&most.to_string()).unwrap().signatures().len(), MAX_SIGNATURES);
    let last = Note::sign("x\n", &signers[MAX_SIGNATURES..]).unwrap();
    let more = format!("{most}{}\n", last.signatures()[0]);
    assert_eq!(Note::parse(&more), Err(NoteError::Malformed("more than 100 signatures")));
}

#[test]
fn a_note_that_has_a_bad_text_is_refused() {
    let key = signer("k", 1);
    for bad in ["", "no newline", "tab\t\n", "nul\0\n"] {
        assert!(matches!(Note::sign(bad, &[&key]), Err(NoteError::Malformed(_))), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(super::cases(256))]

    #[test]
    fn signed_notes_round_trip(lines in proptest::collection::vec("[^\\x00-\\x1f]{0,20}", 0..6), seed in any::<u8>()) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).chain(["end\n".to_owned()]).collect();
        let key = signer("log.example/1", seed);
        let note = Note::sign(text, &[&key]).unwrap();
        let parsed = Note::parse(&note.to_string()).unwrap();
        prop_assert_eq!(&parsed, &note);
        prop_assert!(parsed.verify(&[key.verifier().clone()]).is_ok());
    }

    #[test]
    fn any_text_that_is_a_note_is_the_one_way_to_write_it(
        text in "(a|\n|\u{2014} k AAAAAAA=\n|\u{2014} k AAAAAAB=\n|\u{2014}){0,12}",
    ) {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.to_string(), text);
        }
    }

    #[test]
    fn checkpoints_round_trip(
        origin in "[!-~é]{1,30}", size in any::<u64>(), root in any::<[u8; 32]>(),
        extensions in proptest::collection::vec("[ -~]{1,9}", 0..3),
    ) {
        let checkpoint = Checkpoint { origin: origin.parse().unwrap(), size, root: root.into(), extensions };
        prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
    }
}
