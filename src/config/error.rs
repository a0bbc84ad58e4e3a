//! What is wrong with a configuration file, and in which line. No value of a key file ever gets here: only its path
//! does.

use toml::de::{DeTable, DeValue};

/// A configuration that can't be used: `file:line: message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {message}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// The line, from 1; none where it is about the file as a whole.
    pub line: Option<u32>,
    /// What is wrong and what to do.
    pub message: String,
}

impl ConfigError {
    pub(super) fn whole(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), line: None, message }
    }

    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        Self::whole(file, format!("it cannot be read: {error}"))
    }

    pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_of(text, span.start));
        Self { file: file.to_owned(), line, message: error.message().to_owned() }
    }
}

/// Something that only shows when the parts are seen together, and the key to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) message: String,
}

impl Fault {
    /// Finds the line of the key, or of its table, where that was written.
    pub(super) fn locate(self, file: &str, text: &str) -> ConfigError {
        let line = find(text, self.table, self.key).map(|start| line_of(text, start));
        ConfigError { file: file.to_owned(), line, message: self.message }
    }
}

fn find(text: &str, table: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let value = document.get_ref().get(table)?;
    let inner = match value.get_ref() {
        DeValue::Table(inner) => inner.get_key_value(key).map(|(key, _)| key.span().start),
        _ => None,
    };
    Some(inner.unwrap_or(value.span().start))
}

fn line_of(text: &str, start: usize) -> u32 {
    1 + text.get(..start).unwrap_or_default().matches('\n').count() as u32
}
