//! The scene: the real binary, serving a folder laid out like the demo's.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use waybill::{
    cli::demo::{setup::Place, systems::System},
    config::LedgerIdentity,
};

/// How long anything may take that must happen. Generous: an unoptimised hub on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks at something that is polled.
const LOOK: Duration = Duration::from_millis(10);

/// A folder with everything that a hub needs.
pub struct Scene {
    pub place: Arc<Place>,
    folder: TempDir,
}

impl Scene {
    /// Lays it out. `more` is appended to the configuration, whose log filter is `filter`.
    pub fn lay_out(filter: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Arc::new(Place::lay_out(&folder.path().join("hub")).unwrap());
        let scene = Self { place, folder };
        scene.configure(|text| text.replace("filter = \"warn\"", &format!("filter = \"{filter}\"")) + more);
        scene
    }

    /// The same under another name, with a ledger of that name.
    pub fn named(mut self, name: &str) -> Self {
        let place = Arc::get_mut(&mut self.place).expect("nobody else has it yet");
        let key = place.folder.join("keys/ledger.key");
        fs::remove_file(&key).unwrap();
        let seed = *uuid::Uuid::now_v7().as_bytes();
        let seed = [seed, seed].concat().try_into().unwrap();
        let identity = LedgerIdentity::create(&key, name, place.config.environment, &seed).unwrap();
        place.verifier_key = identity.verifier_key();
        self.configure(|text| text.replace("hub = \"demo.waybill.invalid\"", &format!("hub = \"{name}\"")));
        self
    }

    /// Rewrites the configuration; the hub's next start reads it.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(&self.place.config_file).unwrap();
        fs::write(&self.place.config_file, change(text)).unwrap();
    }

    /// A file beside the hub's folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What all hubs of this scene have written to stderr.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.beside("log")).unwrap()).into_owned()
    }

    /// Starts the hub, under `before` (a tracer) if there is one. It may not serve yet: see [`Scene::connect`].
    pub fn start_under(&self, before: &[&str]) -> Served {
        let program = [before, &[env!("CARGO_BIN_EXE_waybill"), "serve", "--config"]].concat();
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(&self.place.config_file);
        self.spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))
    }

    /// Starts a process as a hub of this scene.
    pub fn spawn(&self, command: &mut Command) -> Served {
        let path = self.beside("log");
        let log: File = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        Served { child: command.stderr(log).spawn().unwrap(), log: path }
    }

    /// Starts the hub.
    pub fn start(&self) -> Served {
        self.start_under(&[])
    }

    /// A connection as `system`, as soon as the hub takes one.
    pub async fn connect(&self, system: &str) -> System {
        connect(&self.place, system).await
    }
}

/// A connection as `system`, as soon as the hub takes one.
pub async fn connect(place: &Place, system: &str) -> System {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match System::connect(place, system).await {
            Ok(connected) => return connected,
            Err(error) => assert!(Instant::now() < deadline, "no connection as {system}: {error:#}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Polls until `holds`, or fails saying `what` did not come about.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "within {PATIENCE:?} it did not happen that {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A hub's process. It ends with its test.
pub struct Served {
    child: Child,
    log: PathBuf,
}

impl Served {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input and output, if it was started with pipes.
    pub fn pipes(&mut self) -> (ChildStdin, ChildStdout) {
        (self.child.stdin.take().unwrap(), self.child.stdout.take().unwrap())
    }

    /// Sends it a signal: `HUP`, `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([format!("-{signal}"), self.pid().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGKILL; returns when the process is gone.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the hub ended by itself: {}", fs::read_to_string(&self.log).unwrap());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns how the hub ended.
    pub async fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// How the hub ended, once it has.
    pub async fn ended(mut self) -> ExitStatus {
        let mut ended = None;
        until("the hub ends", async || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        ended.unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies a data folder as it is now.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for inside in fs::read_dir(from).unwrap() {
        let inside = inside.unwrap();
        let target = to.join(inside.file_name());
        if inside.file_type().unwrap().is_dir() {
            copy_folder(&inside.path(), &target);
        } else {
            fs::copy(inside.path(), target).unwrap();
        }
    }
}
