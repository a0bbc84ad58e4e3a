//! The trail of an entry: what it says, kept beside the ledger under the entry's secret. With the secret, every
//! commitment of the entry can be made again and any one of them opened.
//!
//! Plain form: version u8 = 1; u16 count of attributes, each u16 number, u32 length, RFC 8785 value; u16 count of
//! fields, each u16 length, instance path, 32-byte commitment. Integers big-endian. Field values are not in it: they
//! are payload.

use std::ops::Range;

use crate::{
    domain::view::Projection,
    ledger::{Attribute, CommitmentError, Commitments, Hash, Kind, Name, Opening, Salts, Secret, commit_value},
    vault::TAG_BYTES,
};

use super::statement::Statement;

const VERSION: u8 = 1;
/// Number and length.
const ATTRIBUTE_BYTES_MIN: usize = 6;

/// A trail that does not read: it was not written by this hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the trail of an entry is malformed")]
pub struct MalformedTrail;

/// An opened trail. One text holds all values and paths: it is read once a delivery, and mostly for a few of them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Trail {
    text: String,
    attributes: Vec<(u16, Range<u32>)>,
    fields: Vec<(Range<u32>, Hash)>,
}

/// It is about a person, so it prints only its size.
impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trail({} attributes, {} fields)", self.attributes.len(), self.fields.len())
    }
}

