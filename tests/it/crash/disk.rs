//! A disk with a cache, and the power goes: of a folder, only what was synced is left. Files hold what they held at their
//! last sync, and folders the names that they had at theirs. `disk.c` looks on while a process writes; this file starts
//! such processes, tells which sync is to fail, and lays out what is left.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, UNIX_EPOCH},
};

/// Tells the test below that it is to write, and where.
const FOLDER: &str = "WAYBILL_TEST_FOLDER";

/// What a sync that fails has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Synced {
    /// Nothing: what was written is lost.
    Lost,
    /// All: what was written is on the disk, and that is not reported.
    Kept,
}

/// The disk on which one folder lies.
pub struct Disk {
    /// The folder.
    of: PathBuf,
    /// Where `disk.c` keeps what was synced.
    kept: PathBuf,
}

impl Disk {
    /// The disk of the folder `of`, all of which is synced now; it keeps what it knows in `kept`.
    pub fn new(of: &Path, kept: &Path) -> Self {
        fs::create_dir_all(of).unwrap();
        fs::create_dir_all(kept).unwrap();
        let disk = Self::known(of, kept);
        disk.keep(of);
        disk
    }

    /// The same disk again, in the process that uses it.
    pub fn known(of: &Path, kept: &Path) -> Self {
        Self { of: of.to_owned(), kept: kept.to_owned() }
    }

    /// Keeps a folder as `disk.c` does when it is synced, with everything in it.
    fn keep(&self, folder: &Path) {
        let mut names = String::new();
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            let (kind, id) = (if path.is_dir() { "d" } else { "f" }, id_of(&path));
            names.extend([kind, " ", &id, " ", path.file_name().unwrap().to_str().unwrap(), "\n"]);
            if kind == "d" {
                self.keep(&path);
            } else {
                fs::copy(path, self.kept.join(id)).unwrap();
            }
        }
        fs::write(self.kept.join(format!("{}.d", id_of(folder))), names).unwrap();
    }

    /// The environment of a process that uses this disk.
    pub fn environment(&self) -> [(&'static str, OsString); 3] {
        [
            ("LD_PRELOAD", library().into()),
            ("WAYBILL_DISK_OF", self.of.clone().into()),
            ("WAYBILL_DISK", self.kept.clone().into()),
        ]
    }

    /// From now on the `nth` sync of a file or folder whose path ends like this (`*`: of any) fails, and the power goes.
    pub fn fail(&self, nth: usize, file: &str, synced: Synced) {
        let how = if synced == Synced::Kept { "kept" } else { "lost" };
        // By a rename: it is there as a whole, or not at all.
        fs::write(self.kept.join("fault.half"), format!("{nth} {how} {file}")).unwrap();
        fs::rename(self.kept.join("fault.half"), self.kept.join("fault")).unwrap();
    }

    /// The power goes.
    pub fn cut(&self) {
        fs::write(self.kept.join("cut"), "").unwrap();
    }

    pub fn is_cut(&self) -> bool {
        self.kept.join("cut").exists()
    }

    /// Lays out in the folder `into` what is left.
    pub fn lay_out(&self, into: &Path) {
        self.lay_out_folder(&id_of(&self.of), into);
    }

    fn lay_out_folder(&self, id: &str, into: &Path) {
        fs::create_dir_all(into).unwrap();
        // One that was never synced has no names.
        let names = fs::read_to_string(self.kept.join(format!("{id}.d"))).unwrap_or_default();
        for line in names.lines() {
            let [kind, id, name] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            let (kept, target) = (self.kept.join(id), into.join(name));
            if kind == "d" {
                self.lay_out_folder(id, &target);
            } else if kept.exists() {
                fs::copy(kept, target).unwrap();
            } else {
                // Its name was synced, and nothing of what is in it.
                fs::write(target, "").unwrap();
            }
        }
    }
}

/// As `disk.c` names what it keeps.
fn id_of(path: &Path) -> String {
    let found = fs::metadata(path).unwrap();
    // Not every file system knows when a file was made.
    let born = found.created().map_or(Duration::ZERO, |born| born.duration_since(UNIX_EPOCH).unwrap());
    format!("{}-{}-{}", found.ino(), born.as_secs(), born.subsec_nanos())
}

/// `disk.c`, compiled.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(folder).unwrap();
        let (made, library) = (folder.join(format!("disk-{}.so", std::process::id())), folder.join("disk.so"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/crash/disk.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([&made, &source])
            .arg("-ldl")
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        // By a rename: whoever has loaded the one before keeps it.
        fs::rename(made, &library).unwrap();
        library
    })
}

/// Runs one test of this program again, in a process that uses the disk; what it has written.
pub fn run_on(disk: &Disk, test: &str, environment: (&str, &Path)) -> std::process::Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).envs(disk.environment());
    command.env(environment.0, environment.1).output().unwrap()
}

/// Everything that lies in a folder, with what is in it.
fn listed(folder: &Path) -> Vec<(String, String)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|item| {
            let path = item.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, if path.is_dir() { format!("{:?}", listed(&path)) } else { fs::read_to_string(path).unwrap() })
        })
        .collect();
    all.sort();
    all
}

/// Plays both parts: without a folder it starts itself with one.
#[test]
fn what_was_synced_is_left_and_nothing_else() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return write(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let (of, kept) = (folder.path().join("of"), folder.path().join("kept"));
    fs::create_dir_all(&of).unwrap();
    fs::write(of.join("before"), "before").unwrap();
    let disk = Disk::new(&of, &kept);
    disk.fail(2, "failing", Synced::Kept);
    let ran = run_on(&disk, "crash::disk::what_was_synced_is_left_and_nothing_else", (FOLDER, &of));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(disk.is_cut(), "nothing looked on");
    disk.lay_out(&folder.path().join("left"));
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let left = [
        text("before", "before"),
        text("failing", "a second"),
        text("in", "[]"),
        text("kept", "once"),
        text("moved", "moved"),
        text("unsynced", ""),
    ];
    assert_eq!(listed(&folder.path().join("left")), left);
}

fn write(folder: &Path) {
    let put = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        File::options().write(true).open(folder.join(name)).unwrap()
    };
    fs::write(folder.join("before"), "and after").unwrap();
    fs::create_dir(folder.join("in")).unwrap();
    put("in/nameless", "its folder is not synced").sync_all().unwrap();
    put("kept", "once").sync_data().unwrap();
    put("moving", "moved").sync_all().unwrap();
    fs::rename(folder.join("moving"), folder.join("moved")).unwrap();
    put("unsynced", "never");
    put("failing", "once").sync_data().unwrap();
    File::open(folder).unwrap().sync_all().unwrap();
    put("nameless", "its folder was synced before").sync_all().unwrap();
    put("kept", "twice");
    assert!(put("failing", "a second").sync_data().is_err(), "the power goes");
    assert!(put("kept", "thrice").sync_data().is_err(), "it has gone");
}
