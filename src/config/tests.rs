//! Tests of the configuration as a whole: the sample, the table of limits, each kind of error with its line.

use std::{path::Path, time::Duration};

use super::*;

const MINIMAL: &str = r#"environment = "test"
hub = "hub.example"
[paths]
data = "data"
catalogue = "catalogue"
[grpc]
listen = "127.0.0.1:7443"
[tls]
certificate = "hub.pem"
key = "hub.key"
client_ca = "/etc/ca.pem"
[keys]
master = "master.key"
ledger = "ledger.key"
"#;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "waybill.toml", Path::new("/base")).map_err(|error| error.to_string())
}

fn with(more: &str) -> Result<Config, String> {
    parse(&format!("{MINIMAL}{more}"))
}

fn error(result: Result<Config, String>) -> String {
    result.expect_err("the configuration must be refused")
}

#[test]
fn the_least_configuration_has_defaults_for_the_rest() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.environment, Environment::Test);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.limits.record_bytes_max, 256 * 1024);
    assert_eq!(config.limits.idempotency_back_s_max, Duration::from_hours(7 * 24));
    assert!(config.metrics.listen.ip().is_loopback());
}

#[test]
fn relative_paths_begin_at_the_files_folder() {
    let config = with("[store]\n").unwrap();
    assert_eq!(config.paths.data, Path::new("/base/data"));
    assert_eq!(config.paths.schemas(), Path::new("/base/catalogue/schemas"));
    assert_eq!(config.tls.client_ca, Path::new("/etc/ca.pem"));
    assert_eq!(config.keys.master, Path::new("/base/master.key"));
}

#[test]
fn the_environment_has_no_default() {
    assert_eq!(
        error(parse(&MINIMAL.replace("environment = \"test\"\n", ""))),
        "waybill.toml:1: missing field `environment`"
    );
    let wrong = error(parse(&MINIMAL.replace("\"test\"", "\"staging\"")));
    assert!(wrong.starts_with("waybill.toml:1: unknown variant `staging`"), "{wrong}");
}

#[test]
fn unknown_fields_and_limits_are_refused_with_their_line() {
    let found = error(parse(&MINIMAL.replace("key = \"hub.key\"", "key = \"hub.key\"\nkeys = 1")));
    assert!(found.starts_with("waybill.toml:11: unknown field `keys`"), "{found}");
    let found = error(with("[limits]\nrecord_bytes = 5\n"));
    assert_eq!(found, "waybill.toml:16: unknown limit `record_bytes`; src/config/README.md lists them");
    assert!(error(with("[limits]\nrecord_bytes_max = \"5\"\n")).starts_with("waybill.toml:16: invalid type"));
}

#[test]
fn each_limit_is_taken_at_both_ends_and_refused_beyond_them() {
    for row in Limits::ROWS {
        let seed = |number: i128| {
            let text = format!("{} = {number}", row.name);
            toml::from_str::<Limits>(&text).map_err(|error| error.message().to_owned())
        };
        assert!(row.min <= row.default && row.default <= row.max, "{}", row.name);
        assert!(seed(row.min.into()).is_ok() && seed(row.max.into()).is_ok(), "{}", row.name);
        let above = seed(i128::from(row.max) + 1).unwrap_err();
        assert!(above.starts_with(&format!("`{}` is {}, but goes from", row.name, row.max + 1)), "{above}");
        assert!(seed(i128::from(row.min) - 1).is_err(), "{}", row.name);
    }
}

#[test]
fn every_rate_fits_its_type() {
    assert!(Limits::ROWS.iter().all(|row| u32::try_from(row.max).is_ok()));
}

#[test]
fn limits_must_fit_each_other() {
    for (text, message) in [
        ("grpc_message_bytes_max = 300000", "grpc_message_bytes_max must be at least record_bytes_max + 65,536"),
        ("record_string_bytes_max = 300000", "record_string_bytes_max must be at most record_bytes_max"),
        ("queue_per_system_max = 8193", "queue_per_system_max must be at most queue_total_max"),
        (
            "refusals_per_s_max = 10001",
            "refusals_per_s_max must be at most a tenth of rate_per_s_max: nobody may fill the ledger with refusals",
        ),
        ("connections_per_system_max = 1025", "connections_per_system_max must be at most connections_max"),
        ("backoff_ms_min = 60000\nbackoff_ms_max = 59999", "backoff_ms_min must be at most backoff_ms_max"),
    ] {
        assert_eq!(error(with(&format!("[limits]\n{text}\n"))), format!("waybill.toml:16: {message}"));
    }
    // Where the other of the two is the one that was written, the table is named.
    let found = error(with("[limits]\nqueue_total_max = 1023\n"));
    assert_eq!(found, "waybill.toml:15: queue_per_system_max must be at most queue_total_max");
}

#[test]
fn metrics_stay_on_this_machine_unless_told_otherwise() {
    let text = "[metrics]\nlisten = \"0.0.0.0:9464\"\n";
    let found = error(with(text));
    assert!(found.starts_with("waybill.toml:16: metrics on 0.0.0.0:9464 can be read from other machines"), "{found}");
    assert!(with(&format!("{text}allow_off_loopback = true\n")).is_ok());
    assert!(with("[metrics]\nlisten = \"[::1]:9464\"\n").is_ok());
}

