//! `waybill check`: everything that is wrong with a configuration or a catalogue, with its place and what to do, without
//! starting anything.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    exit::{Exit, Failure},
    output::{Out, count},
};
use crate::{
    catalogue::{Catalogue, Place, Problem},
    config::Config,
};

/// `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The hub's configuration; its catalogue is checked, too
    #[arg(long, value_name = "FILE", required_unless_present = "catalogue")]
    config: Option<PathBuf>,
    /// A catalogue's folder
    #[arg(value_name = "CATALOGUE-DIR", conflicts_with = "config")]
    catalogue: Option<PathBuf>,
    /// The schemas' folder [default: `schemas` in the catalogue's]
    #[arg(long, value_name = "DIR", requires = "catalogue")]
    schemas: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let (folder, schemas) = if let Some(path) = self.config {
            match Config::load(&path) {
                Ok(config) => {
                    out.say(&format!("environment: {} (hub {})", config.environment, config.hub))?;
                    let schemas = config.paths.schemas();
                    (config.paths.catalogue, schemas)
                }
                Err(error) => {
                    out.show(
                        || json!({ "file": error.file, "line": error.line, "message": error.message }),
                        || error.to_string(),
                    )?;
                    return Ok(Exit::Unverified);
                }
            }
        } else {
            let folder = self.catalogue.unwrap_or_default();
            let schemas = self.schemas.unwrap_or_else(|| folder.join("schemas"));
            (folder, schemas)
        };
        match Catalogue::load(&folder, &schemas) {
            Ok(catalogue) => {
                out.show(|| summary(&catalogue), || sentence(&catalogue))?;
                Ok(Exit::Ok)
            }
            Err(problems) => {
                for problem in &problems {
                    out.show(|| problem_json(problem), || problem.to_string())?;
                }
                out.say(&format!("{}; nothing was started or changed", count(problems.len(), "problem")))?;
                Ok(Exit::Unverified)
            }
        }
    }
}

fn summary(catalogue: &Catalogue) -> Value {
    json!({
        "digest": catalogue.digest().to_string(),
        "agencies": catalogue.agencies().count(),
        "systems": catalogue.systems().count(),
        "record_types": catalogue.record_types().count(),
        "agreements": catalogue.agreements().count(),
    })
}

fn sentence(catalogue: &Catalogue) -> String {
    format!(
        "The catalogue is good: {} with {}, {}, {}.\n  digest: {}",
        match catalogue.agencies().count() {
            1 => "1 agency".to_owned(),
            n => format!("{n} agencies"),
        },
        count(catalogue.systems().count(), "system"),
        count(catalogue.record_types().count(), "record type"),
        count(catalogue.agreements().count(), "agreement"),
        catalogue.digest()
    )
}

fn problem_json(problem: &Problem) -> Value {
    let (line, pointer) = match &problem.place {
        Place::File => (None, None),
        Place::Line(line) => (Some(*line), None),
        Place::Pointer(pointer) => (None, Some(pointer)),
    };
    json!({
        "file": &*problem.file,
        "line": line,
        "pointer": pointer,
        "message": problem.fault.to_string(),
        "help": problem.fault.help(),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn check(catalogue: &Path, schemas: &Path) -> Exit {
        let check = Check { config: None, catalogue: Some(catalogue.to_owned()), schemas: Some(schemas.to_owned()) };
        check.run(&mut Out::to(true, Box::new(std::io::sink()))).unwrap()
    }

    #[test]
    fn the_demos_catalogue_passes_and_an_empty_folder_does_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(check(&root.join("deploy/demo/catalogue"), &root.join("schemas")), Exit::Ok);
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(check(empty.path(), empty.path()), Exit::Unverified);
    }

    #[test]
    fn a_broken_configuration_does_not_pass() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("waybill.toml");
        fs::write(&config, "environment = 1").unwrap();
        let check = Check { config: Some(config), catalogue: None, schemas: None };
        let mut out = Out::to(false, Box::new(std::io::sink()));
        assert_eq!(check.run(&mut out).unwrap(), Exit::Unverified);
    }
}
