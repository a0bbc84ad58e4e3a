//! Tests of the parser: each bound just below and just above, hostile input, and agreement with serde_json.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::domain::arbitrary;

const LIMITS: RecordLimits =
    RecordLimits { bytes_max: 256 << 10, depth_max: 32, values_max: 10_000, string_bytes_max: 64 << 10 };

fn parsed(json: &str) -> Result<Value<'_>, RefusalCode> {
    parse(json.as_bytes(), &LIMITS).map_err(|fault| fault.code)
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn the_default_limits_are_the_documented_ones() {
    assert_eq!(RecordLimits::default(), LIMITS);
}

#[test]
fn a_record_is_parsed_in_order_and_borrows_what_has_no_escape() {
    let value = parsed(r#"{"b": ["x", "\u00e9", -7, true, null], "a": {}}"#).unwrap();
    let [(b, Value::Array(items)), (a, Value::Object(empty))] = value.members() else { panic!("two members") };
    assert_eq!((&**b, &**a, empty.len()), ("b", "a", 0));
    assert!(matches!(&items[0], Value::String(Cow::Borrowed("x"))));
    assert!(matches!(&items[1], Value::String(Cow::Owned(text)) if text == "é"));
    assert_eq!(items[2..], [Value::Integer(-7), Value::Bool(true), Value::Null]);
}

#[test]
fn bytes_are_bounded() {
    let text = |bytes: usize| format!("[{}]", " ".repeat(bytes - 2));
    assert!(parsed(&text(LIMITS.bytes_max)).is_ok());
    assert_eq!(parsed(&text(LIMITS.bytes_max + 1)), Err(RefusalCode::RecordTooLarge));
}

#[test]
fn depth_is_bounded() {
    assert!(parsed(&nested(32)).is_ok());
    assert_eq!(parsed(&nested(33)), Err(RefusalCode::RecordTooDeep));
    let objects = |depth: usize| r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth);
    assert!(parsed(&objects(32)).is_ok());
    assert_eq!(parsed(&objects(33)), Err(RefusalCode::RecordTooDeep));
}

#[test]
fn hostile_nesting_stops_at_the_bound_whatever_is_configured() {
    let wide = RecordLimits { bytes_max: 8 << 20, depth_max: u8::MAX, values_max: u32::MAX, ..LIMITS };
    for hostile in ["[".repeat(1_000_000), r#"{"a":"#.repeat(1_000_000), r#"[{"a":"#.repeat(1_000_000)] {
        assert_eq!(parse(hostile.as_bytes(), &wide).unwrap_err().code, RefusalCode::RecordTooDeep);
    }
    assert!(parse(nested(usize::from(DEPTH_MAX)).as_bytes(), &wide).is_ok());
    assert_eq!(
        parse(nested(usize::from(DEPTH_MAX) + 1).as_bytes(), &wide).unwrap_err().code,
        RefusalCode::RecordTooDeep
    );
}

#[test]
fn values_are_bounded_containers_included() {
    let items = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert!(parsed(&items(9_999)).is_ok());
    assert_eq!(parsed(&items(10_000)), Err(RefusalCode::RecordTooManyItems));
}

