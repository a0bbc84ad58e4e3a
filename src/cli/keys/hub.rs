//! The hub's own keys: the one that signs its ledger, and the one that wraps the keys of its store.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use serde_json::json;
use zeroize::Zeroizing;

use super::make_folder;
use crate::{
    cli::{exit::Failure, output::Out},
    config::{Config, HubName, KeyFileError, LedgerIdentity, MasterKeyFile},
    domain::environment::Environment,
    tls::FileError,
};

/// `keys ledger`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Ledger {
    /// File to write, readable by its owner only; a key that is there is kept
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    out: Option<PathBuf>,
    /// The hub's configuration: it says hub, environment and file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hub", "environment"])]
    config: Option<PathBuf>,
    /// The hub's name, as its configuration says it
    #[arg(long, value_name = "NAME", required_unless_present = "config", value_parser = hub_name)]
    hub: Option<String>,
    /// demo, test or production
    #[arg(long, required_unless_present = "config")]
    environment: Option<Environment>,
}

impl Ledger {
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        let config = self.config.as_deref().map(Config::load).transpose().map_err(Failure::usage)?;
        let (hub, environment, path) = match (config, self.hub, self.environment) {
            (Some(config), _, _) => {
                (config.hub.to_string(), config.environment, self.out.unwrap_or(config.keys.ledger))
            }
            (None, Some(hub), Some(environment)) => (hub, environment, self.out.unwrap_or_default()),
            _ => return Err(Failure::usage("say --hub and --environment, or --config")),
        };
        make_parent(&path)?;
        let (identity, kept) = match LedgerIdentity::create(&path, &hub, environment, &*random()?) {
            Err(error) if is_there(&error) => (LedgerIdentity::read(&path).map_err(Failure::usage)?, true),
            made => (made.map_err(Failure::fault)?, false),
        };
        let origin = identity.origin().map_err(Failure::fault)?;
        if (origin.hub(), origin.environment()) != (Some(&*hub), Some(environment.as_str())) {
            return Err(Failure::Usage(format!(
                "{}: the key of another ledger ({origin}) is there already, and is kept\n  next: name another file for \
                 the key of {hub} in {environment}",
                path.display()
            )));
        }
        let verifier = identity.verifier_key();
        out.show(
            || json!({ "key": path, "origin": origin.as_str(), "verifier_key": verifier, "kept": kept }),
            || {
                let kept = if kept { KEPT } else { "" };
                format!(
                    "ledger key: {}{kept}\n  origin: {origin}\n  verifier key, for everyone who checks receipts: \
                     {verifier}\n  keep the file where no backup of the data goes: who has it can forge proofs",
                    path.display()
                )
            },
        )
    }
}

/// `keys master`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Master {
    /// File to write, readable by its owner only; a key that is there is kept
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Master {
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        make_parent(&self.out)?;
        let kept = match MasterKeyFile::write(&self.out, &*random()?) {
            Err(error) if is_there(&error) => {
                MasterKeyFile::read(&self.out).map_err(Failure::usage)?;
                true
            }
            made => {
                made.map_err(Failure::fault)?;
                false
            }
        };
        let shown = Path::display(&self.out);
        out.show(
            || json!({ "key": self.out, "kept": kept }),
            || {
                let kept = if kept { KEPT } else { "" };
                format!(
                    "master key: {shown}{kept}\n  without it nothing in the store can be read; with it and the data \
                     everything can: keep a copy, elsewhere"
                )
            },
        )
    }
}

/// Said of a key that was not made anew.
const KEPT: &str = " (was there already, and is kept)";

/// Whether it could not be written because the file is there.
fn is_there(error: &KeyFileError) -> bool {
    matches!(error, KeyFileError::Write(FileError::Io { source, .. })
        if source.kind() == std::io::ErrorKind::AlreadyExists)
}

/// Makes the folder of a key file.
fn make_parent(file: &Path) -> Result<(), Failure> {
    file.parent().map_or(Ok(()), make_folder)
}

fn random() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| Failure::fault("the system gives no randomness"))?;
    Ok(bytes)
}

fn hub_name(text: &str) -> Result<String, &'static str> {
    HubName::try_from(text.to_owned()).map(|name| name.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn quiet() -> Out {
        Out::to(true, Box::new(std::io::sink()))
    }

    #[test]
    fn the_hub_reads_the_keys_that_were_made() {
        let folder = tempfile::tempdir().unwrap();
        let (master, ledger) = (folder.path().join("keys/master.key"), folder.path().join("keys/ledger.key"));
        Master { out: master.clone() }.run(&mut quiet()).unwrap();
        let make = |environment| Ledger {
            out: Some(ledger.clone()),
            config: None,
            hub: Some("hub.example".to_owned()),
            environment: Some(environment),
        };
        make(Environment::Test).run(&mut quiet()).unwrap();
        let before = std::fs::read(&master).unwrap();
        Master { out: master.clone() }.run(&mut quiet()).unwrap();
        assert_eq!(std::fs::read(&master).unwrap(), before, "a key that is there is kept");
        let other = Master { out: ledger.clone() }.run(&mut quiet()).unwrap_err();
        assert!(matches!(&other, Failure::Usage(_)), "what is there is no master key: {other}");
        MasterKeyFile::read(&master).unwrap();
        let origin = LedgerIdentity::read(&ledger).unwrap().origin().unwrap();
        assert_eq!((origin.hub(), origin.environment()), (Some("hub.example"), Some("test")));
        for path in [&master, &ledger] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let content = std::fs::read(&ledger).unwrap();
        make(Environment::Test).run(&mut quiet()).unwrap();
        let other = make(Environment::Demo).run(&mut quiet()).unwrap_err();
        assert!(matches!(&other, Failure::Usage(text) if text.contains("another ledger")), "{other}");
        assert_eq!(std::fs::read(&ledger).unwrap(), content, "a key that is there is kept");
    }

    #[test]
    fn the_configuration_says_which_ledger_it_is_and_where_the_key_goes() {
        let folder = tempfile::tempdir().unwrap();
        let sample = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/waybill.toml")).unwrap();
        let config = folder.path().join("waybill.toml");
        std::fs::write(&config, sample).unwrap();
        let make = Ledger { out: None, config: Some(config.clone()), hub: None, environment: None };
        make.run(&mut quiet()).unwrap();
        let path = Config::load(&config).unwrap().keys.ledger;
        assert_eq!(LedgerIdentity::read(&path).unwrap().origin().unwrap().environment(), Some("test"));
    }
}
