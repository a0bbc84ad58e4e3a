//! A receipt as a file: JSON, with the proof of its place as a C2SP tlog-proof that other tools read. Verifies nothing:
//! that is `receipt.rs`.
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::commitment::{CommitmentError, Commitments};
use super::hash::Hash;
use super::opening::Opening;
use super::receipt::Receipt;
use super::tile::decimal;

/// The longest receipt file, in bytes.
pub const MAX_RECEIPT_BYTES: usize = 8 << 20;

const FORMAT: &str = "waybill-receipt/1";
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";
/// A tree has less than 2^64 leaves.
const MAX_PROOF_HASHES: usize = 64;

/// Why a file is no receipt. No message holds anything of what the file says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFileError {
    /// Longer than [`MAX_RECEIPT_BYTES`].
    #[error("a receipt cannot be {0} bytes long")]
    TooLong(usize),
    /// Not JSON, or with members that are missing, unknown or of another type.
    #[error("not the JSON of a receipt (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Another format, or a version that is not known here.
    #[error("not of the format {FORMAT}")]
    Format,
    /// A member is not base64 of the right length.
    #[error("\"{0}\" is not base64 of the right length")]
    Base64(&'static str),
    /// The proof is not a C2SP tlog-proof.
    #[error("the proof is malformed: {0}")]
    Proof(&'static str),
    /// The list of commitments is malformed.
    #[error(transparent)]
    Commitments(#[from] CommitmentError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    entry: String,
    proof: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commitments: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    openings: Vec<FileOpening>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOpening {
    position: u16,
    name: String,
    value: String,
    salt: String,
}

fn decode(member: &'static str, text: &str) -> Result<Vec<u8>, ReceiptFileError> {
    STANDARD.decode(text).map_err(|_| ReceiptFileError::Base64(member))
}

impl Receipt {
    /// The receipt as a file's text.
    pub fn to_json(&self) -> String {
        let file = File {
            format: FORMAT.to_owned(),
            entry: STANDARD.encode(&self.entry),
            proof: self.to_tlog_proof(),
            commitments: self.commitments.as_ref().map(|list| STANDARD.encode(list.as_bytes())),
            openings: self.openings.iter().map(FileOpening::from).collect(),
        };
        let mut json = serde_json::to_string_pretty(&file).expect("a struct of strings and numbers is always JSON");
        json.push('\n');
        json
    }

    /// Reads a file's text. Nothing is verified by that.
    pub fn from_json(json: &str) -> Result<Self, ReceiptFileError> {
        if json.len() > MAX_RECEIPT_BYTES {
            return Err(ReceiptFileError::TooLong(json.len()));
        }
        let at = |error: serde_json::Error| ReceiptFileError::Json { line: error.line(), column: error.column() };
        let file: File = serde_json::from_str(json).map_err(at)?;
        if file.format != FORMAT {
            return Err(ReceiptFileError::Format);
        }
        let (index, proof, checkpoint) = parse_tlog_proof(&file.proof)?;
        let list = file.commitments.map(|list| decode("commitments", &list)).transpose()?;
        Ok(Self {
            entry: decode("entry", &file.entry)?,
            index,
            proof,
            checkpoint,
            commitments: list.map(Commitments::from_bytes).transpose()?,
            openings: file.openings.into_iter().map(Opening::try_from).collect::<Result<_, _>>()?,
        })
    }

    /// Index, inclusion proof and checkpoint in the form of C2SP tlog-proof.
    pub fn to_tlog_proof(&self) -> String {
        let mut text = format!("{PROOF_HEADER}\nindex {}\n", self.index);
        for hash in &self.proof {
            writeln!(text, "{}", STANDARD.encode(hash)).expect("a String takes everything");
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }
}

fn parse_tlog_proof(text: &str) -> Result<(u64, Vec<Hash>, String), ReceiptFileError> {
    let (head, checkpoint) = text.split_once("\n\n").ok_or(ReceiptFileError::Proof("no checkpoint"))?;
    let mut lines = head.split('\n');
    if lines.next() != Some(PROOF_HEADER) {
        return Err(ReceiptFileError::Proof("not of the format c2sp.org/tlog-proof@v1"));
    }
    let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
    let index = index.ok_or(ReceiptFileError::Proof("no index"))?;
    let mut proof = Vec::new();
    for line in lines {
        if proof.len() == MAX_PROOF_HASHES {
            return Err(ReceiptFileError::Proof("more than 64 hashes"));
        }
        let hash = STANDARD.decode(line).ok().and_then(|bytes| Hash::from_slice(&bytes));
        proof.push(hash.ok_or(ReceiptFileError::Proof("a line is not a hash in base64"))?);
    }
    Ok((index, proof, checkpoint.to_owned()))
}

impl From<&Opening> for FileOpening {
    fn from(opening: &Opening) -> Self {
        Self {
            position: opening.position,
            name: opening.name.clone(),
            value: opening.value.clone(),
            salt: STANDARD.encode(opening.salt),
        }
    }
}

impl TryFrom<FileOpening> for Opening {
    type Error = ReceiptFileError;

    fn try_from(opening: FileOpening) -> Result<Self, ReceiptFileError> {
        let FileOpening { position, name, value, salt } = opening;
        let salt = decode("salt", &salt)?.try_into().map_err(|_| ReceiptFileError::Base64("salt"))?;
        Ok(Self { position, name, value, salt })
    }
}
