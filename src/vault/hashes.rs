//! Keyed hashes: what the store may show of a name, a number or a content without showing it.

use super::MasterKey;
use crate::domain::{
    sha256::{HASH_BYTES, HmacKey, head},
    subject::{Identifier, IdentifierHash},
};

/// The keyed hash of a call's content, by which a reused idempotency key is told from a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHash(pub [u8; 16]);

/// The keyed hash of something that entries are searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// What a search term names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TermKind {
    /// A subject, by its hub-internal id or, while unknown, by the hash of its identifier.
    Subject = 1,
    /// An agency that takes part.
    Agency = 2,
    /// A purpose.
    Purpose = 3,
    /// A record type.
    RecordType = 4,
    /// An outcome or refusal code.
    Outcome = 5,
    /// An entry's kind.
    Kind = 6,
    /// A transfer or other decision, by its id.
    Transfer = 7,
    /// A record at its source: (agency, record type, record id).
    Record = 8,
    /// An agreement.
    Agreement = 9,
    /// The consent that a transfer rests on.
    Consent = 10,
}

/// The three keyed hashes of a hub.
#[derive(Clone)]
pub struct Hasher {
    identifiers: HmacKey,
    terms: HmacKey,
    contents: HmacKey,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(…)")
    }
}

impl Hasher {
    pub(super) fn new(master: &MasterKey) -> Self {
        let key = |label| HmacKey::new(&*master.derive(label));
        Self { identifiers: key("identifiers"), terms: key("terms"), contents: key("contents") }
    }

    /// Under which an identifier is looked up.
    pub fn identifier(&self, identifier: &Identifier) -> IdentifierHash {
        let parts = [identifier.scheme().as_bytes(), identifier.value().as_bytes()];
        IdentifierHash(head(&of_parts(&self.identifiers, &[], &parts)))
    }

    /// Under which entries about `parts` are searched.
    pub fn term(&self, kind: TermKind, parts: &[&[u8]]) -> Term {
        Term(u64::from_be_bytes(head(&of_parts(&self.terms, &[kind as u8], parts))))
    }

    /// The keyed hash of a call's content.
    pub fn content(&self, parts: &[&[u8]]) -> ContentHash {
        ContentHash(head(&of_parts(&self.contents, &[], parts)))
    }
}

fn of_parts(key: &HmacKey, kind: &[u8], parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut hmac = key.begin();
    hmac.update(kind);
    for part in parts {
        // Length-prefixed, so that no two lists of parts hash the same bytes.
        hmac.update(&(part.len() as u64).to_be_bytes());
        hmac.update(part);
    }
    hmac.finish()
}
