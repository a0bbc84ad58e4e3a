//! The person a record is about. Identifiers are personal data: they print as `…` and never reach an error text.

use std::fmt;

use zeroize::Zeroizing;

/// The longest scheme of an identifier, in bytes.
pub const SCHEME_BYTES_MAX: usize = 64;
/// The longest value of an identifier, in bytes.
pub const IDENTIFIER_BYTES_MAX: usize = 256;
/// The most identifiers of one person that a call names.
pub const IDENTIFIERS_MAX: usize = 16;

/// A (scheme, value) pair that points to a subject: national number, tax number, eIDAS identifier, case number.
#[derive(Clone, PartialEq, Eq)]
pub struct Identifier {
    scheme: Box<str>,
    value: Zeroizing<String>,
}

/// An identifier that can't be one. Says which part, never its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentifier {
    /// The scheme is not a short machine name.
    #[error("an identifier's scheme is 1 to 64 characters of a-z, 0-9 or '-'")]
    Scheme,
    /// The value is empty.
    #[error("an identifier's value is 1 to 256 bytes")]
    Empty,
    /// The value is too long.
    #[error("an identifier's value is 1 to 256 bytes")]
    TooLong,
}

impl InvalidIdentifier {
    /// The keyword of JSON Schema that it breaks.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Scheme => "pattern",
            Self::Empty => "minLength",
            Self::TooLong => "maxLength",
        }
    }
}

impl Identifier {
    /// An identifier, once its bounds are checked.
    pub fn new(scheme: &str, value: &str) -> Result<Self, InvalidIdentifier> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if scheme.is_empty() || scheme.len() > SCHEME_BYTES_MAX || !scheme.bytes().all(letter) {
            return Err(InvalidIdentifier::Scheme);
        }
        match value.len() {
            0 => return Err(InvalidIdentifier::Empty),
            1..=IDENTIFIER_BYTES_MAX => {}
            _ => return Err(InvalidIdentifier::TooLong),
        }
        Ok(Self { scheme: scheme.into(), value: Zeroizing::new(value.to_owned()) })
    }

    /// What kind of number this is, e.g. `national-number`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The number itself. Personal data.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identifier({}, …)", self.scheme)
    }
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(…)", stringify!($name))
            }
        }
    };
}

opaque_id!(
    /// The hub's own random id of a person; never leaves the hub.
    SubjectId
);
opaque_id!(
    /// The keyed hash (HMAC-SHA256, 128 bits) under which an identifier is looked up.
    IdentifierHash
);
opaque_id!(
    /// How one recipient knows one subject; two recipients cannot join on it.
    Pseudonym
);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// What an identifying property of a record says about whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdentifierRole {
    /// The person that the record is about; consent and order follow this one.
    Main,
    /// Someone else in it: spouse, child, guardian. Nothing is looked up by them yet: a search finds the record by whom it
    /// is about alone.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_prints_without_its_value() {
        let identifier = Identifier::new("national-number", "ZZ-1234").unwrap();
        assert_eq!(format!("{identifier:?}"), "Identifier(national-number, …)");
    }

    #[test]
    fn bounds_hold_just_below_and_just_above() {
        assert!(Identifier::new(&"s".repeat(SCHEME_BYTES_MAX), "1").is_ok());
        assert_eq!(Identifier::new(&"s".repeat(SCHEME_BYTES_MAX + 1), "1"), Err(InvalidIdentifier::Scheme));
        assert!(Identifier::new("s", &"1".repeat(IDENTIFIER_BYTES_MAX)).is_ok());
        assert_eq!(Identifier::new("s", &"1".repeat(IDENTIFIER_BYTES_MAX + 1)), Err(InvalidIdentifier::TooLong));
        assert_eq!(Identifier::new("s", ""), Err(InvalidIdentifier::Empty));
    }
}
