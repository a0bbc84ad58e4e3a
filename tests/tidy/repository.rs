//! The repository as the rules see it: its text files, and the Rust files that `mod` reaches. No rule is here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use walkdir::WalkDir;

use super::source::{self, Source};

/// The repository's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository, relative to its folder: what git tracks or would track; without git, everything but
/// `target`.
pub fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let names: Vec<PathBuf> = match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(PathBuf::from).collect()
        }
        _ => walk(),
    };
    let unique: BTreeSet<PathBuf> = names.into_iter().filter(|name| root().join(name).is_file()).collect();
    unique.into_iter().collect()
}

fn walk() -> Vec<PathBuf> {
    let outside = |name: &str| matches!(name, "target" | ".git");
    WalkDir::new(root())
        .min_depth(1)
        .into_iter()
        .filter_entry(move |entry| !entry.file_name().to_str().is_some_and(outside))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| entry.path().strip_prefix(root()).map(Path::to_path_buf).ok())
        .collect()
}

/// Those of the files that are text, with their text.
pub fn texts() -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter_map(|path| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text)))
        .collect()
}

/// Those of the files that are Rust.
pub fn rust_files() -> Vec<(PathBuf, String)> {
    texts().into_iter().filter(|(path, _)| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

/// Whether cargo begins to compile at this file.
fn is_crate_root(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "build.rs" | "tidy.rs")
        || (matches!(name, "main.rs" | "lib.rs") && matches!(folder, "src" | "it"))
        || matches!(folder, "bin" | "examples")
}

/// A Rust file that is compiled.
pub struct Module {
    /// Where it lies, relative to the repository.
    pub path: PathBuf,
    /// Whether it is compiled for tests only.
    pub test: bool,
    /// What is in it.
    pub source: Source,
}

/// Every Rust file that a `mod` reaches from a crate's root; the other list is of those that none reaches. Read once
/// for all rules.
pub fn modules() -> &'static (Vec<Module>, Vec<PathBuf>) {
    static MODULES: LazyLock<(Vec<Module>, Vec<PathBuf>)> = LazyLock::new(read_modules);
    &MODULES
}

fn read_modules() -> (Vec<Module>, Vec<PathBuf>) {
    let files: BTreeMap<PathBuf, String> = rust_files().into_iter().collect();
    let mut waiting: Vec<(PathBuf, Vec<String>, bool)> = Vec::new();
    for path in files.keys().filter(|path| is_crate_root(path)) {
        waiting.push((path.clone(), Vec::new(), path.starts_with("tests/it") || path.ends_with("tidy.rs")));
    }
    let mut found: BTreeMap<PathBuf, Module> = BTreeMap::new();
    while let Some((path, module, test)) = waiting.pop() {
        let source = source::read(&files[&path], &module).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let folder = folder_of_children(&path);
        for child in &source.children {
            let target = match &child.path {
                Some(named) => path.parent().unwrap_or(Path::new("")).join(named),
                None => [folder.join(format!("{}.rs", child.file)), folder.join(&child.file).join("mod.rs")]
                    .into_iter()
                    .find(|candidate| files.contains_key(candidate))
                    .unwrap_or_else(|| panic!("{}: no file for `mod {}`", path.display(), child.file)),
            };
            waiting.push((target, child.module.clone(), test || child.test));
        }
        found.insert(path.clone(), Module { path, test, source });
    }
    let dead = files.into_keys().filter(|path| !found.contains_key(path)).collect();
    (found.into_values().collect(), dead)
}

/// Where the files of a file's child modules lie.
fn folder_of_children(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    if is_crate_root(path) || path.ends_with("mod.rs") { folder.to_path_buf() } else { path.with_extension("") }
}
