//! Reads a TOML table field by field: every wrong, missing and unknown field is reported with its line, none stops
//! the rest.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::{
    files::SourceFile,
    problem::{At, Fault, Problems, Spot},
};

/// A table that is being read; [`TableReader::finish`] reports what nobody asked for.
pub(super) struct TableReader<'a> {
    source: Source<'a>,
    table: DeTable<'a>,
    spot: Spot,
    asked: Vec<&'static str>,
}

#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a SourceFile,
    problems: &'a Problems,
}

impl Source<'_> {
    fn spot(self, start: usize) -> Spot {
        let before = self.file.text.get(..start).unwrap_or_default();
        let line = 1 + before.matches('\n').count() as u32;
        Spot { file: Arc::clone(&self.file.shown), line }
    }
}

impl<'a> TableReader<'a> {
    /// Parses a whole file. Syntax errors are reported, and then there is nothing to read.
    pub(super) fn parse(file: &'a SourceFile, problems: &'a Problems) -> Option<Self> {
        let source = Source { file, problems };
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        for error in &errors {
            let spot = source.spot(error.span().map_or(0, |span| span.start));
            problems.at(&spot, Fault::Syntax { detail: error.message().to_owned() });
        }
        let spot = source.spot(0);
        errors.is_empty().then(|| Self { source, table: table.into_inner(), spot, asked: Vec::new() })
    }

    /// Where the table begins.
    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    fn take(&mut self, name: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.asked.push(name);
        self.table.remove(name)
    }

    fn invalid(&self, spot: &Spot, name: &str, error: &toml::de::Error) {
        // Only the message: the error's own text repeats the line, which the place already says.
        let detail = error.message().to_owned();
        self.source.problems.at(spot, Fault::FieldInvalid { name: name.to_owned(), detail });
    }

    fn convert<T: DeserializeOwned>(&self, name: &str, value: Spanned<DeValue<'a>>) -> Option<At<T>> {
        let spot = self.source.spot(value.span().start);
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(At { spot, value }),
            Err(error) => {
                self.invalid(&spot, name, &error);
                None
            }
        }
    }

    /// A field that may be absent.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<At<T>> {
        let value = self.take(name)?;
        self.convert(name, value)
    }

    /// A field that must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<At<T>> {
        let Some(value) = self.take(name) else {
            self.missing(name);
            return None;
        };
        self.convert(name, value)
    }

    fn missing(&self, name: &str) {
        self.source.problems.at(&self.spot, Fault::FieldMissing { name: name.to_owned() });
    }

    /// A list; absent is empty. Each item that is wrong is reported, and each that is there twice.
    pub(super) fn list<T: DeserializeOwned + PartialEq + std::fmt::Display>(
        &mut self,
        name: &'static str,
    ) -> Vec<At<T>> {
        let mut items: Vec<At<T>> = Vec::new();
        for item in self.array(name) {
            let Some(item) = self.convert::<T>(name, item) else { continue };
            if items.iter().any(|known| known.value == item.value) {
                let fault = Fault::ListedTwice { name: name.to_owned(), value: item.value.to_string() };
                self.source.problems.at(&item.spot, fault);
            } else {
                items.push(item);
            }
        }
        items
    }

    fn array(&mut self, name: &'static str) -> Vec<Spanned<DeValue<'a>>> {
        let Some(value) = self.take(name) else { return Vec::new() };
        let spot = self.source.spot(value.span().start);
        match value.into_inner() {
            DeValue::Array(items) => items.into_iter().collect(),
            other => {
                let detail = format!("a list is expected, not a {}", other.type_str());
                self.source.problems.at(&spot, Fault::FieldInvalid { name: name.to_owned(), detail });
                Vec::new()
            }
        }
    }

    fn inner(&self, name: &str, value: Spanned<DeValue<'a>>) -> Option<Self> {
        let spot = self.source.spot(value.span().start);
        match value.into_inner() {
            DeValue::Table(table) => Some(Self { source: self.source, table, spot, asked: Vec::new() }),
            other => {
                let detail = format!("a table is expected, not a {}", other.type_str());
                self.source.problems.at(&spot, Fault::FieldInvalid { name: name.to_owned(), detail });
                None
            }
        }
    }

    /// A table that may be absent.
    pub(super) fn optional_table(&mut self, name: &'static str) -> Option<Self> {
        let value = self.take(name)?;
        self.inner(name, value)
    }

    /// A table that must be there.
    pub(super) fn table(&mut self, name: &'static str) -> Option<Self> {
        let Some(value) = self.take(name) else {
            self.missing(name);
            return None;
        };
        self.inner(name, value)
    }

    /// An array of tables (`[[name]]`); absent is empty.
    pub(super) fn tables(&mut self, name: &'static str) -> Vec<Self> {
        self.array(name).into_iter().filter_map(|item| self.inner(name, item)).collect()
    }

    /// Reports the fields that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let spot = self.source.spot(key.span().start);
            let fault = Fault::FieldUnknown { name: key.get_ref().to_string(), known: self.asked.join(", ") };
            self.source.problems.at(&spot, fault);
        }
    }
}
