//! The one binary. All that it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    waybill::cli::Cli::parse().run().await
}
