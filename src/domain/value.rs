//! A parsed record: a JSON value that borrows its text from the bytes it came from. It is personal data, so it prints
//! only its shape. Parsing is the exchange's, meaning is the schema's.

use std::{borrow::Cow, fmt};

/// The largest integer a record may have: 2^53 - 1 (RFC 8259 §6, RFC 7493 §2.2). The smallest is its negative.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// A property's name and its value.
pub type Member<'a> = (Cow<'a, str>, Value<'a>);

/// A JSON value whose numbers are integers within ±(2^53-1).
///
/// Strings without an escape borrow from the input. Objects keep the order of the input, and no name twice.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Value<'a> {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Vec<Member<'a>>),
}

impl<'a> Value<'a> {
    /// The property `name`, if this is an object that has it. A linear scan: records have few properties an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members().iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[Member<'a>] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The items of an array; none of anything else.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer.
    pub const fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            _ => None,
        }
    }
}

/// Shape only, no content: a record must not reach a log by way of `{:?}`.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bool(_) => f.write_str("Bool(…)"),
            Self::Integer(_) => f.write_str("Integer(…)"),
            Self::String(_) => f.write_str("String(…)"),
            Self::Array(items) => write!(f, "Array({} items)", items.len()),
            Self::Object(members) => write!(f, "Object({} members)", members.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_prints_its_shape_and_nothing_else() {
        let record = Value::Object(vec![("surname".into(), Value::String("Ærø".into()))]);
        assert_eq!(format!("{record:?}"), "Object(1 members)");
        assert_eq!(format!("{:?}", record.get("surname").unwrap()), "String(…)");
    }

    #[test]
    fn a_property_is_found_by_its_name() {
        let record = Value::Object(vec![("a".into(), Value::Integer(1)), ("b".into(), Value::Null)]);
        assert_eq!(record.get("a").and_then(Value::as_integer), Some(1));
        assert_eq!(record.get("c"), None);
        assert_eq!(Value::Null.get("a"), None);
    }
}
