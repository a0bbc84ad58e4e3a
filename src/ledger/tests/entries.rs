//! Entries, the numbered enums, tiles' paths and bundles: exact bytes, strictness, round trips.
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    Attribute, Entry, EntryError, Hash, Kind, MAX_ENTRY_BYTES, PublicAttributes, TileError, TileId, TilePath,
    decode_bundle, encode_bundle, encode_person, full_tiles, hashes_at, leaf_hash, partial_width,
};

fn public(time: u64, attributes: &[(u16, Value)]) -> Entry {
    Entry::Public { time, attributes: attributes.iter().cloned().collect() }
}

fn public_bytes(json: &str) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 0, 0, 0, 5], json.as_bytes()].concat()
}

#[test]
fn a_person_entry_is_version_time_and_digest_in_41_bytes() {
    let digest = leaf_hash(b"x");
    let bytes = encode_person(0x0102_0304_0506_0708, &digest);
    assert_eq!(bytes[..9], [1, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(bytes[9..], digest.as_bytes()[..]);
    let entry = Entry::Person { time: 0x0102_0304_0506_0708, digest };
    assert_eq!(Entry::decode(&bytes), Ok(entry.clone()));
    assert_eq!(entry.encode().unwrap(), bytes);
    assert_eq!(entry.leaf_hash().unwrap(), leaf_hash(&bytes));
}

#[test]
fn a_public_entry_is_version_time_and_canonical_json() {
    let entry = public(5, &[(1, json!(23)), (18, json!("ab")), (2, json!(null)), (4711, json!({"b": [1], "a": "é"}))]);
    let bytes = entry.encode().unwrap();
    // RFC 8785 sorts keys as text: "18" stands before "2".
    assert_eq!(bytes, public_bytes(r#"{"1":23,"18":"ab","2":null,"4711":{"a":"é","b":[1]}}"#));
    assert_eq!(Entry::decode(&bytes), Ok(entry));
}

#[test]
fn nothing_but_the_one_encoding_is_accepted() {
    let person = encode_person(1, &Hash::EMPTY_ROOT);
    for length in (0..41).chain([42, 43]) {
        let mut bytes = person.to_vec();
        bytes.resize(length, 0);
        assert_eq!(Entry::decode(&bytes), Err(EntryError::Length(length)));
    }
    for version in [0, 3, 255] {
        let mut bytes = person;
        bytes[0] = version;
        assert_eq!(Entry::decode(&bytes), Err(EntryError::Version(version)));
    }
    for json in ["", "[]", "1", "{", "{}x", "\u{feff}{}", r#"{"1":}"#, r#"{"1":1e999}"#] {
        assert_eq!(Entry::decode(&public_bytes(json)), Err(EntryError::NotAnObject), "{json}");
    }
    for json in [
        " {}",
        "{} ",
        r#"{"1": 1}"#,
        r#"{"2":1,"1":1}"#,
        r#"{"1":1,"1":1}"#,
        r#"{"1":"\u0041"}"#,
        r#"{"1":{"b":1,"a":1}}"#,
    ] {
        assert_eq!(Entry::decode(&public_bytes(json)), Err(EntryError::NotCanonical), "{json}");
    }
    for key in ["", "0", "01", "+1", "-1", "65536", "1.0", "kind", "٣"] {
        assert_eq!(
            Entry::decode(&public_bytes(&format!(r#"{{"{key}":1}}"#))),
            Err(EntryError::AttributeNumber),
            "{key}"
        );
    }
    for number in ["1.5", "9007199254740992", "-9007199254740992", "1e3", "18446744073709551615", "-0"] {
        let json = format!(r#"{{"7":[{{"a":{number}}}]}}"#);
        assert_eq!(Entry::decode(&public_bytes(&json)), Err(EntryError::Number(7)), "{number}");
    }
    assert_eq!(
        Entry::decode(&public_bytes(&format!(r#"{{"7":{}1{}}}"#, "[".repeat(200), "]".repeat(200)))),
        Err(EntryError::NotAnObject)
    );
}

#[test]
fn an_entry_is_at_most_65535_bytes_long() {
    let with = |length: usize| public(0, &[(1, json!("x".repeat(length)))]);
    let overhead = with(0).encode().unwrap().len();
    let longest = with(MAX_ENTRY_BYTES - overhead).encode().unwrap();
    assert_eq!(longest.len(), 65_535);
    assert!(Entry::decode(&longest).is_ok());
    assert_eq!(with(MAX_ENTRY_BYTES - overhead + 1).encode(), Err(EntryError::Length(65_536)));
}

#[test]
fn values_that_would_not_come_back_are_not_encoded() {
    assert_eq!(public(0, &[(0, json!(1))]).encode(), Err(EntryError::AttributeNumber));
    assert_eq!(public(0, &[(3, json!(0.5))]).encode(), Err(EntryError::Number(3)));
    assert_eq!(public(0, &[(3, json!(1_u64 << 53))]).encode(), Err(EntryError::Number(3)));
    let deep = (0..200).fold(json!(1), |value, _| json!([value]));
    assert_eq!(public(0, &[(3, deep)]).encode(), Err(EntryError::NotAnObject));
}

#[test]
fn numbers_are_unique_and_lead_back_to_their_names() {
    for attribute in Attribute::ALL {
        assert_eq!(Attribute::from_number(attribute.number()), Some(*attribute));
        assert_eq!(attribute.decimal(), attribute.number().to_string());
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind.number()), Some(*kind));
        assert_eq!(kind.decimal(), kind.number().to_string());
    }
    assert_eq!((Attribute::ALL.len(), Kind::ALL.len()), (49, 26));
    for (number, _) in Attribute::RESERVED {
        assert_eq!(Attribute::from_number(*number), None);
    }
    for (number, _) in Kind::RESERVED {
        assert_eq!(Kind::from_number(*number), None);
    }
    let mut names: Vec<&str> = Attribute::ALL.iter().map(|attribute| attribute.name()).collect();
    names.extend(Attribute::RESERVED.iter().map(|(_, name)| name));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 49 + 10);
}

#[test]
fn tile_paths_are_those_of_the_specification() {
    let hashes = |level, index, width| TilePath::Hashes { id: TileId { level, index }, width };
    let entries = |index, width| TilePath::Entries { index, width };
    for (path, text) in [
        (hashes(0, 0, 256), "tile/0/000"),
        (hashes(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (hashes(2, 0, 1), "tile/2/000.p/1"),
        (hashes(0, 999, 255), "tile/0/999.p/255"),
        (hashes(1, 1000, 256), "tile/1/x001/000"),
        (hashes(7, u64::MAX, 256), "tile/7/x018/x446/x744/x073/x709/x551/615"),
        (entries(273, 112), "tile/entries/273.p/112"),
        (entries(1_000_000, 256), "tile/entries/x001/x000/000"),
    ] {
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }
    for bad in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/8/000",
        "tile/64/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/1/2",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/00a",
        "tile/0/٣٣٣",
        "tile/entries",
        "tile/data/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(bad.parse::<TilePath>(), Err(TileError::Path), "{bad}");
    }
}

#[test]
fn a_tree_of_70000_entries_has_the_tiles_that_the_specification_counts() {
    let size = 70_000;
    assert_eq!([0, 1, 2, 3].map(|level| full_tiles(level, size)), [273, 1, 0, 0]);
    assert_eq!([0, 1, 2, 3].map(|level| partial_width(level, size)), [112, 17, 1, 0]);
    assert_eq!([0, 1, 2, 3].map(|level| hashes_at(level, size)), [70_000, 273, 1, 0]);
    assert_eq!((full_tiles(0, 256), partial_width(0, 256), partial_width(1, 256)), (1, 0, 1));
    assert_eq!((hashes_at(8, u64::MAX), hashes_at(255, u64::MAX)), (0, 0));
}

#[test]
fn a_bundle_is_strict() {
    let bytes = encode_bundle(&[&b"ab"[..], b"", b"c"]).unwrap();
    assert_eq!(bytes, [0, 2, b'a', b'b', 0, 0, 0, 1, b'c']);
    assert_eq!(decode_bundle(&bytes, 3), Ok(vec![&b"ab"[..], b"", b"c"]));
    for width in [0, 1, 2, 4, 257] {
        assert_eq!(decode_bundle(&bytes, width), Err(TileError::Bundle), "{width}");
    }
    for length in 0..bytes.len() {
        assert_eq!(decode_bundle(&bytes[..length], 3), Err(TileError::Bundle));
    }
    assert_eq!(encode_bundle::<&[u8]>(&[]), None);
    assert_eq!(encode_bundle(&vec![b""; 257]), None);
    assert_eq!(encode_bundle(&[vec![0; 65_536]]), None);
    assert!(encode_bundle(&vec![b""; 256]).is_some());
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(super::cases(256))]

    #[test]
    fn public_entries_round_trip(
        time in any::<u64>(), attributes in proptest::collection::btree_map(1_u16.., values(), 0..8),
    ) {
        let attributes: PublicAttributes = attributes;
        let entry = Entry::Public { time, attributes };
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(mut bytes in vec(any::<u8>(), 0..60), version in 1_u8..3) {
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        if let Ok(entry) = Entry::decode(&bytes) {
            prop_assert_eq!(entry.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn paths_round_trip(level in 0_u8..8, index in any::<u64>(), width in 1_u16..257) {
        for path in [TilePath::Hashes { id: TileId { level, index }, width }, TilePath::Entries { index, width }] {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn any_text_that_is_a_path_is_the_one_way_to_write_it(
        text in "tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?",
    ) {
        if let Ok(path) = text.parse::<TilePath>() {
            prop_assert_eq!(path.to_string(), text.strip_suffix(".p/256").unwrap_or(&text));
        }
    }

    #[test]
    fn bundles_round_trip(entries in vec(vec(any::<u8>(), 0..70), 1..257)) {
        let bytes = encode_bundle(&entries).unwrap();
        let decoded = decode_bundle(&bytes, entries.len() as u16).unwrap();
        prop_assert_eq!(decoded, entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}
