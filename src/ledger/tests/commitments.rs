//! Commitments and openings: vectors of another implementation, hostile lists and openings.
use proptest::collection::btree_map;
use proptest::prelude::*;
use serde::Deserialize;

use super::super::{
    Attribute, CommitmentError, Commitments, Committer, MAX_ITEMS, Name, Opening, Salts, Secret, commit, open,
    open_all, verify_opening, verify_openings,
};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
    many: Many,
}

#[derive(Deserialize)]
struct Case {
    what: String,
    secret: String,
    items: Vec<(String, String)>,
    salts: Vec<String>,
    commitments: Vec<String>,
    digest: String,
}

#[derive(Deserialize)]
struct Many {
    secret: String,
    count: usize,
    digest: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../tests/vectors/commitments.json")).unwrap()
}

fn secret(hex_digits: &str) -> Secret {
    Secret::new(hex::decode(hex_digits).unwrap().try_into().unwrap())
}

fn items(items: &[(String, String)]) -> impl Iterator<Item = (Name<'_>, &[u8])> + Clone {
    items.iter().map(|(name, value)| (Name::parse(name).unwrap(), value.as_bytes()))
}

#[test]
fn commitments_are_those_of_another_implementation() {
    let mut committer = Committer::new();
    for case in vectors().cases {
        let secret = secret(&case.secret);
        let digest = committer.commit(&secret, items(&case.items)).unwrap();
        assert_eq!(digest.to_string(), case.digest, "{}", case.what);
        let list = committer.commitments();
        assert_eq!(list.digest(), digest);
        assert_eq!(commit(&secret, items(&case.items)).unwrap(), (list.clone(), digest));
        let openings = open_all(&secret, items(&case.items)).unwrap();
        assert_eq!((list.len(), openings.len()), (case.commitments.len(), case.salts.len()));
        for (position, opening) in openings.iter().enumerate() {
            assert_eq!(list.get(position).unwrap().to_string(), case.commitments[position], "{}", case.what);
            assert_eq!(hex::encode(opening.salt), case.salts[position], "{}", case.what);
            let (name, value) = items(&case.items).nth(position).unwrap();
            assert_eq!(open(&secret, position, name, value).unwrap(), *opening);
        }
        assert_eq!(verify_openings(list, &openings), Ok(()));
        assert_eq!(Commitments::from_bytes(list.as_bytes()), Ok(list.clone()));
    }
}

#[test]
fn five_hundred_items_are_the_most() {
    let many = vectors().many;
    let names: Vec<String> = (0..=many.count).map(|at| format!("/{at:04}")).collect();
    let values: Vec<String> = (0..=many.count).map(|at| at.to_string()).collect();
    let all = || names.iter().zip(&values).map(|(name, value)| (Name::Field(name), value.as_bytes()));
    let secret = secret(&many.secret);
    let (list, digest) = commit(&secret, all().take(many.count)).unwrap();
    assert_eq!((many.count, list.len(), digest.to_string()), (MAX_ITEMS, MAX_ITEMS, many.digest));
    assert_eq!(commit(&secret, all()), Err(CommitmentError::TooMany(501)));
    assert_eq!(Salts::derive(&secret, 501).err(), Some(CommitmentError::TooMany(501)));
    assert_eq!(open(&secret, 500, Name::Field("/x"), b"1"), Err(CommitmentError::Position(500)));
    assert_eq!(open_all(&secret, all()).err(), Some(CommitmentError::TooMany(501)));
}

