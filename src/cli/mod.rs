//! The command line: one file a subcommand. Commands use the public protos only, as any agency's system would, and print
//! what a person needs next.
//!
//! | question | file |
//! |---|---|
//! | which exit code? | `exit.rs` |
//! | what did the hub say when it said no? | `refused.rs` |
//! | why was it not reached? | `unconnected.rs` |
//! | how is it printed? | `output.rs`; an entry as a sentence: `ledger/sentence.rs`; a command to be copied: `printed.rs` |
//! | where do identifiers and records come from? | `input.rs`, `subject.rs`: never from the command line |
//! | which hub, as whom, for what? | `hub.rs`, `context.rs` |

pub mod demo;

mod catalogue;
mod check;
mod consent;
mod context;
mod dead_letters;
mod exit;
mod hub;
mod input;
mod kafka;
mod keys;
mod ledger;
mod output;
mod printed;
mod receipt;
mod receive;
mod refused;
mod request;
mod serve;
mod shell;
mod subject;
mod submit;
#[cfg(test)]
mod tests;
mod unconnected;
mod wire;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

pub use self::exit::Exit;
use self::{exit::Failure, output::Out};

/// Waybill: an interagency data-exchange hub
#[derive(Debug, Parser)]
#[command(name = "waybill", version, after_help = Exit::HELP, max_term_width = 100)]
pub struct Cli {
    /// Print one JSON object a line, for machines
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// See the main job done: a hub, three agencies, a thousand invented citizens
    Demo(demo::DemoArgs),
    /// Run a hub
    Serve(serve::Serve),
    /// Check a configuration or a catalogue, without starting anything
    Check(check::Check),
    /// Make keys and certificates
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Push a record, or a file of records, to every agency that an agreement names
    Submit(Box<submit::Submit>),
    /// Ask the agency that holds it for a record about a person
    Request(Box<request::Request>),
    /// Print deliveries as JSON lines, and acknowledge them
    Receive(receive::Receive),
    /// Record, withdraw and show consents
    #[command(subcommand)]
    Consent(consent::Consent),
    /// Search, read, prove and verify the ledger
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    /// List and replay deliveries that were given up
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// Show or publish the hub's catalogue
    #[command(subcommand)]
    Catalogue(catalogue::Catalogue),
    /// Check, show and create the topics that the catalogue asks for
    #[command(subcommand)]
    Kafka(kafka::Kafka),
    /// Print completions for a shell
    Completions(shell::Completions),
    /// Write manual pages
    Man(shell::Man),
}

/// The program: does what the command line says, on a runtime of its own.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("error: the program's threads do not start: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Does what the command line says, prints what came of it, and returns the exit code.
    pub async fn run(self) -> ExitCode {
        let mut out = Out::stdout(self.json);
        let exit = match self.command.run(&mut out).await {
            Ok(exit) => exit,
            Err(failure) => tell(&failure, &mut out),
        };
        ExitCode::from(exit as u8)
    }
}

impl Command {
    async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Self::Demo(_) if out.is_json() => Err(Failure::Usage(
                "the demo tells people a story: it has no --json, and its exit status is for machines".into(),
            )),
            Self::Demo(args) => {
                Box::pin(demo::run(args)).await.map_err(|error| Failure::chain(&error))?;
                Ok(Exit::Ok)
            }
            Self::Serve(command) => command.run().await,
            Self::Check(command) => command.run(out),
            Self::Keys(command) => command.run(out),
            Self::Submit(command) => command.run(out).await,
            Self::Request(command) => command.run(out).await,
            Self::Receive(command) => command.run(out).await,
            Self::Consent(command) => command.run(out).await,
            Self::Ledger(command) => command.run(out).await,
            Self::DeadLetters(command) => command.run(out).await,
            Self::Catalogue(command) => command.run(out).await,
            Self::Kafka(command) => command.run(out).await,
            Self::Completions(command) => command.run(Cli::command(), out),
            Self::Man(command) => command.run(Cli::command(), out),
        }
    }
}

/// What to say of a call that may or may not have been executed: the key with which it can be given again.
fn undecided(status: tonic::Status, key: &str) -> Failure {
    let mut failure = Failure::from(status);
    if let Failure::Busy(busy) = &mut failure {
        busy.repeat_with = Some(key.to_owned());
    }
    failure
}

/// A machine finds the failure on the same output as all else; a person beside it.
fn tell(failure: &Failure, out: &mut Out) -> Exit {
    if failure.is_silent() {
        return failure.exit();
    }
    if out.is_json() {
        // If that can't be written either, the exit code still tells.
        let _ = out.object(&failure.to_json());
    } else {
        output::aside(&format!("waybill: {failure}"));
    }
    failure.exit()
}
