//! One file a subcommand. Commands print what a person needs next.

pub mod demo;
