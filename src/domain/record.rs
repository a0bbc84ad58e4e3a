//! What a record is, apart from its content: its type, schema version, identity at the source and revision.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{slug::name_type, time::Moment};

name_type!(
    /// A record type, `<domain>/<name>`, e.g. `identity/address`.
    RecordTypeId, parts: 2
);

/// The longest record id, in bytes. It is opaque and may itself be personal.
pub const RECORD_ID_BYTES_MAX: usize = 256;

/// A schema version; a minor version only adds optional properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion {
    /// Breaking changes.
    pub major: u16,
    /// Additions.
    pub minor: u16,
}

/// Not a schema version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a schema version is written <major>.<minor>, e.g. 1.0")]
pub struct InvalidVersion;

impl std::str::FromStr for SchemaVersion {
    type Err = InvalidVersion;
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let number = |part: &str| {
            let plain =
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            plain.then(|| part.parse().ok()).flatten().ok_or(InvalidVersion)
        };
        let (major, minor) = text.split_once('.').ok_or(InvalidVersion)?;
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What happened to the record at its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The first revision.
    New,
    /// The facts changed.
    Changed,
    /// An earlier revision was wrong.
    Corrected,
    /// What it describes has ended.
    Ended,
    /// It should never have been sent.
    Recalled,
}

impl Change {
    /// The word used in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Corrected => "corrected",
            Self::Ended => "ended",
            Self::Recalled => "recalled",
        }
    }
}

/// The record's identity at its source.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordIdentity {
    /// Opaque to the hub.
    pub record_id: String,
    /// The source's own revision; `None` where it has none, then the order of arrival counts.
    pub revision: Option<u64>,
    /// When the content was true.
    pub as_of: Option<Moment>,
    /// What happened.
    pub change: Change,
    /// Which revision a correction corrects.
    pub corrects_revision: Option<u64>,
    /// Whether it is authoritative or a copy.
    pub authority: RecordAuthority,
}

/// Whether the source is where the record originates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordAuthority {
    /// The catalogue's authoritative agency speaks.
    Authoritative,
    /// A copy of what transfer `T` brought.
    CopyOf(super::transfer::TransferId),
}

impl fmt::Debug for RecordIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordIdentity(…, revision {:?}, {})", self.revision, self.change.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_two_plain_numbers() {
        assert_eq!("1.0".parse(), Ok(SchemaVersion { major: 1, minor: 0 }));
        assert_eq!("12.34".parse::<SchemaVersion>().unwrap().to_string(), "12.34");
        for bad in ["1", "1.", ".1", "01.0", "1.+2", "1.0.0", "70000.0"] {
            assert_eq!(bad.parse::<SchemaVersion>(), Err(InvalidVersion), "{bad}");
        }
    }
}