#[test]
fn items_out_of_order_or_doubled_or_badly_named_are_refused() {
    let secret = Secret::new([1; 32]);
    let refused = |names: &[Name<'_>]| commit(&secret, names.iter().map(|name| (*name, &b"1"[..]))).err();
    let (two, ten) = (Name::from(Attribute::Outcome), Name::from(Attribute::SchemaVersion));
    assert_eq!(refused(&[two, ten, Name::Field("/a"), Name::Field("/b")]), None);
    assert_eq!(refused(&[ten, two]), Some(CommitmentError::Order(1)));
    assert_eq!(refused(&[two, two]), Some(CommitmentError::Order(1)));
    assert_eq!(refused(&[Name::Field("/a"), two]), Some(CommitmentError::Order(1)));
    assert_eq!(refused(&[two, Name::Field("/b"), Name::Field("/a")]), Some(CommitmentError::Order(2)));
    assert_eq!(refused(&[Name::Attribute(0)]), Some(CommitmentError::Name(0)));
    assert_eq!(refused(&[two, Name::Field("a")]), Some(CommitmentError::Name(1)));
    assert_eq!(refused(&[Name::Field(&"/".repeat(65_536))]), Some(CommitmentError::Name(0)));
    assert_eq!(refused(&[Name::Field(&"/".repeat(65_535))]), None);
    for bad in ["", "0", "01", "65536", "kind", "-1", "a/b"] {
        assert_eq!(Name::parse(bad), None, "{bad}");
    }
    assert_eq!((Name::parse("12"), Name::parse("/12")), (Some(Name::Attribute(12)), Some(Name::Field("/12"))));
}

#[test]
fn after_an_error_the_committer_holds_nothing_and_works_on() {
    let secret = Secret::new([1; 32]);
    let mut committer = Committer::new();
    let good = committer.commit(&secret, [(Name::Attribute(1), &b"1"[..])]).unwrap();
    assert!(committer.commit(&secret, [(Name::Attribute(1), &b"1"[..]), (Name::Attribute(1), b"2")]).is_err());
    assert!(committer.commitments().is_empty());
    assert_eq!(committer.commit(&secret, [(Name::Attribute(1), &b"1"[..])]).unwrap(), good);
}

#[test]
fn a_malformed_list_is_refused() {
    for bad in
        [vec![], vec![0], vec![0, 1], vec![0, 0, 0], [&[0, 1][..], &[7; 31]].concat(), [&[0, 1][..], &[7; 33]].concat()]
    {
        assert_eq!(Commitments::from_bytes(bad), Err(CommitmentError::Malformed));
    }
    assert_eq!(
        Commitments::from_bytes([&[1, 245][..], &vec![0; 501 * 32]].concat()),
        Err(CommitmentError::TooMany(501))
    );
    assert!(Commitments::from_bytes([0, 0]).unwrap().is_empty());
}

#[test]
fn a_spoiled_opening_does_not_open() {
    let secret = Secret::new([9; 32]);
    let items = [(Name::Attribute(1), &b"1"[..]), (Name::Attribute(11), b"1"), (Name::Field("/a"), b"\"x\"")];
    let list = commit(&secret, items).unwrap().0;
    let openings = open_all(&secret, items).unwrap();
    let mismatch = |change: &dyn Fn(&mut Opening)| {
        let mut opening = openings[1].clone();
        change(&mut opening);
        verify_opening(&list, &opening).unwrap_err()
    };
    assert_eq!(mismatch(&|opening| opening.value = "2".to_owned()), CommitmentError::Mismatch(1));
    assert_eq!(mismatch(&|opening| opening.value.clear()), CommitmentError::Mismatch(1));
    assert_eq!(mismatch(&|opening| opening.name = "1".to_owned()), CommitmentError::Mismatch(1));
    assert_eq!(mismatch(&|opening| opening.name = "/1".to_owned()), CommitmentError::Mismatch(1));
    assert_eq!(mismatch(&|opening| opening.name = "011".to_owned()), CommitmentError::Name(1));
    assert_eq!(mismatch(&|opening| opening.salt[15] ^= 1), CommitmentError::Mismatch(1));
    assert_eq!(mismatch(&|opening| opening.position = 2), CommitmentError::Mismatch(2));
    assert_eq!(mismatch(&|opening| opening.position = 3), CommitmentError::Position(3));
    assert_eq!(mismatch(&|opening| opening.position = u16::MAX), CommitmentError::Position(65_535));

    let [first, second, third] = [0, 1, 2].map(|at| openings[at].clone());
    assert_eq!(verify_openings(&list, &[first.clone(), third.clone()]), Ok(()));
    assert_eq!(verify_openings(&list, &[third, second]), Err(CommitmentError::Order(1)));
    assert_eq!(verify_openings(&list, &[first.clone(), first]), Err(CommitmentError::Order(0)));
}

#[test]
fn a_list_that_was_made_with_one_name_twice_cannot_be_shown_with_both() {
    let secret = Secret::new([9; 32]);
    let salts = Salts::derive(&secret, 2).unwrap();
    let mut bytes = vec![0, 2];
    for (position, value) in [&b"1"[..], b"2"].iter().enumerate() {
        let name = Name::Attribute(7);
        let salt = salts.get(position).unwrap();
        bytes.extend(super::super::commitment::commit_one(&mut Vec::new(), &salt, name, value).as_bytes());
    }
    let list = Commitments::from_bytes(bytes).unwrap();
    let openings = [(0, &b"1"[..]), (1, b"2")].map(|(at, value)| open(&secret, at, Name::Attribute(7), value).unwrap());
    assert!(openings.iter().all(|opening| verify_opening(&list, opening).is_ok()));
    assert_eq!(verify_openings(&list, &openings), Err(CommitmentError::Order(1)));
}

#[test]
fn debug_output_shows_no_secret_salt_name_or_value() {
    let secret = Secret::new([0x5a; 32]);
    let items = [(Name::Field("/marked-name"), &b"\"marked-value\""[..])];
    let opening = open(&secret, 0, items[0].0, items[0].1).unwrap();
    let mut committer = Committer::new();
    committer.commit(&secret, items).unwrap();
    let shown = format!(
        "{secret:?} {opening:?} {:?} {:?} {committer:?} {:?} {:?}",
        items[0].0,
        Salts::derive(&secret, 1).unwrap(),
        committer.commitments(),
        commit(&secret, [(Name::Field("marked-name"), &b"marked-value"[..])]),
    );
    assert!(!shown.contains("marked") && !shown.contains("5a") && !shown.contains("90"), "{shown}");
}

proptest! {
    #![proptest_config(super::cases(256))]

    #[test]
    fn any_subset_of_what_was_committed_to_opens_and_nothing_else_does(
        fields in btree_map("/[a-z0-9/~é]{0,12}", any::<String>(), 0..40),
        bytes in any::<[u8; 32]>(),
        pick in any::<u64>(),
    ) {
        let secret = Secret::new(bytes);
        let items = fields.iter().map(|(name, value)| (Name::Field(name), value.as_bytes()));
        let (list, digest) = commit(&secret, items.clone()).unwrap();
        prop_assert_eq!(list.digest(), digest);
        let mut openings = open_all(&secret, items).unwrap();
        openings.retain(|opening| pick >> (opening.position % 64) & 1 == 1);
        prop_assert_eq!(verify_openings(&list, &openings), Ok(()));
        for opening in &mut openings {
            opening.value.push('x');
            let position = usize::from(opening.position);
            prop_assert_eq!(verify_opening(&list, opening), Err(CommitmentError::Mismatch(position)));
        }
    }
}