/// Writes a trail, with room for being sealed. `commitments` are those of the statement's attributes, then of the
/// projection's fields.
pub fn encode(statement: &Statement, projection: Option<&Projection>, commitments: &Commitments) -> Vec<u8> {
    let attributes = statement.attributes();
    let bytes = 5
        + attributes.clone().map(|(_, value)| 6 + value.len()).sum::<usize>()
        + projection.map_or(0, |some| some.fields().map(|field| 2 + field.path.len() + Hash::LEN).sum());
    let mut out = Vec::with_capacity(bytes + TAG_BYTES);
    out.push(VERSION);
    out.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    let first_field = attributes.len();
    for (attribute, value) in attributes {
        out.extend_from_slice(&attribute.number().to_be_bytes());
        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let fields = projection.map(Projection::fields);
    out.extend_from_slice(&(fields.as_ref().map_or(0, ExactSizeIterator::len) as u16).to_be_bytes());
    for (position, field) in fields.into_iter().flatten().enumerate() {
        out.extend_from_slice(&(field.path.len() as u16).to_be_bytes());
        out.extend_from_slice(field.path.as_bytes());
        let commitment = commitments.get(first_field + position).expect("there is a commitment for each field");
        out.extend_from_slice(commitment.as_bytes());
    }
    out
}

impl Trail {
    /// Reads a trail.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedTrail> {
        let mut cursor = Cursor(bytes);
        if cursor.take::<1>()? != [VERSION] {
            return Err(MalformedTrail);
        }
        let mut trail = Self { text: String::with_capacity(bytes.len()), ..Self::default() };
        let count = usize::from(u16::from_be_bytes(cursor.take()?));
        trail.attributes.reserve(count.min(bytes.len() / ATTRIBUTE_BYTES_MIN));
        for _ in 0..count {
            let number = u16::from_be_bytes(cursor.take()?);
            let length = u32::from_be_bytes(cursor.take()?) as usize;
            trail.attributes.push((number, cursor.text(length, &mut trail.text)?));
        }
        let count = usize::from(u16::from_be_bytes(cursor.take()?));
        trail.fields.reserve(count.min(bytes.len() / Hash::LEN));
        for _ in 0..count {
            let length = usize::from(u16::from_be_bytes(cursor.take()?));
            let path = cursor.text(length, &mut trail.text)?;
            trail.fields.push((path, Hash::new(cursor.take()?)));
        }
        if cursor.0.is_empty() { Ok(trail) } else { Err(MalformedTrail) }
    }

    /// Number and RFC 8785 value of each attribute, ascending; numbers that this version does not know included.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = (u16, &str)> {
        self.attributes.iter().map(|(number, value)| (*number, self.part(value)))
    }

    /// Instance path and commitment of each field, ascending.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &Hash)> {
        self.fields.iter().map(|(path, commitment)| (self.part(path), commitment))
    }

    fn part(&self, range: &Range<u32>) -> &str {
        &self.text[range.start as usize..range.end as usize]
    }

    /// The value of an attribute, as RFC 8785 JSON.
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        let found = self.attributes.iter().find(|(number, _)| *number == attribute.number());
        found.map(|(_, value)| self.part(value))
    }

    /// The value of an attribute that is a string.
    pub fn text(&self, attribute: Attribute) -> Option<String> {
        let value = self.get(attribute)?;
        match plain(value) {
            Some(text) => Some(text.to_owned()),
            None => serde_json::from_str(value).ok(),
        }
    }

    /// Whether the value of an attribute is this string. One with escapes may be taken for another.
    pub fn says(&self, attribute: Attribute, text: &str) -> bool {
        self.get(attribute).and_then(plain) == Some(text)
    }

    /// The value of an attribute that is a list of strings.
    pub fn list(&self, attribute: Attribute) -> Vec<String> {
        self.get(attribute).and_then(|value| serde_json::from_str(value).ok()).unwrap_or_default()
    }

    /// The value of an attribute that is a number.
    pub fn number(&self, attribute: Attribute) -> Option<u64> {
        let value = self.get(attribute)?;
        if let Ok(number) = value.parse() {
            return Some(number);
        }
        let value: serde_json::Value = serde_json::from_str(value).ok()?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// What happened.
    pub fn kind(&self) -> Option<Kind> {
        self.number(Attribute::Kind).and_then(|number| u16::try_from(number).ok()).and_then(Kind::from_number)
    }

    /// Makes the list of commitments again, and opens those that `shown` lets through. Fields open without their value,
    /// which whoever holds the record puts in.
    pub fn open(
        &self,
        secret: &Secret,
        shown: impl Fn(Item<'_>) -> bool,
    ) -> Result<(Commitments, Vec<Opening>), CommitmentError> {
        let count = self.attributes.len() + self.fields.len();
        let salts = Salts::derive(secret, count)?;
        let mut list = Vec::with_capacity(2 + count * Hash::LEN);
        list.extend_from_slice(&(count as u16).to_be_bytes());
        let mut openings = Vec::new();
        let mut opening = |position: usize, name: String, value: &str| {
            let salt = salts.get(position).expect("a salt was derived for each position");
            openings.push(Opening { position: position as u16, name, value: value.to_owned(), salt });
        };
        for (position, (number, value)) in self.attributes().enumerate() {
            let salt = salts.get(position).expect("a salt was derived for each position");
            list.extend_from_slice(commit_value(&salt, Name::Attribute(number), value.as_bytes()).as_bytes());
            if shown(Item::Attribute(number)) {
                opening(position, number.to_string(), value);
            }
        }
        for (position, (path, commitment)) in self.fields().enumerate() {
            list.extend_from_slice(commitment.as_bytes());
            if shown(Item::Field(path)) {
                opening(self.attributes.len() + position, path.to_owned(), "");
            }
        }
        Ok((Commitments::from_bytes(list)?, openings))
    }
}

/// One thing that an entry commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// By number.
    Attribute(u16),
    /// By instance path.
    Field(&'a str),
}

/// What a JSON string says, if nothing of it is escaped: nearly always.
fn plain(value: &str) -> Option<&str> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.bytes().any(|byte| byte == b'\\' || byte == b'"')).then_some(inner)
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MalformedTrail> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(MalformedTrail)?;
        self.0 = rest;
        Ok(*head)
    }

    /// Adds the next `length` bytes to `all`; says where they stand there.
    fn text(&mut self, length: usize, all: &mut String) -> Result<Range<u32>, MalformedTrail> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(MalformedTrail)?;
        self.0 = rest;
        let start = all.len() as u32;
        all.push_str(std::str::from_utf8(head).map_err(|_| MalformedTrail)?);
        Ok(start..all.len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Committer;

    #[test]
    fn what_a_statement_says_is_read_from_its_trail_with_and_without_escapes() {
        let mut statement = Statement::of(Kind::Transfer);
        statement.string(Attribute::Source, "tax");
        statement.string(Attribute::Reason, "a \"b\" \\ c");
        statement.number(Attribute::Revision, u64::MAX);
        let mut committer = Committer::new();
        let items = statement.attributes().map(|(attribute, value)| (Name::from(attribute), value.as_bytes()));
        committer.commit(&Secret::new([7; 32]), items).unwrap();
        let trail = Trail::decode(&encode(&statement, None, committer.commitments())).unwrap();

        let said: Vec<_> = statement.attributes().map(|(attribute, value)| (attribute.number(), value)).collect();
        assert_eq!(trail.attributes().collect::<Vec<_>>(), said);
        assert_eq!((trail.kind(), trail.number(Attribute::Revision)), (Some(Kind::Transfer), Some(u64::MAX)));
        assert_eq!(trail.text(Attribute::Source).as_deref(), Some("tax"));
        assert_eq!(trail.text(Attribute::Reason).as_deref(), Some("a \"b\" \\ c"));
        assert_eq!(trail.text(Attribute::Revision).as_deref(), Some("18446744073709551615"));
        assert!(trail.says(Attribute::Source, "tax") && !trail.says(Attribute::Source, "ta"));
        assert_eq!((trail.text(Attribute::Kind), trail.text(Attribute::Purpose)), (None, None));
    }
}
