//! The key hierarchy: what seals, what hashes, what can be erased. Pure: random bytes come in as arguments.
//!
//! ```text
//! master key ─HKDF─┬─ slot-wrapping key ── wraps each slot key (subject, agency, class); erasing it erases all below
//!                  ├─ row key ──────────── seals the routing header of stored rows
//!                  ├─ identifier key ───── HMAC: under which an identifier is looked up
//!                  ├─ term key ─────────── HMAC: under which entries are searched
//!                  └─ content key ──────── HMAC: whether a repeated idempotency key has the same content
//! slot key (trail) ── wraps an entry's secret ─HKDF─ salts of its commitments, key of its sealed trail
//! slot key (payload) + hourly epoch key + transfer id ─HKDF─ key of one sealed payload
//! slot key (subject) ── HMAC: the subject's pseudonym at one recipient
//! ```

mod hashes;
mod random;
mod seal;

use std::fmt;

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

pub use hashes::{ContentHash, Hasher, Term, TermKind};
pub use random::{Random, SystemRandom};
pub use seal::{OpenError, ROW_OVERHEAD_BYTES, SlotKey, TAG_BYTES, WRAPPED_BYTES, open, payload_key, seal, trail_key};

/// The key that opens everything; kept in a file of its own, by default beside the store.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A master key from its thirty-two random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key derived for one use, named by `label`.
    pub(crate) fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        expand(&prk(&self.0), &[b"waybill/v1/", label.as_bytes()])
    }

    /// The key that wraps slot keys.
    pub fn slot_wrapping(&self) -> SlotKey {
        SlotKey::new(&self.derive("slots"))
    }

    /// The key that seals routing headers of stored rows.
    pub fn rows(&self) -> SlotKey {
        SlotKey::new(&self.derive("rows"))
    }

    /// The keyed hashes.
    pub fn hasher(&self) -> Hasher {
        Hasher::new(self)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

fn prk(key: &[u8; 32]) -> hkdf::Prk {
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, key)
}

/// HKDF-Expand-SHA256 (RFC 5869 §2.3) to one key.
fn expand(prk: &hkdf::Prk, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    prk.expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("32 bytes are within the 8,160 that HKDF-Expand-SHA256 can give");
    key
}

#[cfg(test)]
mod tests;
