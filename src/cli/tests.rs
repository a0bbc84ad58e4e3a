//! Tests of the command line as a whole: what it takes, what it refuses, what never stands on it.

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use super::*;

const HUB: [&str; 8] = ["--hub", "https://hub:7443", "--ca", "ca.pem", "--cert", "a.pem", "--key", "a.key.pem"];

fn parse(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("waybill").chain(words.split_whitespace()))
}

fn with_hub(words: &str) -> Result<Cli, clap::Error> {
    let words = words.split_whitespace().chain(HUB);
    Cli::try_parse_from(std::iter::once("waybill").chain(words))
}

#[test]
fn the_commands_do_not_contradict_themselves() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_that_is_documented_parses() {
    for words in [
        "keys ca --out ca --name Trial",
        "keys server --ca ca --host localhost --host 127.0.0.1 --out tls",
        "keys system --ca ca tax/registry --out tls --days 30",
        "keys revoke --ca ca tls/tax-registry.pem",
        "keys ledger --out ledger.key --hub hub.example --environment test",
        "keys ledger --config waybill.toml",
        "keys master --out master.key",
        "check --config waybill.toml",
        "check catalogue --schemas schemas --json",
        "ledger verify receipt.json --key hub.example/test/1+00000000+AAAA",
        "serve --config waybill.toml",
        "demo --citizens 100 --changes 10 --keep",
        "demo --kafka",
        "demo --kafka --bootstrap localhost:9092",
        "completions bash",
        "man pages",
    ] {
        assert!(parse(words).is_ok(), "{words}: {}", parse(words).unwrap_err());
    }
    for words in [
        "submit record.json --record-type identity/address --schema-version 1.0 --record-id r-1 --change new",
        "submit - --record-type identity/address --version 1.0 --record-id r-1 --revision 2 --change corrected \
         --corrects-revision 1 --as-of 2026-01-01T00:00:00Z --only tax --receipt r.json --on-behalf-of identity",
        "submit rows.ndjson --retry-refused --actor a --case c --reason r",
        "request --record-type tax/income-statement --purpose benefit --explicit-request ref-1 --provider tax",
        "receive --count 3",
        "receive --reject",
        "receive --reject try-again --json",
        "receive --no-ack",
        "consent grant --agreement contact --revision 1 --notice 2 --language sk",
        "consent withdraw 019abc --subject -",
        "consent get 019abc",
        "consent list",
        "ledger search --subject - --actor a --case c --reason r --kind transfer --all",
        "ledger entry 17 --receipt r.json --actor a --case c --reason r",
        "ledger prove 17 --since old.checkpoint",
        "dead-letters list --recipient tax",
        "dead-letters replay 019abc --reason repaired",
        "catalogue show --view-schema address-to-tax",
        "catalogue publish",
    ] {
        assert!(with_hub(words).is_ok(), "{words}: {}", with_hub(words).unwrap_err());
    }
}

#[test]
fn a_mistake_on_the_command_line_is_exit_code_2() {
    for words in [
        "",
        "submit record.json",
        "keys system --ca ca tax --out tls",
        "keys ledger --out ledger.key --hub hub.example --environment staging",
        "keys ledger --out ledger.key --hub Hub --environment test",
        "check",
        "check a --config b",
        "ledger verify receipt.json",
    ] {
        assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words}");
    }
    for words in ["receive --count 0", "receive --reject --no-ack", "request --purpose p", "ledger search --kind"] {
        assert_eq!(with_hub(words).unwrap_err().exit_code(), 2, "{words}");
    }
}

#[test]
fn an_identifier_is_never_an_argument() {
    for words in [
        "request --record-type tax/income-statement --purpose p national-number 1",
        "consent list national-number 1",
        "ledger search national-number",
    ] {
        assert_eq!(with_hub(words).unwrap_err().kind(), ErrorKind::UnknownArgument, "{words}");
    }
}

#[test]
fn help_tells_the_exit_codes() {
    let help = Cli::command().render_help().to_string();
    assert!(help.contains("3 refused by the hub"), "{help}");
}

#[test]
fn manual_pages_and_completions_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(Cli::command(), folder.path()).unwrap();
    assert!(folder.path().join("waybill-ledger-verify.1").exists());
    let mut script = Vec::new();
    clap_complete::generate(clap_complete::Shell::Bash, &mut Cli::command(), "waybill", &mut script);
    assert!(String::from_utf8(script).unwrap().contains("dead-letters"));
}

#[test]
fn each_certificate_has_a_term_of_its_own_that_fits_the_cas() {
    let command = Cli::command();
    let keys = command.find_subcommand("keys").unwrap();
    for (name, days) in [("ca", "3650"), ("server", "397"), ("system", "397"), ("revoke", "30")] {
        let mut arguments = keys.find_subcommand(name).unwrap().get_arguments();
        let term = arguments.find(|argument| argument.get_id() == "days").unwrap();
        assert_eq!(term.get_default_values(), [days], "{name}");
    }
}
