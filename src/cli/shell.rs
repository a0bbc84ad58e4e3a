//! `waybill completions` and `waybill man`: what a package installs beside the binary.

use std::path::PathBuf;

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    output::Out,
    printed::path_word,
};

/// `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(self, mut command: clap::Command, out: &mut Out) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "waybill", &mut script);
        out.raw(&script)?;
        Ok(Exit::Ok)
    }
}

/// `man`.
#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// Folder to write into
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self, command: clap::Command, out: &mut Out) -> Result<Exit, Failure> {
        let failed = |error| Failure::Fault(format!("{}: {error}", self.folder.display()));
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        clap_mangen::generate_to(command, &self.folder).map_err(failed)?;
        out.show(
            || json!({ "folder": self.folder }),
            || {
                let first = path_word(&self.folder.join("waybill.1"));
                format!("manual pages: {}\n  next: man -l {first}", self.folder.display())
            },
        )?;
        Ok(Exit::Ok)
    }
}
