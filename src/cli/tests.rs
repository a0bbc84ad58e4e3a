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

/// The words after `waybill` of each command that a text gives, as a shell takes it apart.
fn commands(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| {
        let after = line.split_once(": waybill ").map(|(_, after)| after);
        after.or_else(|| line.strip_prefix("waybill "))
    });
    let words = |line: &str| {
        let script = format!("printf '%s\\n' {line}");
        let ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    lines.map(words).collect()
}

/// Holds that a text gives the commands that begin with these words, and that each is one.
#[track_caller]
pub(super) fn assert_commands(text: &str, expected: &[&[&str]]) {
    let found = commands(text);
    assert_eq!(found.len(), expected.len(), "{text}");
    for (words, begin) in found.iter().zip(expected) {
        assert_eq!(&words[..begin.len()], *begin, "{text}");
        let parsed = Cli::try_parse_from(std::iter::once("waybill").chain(words.iter().map(String::as_str)));
        assert!(parsed.is_ok(), "{text}: {}", parsed.unwrap_err());
    }
}

/// The texts in a source file that are no test's: what stands in the place of `{…}` is an `x`.
fn texts(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut joined = String::new();
    for line in source.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        match line.strip_suffix('\\') {
            Some(begun) => joined += begun,
            None => joined = joined + line + "\n",
        }
    }
    let mut plain = String::new();
    let mut depth = 0;
    for c in joined.replace("\\n", "\n").replace('"', "\n").chars() {
        match c {
            '{' => depth += 1,
            '\n' => depth = 0,
            _ => {}
        }
        match c {
            '}' if depth > 0 => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
        if c == '}' {
            plain.push('x');
        }
    }
    plain
}

fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if !path.ends_with("tests.rs") && path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_command_that_is_printed_is_one() {
    let mut files = Vec::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut count = 0;
    for file in files {
        let texts = texts(&std::fs::read_to_string(&file).unwrap());
        for words in commands(&texts) {
            let words = words.join(" ");
            assert!(parse(&words).is_ok() || with_hub(&words).is_ok(), "{}: {words}", file.display());
            count += 1;
        }
        let tools = ["kafka-acls --", "kafka-configs --", "kafka-topics --"];
        assert!(!tools.iter().any(|tool| texts.contains(tool)), "{}: use kafka::tool", file.display());
    }
    assert!(count >= 5, "found {count}");
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
        "keys system --ca ca tax/registry --out tls --san https://tax.example/hub --no-common-name",
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

#[tokio::test]
async fn what_a_command_reads_is_so_large() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read");
    let submit = "submit FILE --record-type identity/address --schema-version 1.0 --record-id r-1 --change new";
    let grant = "consent grant --agreement contact --revision 1 --notice 2 --language sk --evidence-type text/plain";
    for (words, max) in [
        (submit, 16 << 20),
        (&format!("{grant} --evidence FILE --subject {}", folder.path().join("none").display()), 1 << 20),
        ("consent list --subject FILE", 64 << 10),
        ("ledger prove 17 --since FILE", 8 << 20),
    ] {
        for (bytes, beyond) in [(max, false), (max + 1, true)] {
            std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
            let cli = with_hub(&words.replace("FILE", &path.display().to_string())).unwrap();
            // There is no hub: it fails in any case.
            let failed = cli.command.run(&mut Out::to(true, Box::new(std::io::sink()))).await.unwrap_err();
            let told = failed.to_string().ends_with(&format!("of more than {max} bytes"));
            assert_eq!((failed.exit(), told), (Exit::Usage, beyond), "{words}: {failed}");
        }
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
