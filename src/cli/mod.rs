//! One file a subcommand. Commands print what a person needs next.

pub mod demo;
mod exit;
mod output;
mod receipt;
mod refused;
