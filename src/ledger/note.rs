//! C2SP signed notes: a text and the signatures under it. Not the keys: `key.rs`; nor what a checkpoint's text says:
//! `checkpoint.rs`.
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::{KEY_ID_BYTES, KeyId, SignerKey, VerifierKey, check_name};

/// The most signatures that a note may carry; the spec asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;
/// The longest note, in bytes; a post-quantum signature takes nearly 5,000.
pub const MAX_NOTE_BYTES: usize = 1 << 20;

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
        self.name == key.name() && self.key_id == key.id()
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
                return Err(NoteError::Signature(key.name().to_owned()));
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
