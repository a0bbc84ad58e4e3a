//! What the next person must not break by accident: who uses whom, the size of files and functions, reasons for panics,
//! words, links. Each rule is a test that lists its offenders. Style beyond that is rustfmt's and clippy's.

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/markdown.rs"]
mod markdown;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/selftest.rs"]
mod selftest;
#[path = "tidy/source.rs"]
mod source;

use std::path::{Component, Path, PathBuf};

use repository::{Module, files, modules, root, rust_files, texts};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 125;
const REASON_WORDS_MIN: usize = 3;

/// Functions that may be longer: file, name, why.
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// What may lie at the top of the repository, beside hidden files.
const TOP_LEVEL: [&str; 10] =
    ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "connectors", "deploy", "proto", "schemas", "src", "tests"];

/// Fails with the list of offenders, if there are any.
#[track_caller]
fn none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}; offenders:\n  {}\n", offenders.join("\n  "));
}

fn at(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

/// Modules of the program itself, without those for tests.
fn production() -> impl Iterator<Item = &'static Module> {
    modules().0.iter().filter(|module| !module.test && module.path.starts_with("src"))
}

#[test]
fn layers_use_only_those_that_they_may() {
    let mut offenders = Vec::new();
    for module in production() {
        let path = module.path.display().to_string();
        for named in module.source.named.iter().filter(|named| !named.test) {
            offenders.extend(layers::judge(&path, &named.path).map(|why| format!("{path}:{}: {why}", named.line)));
        }
    }
    offenders.dedup();
    none("who may use whom is in tests/tidy/layers.rs", &offenders);
}

#[test]
fn every_rust_file_says_first_what_it_is_for() {
    let silent = rust_files().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    let offenders: Vec<String> = silent.map(|(path, _)| path.display().to_string()).collect();
    none("a file opens with `//!`: what it is for, and what not", &offenders);
}

#[test]
fn files_are_short() {
    let counted = rust_files().into_iter().map(|(path, text)| (path, text.lines().count()));
    let long = counted.filter(|(_, lines)| *lines > FILE_LINES_MAX);
    let offenders: Vec<String> = long.map(|(path, lines)| format!("{}: {lines}", path.display())).collect();
    none(&format!("a file has at most {FILE_LINES_MAX} lines"), &offenders);
}

#[test]
fn functions_fit_a_screen() {
    let mut offenders = Vec::new();
    for module in &modules().0 {
        for function in &module.source.functions {
            let excused =
                LONG_FUNCTIONS.iter().any(|(file, name, _)| module.path == Path::new(file) && *name == function.name);
            if function.lines > FUNCTION_LINES_MAX && !excused {
                offenders.push(format!("{} {}: {}", at(&module.path, function.line), function.name, function.lines));
            }
        }
    }
    none(&format!("a function has at most {FUNCTION_LINES_MAX} lines"), &offenders);
}

#[test]
fn lines_are_short() {
    let checked = |path: &Path| {
        path.extension().is_none_or(|ext| matches!(ext.to_str(), Some("rs" | "toml" | "proto" | "sh" | "yaml" | "py")))
            && !matches!(path.to_str(), Some("LICENSE"))
    };
    let mut offenders = Vec::new();
    for (path, text) in texts().iter().filter(|(path, _)| checked(path)) {
        for (number, line) in (1..).zip(text.lines()) {
            let chars = length_without_quotations(line);
            if chars > LINE_CHARS_MAX {
                offenders.push(format!("{}: {chars}", at(path, number)));
            }
        }
    }
    none(&format!("a line has at most {LINE_CHARS_MAX} characters"), &offenders);
}

/// A sentence in quotation marks is not torn apart for the sake of the line that it stands in.
fn length_without_quotations(line: &str) -> usize {
    let code = line.split_once("//").is_none_or(|(before, _)| !before.trim().is_empty());
    if code { line.split('"').step_by(2).map(|part| part.chars().count()).sum() } else { line.chars().count() }
}