#[test]
fn strings_and_names_are_bounded_with_their_escapes_resolved() {
    let (fits, over) = ("x".repeat(64 << 10), "x".repeat((64 << 10) + 1));
    assert!(parsed(&format!(r#"["{fits}"]"#)).is_ok());
    assert_eq!(parsed(&format!(r#"["{over}"]"#)), Err(RefusalCode::RecordStringTooLong));
    assert!(parsed(&format!(r#"{{"{fits}": 1}}"#)).is_ok());
    assert_eq!(parsed(&format!(r#"{{"{over}": 1}}"#)), Err(RefusalCode::RecordStringTooLong));
    let few = RecordLimits { string_bytes_max: 2, ..LIMITS };
    assert!(parse(br#""\u00e9""#, &few).is_ok());
    assert_eq!(parse(br#""\u00e9x""#, &few).unwrap_err().code, RefusalCode::RecordStringTooLong);
}

#[test]
fn numbers_are_integers_within_what_a_double_holds() {
    assert_eq!(parsed("9007199254740991"), Ok(Value::Integer(INTEGER_MAX)));
    assert_eq!(parsed("-9007199254740991"), Ok(Value::Integer(-INTEGER_MAX)));
    for number in [
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551616",
        "1.0",
        "1e2",
        "0.5",
        "-0",
        "1e999",
        "-1e999",
        "123456789012345678901234567890",
    ] {
        assert_eq!(parsed(number), Err(RefusalCode::RecordNumber), "{number}");
    }
}

#[test]
fn a_name_twice_is_refused_near_or_far_escaped_or_not() {
    assert_eq!(parsed(r#"{"a":1,"a":2}"#), Err(RefusalCode::RecordDuplicateKey));
    assert_eq!(parsed(r#"{"a":1,"\u0061":2}"#), Err(RefusalCode::RecordDuplicateKey));
    assert_eq!(parsed(r#"[{"a":{"b":1,"c":2,"b":3}}]"#), Err(RefusalCode::RecordDuplicateKey));
    assert!(parsed(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    for count in [SCANNED_MAX - 1, SCANNED_MAX, SCANNED_MAX + 1, SCANNED_MAX + 2, 5_000] {
        let names: Vec<String> = (0..count).map(|n| format!(r#""name{n}":0"#)).collect();
        let names = names.join(",");
        assert!(parsed(&format!("{{{names}}}")).is_ok(), "{count}");
        for again in [0, count / 2, count - 1] {
            let twice = format!(r#"{{{names},"name{again}":0}}"#);
            assert_eq!(parsed(&twice), Err(RefusalCode::RecordDuplicateKey), "{count} {again}");
        }
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1,]",
        "[1 2]",
        r#"{"a"}"#,
        r#"{"a":1,}"#,
        "{a:1}",
        "nul",
        "truee",
        "1 1",
        "01",
        "+1",
        "'a'",
        "// c\n1",
        "\"\u{1}\"",
        "\"\n\"",
        r#""\x""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\u12""#,
        "\u{feff}1",
        "NaN",
        "Infinity",
        "[1",
        r#"{"a":1"#,
        "\"a",
        "-",
        "]",
    ] {
        assert_eq!(parsed(text), Err(RefusalCode::RecordNotJson), "{text:?}");
    }
    for bytes in [
        &b"\"\xff\""[..],
        b"{\"\xff\":1}",
        b"\xff",
        b"1\xff",
        b"\"\xed\xa0\x80\"",
        b"\"\xc0\xaf\"",
        b"[1]\0",
        b"\"\\n\xff\"",
    ] {
        assert_eq!(parse(bytes, &LIMITS).unwrap_err().code, RefusalCode::RecordNotJson, "{bytes:?}");
    }
}

#[test]
fn a_refusal_says_where_and_never_what() {
    let fault = parse(br#"{"nationalNumber": "ZZ-1", "nationalNumber": 2}"#, &LIMITS).unwrap_err();
    assert!((27..=46).contains(&fault.offset), "{}", fault.offset);
    assert_eq!(fault.to_string(), format!("record.duplicate-key near byte {}", fault.offset));
    assert_eq!(Refusal::from(fault), RefusalCode::RecordDuplicateKey.into());
}

/// What serde_json says, within our restrictions: only integers in range, and no name twice (which it would pass over).
fn reference(text: &[u8]) -> Option<Json> {
    fn fits(json: &Json) -> bool {
        match json {
            Json::Number(number) => number.as_i64().is_some_and(|n| (-INTEGER_MAX..=INTEGER_MAX).contains(&n)),
            Json::Array(items) => items.iter().all(fits),
            Json::Object(members) => members.values().all(fits),
            _ => true,
        }
    }
    serde_json::from_slice(text).ok().filter(fits)
}

/// serde_json sorts the members of objects, so ours are sorted before both are compared.
fn sorted(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Object(mut members) => {
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        scalar => scalar,
    }
}

fn agrees(text: &[u8]) -> Result<(), TestCaseError> {
    match parse(text, &LIMITS) {
        Ok(value) => {
            prop_assert_eq!(Some(sorted(value)) == reference(text).as_ref().map(arbitrary::value), true);
        }
        // serde_json passes over these; their own tests hold them.
        Err(Unparsable { code: RefusalCode::RecordDuplicateKey | RefusalCode::RecordTooDeep, .. }) => {}
        Err(fault) => prop_assert_eq!(reference(text), None, "{}", fault.code),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_written_record_is_parsed_to_what_it_was(json in arbitrary::json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let value = parsed(&text).unwrap();
        prop_assert!(sorted(value) == arbitrary::value(&json));
    }

    #[test]
    fn a_damaged_record_is_accepted_or_refused_as_serde_json_does(
        json in arbitrary::json(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..4),
    ) {
        let mut text = serde_json::to_vec(&json).unwrap();
        for (place, how, byte) in damage {
            let at = place.index(text.len() + 1);
            let grammar = b"{}[]\",:\\0-1.eEu \n";
            let grammar = grammar[usize::from(byte) % grammar.len()];
            match how {
                0 if at < text.len() => { text.remove(at); }
                1 => text.insert(at, grammar),
                2 if at < text.len() => text[at] = grammar,
                _ => text.insert(at, byte),
            }
        }
        agrees(&text)?;
    }

    #[test]
    fn any_bytes_are_accepted_or_refused_as_serde_json_does(
        text in prop::collection::vec(prop::sample::select(b"{}[]\",:\\019-.eEu trufalsn\xc3\xa9\xff\n".to_vec()), 0..40),
    ) {
        agrees(&text)?;
    }
}
