//! Search terms. Words of the catalogue come again and again, so their keyed hashes are kept.

use ahash::HashMap;
use parking_lot::RwLock;

use crate::{
    domain::{subject::IdentifierHash, transfer::TransferId},
    store::Owner,
    vault::{Hasher, Term, TermKind},
};

/// The most words of one kind whose hashes are kept; a catalogue has some hundreds.
const WORDS_MAX: usize = 65_536;
/// One more than the last [`TermKind`].
const KINDS: usize = TermKind::Consent as usize + 1;

/// Keyed hashes of the catalogue's words.
#[derive(Debug)]
pub(super) struct Words {
    hasher: Hasher,
    known: RwLock<[HashMap<Box<str>, Term>; KINDS]>,
}

impl Words {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self { hasher, known: RwLock::default() }
    }

    /// The term of a word of the catalogue (or of a closed enum): an agency, a purpose, a kind.
    pub(super) fn term(&self, kind: TermKind, word: &str) -> Term {
        if let Some(term) = self.known.read()[kind as usize].get(word) {
            return *term;
        }
        let term = self.hasher.term(kind, &[word.as_bytes()]);
        let known = &mut self.known.write()[kind as usize];
        if known.len() < WORDS_MAX {
            known.insert(word.into(), term);
        }
        term
    }

    /// The term of the person that an entry is about.
    pub(super) fn about(&self, owner: Owner) -> Term {
        match owner {
            Owner::Subject(id) => self.hasher.term(TermKind::Subject, &[b"subject", &id.0]),
            Owner::Unknown(IdentifierHash(hash)) => self.hasher.term(TermKind::Subject, &[b"identifier", &hash]),
            Owner::Hub | Owner::Epoch(_) => self.hasher.term(TermKind::Subject, &[b"nobody"]),
        }
    }

    /// The term of a decision's id.
    pub(super) fn id(&self, id: TransferId) -> Term {
        self.hasher.term(TermKind::Transfer, &[id.as_bytes()])
    }

    /// The term of every transfer that rests on this consent.
    pub(super) fn rests_on(&self, consent: TransferId) -> Term {
        self.hasher.term(TermKind::Consent, &[consent.as_bytes()])
    }

    /// The term of a record at its source.
    pub(super) fn record(&self, source: &str, record_type: &str, record_id: &str) -> Term {
        let parts = [source.as_bytes(), record_type.as_bytes(), record_id.as_bytes()];
        self.hasher.term(TermKind::Record, &parts)
    }
}
