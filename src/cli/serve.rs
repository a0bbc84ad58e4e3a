//! `waybill serve`: runs a hub in the foreground until it is told to stop.

use std::path::PathBuf;

use super::exit::{Exit, Failure};
use crate::config::Config;

/// What `waybill serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// The hub's configuration; deploy/waybill.toml is a commented sample
    #[arg(long)]
    config: PathBuf,
}

impl Serve {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let config = Config::load(&self.config).map_err(Failure::usage)?;
        crate::app::serve(config).await.map_err(|error| Failure::chain(&error))?;
        Ok(Exit::Ok)
    }
}