#[test]
fn a_panic_carries_the_reason_why_it_cannot_happen() {
    let mut offenders = Vec::new();
    for module in &modules().0 {
        for panics in &module.source.panics {
            let test = panics.test || module.test;
            offenders.extend(
                judge_panic(&panics.what, panics.reason.as_deref(), test)
                    .map(|why| format!("{} {}: {why}", at(&module.path, panics.line), panics.what)),
            );
        }
    }
    none("production code panics only where it says why it cannot", &offenders);
}

/// What is wrong with a place that may panic, if anything is.
fn judge_panic(what: &str, reason: Option<&str>, test: bool) -> Option<&'static str> {
    match what {
        "todo!" | "unimplemented!" | "dbg!" => Some("never, not even in tests"),
        _ if test => None,
        "unwrap" | "unwrap_err" => Some("use `?`, or `expect` with the reason"),
        _ => match reason {
            None => Some("the reason must stand there as a literal"),
            Some(words) if words.split_whitespace().count() < REASON_WORDS_MIN => Some("too short for a reason"),
            Some(_) => None,
        },
    }
}

#[test]
fn every_rust_file_is_compiled() {
    let offenders: Vec<String> = modules().1.iter().map(|path| path.display().to_string()).collect();
    none("no `mod` leads to these", &offenders);
}

/// Words that must stand nowhere, with the reason. They are put together here, so that this file does not offend.
fn banned_words() -> Vec<(String, &'static str)> {
    let later = "what is left to do belongs into an issue";
    let machine = "a path of one machine";
    let host = "the host of a registry; name the package alone";
    let words = [
        (["TO", "DO"], later),
        (["FIX", "ME"], later),
        (["X", "XX"], later),
        (["/ro", "ot/"], machine),
        (["/home", "/"], machine),
        (["index.", "crates.io"], host),
        (["static.", "crates.io"], host),
        (["registry.", "npmjs.org"], host),
        (["proxy.", "golang.org"], host),
        (["deb.", "debian.org"], host),
        (["pypi.", "org"], host),
        (["arti", "factory"], host),
    ];
    words.into_iter().map(|(parts, why)| (parts.concat(), why)).collect()
}

#[test]
fn nothing_is_left_for_later_and_no_machine_is_named() {
    let words = banned_words();
    let mut offenders = Vec::new();
    for (path, text) in texts() {
        for (number, line) in (1..).zip(text.lines()) {
            let found = words.iter().find(|(word, _)| contains_word(line, word));
            offenders.extend(found.map(|(word, why)| format!("{} {word}: {why}", at(&path, number))));
        }
    }
    none("words that must not stand in the repository", &offenders);
}

/// Whether `line` has `word`, not as a part of a longer word.
fn contains_word(line: &str, word: &str) -> bool {
    let inner = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        let begins = inner(word.chars().next()) && inner(before.chars().next_back());
        let goes_on = inner(word.chars().next_back()) && inner(after.chars().next());
        !begins && !goes_on
    })
}

#[test]
fn the_top_of_the_repository_holds_only_what_it_must() {
    let first = |path: PathBuf| path.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
    let mut names: Vec<String> = files().into_iter().filter_map(first).collect();
    names.dedup();
    names.retain(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()));
    none("whatever else tools need stays hidden", &names);
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut offenders = Vec::new();
    for (path, text) in texts().into_iter().filter(|(path, _)| path.extension().is_some_and(|ext| ext == "md")) {
        for (line, target) in markdown::links(&text) {
            if !target.contains("://") && !target.starts_with("mailto:") && !leads_somewhere(&path, &text, &target) {
                offenders.push(format!("{}: {target}", at(&path, line)));
            }
        }
    }
    none("links that lead nowhere", &offenders);
}

fn leads_somewhere(page: &Path, text: &str, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let own = file.is_empty();
    let file = root().join(page.parent().unwrap_or(Path::new(""))).join(file);
    let outside = !own && !file.components().any(|part| part == Component::ParentDir) && !file.starts_with(root());
    if outside || (!own && !file.exists()) {
        return false;
    }
    if anchor.is_empty() || (!own && file.extension().is_none_or(|ext| ext != "md")) {
        return true;
    }
    let read;
    let text = if own {
        text
    } else {
        read = std::fs::read_to_string(&file).unwrap_or_default();
        &read
    };
    markdown::anchors(text).iter().any(|known| known == anchor)
}
