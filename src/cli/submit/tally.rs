//! What became of a file of rows, counted: the last line and the exit code. Not of a single row: `batch.rs`.

use serde_json::{Value, json};

use crate::cli::{exit::Exit, output::count};

/// How many rows came to what.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) recorded: usize,
    pub(super) refused: usize,
    /// Recorded, with a recipient that was refused.
    pub(super) partly: usize,
    pub(super) unreadable: usize,
    pub(super) undecided: usize,
    /// Not decided in the run before, and not sent in this one, which has other options.
    pub(super) left: usize,
    pub(super) recorded_before: usize,
    pub(super) refused_before: usize,
}

impl Tally {
    /// The most pressing of what happened.
    pub(super) fn exit(&self) -> Exit {
        if self.undecided + self.left > 0 {
            Exit::Busy
        } else if self.unreadable > 0 {
            Exit::Usage
        } else if self.refused + self.refused_before + self.partly > 0 {
            Exit::Refused
        } else {
            Exit::Ok
        }
    }

    /// The last line: how many rows came to what, and what to do. What was decided is `kept` of a file, not of standard
    /// input: there the same command would submit every row anew.
    pub(super) fn sentence(&self, file: &str, kept: bool) -> String {
        let mut parts = vec![format!("{} recorded", count(self.recorded, "row"))];
        for (number, what) in [
            (self.partly, "of them refused for a recipient"),
            (self.refused, "refused"),
            (self.unreadable, "unreadable"),
            (self.undecided, "undecided"),
            (self.left, "left for a run with the first options and without --retry-refused"),
            (self.recorded_before, "recorded in an earlier run"),
            (self.refused_before, "refused in an earlier run"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        let next = match self.exit() {
            Exit::Busy | Exit::Usage | Exit::Refused if !kept => "\n  next: send those rows alone, once they are right",
            Exit::Busy => "\n  next: give the same command again; it goes on where this one ended",
            Exit::Usage => "\n  next: correct the rows that are none, and give the same command again",
            Exit::Refused => {
                "\n  next: correct the rows that were refused, and give the same command again; or, when the reason has \
                 gone elsewhere, with --retry-refused"
            }
            _ => "",
        };
        format!("{file}: {}{next}", parts.join(", "))
    }

    /// For `--json`.
    pub(super) fn to_json(&self) -> Value {
        json!({ "rows": {
            "recorded": self.recorded,
            "partly_refused": self.partly,
            "refused": self.refused,
            "unreadable": self.unreadable,
            "undecided": self.undecided + self.left,
            "recorded_before": self.recorded_before,
            "refused_before": self.refused_before,
        } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_most_pressing_thing() {
        let tally = |undecided, unreadable, refused_before| Tally {
            recorded: 5,
            undecided,
            unreadable,
            refused_before,
            ..Tally::default()
        };
        assert_eq!(tally(0, 0, 0).exit(), Exit::Ok);
        assert_eq!(tally(0, 0, 1).exit(), Exit::Refused);
        assert_eq!(tally(0, 1, 1).exit(), Exit::Usage);
        assert_eq!(tally(1, 1, 1).exit(), Exit::Busy);
        assert_eq!(Tally { partly: 1, ..Tally::default() }.exit(), Exit::Refused);
    }

    #[test]
    fn the_last_line_counts_and_says_what_to_do() {
        let tally = Tally { recorded: 2, undecided: 1, ..Tally::default() };
        assert_eq!(
            tally.sentence("a.ndjson", true),
            "a.ndjson: 2 rows recorded, 1 undecided\n  next: give the same command again; it goes on where this one ended"
        );
        assert_eq!(Tally { recorded: 1, ..Tally::default() }.sentence("a", true), "a: 1 row recorded");
        assert!(tally.sentence("-", false).ends_with("next: send those rows alone, once they are right"));
    }
}
