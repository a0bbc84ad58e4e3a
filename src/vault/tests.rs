//! What the key hierarchy promises: the right key opens, any other or any changed bit does not, names are stable.

use super::*;
use crate::domain::{agency::AgencyId, subject::Identifier, transfer::TransferId};

fn slot(byte: u8) -> SlotKey {
    SlotKey::new(&[byte; 32])
}

#[test]
fn a_wrapped_secret_opens_under_its_own_key_and_context_only() {
    let wrapped = slot(1).wrap(&[7; 32], [9; 12], b"entry");
    assert_eq!(*slot(1).unwrap(&wrapped, b"entry").unwrap(), [7; 32]);
    assert_eq!(slot(2).unwrap(&wrapped, b"entry").unwrap_err(), OpenError);
    assert_eq!(slot(1).unwrap(&wrapped, b"other").unwrap_err(), OpenError);
    for position in 0..wrapped.len() {
        let mut changed = wrapped;
        changed[position] ^= 1;
        assert_eq!(slot(1).unwrap(&changed, b"entry").unwrap_err(), OpenError);
    }
}

#[test]
fn a_sealed_row_opens_again_and_a_cut_one_does_not() {
    let sealed = slot(1).seal_row(b"header", [3; 12], b"row 0");
    assert_eq!(&**slot(1).open_row(&sealed, b"row 0").unwrap(), b"header");
    assert!((0..sealed.len()).all(|length| slot(1).open_row(&sealed[..length], b"row 0").is_err()));
}

#[test]
fn a_payload_needs_slot_epoch_and_transfer() {
    let id = |byte| TransferId(uuid::Uuid::from_bytes([byte; 16]));
    let key = payload_key(&slot(1), &slot(2), id(1));
    let sealed = seal(&key, b"record".to_vec());
    assert_eq!(&**open(&key, &sealed).unwrap(), b"record");
    for other in [
        payload_key(&slot(3), &slot(2), id(1)),
        payload_key(&slot(1), &slot(3), id(1)),
        payload_key(&slot(1), &slot(2), id(2)),
    ] {
        assert_eq!(open(&other, &sealed).unwrap_err(), OpenError);
    }
}

#[test]
fn two_recipients_know_one_subject_by_different_names() {
    let agency = |name| AgencyId::new(name).unwrap();
    assert_eq!(slot(1).pseudonym(&agency("tax")), slot(1).pseudonym(&agency("tax")));
    assert_ne!(slot(1).pseudonym(&agency("tax")), slot(1).pseudonym(&agency("benefit")));
    assert_ne!(slot(1).pseudonym(&agency("tax")), slot(2).pseudonym(&agency("tax")));
}

#[test]
fn hashes_depend_on_the_master_key_and_on_where_the_parts_end() {
    let hasher = |byte| MasterKey::new([byte; 32]).hasher();
    let identifier = Identifier::new("national-number", "1").unwrap();
    assert_eq!(hasher(1).identifier(&identifier), hasher(1).identifier(&identifier));
    assert_ne!(hasher(1).identifier(&identifier), hasher(2).identifier(&identifier));
    assert_ne!(hasher(1).content(&[b"ab", b"c"]), hasher(1).content(&[b"a", b"bc"]));
    // Whatever is gathered before it is hashed: the same parts give the same hash, others another.
    for length in [490, 495, 496, 497, 503, 504, 505, 511, 512, 513, 2000] {
        let (long, other) = (vec![1; length], vec![2; length]);
        let parts: [&[u8]; 4] = [b"a", &long, b"b", b"c"];
        assert_eq!(hasher(1).content(&parts), hasher(1).content(&parts));
        assert_ne!(hasher(1).content(&parts), hasher(1).content(&[b"a", &long, b"bc"]));
        assert_ne!(hasher(1).content(&parts), hasher(1).content(&[b"a", &other, b"b", b"c"]));
    }
    assert_ne!(hasher(1).term(TermKind::Agency, &[b"x"]), hasher(1).term(TermKind::Purpose, &[b"x"]));
}
