//! `waybill ledger`: finding, reading and proving entries at a hub; verifying receipts and data folders without one.

mod entry;
mod prove;
mod search;
pub(super) mod sentence;
#[cfg(test)]
mod sentence_tests;
mod verify;

use std::{path::Path, str::FromStr as _};

use super::{
    exit::{Exit, Failure},
    output::Out,
};
use crate::ledger::VerifierKey;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Ledger {
    /// Find entries and read them as sentences; the search itself is recorded
    Search(Box<search::Search>),
    /// Read one entry; the reading is recorded
    Entry(Box<entry::ReadEntry>),
    /// Prove that an entry stands in the ledger, and that the ledger only grew
    Prove(Box<prove::Prove>),
    /// Verify a receipt or a data folder, without any hub
    Verify(verify::Verify),
}

impl Ledger {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Self::Search(command) => command.run(out).await,
            Self::Entry(command) => command.run(out).await,
            Self::Prove(command) => command.run(out).await,
            Self::Verify(command) => command.run(out),
        }
    }
}

/// Reads verifier keys: the text itself, or a file that holds it.
fn verifier_keys(given: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    given.iter().map(|text| verifier_key(text)).collect()
}

fn verifier_key(text: &str) -> Result<VerifierKey, Failure> {
    let wrong = |error| Failure::Usage(format!("{text}: {error}; it looks like hub.example/test/7c1f+1a1f5140+Ae1J…"));
    match VerifierKey::from_str(text) {
        Ok(key) => Ok(key),
        Err(error) => match std::fs::read_to_string(Path::new(text)) {
            Ok(content) => VerifierKey::from_str(content.trim()).map_err(wrong),
            Err(_) => Err(wrong(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SignerKey;

    #[test]
    fn a_verifier_key_is_given_as_text_or_as_a_file() {
        let key = SignerKey::from_seed("hub.example/test/7c1f", &[3; 32]).unwrap().verifier().clone();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.pub");
        std::fs::write(&file, format!("{key}\n")).unwrap();
        let given = [key.to_string(), file.display().to_string()];
        assert_eq!(verifier_keys(&given).unwrap(), [key.clone(), key]);
        assert!(matches!(verifier_keys(&["nonsense".to_owned()]), Err(Failure::Usage(_))));
    }
}
