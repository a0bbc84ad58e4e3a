//! Bytes to a bounded, borrowed [`Value`], in one pass of sonic-rs. What the record means is not looked at.
//!
//! Every bound is checked before or while parsing, never after: size first, then depth, number of values, string
//! length, number range and duplicate names as they appear. The fault that comes first in the bytes is the one
//! that is told, but that a large object's duplicate is found where the object ends.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::domain::{
    refusal::{Refusal, RefusalCode},
    value::{INTEGER_MAX, Member, Value},
};

/// The deepest nesting that can be configured. A level costs about 10 KB of stack without optimisation, so that this is
/// a third of a thread's 2 MiB.
pub const DEPTH_MAX: u8 = 64;

/// What a record may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits {
    /// Bytes of the text; default 256 KiB.
    pub bytes_max: usize,
    /// Arrays and objects within one another; default 32, at most [`DEPTH_MAX`].
    pub depth_max: u8,
    /// Values of every kind, containers included; default 10,000.
    pub values_max: u32,
    /// Bytes of one string or property name, escapes resolved; default 64 KiB.
    pub string_bytes_max: usize,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self { bytes_max: 256 << 10, depth_max: 32, values_max: 10_000, string_bytes_max: 64 << 10 }
    }
}

/// Bytes that are no record: why, and about where. Never what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code} near byte {offset}")]
pub struct Unparsable {
    /// Why.
    pub code: RefusalCode,
    /// How many bytes had been read.
    pub offset: usize,
}

impl From<Unparsable> for Refusal {
    fn from(fault: Unparsable) -> Self {
        fault.code.into()
    }
}

/// Parses a record.
pub fn parse<'a>(bytes: &'a [u8], limits: &RecordLimits) -> Result<Value<'a>, Unparsable> {
    if bytes.len() > limits.bytes_max {
        return Err(Unparsable { code: RefusalCode::RecordTooLarge, offset: limits.bytes_max });
    }
    let mut parser = Parser {
        limits: RecordLimits { depth_max: limits.depth_max.min(DEPTH_MAX), ..*limits },
        depth: 0,
        values: 0,
        fault: None,
        items: Vec::new(),
        members: Vec::with_capacity(MEMBERS_EXPECTED),
    };
    let mut json = sonic_rs::Deserializer::from_slice(bytes);
    let value = Seed(&mut parser).deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| Unparsable {
        code: parser.fault.unwrap_or_else(|| fault_of(&error)),
        offset: error.offset().min(bytes.len()),
    })
}

/// What sonic-rs found itself. It tells a number beyond f64 from other faults only in its text (a test holds it to
/// that).
fn fault_of(error: &sonic_rs::Error) -> RefusalCode {
    if error.to_string().starts_with("Float number must be finite") {
        RefusalCode::RecordNumber
    } else {
        RefusalCode::RecordNotJson
    }
}

/// Members that wait for their object to end; enough for most records without growing.
const MEMBERS_EXPECTED: usize = 32;

/// The state of one parse. Children wait on two stacks, so that each container is allocated once, at its size.
struct Parser<'a> {
    limits: RecordLimits,
    depth: u8,
    values: u32,
    /// Why we stopped the parser, when it was us.
    fault: Option<RefusalCode>,
    items: Vec<Value<'a>>,
    members: Vec<Member<'a>>,
}

impl<'a> Parser<'a> {
    /// Stops sonic-rs; the text of the error is never shown.
    #[cold]
    fn stop<E: serde::de::Error>(&mut self, code: RefusalCode) -> E {
        self.fault = Some(code);
        E::custom("refused")
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth >= self.limits.depth_max {
            return Err(self.stop(RefusalCode::RecordTooDeep));
        }
        self.depth += 1;
        Ok(())
    }

    fn text<E: serde::de::Error>(&mut self, text: Cow<'a, str>) -> Result<Cow<'a, str>, E> {
        if text.len() > self.limits.string_bytes_max {
            return Err(self.stop(RefusalCode::RecordStringTooLong));
        }
        Ok(text)
    }

    fn integer<E: serde::de::Error>(&mut self, integer: Option<i64>) -> Result<Value<'a>, E> {
        match integer {
            Some(integer) if (-INTEGER_MAX..=INTEGER_MAX).contains(&integer) => Ok(Value::Integer(integer)),
            _ => Err(self.stop(RefusalCode::RecordNumber)),
        }
    }
}

