//! Keyed hashes: what the store may show of a name, a number or a content without showing it.

use aws_lc_rs::hmac;
use zeroize::Zeroize as _;

use super::MasterKey;
use crate::domain::subject::{Identifier, IdentifierHash};

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
    identifiers: hmac::Key,
    terms: hmac::Key,
    contents: hmac::Key,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(…)")
    }
}

impl Hasher {
    pub(super) fn new(master: &MasterKey) -> Self {
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, &*master.derive(label));
        Self { identifiers: key("identifiers"), terms: key("terms"), contents: key("contents") }
    }

    /// Under which an identifier is looked up.
    pub fn identifier(&self, identifier: &Identifier) -> IdentifierHash {
        IdentifierHash(head(&tag(&self.identifiers, &[identifier.scheme().as_bytes(), identifier.value().as_bytes()])))
    }

    /// Under which entries about `parts` are searched.
    pub fn term(&self, kind: TermKind, parts: &[&[u8]]) -> Term {
        let mut context = hmac::Context::with_key(&self.terms);
        context.update(&[kind as u8]);
        update(&mut context, parts);
        Term(u64::from_be_bytes(head(&context.sign())))
    }

    /// The keyed hash of a call's content.
    pub fn content(&self, parts: &[&[u8]]) -> ContentHash {
        ContentHash(head(&tag(&self.contents, parts)))
    }
}

fn tag(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    update(&mut context, parts);
    context.sign()
}

/// Bytes that are gathered before they are hashed: a call for each of many short parts would cost more than the hash.
const GATHERED_MAX: usize = 512;

/// Length-prefixed, so that no two lists of parts hash the same bytes.
fn update(context: &mut hmac::Context, parts: &[&[u8]]) {
    let mut gathered = [0; GATHERED_MAX];
    let (mut filled, mut used) = (0, 0);
    let mut add = |bytes: &[u8]| {
        if filled + bytes.len() > GATHERED_MAX {
            context.update(&gathered[..filled]);
            filled = 0;
        }
        if bytes.len() > GATHERED_MAX {
            context.update(bytes);
        } else {
            gathered[filled..filled + bytes.len()].copy_from_slice(bytes);
            filled += bytes.len();
            used = used.max(filled);
        }
    };
    for part in parts {
        add(&(part.len() as u64).to_be_bytes());
        add(part);
    }
    context.update(&gathered[..filled]);
    // No more than was used: wiping goes byte by byte, and most hashes are of less than fifty.
    gathered[..used].zeroize();
}

fn head<const N: usize>(tag: &hmac::Tag) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&tag.as_ref()[..N]);
    out
}
