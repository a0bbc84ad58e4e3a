//! `waybill keys`: makes the hub's own keys, and a development CA with certificates for trials. Production brings its own
//! CA; the hub's keys are made here in every environment.

mod certificates;
mod hub;

use std::path::Path;

use super::{
    exit::{Exit, Failure},
    output::Out,
};

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Keys {
    /// Make a development CA: ca.pem and ca.key.pem
    Ca(certificates::Ca),
    /// Make a server's certificate
    Server(certificates::Server),
    /// Make the certificate of an agency's system
    System(certificates::System),
    /// Revoke certificates: writes the CA's next revocation list
    Revoke(certificates::Revoke),
    /// Make the key that signs the ledger's checkpoints; prints the verifier key
    Ledger(hub::Ledger),
    /// Make the key that wraps every key in the store
    Master(hub::Master),
}

impl Keys {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Self::Ca(command) => command.run(out),
            Self::Server(command) => command.run(out),
            Self::System(command) => command.run(out),
            Self::Revoke(command) => command.run(out),
            Self::Ledger(command) => command.run(out),
            Self::Master(command) => command.run(out),
        }
        .map(|()| Exit::Ok)
    }
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::Fault(format!("{}: {error}", folder.display())))
}
