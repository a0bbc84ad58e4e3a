//! Strategies for property tests: JSON as records may have it, as serde_json holds it, and its translation. Tests only.

use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use super::value::{INTEGER_MAX, Value};

/// Property names: a few letters, so that random paths meet random records, and what needs escaping or odd ordering.
pub fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-e]",
        1 => "[a-c]/[~a]",
        1 => any::<String>(),
        1 => prop::sample::select(vec!["", "0", "\u{1F600}", "\u{FB33}", "\"", "\\", "\u{7f}", "é"]).prop_map(Into::into),
    ]
}

/// A scalar.
pub fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (-INTEGER_MAX..=INTEGER_MAX).prop_map(Json::from),
        (-3_i64..3).prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        "[a-c\n\"\\\\]{0,3}".prop_map(Json::from),
    ]
}

/// Any JSON that a record may have.
pub fn json() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::vec((name(), inner), 0..24).prop_map(|members| Json::Object(Map::from_iter(members))),
        ]
    })
}

/// The same, as the hub holds it.
pub fn value(json: &Json) -> Value<'static> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Integer(number.as_i64().expect("only integers are generated")),
        Json::String(text) => Value::String(text.clone().into()),
        Json::Array(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone().into(), value(member))).collect())
        }
    }
}
