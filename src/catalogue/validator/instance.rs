//! How jsonschema reads a [`Value`]: in place, nothing copied. Errors never hold what they are about.

use std::borrow::Cow;

use jsonschema::{
    JsonType,
    json::{Array, Json, JsonNumber, Node, NodeIdentity, Object},
};
use serde_json::{Number, Value as Literal};

use crate::domain::{
    canonical,
    value::{Member, Value},
};

/// What the errors of jsonschema say instead of the value that they are about.
static NOTHING: Literal = Literal::Null;

/// The representation; a node of it is a plain reference.
pub struct Instance;

impl Json for Instance {
    type Node<'a> = &'a Value<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = Value<'static>;

    /// A lookup is a scan here, so jsonschema's own single pass over the members is always better.
    const KEYS_PER_LOOKUP: usize = 1 << 16;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(buffer: &mut Value<'static>, string: &str, f: impl for<'b> FnOnce(&'b Value<'b>) -> T) -> T {
        *buffer = Value::String(Cow::Owned(string.to_owned()));
        f(buffer)
    }
}

/// An integer within ±(2^53-1), so that its `f64` is exact.
pub struct Integer(i64);

impl JsonNumber for Integer {
    fn as_u64(&self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    fn as_i64(&self) -> Option<i64> {
        Some(self.0)
    }

    fn as_f64(&self) -> Option<f64> {
        Some(self.0 as f64)
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(self.0.to_string())
    }

    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Owned(self.0.into())
    }

    fn is_integer(&self) -> bool {
        true
    }

    fn is_written_as_integer(&self) -> bool {
        true
    }
}

impl<'a> Node<'a, Instance> for &'a Value<'a> {
    type Object = &'a [Member<'a>];
    type Array = &'a [Value<'a>];
    type Number = Integer;

    fn as_object(&self) -> Option<&'a [Member<'a>]> {
        match self {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Value<'a>]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Value::String(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Integer> {
        self.as_integer().map(Integer)
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Integer(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn string_length(&self) -> Option<u64> {
        let text = self.as_str()?;
        Some(if text.is_ascii() { text.len() } else { text.chars().count() } as u64)
    }

    fn equals_value(&self, expected: &Literal) -> bool {
        equals(self, expected)
    }

    /// Not the value: jsonschema asks for it only to put it into an error (`equals_value` and `is_unique` are our own),
    /// and there it must not be. It also makes an error cheap, whatever it is about.
    fn to_value(&self) -> Cow<'a, Literal> {
        Cow::Borrowed(&NOTHING)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Value<'_>>(self).addr()))
    }
}

/// Equality as JSON Schema has it: numbers by value, objects without order.
fn equals(value: &Value<'_>, expected: &Literal) -> bool {
    match (value, expected) {
        (Value::Null, Literal::Null) => true,
        (Value::Bool(ours), Literal::Bool(theirs)) => ours == theirs,
        (Value::Integer(ours), Literal::Number(theirs)) => {
            theirs.as_i64().map_or_else(|| theirs.as_f64() == Some(*ours as f64), |theirs| *ours == theirs)
        }
        (Value::String(ours), Literal::String(theirs)) => ours == theirs,
        (Value::Array(ours), Literal::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| equals(ours, theirs))
        }
        (Value::Object(ours), Literal::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(name, ours)| theirs.get(&**name).is_some_and(|theirs| equals(ours, theirs)))
        }
        _ => false,
    }
}

impl<'a> Object<'a, Instance> for &'a [Member<'a>] {
    type Node = &'a Value<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        <[Member<'a>]>::len(self)
    }

    fn get(&self, key: &Box<str>) -> Option<&'a Value<'a>> {
        self.iter().find(|(name, _)| **name == **key).map(|(_, value)| value)
    }

    fn members(&self) -> Members<'a> {
        Members(self.iter())
    }
}

/// The members of an object, as jsonschema wants them.
pub struct Members<'a>(std::slice::Iter<'a, Member<'a>>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (&**name, value))
    }
}

impl<'a> Array<'a, Instance> for &'a [Value<'a>] {
    type Node = &'a Value<'a>;
    type ElementsIter = std::slice::Iter<'a, Value<'a>>;

    fn len(&self) -> usize {
        <[Value<'a>]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Value<'a>> {
        self.iter()
    }

    /// Equal items have equal canonical forms; sorted, so that ten thousand items cost no quadratic time.
    fn is_unique(&self) -> bool {
        let mut text = String::new();
        let ends: Vec<usize> = self
            .iter()
            .map(|item| {
                canonical::write(&mut text, item);
                text.len()
            })
            .collect();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let mut forms: Vec<&str> = starts.zip(&ends).map(|(start, &end)| &text[start..end]).collect();
        forms.sort_unstable();
        forms.windows(2).all(|pair| pair[0] != pair[1])
    }
}
