//! AES-256-GCM (NIST SP 800-38D): wrapping keys under keys, and sealing what a derived one-time key protects.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use zeroize::Zeroizing;

use super::{expand, prk};
use crate::domain::{agency::AgencyId, subject::Pseudonym, transfer::TransferId};

/// Nonce, thirty-two bytes, tag.
pub const WRAPPED_BYTES: usize = NONCE_LEN + 32 + MAX_TAG_LEN;

/// How much longer a sealed row is than a plain one.
pub const ROW_OVERHEAD_BYTES: usize = NONCE_LEN + MAX_TAG_LEN;

/// Ciphertext that does not open under this key: erased, moved or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data does not open: its key was erased, or its bytes were changed")]
pub struct OpenError;

/// The key of one slot: a key for each of its uses. Not set up: hundreds of thousands of slots are held, which is used
/// next is anybody's guess, and a set-up key is many times as long to hold and to fetch from memory.
pub struct SlotKey {
    wrapping: Zeroizing<[u8; 32]>,
    deriving: Zeroizing<[u8; 32]>,
    naming: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for SlotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlotKey(…)")
    }
}

impl SlotKey {
    /// One thirty-two-byte secret serves three uses, each under a label of its own.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let own = prk(bytes);
        let (wrapping, naming) = (expand(&own, &[b"wrap"]), expand(&own, &[b"name"]));
        Self { wrapping, deriving: Zeroizing::new(*bytes), naming }
    }

    /// Wraps a secret. `nonce` is random: 2^32 wraps under one key keep a collision below 2^-32 (SP 800-38D §8.3).
    pub fn wrap(&self, secret: &[u8; 32], nonce: [u8; NONCE_LEN], aad: &[u8]) -> [u8; WRAPPED_BYTES] {
        let mut out = [0; WRAPPED_BYTES];
        out[..NONCE_LEN].copy_from_slice(&nonce);
        out[NONCE_LEN..NONCE_LEN + 32].copy_from_slice(secret);
        let (_, body) = out.split_at_mut(NONCE_LEN);
        let (body, tag_out) = body.split_at_mut(32);
        let tag = aead(&self.wrapping)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body)
            .expect("AES-GCM seals anything below 64 GiB");
        tag_out.copy_from_slice(tag.as_ref());
        out
    }

    /// Opens what [`Self::wrap`] made.
    pub fn unwrap(&self, wrapped: &[u8; WRAPPED_BYTES], aad: &[u8]) -> Result<Zeroizing<[u8; 32]>, OpenError> {
        let bytes = self.open_row(wrapped, aad)?;
        Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| OpenError)?))
    }

    /// Seals a stored row under a random nonce, which the result begins with.
    pub fn seal_row(&self, plain: &[u8], nonce: [u8; NONCE_LEN], aad: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROW_OVERHEAD_BYTES + plain.len());
        self.append_row(&mut out, nonce, aad, |out| out.extend_from_slice(plain));
        out
    }

    /// Appends to `out` a stored row that is sealed where it stands: what `write` appends.
    pub fn append_row(&self, out: &mut Vec<u8>, nonce: [u8; NONCE_LEN], aad: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&nonce);
        let begin = out.len();
        write(out);
        let tag = aead(&self.wrapping)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut out[begin..])
            .expect("AES-GCM seals anything below 64 GiB");
        out.extend_from_slice(tag.as_ref());
    }

    /// Opens what [`Self::seal_row`] made.
    pub fn open_row(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
        let mut buffer = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = aead(&self.wrapping);
        let length = key.open_in_place(nonce, Aad::from(aad), &mut buffer).map_err(|_| OpenError)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// How `recipient` knows the subject whose key this is.
    pub fn pseudonym(&self, recipient: &AgencyId) -> Pseudonym {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.naming);
        let tag = hmac::sign(&key, recipient.as_str().as_bytes());
        let mut out = [0; 16];
        out.copy_from_slice(&tag.as_ref()[..16]);
        Pseudonym(out)
    }
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"))
}

/// The key of one payload: it opens only with the subject's slot, the hour's epoch and this transfer's id.
pub fn payload_key(slot: &SlotKey, epoch: &SlotKey, transfer: TransferId) -> Zeroizing<[u8; 32]> {
    let epoch_part = expand(&prk(&epoch.deriving), &[b"payload", transfer.as_bytes()]);
    expand(&prk(&slot.deriving), &[b"payload", transfer.as_bytes(), &*epoch_part])
}

/// The key of an entry's sealed trail, from the entry's secret.
pub fn trail_key(secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    expand(&prk(secret), &[b"waybill/v1/trail"])
}

/// How much longer sealed bytes are than plain ones.
pub const TAG_BYTES: usize = MAX_TAG_LEN;

/// Seals under a key that is used for nothing else, so that the nonce is zero. In place: `plain` should have room for
/// [`TAG_BYTES`] more.
pub fn seal(one_time: &[u8; 32], plain: Vec<u8>) -> Vec<u8> {
    let mut out = plain;
    aead(one_time)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; NONCE_LEN]), Aad::empty(), &mut out)
        .expect("AES-GCM seals anything below 64 GiB");
    out
}

/// Opens what [`seal`] made.
pub fn open(one_time: &[u8; 32], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let length = aead(one_time).open_in_place(nonce, Aad::empty(), &mut buffer).map_err(|_| OpenError)?.len();
    buffer.truncate(length);
    Ok(buffer)
}
