//! Short machine names of the catalogue: what characters they have and how long they are. Not identifiers of people.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The longest name of an agency, system, purpose, agreement or record type part, in bytes.
pub const SLUG_BYTES_MAX: usize = 64;

/// A name that breaks the rules of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to 64 characters of a-z, 0-9, '-' or '.', beginning and ending with a letter or digit")]
pub struct InvalidName;

/// Checks one part of a name: `a-z`, `0-9`, inner `-` and `.`.
pub(crate) fn check(part: &str) -> Result<(), InvalidName> {
    let bytes = part.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ok = bytes.len() <= SLUG_BYTES_MAX
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|b| edge(b) || matches!(b, b'-' | b'.'));
    if ok { Ok(()) } else { Err(InvalidName) }
}

/// A name's text and its number in stored rows; clones share both.
pub(crate) struct Interned {
    text: Box<str>,
    key: u64,
}

impl Interned {
    pub(crate) fn new(text: &str) -> Arc<Self> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&digest.as_ref()[..8]);
        Arc::new(Self { text: text.into(), key: u64::from_be_bytes(head) })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The first eight bytes of SHA-256 of the name.
    pub(crate) const fn key(&self) -> u64 {
        self.key
    }
}

impl PartialEq for Interned {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Interned {}

impl PartialOrd for Interned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interned {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Interned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Declares a name type: an interned string that parses strictly and prints itself.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, parts: $parts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<$crate::domain::slug::Interned>);

        impl $name {
            /// Parses the name; the error says what a name looks like.
            pub fn new(text: &str) -> Result<Self, $crate::domain::agency::InvalidName> {
                if text.split('/').count() != $parts {
                    return Err($crate::domain::agency::InvalidName);
                }
                text.split('/').try_for_each($crate::domain::slug::check)?;
                Ok(Self($crate::domain::slug::Interned::new(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.text()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::agency::InvalidName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(crate) use name_type;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_64_characters_is_the_longest() {
        assert_eq!(check(&"a".repeat(SLUG_BYTES_MAX)), Ok(()));
        assert_eq!(check(&"a".repeat(SLUG_BYTES_MAX + 1)), Err(InvalidName));
    }

    #[test]
    fn a_name_neither_begins_nor_ends_with_a_mark() {
        for bad in ["", "-a", "a-", ".a", "A", "a b", "é", "a/b"] {
            assert_eq!(check(bad), Err(InvalidName), "{bad:?}");
        }
    }
}
