//! How the demo speaks: titles, facts, details, and a progress bar where somebody watches.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// Prints the story.
#[derive(Debug, Clone, Copy)]
pub struct Teller {
    watched: bool,
}

impl Teller {
    /// Looks whether somebody watches.
    pub fn new() -> Self {
        Self { watched: std::io::stdout().is_terminal() && std::io::stderr().is_terminal() }
    }

    /// A new step.
    pub fn title(self, text: &str) {
        println!();
        self.line("", Self::BOLD, text);
        self.line("", "", &"─".repeat(text.chars().count()));
    }

    /// A plain sentence.
    pub fn say(self, text: &str) {
        self.line("", "", text);
    }

    /// Something that happened and was checked.
    pub fn fact(self, text: &str) {
        self.line("  ✓ ", "", text);
    }

    /// More about it.
    pub fn detail(self, text: &str) {
        self.line("      ", Self::DIM, text);
    }

    /// ECMA-48 §8.3.117: bold, faint.
    const BOLD: &str = "\x1b[1m";
    const DIM: &str = "\x1b[2m";

    /// A line, with its style where somebody watches.
    fn line(self, before: &str, style: &str, text: &str) {
        if self.watched && !style.is_empty() {
            println!("{before}{style}{text}\x1b[0m");
        } else {
            println!("{before}{text}");
        }
    }

    /// A progress bar; invisible when nobody watches.
    pub fn bar(self, length: u64, what: &str) -> ProgressBar {
        if !self.watched {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("  {bar:30} {pos}/{len} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(length).with_style(style).with_message(what.to_owned())
    }
}
