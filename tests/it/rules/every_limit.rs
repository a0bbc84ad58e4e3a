//! No limit without a test: each row of the table is named where a test of the whole hub sets it or reads it. Whether that
//! test looks just within it and just beyond is for whoever reads it.

use std::path::Path;

use walkdir::WalkDir;
use waybill::config::Limits;

/// The text of the tests, without this file. A line's end inside a literal is one.
fn tests() -> String {
    let files = WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    let paths = files.into_iter().map(|file| file.unwrap().into_path());
    let paths = paths.filter(|path| path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with(file!()));
    paths.map(|path| std::fs::read_to_string(path).unwrap().replace("\\n", "\n")).collect()
}

/// Whether the text has `name` as a whole word.
fn names(text: &str, name: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + name.len()..]);
        !before.ends_with(inner) && !after.starts_with(inner)
    })
}

#[test]
fn every_limit_is_named_by_a_test() {
    let tests = tests();
    let unnamed: Vec<_> = Limits::ROWS.iter().map(|row| row.name).filter(|name| !names(&tests, name)).collect();
    assert!(unnamed.is_empty(), "limits that no test names: {unnamed:?}");
}

#[test]
fn a_longer_name_is_another() {
    assert!(names("Limits { rate_max: 1 }", "rate_max") && names("limits.rate_max", "rate_max"));
    assert!(!names("rate_max_per_s", "rate_max") && !names("the_rate_max", "rate_max"));
}
