//! The hub's two key files: the master key that opens the store, and the ledger's identity with the key that signs it.
//! Both are TOML, readable by their owner only, and say what they are.

use std::{fs, io, path::Path};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    domain::environment::Environment,
    ledger::{CheckpointError, NoteError, Origin, SignerKey},
    tls::{Existing, FileError, write_private},
    vault::MasterKey,
};

/// Why a key file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// It could not be read.
    #[error("{path}: {reason}")]
    Read {
        /// Which file.
        path: String,
        /// Why; never what is in it.
        reason: &'static str,
    },
    /// The operating system did not let us read it.
    #[error("{path}: {source}{}", advice(source.kind()))]
    Unread {
        /// Which file.
        path: String,
        /// What it said.
        source: io::Error,
    },
    /// The origin cannot be one.
    #[error(transparent)]
    Origin(#[from] CheckpointError),
    /// The key is none.
    #[error("the ledger's key: {0}")]
    Key(#[from] NoteError),
}

/// The file of the master key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasterKeyFile {
    /// 32 bytes, base64. Whoever has them and the data folder can read all; lost, nothing can be read.
    waybill_master_key: String,
}

impl MasterKeyFile {
    /// Writes a new master key; an existing file is kept and is an error.
    pub fn write(path: &Path, key: &[u8; 32]) -> Result<(), KeyFileError> {
        let file = Self { waybill_master_key: STANDARD.encode(key) };
        Ok(write_private(path, text(&file).as_bytes(), Existing::Keep)?)
    }

    /// Reads a master key.
    pub fn read(path: &Path) -> Result<MasterKey, KeyFileError> {
        let file: Self = parse(path)?;
        let bytes = STANDARD.decode(file.waybill_master_key).map(Zeroizing::new).unwrap_or_default();
        let bytes: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| unreadable(path, "the master key is not 32 bytes in base64"))?;
        Ok(MasterKey::new(bytes))
    }
}

/// The file of a ledger's identity: its origin, for ever, and the key that signs it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerIdentity {
    /// `<hub>/<environment>/<ledger id>`: names the ledger in every checkpoint.
    origin: String,
    /// For those who verify (C2SP signed-note): give it to them by a way that they trust.
    verifier_key: String,
    /// Ed25519, PKCS#8, base64.
    signing_key: String,
}

impl LedgerIdentity {
    /// Makes a new ledger's identity from 32 random bytes and writes it; an existing file is kept and is an error.
    pub fn create(path: &Path, hub: &str, environment: Environment, seed: &[u8; 32]) -> Result<Self, KeyFileError> {
        // The ledger's id is public, so it must not come from the secret itself.
        let id = hex::encode(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, seed).as_ref()[..8]);
        let origin = Origin::new(hub, environment.as_str(), &id)?;
        let signer = SignerKey::from_seed(origin.as_str(), seed)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::SignerKey)?;
        let document = pair.to_pkcs8v1().map_err(|_| NoteError::SignerKey)?;
        let file = Self {
            origin: origin.as_str().to_owned(),
            verifier_key: signer.verifier().to_string(),
            signing_key: STANDARD.encode(document.as_ref()),
        };
        write_private(path, text(&file).as_bytes(), Existing::Keep)?;
        Ok(file)
    }

    /// Reads a ledger's identity.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        parse(path)
    }

    /// The public key, for verifiers.
    pub fn verifier_key(&self) -> String {
        self.verifier_key.clone()
    }

    /// Whose ledger it is.
    pub fn origin(&self) -> Result<Origin, KeyFileError> {
        Ok(self.origin.parse()?)
    }

    /// The private key.
    pub fn signer(&self, path: &Path) -> Result<SignerKey, KeyFileError> {
        let document = STANDARD.decode(&self.signing_key).map(Zeroizing::new);
        let document = document.map_err(|_| unreadable(path, "the signing key is not base64"))?;
        Ok(SignerKey::from_pkcs8(&self.origin, &document)?)
    }
}

fn text(file: &impl Serialize) -> Zeroizing<String> {
    Zeroizing::new(toml::to_string(file).expect("a table of strings can be written as TOML"))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, KeyFileError> {
    let none = || unreadable(path, "it is not a key file as `waybill keys` makes it");
    let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => none(),
        _ => KeyFileError::Unread { path: path.display().to_string(), source },
    })?;
    // The parser's message would quote the line, which is the key.
    toml::from_str(&text).map_err(|_| none())
}

/// What to do about a key file that cannot be read. A new key is none where there is one: it opens nothing.
fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "; `waybill keys` makes key files",
        io::ErrorKind::PermissionDenied => {
            "; it must belong to the user that the hub runs as, who must be let into its folder"
        }
        _ => "",
    }
}

fn unreadable(path: &Path, reason: &'static str) -> KeyFileError {
    KeyFileError::Read { path: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_written_are_read_again_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (master, ledger) = (folder.path().join("master.key"), folder.path().join("ledger.key"));
        MasterKeyFile::write(&master, &[7; 32]).unwrap();
        MasterKeyFile::read(&master).unwrap();
        assert!(MasterKeyFile::write(&master, &[8; 32]).is_err());

        let made = LedgerIdentity::create(&ledger, "hub.test", Environment::Test, &[9; 32]).unwrap();
        let read = LedgerIdentity::read(&ledger).unwrap();
        assert_eq!(read.origin().unwrap().environment(), Some("test"));
        assert_eq!(read.signer(&ledger).unwrap().verifier().to_string(), made.verifier_key());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_with_the_systems_reason_and_only_one_that_is_not_there_is_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let absent = MasterKeyFile::read(&folder.path().join("absent.key")).unwrap_err().to_string();
        assert!(absent.contains("No such file") && absent.contains("`waybill keys` makes"), "{absent}");
        let a_folder = MasterKeyFile::read(folder.path()).unwrap_err().to_string();
        assert!(a_folder.contains("Is a directory") && !a_folder.contains("waybill keys"), "{a_folder}");
        let denied = io::Error::from_raw_os_error(13);
        let denied = KeyFileError::Unread { path: "master.key".to_owned(), source: denied }.to_string();
        assert!(denied.contains("Permission denied") && denied.contains("the user that the hub runs as"), "{denied}");
        assert!(!denied.contains("makes"), "{denied}");
    }

    #[test]
    fn an_error_never_quotes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, "waybill_master_key = \"c2VjcmV0\"").unwrap();
        let error = MasterKeyFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("32 bytes") && !error.contains("c2VjcmV0"), "{error}");
    }
}
