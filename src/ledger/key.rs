//! The keys of C2SP signed notes: names, ids, Ed25519. Not the notes: `note.rs`.
//!
//! One signature type is built: Ed25519, 0x01. (0x04, a witness's timestamped cosignature, is passed over as unknown.)
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hash::sha256;
use super::note::{NoteError, NoteSignature};

const TYPE_ED25519: u8 = 1;
pub(super) const KEY_ID_BYTES: usize = 4;

/// The first four bytes of SHA-256(name || 0x0A || type || public key).
pub type KeyId = [u8; KEY_ID_BYTES];

pub(super) fn check_name(name: &str) -> Result<(), NoteError> {
    let bad = |c: char| c.is_whitespace() || c == '+' || c < ' ';
    if name.is_empty() || name.contains(bad) { Err(NoteError::Name) } else { Ok(()) }
}

/// A public key with the name that it signs under. Written `name+id+base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key `public` under `name`.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let mut hashed = format!("{name}\n").into_bytes();
        hashed.push(TYPE_ED25519);
        hashed.extend_from_slice(&public);
        let [a, b, c, d, ..] = *sha256(&hashed).as_bytes();
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], public })
    }

    /// The name that the key signs under: a log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The Ed25519 public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Whether `signature` is this key's over `text`.
    pub(super) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(text.as_bytes(), signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![TYPE_ED25519];
        key.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let key = STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
        let Some((&TYPE_ED25519, public)) = key.split_first() else { return Err(NoteError::VerifierKey) };
        let key = Self::new(name, public.try_into().map_err(|_| NoteError::VerifierKey)?)?;
        if hex::encode(key.id) == id.to_ascii_lowercase() { Ok(key) } else { Err(NoteError::VerifierKey) }
    }
}

/// A private key with the name that it signs under.
pub struct SignerKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl SignerKey {
    /// From an unencrypted PKCS#8 document (DER).
    pub fn from_pkcs8(name: &str, document: &[u8]) -> Result<Self, NoteError> {
        Self::new(name, Ed25519KeyPair::from_pkcs8(document).map_err(|_| NoteError::SignerKey)?)
    }

    /// From the 32 secret bytes of RFC 8032.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        Self::new(name, Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::SignerKey)?)
    }

    fn new(name: &str, pair: Ed25519KeyPair) -> Result<Self, NoteError> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::SignerKey)?;
        Ok(Self { verifier: VerifierKey::new(name, public)?, pair })
    }

    /// The public half, to be given to verifiers.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The signature of `text`, which must be a note's text.
    pub fn sign(&self, text: &str) -> Result<NoteSignature, NoteError> {
        let signature = self.pair.try_sign(text.as_bytes()).map_err(|_| NoteError::SignerKey)?;
        let VerifierKey { name, id, .. } = &self.verifier;
        Ok(NoteSignature { name: name.clone(), key_id: *id, signature: signature.as_ref().to_vec() })
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.verifier)
    }
}
