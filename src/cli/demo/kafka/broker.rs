//! A broker of the demo's own, and of the bench's: Apache Kafka, run by `deploy/kafka/broker` in a temporary folder. It
//! ends with who started it, however that ends.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::cli::demo::ports::free_ports;

/// Where the script stands in the repository.
const SCRIPT: &str = "deploy/kafka/broker";
/// Ports that one broker takes: its own, and the controller's after it.
const PORTS: u16 = 2;

/// A broker that runs.
#[derive(Debug)]
pub struct OwnBroker {
    child: Child,
    bootstrap: String,
    /// Where its data are; removed after it has ended.
    _folder: TempDir,
}

impl OwnBroker {
    /// Starts one, and returns when it listens. Blocks.
    pub fn start() -> anyhow::Result<Self> {
        let script = script()?;
        let folder = tempfile::Builder::new().prefix("waybill-demo-kafka-").tempdir()?;
        let port = free_ports(PORTS)?;
        let mut command = Command::new(&script);
        command.arg("run").arg(folder.path()).env("NODES", "1").env("PORT", port.to_string());
        for other in ["TLS", "ONLY"] {
            command.env_remove(other);
        }
        // In a process group of its own, so that Ctrl-C ends the hub first.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| script.display().to_string())?;
        let said = child.stdout.take().context("the broker's script has no output")?;
        let mut own = Self { child, bootstrap: String::new(), _folder: folder };
        BufReader::new(said).read_line(&mut own.bootstrap)?;
        own.bootstrap.truncate(own.bootstrap.trim_end().len());
        anyhow::ensure!(
            !own.bootstrap.is_empty(),
            "Apache Kafka did not start; above stands why. It needs Java from 17 on and Maven: see deploy/kafka/README.md, \
             or name brokers that run with --bootstrap HOST:PORT"
        );
        Ok(own)
    }

    /// Where clients begin.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // tells the script to stop the broker
        let _ = self.child.wait(); // it has ended by itself, or does now
    }
}

/// The script, in the checkout that the demo was built in or is run in.
fn script() -> anyhow::Result<PathBuf> {
    let beside = [std::env::current_exe().ok(), std::env::current_dir().ok()];
    let found = beside.iter().flatten().find_map(|from| above(from));
    found.with_context(|| {
        format!(
            "{SCRIPT} is not here: run the demo in a checkout of Waybill, or name brokers that run with --bootstrap \
             HOST:PORT"
        )
    })
}

fn above(from: &Path) -> Option<PathBuf> {
    let is_checkout = |folder: &&Path| folder.join(SCRIPT).is_file() && folder.join("proto/waybill/v1").is_dir();
    from.ancestors().find(is_checkout).map(|folder| folder.join(SCRIPT))
}
