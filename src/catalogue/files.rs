//! Finds and reads a catalogue's files. The only I/O here; what the texts say is for others.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::problem::{Fault, Place, Problems};

/// The largest file of a catalogue, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file's text, its path in the catalogue (always with `/`), and its path as a person would open it.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Relative to the catalogue's (or the schemas') folder; names are made of it.
    pub path: String,
    /// For problems.
    pub shown: Arc<str>,
    /// The content.
    pub text: String,
}

/// All texts that make up a catalogue. Their order says nothing.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Where it was read from, for the problem of a file that is not there.
    pub folder: String,
    /// TOML files of the catalogue's folder.
    pub catalogue: Vec<SourceFile>,
    /// `<domain>/<name>/<major>.<minor>.json`.
    pub schemas: Vec<SourceFile>,
}

impl Sources {
    /// Reads what lies in `folder` and `schemas`. Hidden files and Markdown are passed over; anything else is
    /// expected to belong.
    pub(super) fn read(folder: &Path, schemas: &Path, problems: &Problems) -> Self {
        let mut sources = Self { folder: folder.display().to_string(), ..Self::default() };
        for entry in list(folder, problems) {
            match (entry.is_dir, entry.name.as_str()) {
                (true, "agencies" | "agreements") => {
                    for inner in list(&entry.path, problems) {
                        let path = format!("{}/{}", entry.name, inner.name);
                        sources.catalogue.extend(take(&inner, path, "toml", problems));
                    }
                }
                (false, "purposes.toml" | "record-types.toml") => {
                    sources.catalogue.extend(take(&entry, entry.name.clone(), "toml", problems));
                }
                // Schemas that are configured to lie elsewhere would make these ones look as if they counted.
                (true, "schemas") if same(&entry.path, schemas) => {}
                _ => problems.add(&shown(&entry.path), Place::File, Fault::FileUnexpected {}),
            }
        }
        for domain in list(schemas, problems).into_iter().filter(|entry| entry.is_dir) {
            for name in list(&domain.path, problems).into_iter().filter(|entry| entry.is_dir) {
                // Folders in it hold the examples of a version.
                for file in list(&name.path, problems).into_iter().filter(|entry| !entry.is_dir) {
                    let path = format!("{}/{}/{}", domain.name, name.name, file.name);
                    sources.schemas.extend(take(&file, path, "json", problems));
                }
            }
        }
        sources
    }
}

struct Entry {
    name: String,
    path: PathBuf,
    is_dir: bool,
}

fn same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

fn shown(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

/// What lies in a folder, by name; hidden entries and Markdown left out.
fn list(folder: &Path, problems: &Problems) -> Vec<Entry> {
    let unreadable = |error: std::io::Error| {
        problems.add(&shown(folder), Place::File, Fault::Unreadable { detail: error.to_string() });
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            unreadable(error);
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => {
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = entry.path();
                let is_markdown = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md"));
                if !name.starts_with('.') && !is_markdown {
                    found.push(Entry { is_dir: path.is_dir(), name, path });
                }
            }
            Err(error) => unreadable(error),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn take(entry: &Entry, path: String, extension: &str, problems: &Problems) -> Option<SourceFile> {
    let shown = shown(&entry.path);
    if entry.is_dir || entry.path.extension().is_none_or(|found| found != extension) {
        problems.add(&shown, Place::File, Fault::FileUnexpected {});
        return None;
    }
    match read(&entry.path) {
        Ok(text) => Some(SourceFile { path, shown, text }),
        Err(detail) => {
            problems.add(&shown, Place::File, Fault::Unreadable { detail });
            None
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_bound_and_not_beyond_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.toml");
        fs::write(&path, " ".repeat(1 << 20)).unwrap();
        assert_eq!(read(&path).map(|text| text.len()), Ok(1 << 20));
        fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
        assert_eq!(read(&path), Err("it is larger than 1048576 bytes".to_owned()));
    }
}
