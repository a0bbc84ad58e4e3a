//! The bytes of an entry: a leaf of the ledger. Not what the commitments hold: that is `commitment.rs`.
use std::collections::BTreeMap;

use serde_json::Value;

use super::hash::{Hash, leaf_hash};

/// Length of an entry about a person, in bytes. All are alike, so that their size tells nothing.
pub const PERSON_ENTRY_BYTES: usize = 41;
/// The longest entry, in bytes: an entry bundle counts in 16 bits (C2SP tlog-tiles, *Log entries*).
pub const MAX_ENTRY_BYTES: usize = 65_535;

const VERSION_PERSON: u8 = 1;
const VERSION_PUBLIC: u8 = 2;
/// Version and time.
const HEADER_BYTES: usize = 9;
/// RFC 8785 numbers are doubles; beyond this an integer is not exact in one.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// What a public entry says: values by attribute number. Numbers that this version does not know are kept.
pub type PublicAttributes = BTreeMap<u16, Value>;

/// A leaf of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// About a person: shows its time and one digest over salted commitments.
    Person {
        /// Seconds since 1970-01-01T00:00:00Z.
        time: u64,
        /// SHA-256 over the list of commitments.
        digest: Hash,
    },
    /// About no person (catalogue, keys, restore): in the clear.
    Public {
        /// Seconds since 1970-01-01T00:00:00Z.
        time: u64,
        /// What it says.
        attributes: PublicAttributes,
    },
}

/// Why bytes are no entry, or values cannot become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Shorter than version and time, or longer than [`MAX_ENTRY_BYTES`], or a person entry that is not 41 bytes.
    #[error("an entry cannot be {0} bytes long")]
    Length(usize),
    /// The first byte names no version that is known here.
    #[error("unknown entry version {0}")]
    Version(u8),
    /// The attributes are not one JSON object.
    #[error("the attributes of a public entry are not a JSON object")]
    NotAnObject,
    /// A key is not a number from 1 to 65535 in plain decimal.
    #[error("an attribute's key is not a number from 1 to 65535 in plain decimal")]
    AttributeNumber,
    /// A number is not an integer within ±(2^53 - 1).
    #[error("attribute {0} holds a number that is not an integer within 2^53 - 1")]
    Number(u16),
    /// The JSON is not in the one form of RFC 8785.
    #[error("the attributes of a public entry are not canonical JSON (RFC 8785)")]
    NotCanonical,
}

/// An entry about a person, in bytes, without allocating.
pub fn encode_person(time: u64, digest: &Hash) -> [u8; PERSON_ENTRY_BYTES] {
    let mut bytes = [0; PERSON_ENTRY_BYTES];
    bytes[0] = VERSION_PERSON;
    bytes[1..HEADER_BYTES].copy_from_slice(&time.to_be_bytes());
    bytes[HEADER_BYTES..].copy_from_slice(digest.as_bytes());
    bytes
}

impl Entry {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn time(&self) -> u64 {
        match self {
            Self::Person { time, .. } | Self::Public { time, .. } => *time,
        }
    }

    /// The entry in bytes.
    pub fn encode(&self) -> Result<Vec<u8>, EntryError> {
        match self {
            Self::Person { time, digest } => Ok(encode_person(*time, digest).to_vec()),
            Self::Public { time, attributes } => {
                let mut bytes = vec![VERSION_PUBLIC];
                bytes.extend_from_slice(&time.to_be_bytes());
                bytes.extend_from_slice(&canonical(attributes)?);
                // Public entries are rare: decoding each keeps any value that would not come back out of the ledger.
                Self::decode(&bytes)?;
                Ok(bytes)
            }
        }
    }

    /// Reads an entry. Every entry has exactly one encoding, and only that is accepted.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let length = EntryError::Length(bytes.len());
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(length);
        }
        let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(length)?;
        let [version, time @ ..] = *header;
        let time = u64::from_be_bytes(time);
        match version {
            VERSION_PERSON => Ok(Self::Person { time, digest: Hash::from_slice(body).ok_or(length)? }),
            VERSION_PUBLIC => Ok(Self::Public { time, attributes: parse_attributes(body)? }),
            other => Err(EntryError::Version(other)),
        }
    }

    /// The entry's leaf hash.
    pub fn leaf_hash(&self) -> Result<Hash, EntryError> {
        Ok(leaf_hash(&self.encode()?))
    }
}

fn canonical(attributes: &PublicAttributes) -> Result<Vec<u8>, EntryError> {
    serde_json_canonicalizer::to_vec(attributes).map_err(|_| EntryError::NotCanonical)
}

fn parse_attributes(json: &[u8]) -> Result<PublicAttributes, EntryError> {
    let object: BTreeMap<String, Value> = serde_json::from_slice(json).map_err(|_| EntryError::NotAnObject)?;
    let mut attributes = PublicAttributes::new();
    for (key, value) in object {
        let number = parse_number(&key).ok_or(EntryError::AttributeNumber)?;
        if !numbers_are_safe(&value) {
            return Err(EntryError::Number(number));
        }
        attributes.insert(number, value);
    }
    // Catches white space, key order, escapes and duplicate keys (the parser keeps the last) in one comparison.
    if canonical(&attributes)? == json { Ok(attributes) } else { Err(EntryError::NotCanonical) }
}

/// An attribute number in plain decimal: 1 to 65535, no sign, no leading zero.
pub(super) fn parse_number(text: &str) -> Option<u16> {
    let plain = text.as_bytes().first().is_some_and(|first| matches!(first, b'1'..=b'9'));
    if plain { text.parse().ok() } else { None }
}

/// The parser bounds the depth (128), so the recursion is bounded too.
fn numbers_are_safe(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.as_i64().is_some_and(|integer| (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&integer))
        }
        Value::Array(items) => items.iter().all(numbers_are_safe),
        Value::Object(members) => members.values().all(numbers_are_safe),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
