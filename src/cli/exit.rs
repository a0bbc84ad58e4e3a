//! How a command ends: the exit codes that scripts rely on, and why a command failed. Not how a hub's refusal is read:
//! `refused.rs`.

use std::{fmt, io};

use serde_json::{Value, json};

use super::refused::{Busy, Refused};

/// The exit code. Numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was asked for was done.
    Ok = 0,
    /// Something failed, here or at the hub.
    Fault = 1,
    /// The command line, or a file that it names, is not what it must be. Nothing was sent.
    Usage = 2,
    /// The hub refused: for good reasons, which it recorded.
    Refused = 3,
    /// The hub is busy or away, or the provider of what was requested is: the same command can be given again.
    Busy = 4,
    /// A check did not pass: of a receipt, a proof, a ledger, a configuration, a catalogue.
    Unverified = 5,
}

impl Exit {
    /// What is told below `--help`.
    pub(super) const HELP: &'static str = "\
Exit codes: 0 done · 1 fault · 2 usage · 3 refused by the hub · 4 hub or provider busy or away, give the command again · \
5 a check did not pass.
Identifiers and records are read from files or standard input, never from the command line.";
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// [`Exit::Fault`].
    #[error("{0}")]
    Fault(String),
    /// [`Exit::Usage`].
    #[error("{0}")]
    Usage(String),
    /// [`Exit::Refused`].
    #[error(transparent)]
    Refused(Box<Refused>),
    /// [`Exit::Busy`].
    #[error(transparent)]
    Busy(Box<Busy>),
    /// [`Exit::Unverified`].
    #[error("{0}")]
    Unverified(String),
    /// Whoever read our output has gone, or its file cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[source] io::Error),
}

impl Failure {
    /// A fault, from anything that can say what happened.
    pub(super) fn fault(error: impl fmt::Display) -> Self {
        Self::Fault(error.to_string())
    }

    /// A fault with its causes, of which none is said twice.
    pub(super) fn chain(error: &anyhow::Error) -> Self {
        let mut text = String::new();
        for cause in error.chain().map(ToString::to_string) {
            if !text.ends_with(&cause) {
                text.push_str(if text.is_empty() { "" } else { ": " });
                text.push_str(&cause);
            }
        }
        Self::Fault(text)
    }

    /// A mistake of whoever typed the command.
    pub(super) fn usage(error: impl fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }

    /// A check that did not pass.
    pub(super) fn unverified(error: impl fmt::Display) -> Self {
        Self::Unverified(error.to_string())
    }

    /// The code to end with.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Fault(_) | Self::Output(_) => Exit::Fault,
            Self::Usage(_) => Exit::Usage,
            Self::Refused(_) => Exit::Refused,
            Self::Busy(_) => Exit::Busy,
            Self::Unverified(_) => Exit::Unverified,
        }
    }

    /// Whether there is nobody left to tell: a reader that closed its end has seen what it wanted.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// For `--json`.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Refused(refused) => json!({ "refused": refused.to_json() }),
            Self::Busy(busy) => json!({ "busy": busy.to_json() }),
            Self::Usage(message) => json!({ "usage": message }),
            Self::Unverified(message) => json!({ "unverified": message }),
            Self::Fault(_) | Self::Output(_) => json!({ "fault": self.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_exit_code() {
        let of = |failure: Failure| failure.exit() as u8;
        assert_eq!(Exit::Ok as u8, 0);
        assert_eq!(of(Failure::fault("x")), 1);
        assert_eq!(of(Failure::Output(io::ErrorKind::StorageFull.into())), 1);
        assert_eq!(of(Failure::usage("x")), 2);
        assert_eq!(of(Failure::Refused(Box::default())), 3);
        assert_eq!(of(Failure::Busy(Box::default())), 4);
        assert_eq!(of(Failure::unverified("x")), 5);
    }

    #[test]
    fn a_cause_that_is_said_already_is_not_said_again() {
        let inner = anyhow::anyhow!("no such file").context("hub.pem: no such file").context("certificates");
        assert_eq!(Failure::chain(&inner).to_string(), "certificates: hub.pem: no such file");
    }

    #[test]
    fn a_reader_that_left_is_not_told() {
        assert!(Failure::Output(io::ErrorKind::BrokenPipe.into()).is_silent());
        assert!(!Failure::Output(io::ErrorKind::StorageFull.into()).is_silent());
    }
}