#[test]
fn a_log_filter_is_one() {
    assert!(error(with("[log]\nfilter = \"waybill=loud\"\n")).starts_with("waybill.toml:16: it is no filter"));
    assert_eq!(with("[log]\nformat = \"json\"\n").unwrap().log.format, LogFormat::Json);
}

#[test]
fn the_hubs_name_has_no_blank_and_no_plus() {
    for bad in ["", "Hub", "hub example", "hub+1", "/hub", "hub."] {
        assert!(parse(&MINIMAL.replace("hub.example", bad)).is_err(), "{bad:?}");
    }
    assert_eq!(parse(&MINIMAL.replace("hub.example", "hub.example/north")).unwrap().hub.as_str(), "hub.example/north");
    let named = |length: usize| parse(&MINIMAL.replace("hub.example", &"h".repeat(length)));
    assert!(named(200).is_ok() && error(named(201)).contains("a hub's name is 1 to 200 characters"));
}

#[test]
fn the_reserve_is_a_gib_unless_configured() {
    assert_eq!(with("").unwrap().store.reserve_bytes(), 1 << 30);
    assert_eq!(with("[store]\nreserve_bytes = 5\n").unwrap().store.reserve_bytes(), 5);
}

#[test]
fn a_file_is_so_large() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waybill.toml");
    let written = |bytes: usize| {
        std::fs::write(&path, format!("{MINIMAL}#{}", " ".repeat(bytes - MINIMAL.len() - 1))).unwrap();
        Config::load(&path).map_err(|error| error.to_string())
    };
    assert!(written(1 << 20).is_ok());
    assert!(error(written((1 << 20) + 1)).ends_with("it is larger than 1048576 bytes"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let found = Config::load(Path::new("no/such.toml")).unwrap_err();
    assert!(found.to_string().starts_with("no/such.toml: it cannot be read: "), "{found}");
}

#[test]
fn kafka_has_certificates_or_says_that_it_has_none() {
    let kafka = |more: &str| with(&format!("[kafka]\nbootstrap = \"a:9092, b:9093\"\n{more}"));
    let files = "certificate = \"c.pem\"\nkey = \"k.pem\"\nca = \"a.pem\"\n";
    let parsed = kafka(files).unwrap().kafka.unwrap();
    assert_eq!((parsed.certificate.unwrap().as_path(), parsed.members), (Path::new("/base/c.pem"), 1));
    assert_eq!(parsed.topics, Topics { partitions: 6, replication: 3, min_insync: 2 });
    assert!(kafka("plaintext = true\n").is_ok());
    assert!(error(kafka("")).contains("certificate, key and ca are needed"));
    assert!(error(kafka(&format!("plaintext = true\n{files}"))).contains("plaintext uses no certificate"));
    let production = MINIMAL.replace("\"test\"", "\"production\"");
    let found = error(parse(&format!("{production}[kafka]\nbootstrap = \"a:1\"\nplaintext = true\n")));
    assert!(found.contains("environment = production refuses"), "{found}");
    for bad in ["", "a", "a:0", "a:70000", "a:1,", ":1"] {
        assert!(with(&format!("[kafka]\nbootstrap = \"{bad}\"\nplaintext = true\n")).is_err(), "{bad:?}");
    }
}

#[test]
fn kafkas_numbers_are_taken_at_both_ends_and_refused_beyond_them() {
    let taken = |more: &str| {
        let text = format!("[kafka]\nbootstrap = \"a:1\"\nplaintext = true\n{more}\n");
        with(&text).is_ok()
    };
    assert!(taken("members = 1") && taken("members = 64"));
    assert!(!taken("members = 0") && !taken("members = 65"));
    assert!(taken("topics = { partitions = 1 }") && taken("topics = { partitions = 1024 }"));
    assert!(!taken("topics = { partitions = 0 }") && !taken("topics = { partitions = 1025 }"));
    assert!(taken("topics = { replication = 2, min_insync = 2 }") && taken("topics = { min_insync = 1 }"));
    assert!(!taken("topics = { replication = 2, min_insync = 3 }") && !taken("topics = { min_insync = 0 }"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_sample_is_complete_and_writes_the_defaults() {
    let path = root().join("deploy/waybill.toml");
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.limits, Limits::default());
    assert_eq!((&config.metrics, &config.log), (&Metrics::default(), &Log::default()));
    let text = std::fs::read_to_string(path).unwrap();
    for row in Limits::ROWS {
        let written = format!("\n{} = {} ", row.name, grouped_for_toml(row.default));
        assert!(text.contains(&written), "the sample lacks{written}");
    }
}

/// As TOML writes thousands: `262_144`.
fn grouped_for_toml(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join("_")
}

#[test]
fn the_readme_has_the_table_of_limits() {
    let readme = std::fs::read_to_string(root().join("src/config/README.md")).unwrap();
    assert!(
        readme.contains(&Limits::markdown()),
        "put this table into src/config/README.md:\n\n{}",
        Limits::markdown()
    );
}
