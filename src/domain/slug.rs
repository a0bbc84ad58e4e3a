//! Short machine names of the catalogue: what characters they have and how long they are. Not identifiers of people.

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

/// Declares a name type: an interned string that parses strictly and prints itself.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, parts: $parts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses the name; the error says what a name looks like.
            pub fn new(text: &str) -> Result<Self, $crate::domain::agency::InvalidName> {
                let parts: Vec<&str> = text.split('/').collect();
                if parts.len() != $parts {
                    return Err($crate::domain::agency::InvalidName);
                }
                parts.into_iter().try_for_each($crate::domain::slug::check)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
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
                serializer.serialize_str(&self.0)
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
