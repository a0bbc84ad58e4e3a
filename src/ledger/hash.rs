//! The 32-byte hash of the ledger and the two ways RFC 6962 §2.1 makes one. Not the tree: that is `tree.rs`.
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

/// The text was not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is written as 64 lower-case hexadecimal digits")]
pub struct HashError;

impl Hash {
    /// Length in bytes.
    pub const LEN: usize = 32;
    /// SHA-256 of nothing: the root of the empty tree (RFC 6962 §2.1).
    pub const EMPTY_ROOT: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
        0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// Takes the 32 bytes as they are.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes a slice if it is 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(HashError);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HashError)?;
        Ok(Self(bytes))
    }
}

/// SHA-256 in one call. The incremental `Context` allocates, so the hot paths gather their input and come here.
pub(super) fn sha256(data: &[u8]) -> Hash {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, data).as_ref());
    Hash(bytes)
}

/// The hash of a leaf: SHA-256(0x00 || entry) (RFC 6962 §2.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    // An entry about a person is 41 bytes: it and the prefix fit one stack buffer. Others are rare.
    const SHORT: usize = 128;
    if entry.len() < SHORT {
        let mut buffer = [0; SHORT];
        buffer[1..=entry.len()].copy_from_slice(entry);
        return sha256(&buffer[..=entry.len()]);
    }
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Hash(bytes)
}

/// The hash of an inner node: SHA-256(0x01 || left || right) (RFC 6962 §2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut buffer = [1; 65];
    buffer[1..33].copy_from_slice(&left.0);
    buffer[33..].copy_from_slice(&right.0);
    sha256(&buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_sha256_of_nothing() {
        assert_eq!(Hash::EMPTY_ROOT, sha256(b""));
    }

    #[test]
    fn a_leaf_hashes_alike_below_and_above_the_stack_buffer() {
        for length in [0, 1, 41, 126, 127, 128, 129, 4096] {
            let entry = vec![7; length];
            let mut prefixed = vec![0];
            prefixed.extend_from_slice(&entry);
            assert_eq!(leaf_hash(&entry), sha256(&prefixed), "{length} bytes");
        }
    }

    #[test]
    fn text_round_trips_and_is_strict() {
        let hash = leaf_hash(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for bad in ["", "00", &hash.to_string().to_uppercase(), &format!("{hash}0"), &"zz".repeat(32)] {
            assert_eq!(bad.parse::<Hash>(), Err(HashError));
        }
    }
}
