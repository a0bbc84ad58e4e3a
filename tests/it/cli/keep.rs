//! The demo that goes on running.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What each command says, in the order in which they are printed.
const SAID: [&str; 6] = [
    "This search is recorded, too",
    "verified: entry 1 stands in the ledger",
    "answered: tax/income-statement",
    "benefit may ask tax for tax/income-statement",
    "no delivery was given up",
    "The catalogue is good",
];

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn each_command_that_the_demo_prints_works_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    // A shell would take such a name for several words.
    let data = folder.path().join("the hub's data");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_waybill"));
    demo.args(["demo", "--keep", "--citizens", "20", "--changes", "40", "--data"]).arg(data);
    let mut demo = Demo(demo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("The hub goes on running")), "the demo did not come to its end");

    let (mut exports, mut said) = (String::new(), SAID.into_iter());
    for line in lines.by_ref().skip(1) {
        if line.starts_with("export ") {
            exports = line;
        } else if !line.starts_with('#') {
            // Another terminal has the last exports alone.
            let ran = Command::new("sh").args(["-euc", &format!("{exports}\n{line}")]).output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
            let wanted = said.next().expect("it prints a command that this test does not know");
            assert!(ran.status.success() && out.contains(wanted), "{line}\n{out}{err}");
        }
        if said.len() == 0 {
            break;
        }
    }
    assert_eq!(said.next(), None, "it prints fewer commands");

    assert!(Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status().unwrap().success());
    let begun = Instant::now();
    let ended = loop {
        if let Some(status) = demo.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "Ctrl-C does not stop it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(ended.success(), "{ended}");
}
