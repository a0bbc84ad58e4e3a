//! The names of what an entry commits to: attribute numbers and field paths. Not the values, nor what is made of both:
//! `commitment.rs`.
use std::fmt;

use super::attribute::Attribute;
use super::entry::parse_number;

/// What an item is called. Ordered as the list is: attributes by number, then fields by the bytes of their path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name<'a> {
    /// An attribute's number, 1 or more. One that this version does not know is still a name.
    Attribute(u16),
    /// A field's concrete instance path, a JSON Pointer that starts with '/'.
    Field(&'a str),
}

impl<'a> Name<'a> {
    /// Reads a name as it is committed to.
    pub fn parse(text: &'a str) -> Option<Self> {
        let name = if text.starts_with('/') { Self::Field(text) } else { Self::Attribute(parse_number(text)?) };
        name.is_valid().then_some(name)
    }

    pub(super) fn is_valid(&self) -> bool {
        match self {
            Self::Attribute(number) => *number > 0,
            Self::Field(path) => path.starts_with('/') && u16::try_from(path.len()).is_ok(),
        }
    }

    /// u16 length || name. The name must be valid.
    pub(super) fn put(&self, buffer: &mut Vec<u8>) {
        match self {
            Name::Attribute(number) => put_attribute(buffer, *number),
            Name::Field(path) => put_name(buffer, path.as_bytes()),
        }
    }
}

impl From<Attribute> for Name<'_> {
    fn from(attribute: Attribute) -> Self {
        Self::Attribute(attribute.number())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(number) => write!(f, "{number}"),
            Self::Field(path) => f.write_str(path),
        }
    }
}

/// The path of a field can hold personal data (a map's key), so only the sort of name is shown.
impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(number) => write!(f, "Attribute({number})"),
            Self::Field(_) => f.write_str("Field(..)"),
        }
    }
}

fn put_name(buffer: &mut Vec<u8>, name: &[u8]) {
    buffer.extend_from_slice(&(name.len() as u16).to_be_bytes());
    buffer.extend_from_slice(name);
}

fn put_attribute(buffer: &mut Vec<u8>, number: u16) {
    let mut digits = [0; 5]; // u16::MAX has five
    let mut start = digits.len();
    let mut rest = number;
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    put_name(buffer, &digits[start..]);
}
