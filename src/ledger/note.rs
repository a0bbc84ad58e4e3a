//! C2SP signed notes: text, keys, signatures. Not what a checkpoint's text says: that is `checkpoint.rs`.
//!
//! One signature type is built: Ed25519, 0x01. (0x04, a witness's timestamped cosignature, is kept as an unknown one.)
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hash::sha256;

/// The most signatures that a note may carry; the spec asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;
/// The longest note, in bytes; a post-quantum signature takes nearly 5,000.
pub const MAX_NOTE_BYTES: usize = 1 << 20;

const TYPE_ED25519: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const SIGNATURE_START: &str = "\u{2014} ";

/// Why a key or a note is none, or is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A key's name is empty, or has white space or a plus.
    #[error("a key's name is empty or contains white space or a plus")]
    Name,
    /// A verifier key is not `name+id+base64` with a known type and the id that belongs to it.
    #[error("not an Ed25519 verifier key of the form name+id+base64")]
    VerifierKey,
    /// A private key could not be read.
    #[error("not an Ed25519 private key")]
    SignerKey,
    /// The bytes are not in the form of a signed note.
    #[error("the note is malformed: {0}")]
    Malformed(&'static str),
    /// A known key's signature does not verify, so the whole note is refused.
    #[error("the signature of {0} does not verify")]
    Signature(String),
    /// None of the known keys signed the note.
    #[error("no known key has signed the note")]
    Unsigned,
}

/// The first four bytes of SHA-256(name || 0x0A || type || public key).
pub type KeyId = [u8; KEY_ID_BYTES];

fn check_name(name: &str) -> Result<(), NoteError> {
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

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
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

/// One line under a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Who signed.
    pub name: String,
    /// Which of their keys, and its type.
    pub key_id: KeyId,
    /// What the type defines; 64 bytes for Ed25519.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed("a signature line is not \"\u{2014} name base64\"");
        let (name, encoded) =
            line.strip_prefix(SIGNATURE_START).and_then(|rest| rest.split_once(' ')).ok_or(malformed.clone())?;
        check_name(name).map_err(|_| malformed.clone())?;
        let bytes = STANDARD.decode(encoded).map_err(|_| malformed.clone())?;
        match bytes.split_first_chunk::<KEY_ID_BYTES>() {
            Some((id, signature)) if !signature.is_empty() => {
                Ok(Self { name: name.to_owned(), key_id: *id, signature: signature.to_vec() })
            }
            _ => Err(malformed),
        }
    }

    fn is_by(&self, key: &VerifierKey) -> bool {
        self.name == key.name && self.key_id == key.id
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.signature);
        write!(f, "{SIGNATURE_START}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text with signatures, in the form of C2SP signed-note. Parsed, but to be ignored until verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// The note of `text`, which ends with a newline, signed by `signers`, of which there is at least one.
    pub fn sign(text: impl Into<String>, signers: &[&SignerKey]) -> Result<Self, NoteError> {
        let text = text.into();
        check_text(&text)?;
        let signatures = signers.iter().map(|signer| signer.sign(&text)).collect::<Result<Vec<_>, _>>()?;
        if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Malformed("a note has 1 to 100 signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// Reads a note. Its signatures are not verified by that.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteError::Malformed("longer than 1 MiB"));
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed("no empty line before the signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        check_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("no newline at the end"))?;
        let lines: Vec<&str> = lines.split('\n').take(MAX_SIGNATURES + 1).collect();
        if lines.len() > MAX_SIGNATURES {
            return Err(NoteError::Malformed("more than 100 signatures"));
        }
        let signatures = lines.into_iter().map(NoteSignature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, with the newline at its end: what is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, verified or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Which of `keys` have signed: at least one, or an error. A bad signature of any of them refuses the note;
    /// signatures of other keys are passed over.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut signed = Vec::new();
        for key in keys {
            let mut lines = self.signatures.iter().filter(|line| line.is_by(key)).peekable();
            if lines.peek().is_none() {
                continue;
            }
            if !lines.all(|line| key.verifies(&self.text, &line.signature)) {
                return Err(NoteError::Signature(key.name.clone()));
            }
            signed.push(key);
        }
        if signed.is_empty() { Err(NoteError::Unsigned) } else { Ok(signed) }
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Malformed("the text does not end with a newline"));
    }
    if text.contains(|c: char| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed("a control character in the text"));
    }
    Ok(())
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        Self::parse(text)
    }
}
