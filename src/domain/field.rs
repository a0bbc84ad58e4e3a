//! Fields: instance paths into a record, `*` for any item of an array (`/names/*/given`). Syntax only; what a path
//! selects is minimisation's.

use std::fmt;

/// The longest path, in bytes.
pub const FIELD_BYTES_MAX: usize = 512;
/// The most steps in a path.
pub const FIELD_STEPS_MAX: usize = 16;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A property by its (unescaped) name.
    Property(Box<str>),
    /// Any item of an array.
    AnyItem,
}

/// A JSON Pointer (RFC 6901) whose `*` steps stand for any array item.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath {
    text: Box<str>,
    steps: Box<[Step]>,
}

/// A text that is no field path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// It does not begin with '/'.
    #[error("a field is a JSON Pointer and begins with '/'")]
    NotAPointer,
    /// `~` is followed by neither 0 nor 1.
    #[error("in a field, '~' is written '~0' and '/' is written '~1'")]
    Escape,
    /// It has an array index: agreements name every item, with `*`.
    #[error("a field names array items with '*', never by number")]
    Index,
    /// It is over a bound.
    #[error("a field has at most 16 steps and 512 bytes")]
    TooLong,
}

impl FieldPath {
    /// Parses a path.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let rest = text.strip_prefix('/').ok_or(InvalidField::NotAPointer)?;
        if text.len() > FIELD_BYTES_MAX {
            return Err(InvalidField::TooLong);
        }
        let steps: Box<[Step]> = rest.split('/').map(step).collect::<Result<_, _>>()?;
        if steps.len() > FIELD_STEPS_MAX {
            return Err(InvalidField::TooLong);
        }
        Ok(Self { text: text.into(), steps })
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `other` lies in what this path selects (or is the same).
    pub fn covers(&self, other: &Self) -> bool {
        other.steps.starts_with(&self.steps)
    }
}

fn step(text: &str) -> Result<Step, InvalidField> {
    if text == "*" {
        return Ok(Step::AnyItem);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidField::Index);
    }
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '~') {
            (_, false) => name.push(c),
            (_, true) => match chars.next() {
                Some('0') => name.push('~'),
                Some('1') => name.push('/'),
                _ => return Err(InvalidField::Escape),
            },
        }
    }
    Ok(Step::Property(name.into()))
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for FieldPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for FieldPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_properties_and_stars() {
        let path = FieldPath::parse("/names/*/gi~1ven~0").unwrap();
        assert_eq!(path.steps(), [Step::Property("names".into()), Step::AnyItem, Step::Property("gi/ven~".into())]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        assert_eq!(FieldPath::parse("names"), Err(InvalidField::NotAPointer));
        assert_eq!(FieldPath::parse(""), Err(InvalidField::NotAPointer));
        assert_eq!(FieldPath::parse("/names/0"), Err(InvalidField::Index));
        assert_eq!(FieldPath::parse("/a~2"), Err(InvalidField::Escape));
        assert_eq!(FieldPath::parse(&"/a".repeat(FIELD_STEPS_MAX + 1)), Err(InvalidField::TooLong));
        assert!(FieldPath::parse(&"/a".repeat(FIELD_STEPS_MAX)).is_ok());
        assert_eq!(FieldPath::parse(&format!("/{}", "a".repeat(FIELD_BYTES_MAX))), Err(InvalidField::TooLong));
        assert!(FieldPath::parse(&format!("/{}", "a".repeat(FIELD_BYTES_MAX - 1))).is_ok());
    }

    #[test]
    fn a_path_covers_itself_and_what_lies_below() {
        let names = FieldPath::parse("/names").unwrap();
        let given = FieldPath::parse("/names/*/given").unwrap();
        assert!(names.covers(&given) && names.covers(&names) && !given.covers(&names));
    }
}
