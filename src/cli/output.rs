//! Where commands write: sentences for people, or one JSON object a line for machines. Not the wording.

use std::io::{self, IsTerminal as _, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::exit::Failure;

/// Standard output, in one of two forms.
pub(super) struct Out {
    json: bool,
    to: Box<dyn Write + Send>,
}

impl Out {
    /// Standard output.
    pub(super) fn stdout(json: bool) -> Self {
        Self::to(json, Box::new(io::stdout()))
    }

    /// Any output.
    pub(super) fn to(json: bool, to: Box<dyn Write + Send>) -> Self {
        Self { json, to }
    }

    /// Whether a machine reads.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// Says the one to a machine or the other to a person.
    pub(super) fn show(
        &mut self,
        machine: impl FnOnce() -> Value,
        person: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.object(&machine()) } else { self.line(&person()) }
    }

    /// Says something that only a person needs.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.line(text) }
    }

    /// One JSON object on a line of its own, written out before this returns.
    pub(super) fn object(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// A text and a newline, written out before this returns.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.to, "{text}").and_then(|()| self.to.flush()).map_err(Failure::Output)
    }

    /// A text as it is.
    pub(super) fn raw(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.to.write_all(text).and_then(|()| self.to.flush()).map_err(Failure::Output)
    }
}

/// Says something beside the output, to a person who sits there.
pub(super) fn aside(text: &str) {
    // Who does not see it misses nothing that the output or the exit code lacks.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A bar on standard error while something long goes on; nothing where nobody watches.
pub(super) fn progress(length: u64, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).expect("each template is a constant that a test renders");
    ProgressBar::new(length).with_style(style)
}

/// Of a file that is read.
pub(super) const BYTES: &str = "{bar:30} {percent:>3}%  {msg}  {elapsed} gone, {eta} left";
/// Of entries that are counted.
pub(super) const ENTRIES: &str = "{spinner} {human_pos} entries  {per_sec}";

/// `n thing` or `n things`.
pub(super) fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_progress_are_templates() {
        for template in [BYTES, ENTRIES] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn one_is_not_plural() {
        assert_eq!((count(1, "row"), count(2, "row")), ("1 row".to_owned(), "2 rows".to_owned()));
    }
}