/// The rest of a stack from `start`, in a vector of its size.
fn taken<T>(stack: &mut Vec<T>, start: usize) -> Vec<T> {
    if start == 0 { std::mem::take(stack) } else { stack.split_off(start) }
}

struct Seed<'p, 'a>(&'p mut Parser<'a>);

impl<'a> DeserializeSeed<'a> for Seed<'_, 'a> {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Value<'a>, D::Error> {
        if self.0.values >= self.0.limits.values_max {
            return Err(self.0.stop(RefusalCode::RecordTooManyItems));
        }
        self.0.values += 1;
        json.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Seed<'_, 'a> {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value<'a>, E> {
        self.0.integer(Some(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value<'a>, E> {
        self.0.integer(i64::try_from(value).ok())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value<'a>, E> {
        self.0.integer(None)
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'a str) -> Result<Value<'a>, E> {
        self.0.text(Cow::Borrowed(text)).map(Value::String)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value<'a>, E> {
        self.0.text(Cow::Owned(text.to_owned())).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<Value<'a>, A::Error> {
        self.0.enter()?;
        let start = self.0.items.len();
        while let Some(item) = array.next_element_seed(Seed(self.0))? {
            self.0.items.push(item);
        }
        self.0.depth -= 1;
        Ok(Value::Array(taken(&mut self.0.items, start)))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<Value<'a>, A::Error> {
        self.0.enter()?;
        let start = self.0.members.len();
        let mut names = Names::default();
        while let Some(name) = object.next_key_seed(NameSeed(self.0))? {
            if names.has(&self.0.members[start..], &name) {
                return Err(self.0.stop(RefusalCode::RecordDuplicateKey));
            }
            let value = object.next_value_seed(Seed(self.0))?;
            self.0.members.push((name, value));
        }
        if Names::repeat_in(&self.0.members[start..]) {
            return Err(self.0.stop(RefusalCode::RecordDuplicateKey));
        }
        self.0.depth -= 1;
        Ok(Value::Object(taken(&mut self.0.members, start)))
    }
}

struct NameSeed<'p, 'a>(&'p mut Parser<'a>);

impl<'a> DeserializeSeed<'a> for NameSeed<'_, 'a> {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Cow<'a, str>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for NameSeed<'_, 'a> {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'a str) -> Result<Cow<'a, str>, E> {
        self.0.text(Cow::Borrowed(text))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cow<'a, str>, E> {
        self.0.text(Cow::Owned(text.to_owned()))
    }
}

/// Finds duplicate names: while there are few, a 256-bit filter and a scan of what it lets through; of many, by sorting
/// once at the end, so that ten thousand names cost no quadratic time.
#[derive(Default)]
struct Names {
    filter: [u64; 4],
}

/// Above this many members an object is checked once, when it ends.
const SCANNED_MAX: usize = 64;

impl Names {
    /// Whether `name` is among `members`; for objects of more than [`SCANNED_MAX`] members that is told at the end.
    fn has(&mut self, members: &[Member<'_>], name: &str) -> bool {
        if members.len() > SCANNED_MAX {
            return false;
        }
        let spread = spread(name.as_bytes());
        let (word, bit) = ((spread & 3) as usize, 1 << (spread >> 2 & 63));
        let seen = self.filter[word] & bit != 0;
        self.filter[word] |= bit;
        seen && members.iter().any(|(known, _)| known == name)
    }

    /// Whether a large object has a name twice.
    fn repeat_in(members: &[Member<'_>]) -> bool {
        if members.len() <= SCANNED_MAX {
            return false;
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// Eight well mixed bits of a name's length, first and last eight bytes.
fn spread(name: &[u8]) -> u64 {
    const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    (first.wrapping_mul(MIX).rotate_left(32) ^ last ^ name.len() as u64).wrapping_mul(MIX) >> 56
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
