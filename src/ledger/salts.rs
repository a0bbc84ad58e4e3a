//! The secret of an entry and the salts that come from it. Not what is salted: `commitment.rs`.
use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use zeroize::Zeroizing;

use super::commitment::{CommitmentError, MAX_ITEMS};

/// Length of a salt, in bytes.
pub const SALT_BYTES: usize = 16;
const INFO: &[u8] = b"waybill/v1/salts";

/// The random 32 bytes from which all salts of one entry come. Whoever has it can open everything; without it, and
/// without the salts, the entry says nothing.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be wrapped and stored.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// All salts of one entry.
pub struct Salts(Zeroizing<Vec<u8>>);

/// The length asked of HKDF-Expand, in bytes.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Salts {
    /// The salts of the first `count` items. (HKDF-Expand makes a prefix alike for any count.)
    pub fn derive(secret: &Secret, count: usize) -> Result<Self, CommitmentError> {
        let mut salts = Self::empty();
        salts.fill(secret, count)?;
        Ok(salts)
    }

    pub(super) fn empty() -> Self {
        Self(Zeroizing::default())
    }

    pub(super) fn all(&self) -> &[[u8; SALT_BYTES]] {
        self.0.as_chunks().0
    }

    /// Derives them anew, in the same buffer.
    pub(super) fn fill(&mut self, secret: &Secret, count: usize) -> Result<(), CommitmentError> {
        if count > MAX_ITEMS {
            return Err(CommitmentError::TooMany(count));
        }
        let length = count * SALT_BYTES;
        self.0.resize(length, 0);
        if count > 0 {
            Prk::new_less_safe(HKDF_SHA256, secret.expose())
                .expand(&[INFO], Length(length))
                .and_then(|okm| okm.fill(&mut self.0))
                .map_err(|_| CommitmentError::TooMany(count))?;
        }
        Ok(())
    }

    /// The salt of the item at `position`.
    pub fn get(&self, position: usize) -> Option<[u8; SALT_BYTES]> {
        self.all().get(position).copied()
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts(..)")
    }
}
