//! C2SP tlog-checkpoints: size and root of a tree under an origin, as a signed note. Not the note's form: `note.rs`.
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hash::Hash;
use super::key::{SignerKey, VerifierKey};
use super::note::{Note, NoteError};
use super::tile::decimal;

/// Why a text is no checkpoint, or not one to trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is malformed or not signed by a known key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note's text is not that of a checkpoint.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(&'static str),
    /// No key of that origin has signed; the keys that did belong to somebody else.
    #[error("the checkpoint of {0} is not signed by a key of that name")]
    Origin(String),
}

/// Whose ledger it is. Ours are `<hub name>/<environment>/<ledger id>`; those of other logs are any text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The origin of a hub's ledger. The hub's name may hold slashes, the others not.
    pub fn new(hub: &str, environment: &str, ledger: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed("an origin is <hub name>/<environment>/<ledger id>");
        if [hub, environment, ledger].contains(&"") || environment.contains('/') || ledger.contains('/') {
            return Err(malformed);
        }
        let origin: Self = format!("{hub}/{environment}/{ledger}").parse()?;
        // It is the name of the key as well (C2SP tlog-checkpoint, *Signatures*), and names have neither.
        if origin.0.contains(|c: char| c.is_whitespace() || c == '+') { Err(malformed) } else { Ok(origin) }
    }

    /// The whole line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `demo`, `test` or `production` in ours; `None` if the origin has not the form of ours.
    pub fn environment(&self) -> Option<&str> {
        self.parts().map(|[_, environment, _]| environment)
    }

    /// The hub's name; `None` if the origin has not the form of ours.
    pub fn hub(&self) -> Option<&str> {
        self.parts().map(|[hub, _, _]| hub)
    }

    /// The ledger's id; `None` if the origin has not the form of ours.
    pub fn ledger(&self) -> Option<&str> {
        self.parts().map(|[_, _, ledger]| ledger)
    }

    fn parts(&self) -> Option<[&str; 3]> {
        let mut parts = self.0.rsplitn(3, '/');
        let (ledger, environment, hub) = (parts.next()?, parts.next()?, parts.next()?);
        let parts = [hub, environment, ledger];
        if parts.contains(&"") { None } else { Some(parts) }
    }
}

impl FromStr for Origin {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        check_line(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tree's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose ledger.
    pub origin: Origin,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Further lines, kept as they came. Ours have none.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A head without extensions.
    pub fn new(origin: Origin, size: u64, root: Hash) -> Self {
        Self { origin, size, root, extensions: Vec::new() }
    }

    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let body = text.strip_suffix('\n').ok_or(CheckpointError::Malformed("no newline at the end"))?;
        let mut lines = body.split('\n');
        let mut line = |what| lines.next().ok_or(CheckpointError::Malformed(what));
        let origin = line("no origin")?.parse()?;
        let size = decimal(line("no tree size")?).ok_or(CheckpointError::Malformed("the tree size is not a number"))?;
        let root = STANDARD.decode(line("no root")?).ok().and_then(|bytes| Hash::from_slice(&bytes));
        let root = root.ok_or(CheckpointError::Malformed("the root is not 32 bytes in base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        extensions.iter().try_for_each(|line| check_line(line))?;
        Ok(Self { origin, size, root, extensions })
    }

    /// Signs the checkpoint. The keys' names are the origin; a second one signs when keys are rotated.
    pub fn sign(&self, signers: &[&SignerKey]) -> Result<Note, CheckpointError> {
        if signers.iter().any(|signer| signer.verifier().name() != self.origin.as_str()) {
            return Err(CheckpointError::Origin(self.origin.to_string()));
        }
        self.extensions.iter().try_for_each(|line| check_line(line))?;
        Ok(Note::sign(self.to_string(), signers)?)
    }

    /// Reads a signed checkpoint and verifies it: at least one of `keys` that has the origin's name has signed, and no
    /// signature of any of them is bad.
    pub fn verify(note: &Note, keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let signed = note.verify(keys)?;
        let checkpoint = Self::parse(note.text())?;
        if signed.iter().any(|key| key.name() == checkpoint.origin.as_str()) {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Origin(checkpoint.origin.to_string()))
        }
    }
}

fn check_line(line: &str) -> Result<(), CheckpointError> {
    if line.is_empty() || line.contains(|c: char| c < ' ') {
        return Err(CheckpointError::Malformed("an empty line or a control character"));
    }
    Ok(())
}

/// The note's text.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
