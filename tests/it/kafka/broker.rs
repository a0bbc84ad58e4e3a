//! Brokers for one test: started, paused, killed and stopped. They end with the test, however it ends.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use waybill::cli::demo::ports::free_ports;

/// A cluster.
pub struct Brokers {
    child: Child,
    pub nodes: u16,
    pub port: u16,
    tls: Option<PathBuf>,
    folder: TempDir,
}

impl Brokers {
    /// So many brokers; with `tls`, a folder with certificates, they demand them.
    pub fn start_with(nodes: u16, tls: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_ports(2 * nodes).unwrap();
        let mut command = script(folder.path(), "run", nodes, port, tls);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("localhost:{port}"), "the brokers did not start");
        Self { child, nodes, port, tls: tls.map(Path::to_path_buf), folder }
    }

    /// Where clients begin.
    pub fn bootstrap(&self) -> String {
        let all: Vec<String> = (0..self.nodes).map(|node| format!("localhost:{}", self.port + node)).collect();
        all.join(",")
    }

    /// Stops a broker cleanly.
    pub fn stop(&self, node: u16) {
        self.one("stop", node);
    }

    /// Starts a broker again.
    pub fn start_again(&self, node: u16) {
        self.one("start", node);
    }

    /// Sends a broker a signal: `STOP`, `CONT`, `KILL`.
    pub fn signal(&self, node: u16, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join(format!("node-{node}/pid"))).unwrap();
        let sent = Command::new("kill").args([format!("-{signal}"), pid.trim().to_owned()]).status().unwrap();
        assert!(sent.success());
    }

    /// Lets a principal do something with topics and groups.
    pub fn allow(&self, who: &str, what: &str, names: &[&str]) {
        let mut command = script(self.folder.path(), "allow", self.nodes, self.port, self.tls.as_deref());
        assert!(command.args([who, what]).args(names).stdin(Stdio::null()).status().unwrap().success());
    }

    /// Kafka's own `kafka-acls` with these options.
    pub fn acls(&self, options: &[&str]) {
        self.tool("acls", options);
    }

    /// Kafka's own `kafka-configs` with these options.
    pub fn configs(&self, options: &[&str]) {
        self.tool("configs", options);
    }

    fn tool(&self, what: &str, options: &[&str]) {
        let mut command = script(self.folder.path(), what, self.nodes, self.port, self.tls.as_deref());
        assert!(command.args(options).stdin(Stdio::null()).status().unwrap().success());
    }

    fn one(&self, what: &str, node: u16) {
        let mut command = script(self.folder.path(), what, self.nodes, self.port, self.tls.as_deref());
        assert!(command.env("ONLY", node.to_string()).stdin(Stdio::null()).status().unwrap().success());
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        for node in 1..=self.nodes {
            // Gone with its folder: there is nothing to be written any more.
            if let Ok(pid) = std::fs::read_to_string(self.folder.path().join(format!("node-{node}/pid"))) {
                let _ = Command::new("kill").args(["-KILL", pid.trim()]).stderr(Stdio::null()).status();
            }
        }
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn script(folder: &Path, what: &str, nodes: u16, port: u16, tls: Option<&Path>) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kafka/broker");
    let mut command = Command::new(script);
    command.args([what.as_ref(), folder.as_os_str()]).env("NODES", nodes.to_string()).env("PORT", port.to_string());
    if let Some(tls) = tls {
        command.env("TLS", tls);
    }
    command
}
