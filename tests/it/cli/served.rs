//! A hub made and served as the sample configuration and its page say, and each command against it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use waybill::cli::demo::ports::free_addresses;

/// Who acts, in which case and why.
const CONTEXT: [&str; 6] = ["--actor", "clerk 7", "--case", "case 1", "--reason", "a test"];
/// What a record is, beside its id.
const RECORD: [&str; 6] = ["--record-type", "identity/address", "--schema-version", "1.0", "--change", "new"];
const PERSON: &str = "national-number ZZN0000002350\n";

/// What a command came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn says(self, code: i32, text: &str) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert!(self.code == code && all.contains(text), "{}, not {code} with {text:?}:\n{all}", self.code);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("not JSON: {}{}", self.out, self.err))
    }
}

/// The folder of an operator, and the hub's process.
struct Office {
    folder: TempDir,
    port: u16,
    hub: Option<Child>,
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(hub) = &mut self.hub {
            let _ = hub.kill();
            let _ = hub.wait();
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Office {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let [port, metrics] = free_addresses().unwrap().map(|address| address.port());
        let sample = fs::read_to_string(root.join("deploy/waybill.toml")).unwrap();
        let sample = sample.replace(":7443", &format!(":{port}")).replace(":9464", &format!(":{metrics}"));
        let sample = sample.replace("reserve_bytes = 1_073_741_824", "reserve_bytes = 0");
        let sample = sample.replace("\"demo/catalogue\"", "\"catalogue\"");
        copy_folder(&root.join("deploy/demo/catalogue"), &folder.path().join("catalogue"));
        let sample = sample.replace("\"../schemas\"", &format!("'{}'", root.join("schemas").display()));
        fs::write(folder.path().join("waybill.toml"), sample).unwrap();
        Self { folder, port, hub: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command.args(arguments).current_dir(self.folder.path()).env("RUST_BACKTRACE", "0");
        command
    }

    fn waybill(&self, arguments: &[&str]) -> Ran {
        Self::fed("", self.command(arguments))
    }

    /// Runs as `agency/system`, with `input` on standard input.
    fn as_system(&self, system: &str, input: &str, arguments: &[&str]) -> Ran {
        let stem = format!("systems/{}", system.replace('/', "-"));
        let mut command = self.command(arguments);
        command.env("WAYBILL_HUB", format!("https://localhost:{}", self.port)).env("WAYBILL_CA", "tls/ca.pem");
        command.env("WAYBILL_CERT", format!("{stem}.pem")).env("WAYBILL_KEY", format!("{stem}.key.pem"));
        Self::fed(input, command)
    }

    fn fed(input: &str, mut command: Command) -> Ran {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that needs no input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let ran = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: ran.status.code().unwrap(), out: text(ran.stdout), err: text(ran.stderr) }
    }

    /// Everything that its page tells an operator to do before the first start.
    fn prepare(&self) {
        self.waybill(&["serve", "--config", "waybill.toml"]).says(1, "`waybill keys` makes key files");
        self.waybill(&["keys", "master", "--out", "keys/master.key"]).says(0, "keep a copy");
        let first = self.waybill(&["--json", "keys", "ledger", "--config", "waybill.toml"]).says(0, "").json();
        let again =
            self.waybill(&["keys", "ledger", "--config", "waybill.toml"]).says(0, "was there already, and is kept");
        assert!(again.out.contains(first["verifier_key"].as_str().unwrap()), "{}", again.out);
        self.waybill(&["serve", "--config", "waybill.toml"]).says(1, "`waybill keys server`");
        self.waybill(&["keys", "ca", "--name", "trial", "--out", "tls"]).says(0, "next: waybill keys server");
        self.waybill(&["keys", "server", "--ca", "tls", "--host", "localhost", "--out", "tls"]).says(0, "hub.key.pem");
        for system in
            ["identity/registry", "tax/registry", "benefit/claims", "benefit/portal", "hub/dpo", "hub/operator"]
        {
            self.waybill(&["keys", "system", "--ca", "tls", system, "--out", "systems"]).says(0, "certificate");
        }
        self.waybill(&["check", "--config", "waybill.toml"]).says(0, "The catalogue is good");
    }

    async fn start(&mut self) {
        let log = fs::File::create(self.path("log")).unwrap();
        let mut serve = self.command(&["serve", "--config", "waybill.toml"]);
        self.hub = Some(serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let begun = Instant::now();
        while self.as_system("hub/dpo", "", &["ledger", "prove", "0"]).code != 0 {
            let log = fs::read_to_string(self.path("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not serve:\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!fs::read_to_string(self.path("log")).unwrap().contains('\x1b'), "a file gets no colours");
    }

    fn stop(&mut self) {
        self.signal("-TERM");
        assert!(self.hub.take().unwrap().wait().unwrap().success());
    }

    fn signal(&self, signal: &str) {
        let hub = self.hub.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &hub]).status().unwrap().success());
    }

    /// The key that `keys ledger` printed.
    fn verifier_key(&self) -> String {
        let file = fs::read_to_string(self.path("keys/ledger.key")).unwrap();
        file.lines().find_map(|line| line.strip_prefix("verifier_key = ")).unwrap().trim_matches('"').to_owned()
    }
}

fn with<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    parts.concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_made_as_its_page_says_serves_each_command() {
    let mut office = Office::new();
    office.prepare();
    office.start().await;
    let key = office.verifier_key();
    pushing(&office, &key);
    asking(&office);
    consenting(&office);
    reading(&office, &key);
    operating(&office);
    missing(&office);
    office.waybill(&["ledger", "verify", "data", "--key", &key]).says(1, "in use");
    office.stop();
    let verified = office.waybill(&["--json", "ledger", "verify", "data", "--key", &key]).says(0, "").json();
    assert!(verified["verified"] == true && verified["size"].as_u64() > Some(10), "{verified}");
    let away = office.as_system("hub/dpo", "", &["ledger", "prove", "0"]).says(4, "no connection");
    assert!(away.err.contains("next: give the command again"), "{}", away.err);
    office.waybill(&["man", "pages"]).says(0, "man -l pages/waybill.1");
    assert!(office.path("pages/waybill-ledger-search.1").exists());
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        office.waybill(&["completions", shell]).says(0, "dead-letters");
    }
}

/// A record on standard input and in a file, rows on standard input and in a file.
fn pushing(office: &Office, key: &str) {
    let record = "{\"subject\":{\"nationalNumber\":\"ZZN0000002350\"},\"addressType\":\"main\",\"address\":\
                  {\"fullAddress\":\"1 Example Road\",\"adminUnitL1\":\"ZZ\"},\"validFrom\":\"2026-01-01\"}";
    let submit = |input: &str, more: &[&str]| {
        office.as_system("identity/registry", input, &with(&[&["submit"], more, &RECORD, &CONTEXT]))
    };
    submit(record, &["--record-id", "r1"]).says(0, "recorded (ledger index");
    fs::write(office.path("record.json"), record).unwrap();
    submit("", &["record.json", "--record-id", "r2", "--receipt", "receipt.json"]).says(0, "receipt saved");
    let receipt = "receipt.identity-address-to-tax.json";
    office.waybill(&["ledger", "verify", receipt, "--key", key]).says(0, "environment: test\nverified: this entry");
    let torn = fs::read_to_string(office.path(receipt)).unwrap().replacen("index", "indez", 1);
    fs::write(office.path("torn.json"), torn).unwrap();
    office.waybill(&["ledger", "verify", "torn.json", "--key", key]).says(5, "");
    submit("{}", &["--record-id", "r3"]).says(3, "at /addressType: required");
    let refused = submit("{}", &["--record-id", "r3", "--json"]).says(3, "record.invalid").json();
    assert!(refused["refused"]["ledger_index"].is_u64(), "{refused}");
    submit(record, &[]).says(2, "--record-id");
    submit("", &["no-such-file.json", "--record-id", "r4"]).says(2, "no-such-file.json");

    let row = |id: &str| format!("{{\"record_id\":\"{id}\",\"record\":{record}}}\n");
    let rows = format!("{}{}nonsense\n", row("a"), row("b"));
    submit(&rows, &["--rows", "-"]).says(2, "standard input: 2 rows recorded, 1 unreadable\n  next: send those rows");
    fs::write(office.path("rows.ndjson"), row("c") + &row("d")).unwrap();
    submit("", &["rows.ndjson"]).says(0, "rows.ndjson: 2 rows recorded");
    let again = submit("", &["rows.ndjson", "--json"]).says(0, "").json();
    assert_eq!((&again["rows"]["recorded"], &again["rows"]["recorded_before"]), (&0.into(), &2.into()));

    let receive = |arguments: &[&str]| office.as_system("benefit/claims", "", &with(&[&["receive"], arguments]));
    receive(&["--count", "3"]).says(0, "3 deliveries printed");
    let delivery = receive(&["--count", "1", "--json"]).says(0, "").json();
    assert_eq!(delivery["record"]["address"]["fullAddress"], "1 Example Road", "{delivery}");
}

fn asking(office: &Office) {
    let request = |more: &[&str]| {
        let wanted = ["request", "--record-type", "tax/income-statement", "--purpose", "income-assessment"];
        office.as_system("benefit/claims", PERSON, &with(&[&wanted, more, &CONTEXT]))
    };
    request(&[]).says(3, "explicit-request.missing");
    let asked = ["--explicit-request", "form 3"];
    let away = request(&with(&[&asked, &["--receipt", "away.json"]])).says(4, "no record: the provider was away");
    assert!(away.out.contains("ledger index") && office.path("away.json").exists(), "{}", away.out);
    let away = request(&with(&[&asked, &["--json"]])).says(4, "").json();
    assert!(away["no_record"] == "provider-unavailable" && away["ledger_index"].is_u64(), "{away}");
    request(&with(&[&asked, &["--record-only"]])).says(4, "the provider was away");
    let nobody = with(&[&["request", "--record-type", "tax/income-statement", "--purpose", "x"], &CONTEXT]);
    let nobody = office.as_system("benefit/claims", "marked", &nobody).says(2, "`scheme value`");
    assert!(!nobody.err.contains("marked"), "{}", nobody.err);
}

fn consenting(office: &Office) {
    let consent =
        |arguments: &[&str]| office.as_system("benefit/portal", PERSON, &with(&[&["consent"], arguments, &CONTEXT]));
    let shown =
        ["grant", "--agreement", "benefit-asks-contact", "--revision", "1", "--notice", "1", "--language", "en"];
    let granted = consent(&with(&[&shown, &["--json"]])).says(0, "").json();
    let id = granted["consent_id"].as_str().unwrap();
    consent(&["list"]).says(0, "identity may give benefit");
    consent(&["get", id]).says(0, ": active from");
    consent(&["withdraw", id]).says(0, "consent withdrawn");
    let again = consent(&["withdraw", id]).says(3, "consent.withdrawn");
    assert!(!again.err.contains("may succeed later"), "{}", again.err);
    let again = consent(&["withdraw", id, "--json"]).says(3, "").json();
    assert_eq!(again["refused"]["retryable"], false, "{again}");
    consent(&["get", id, "--json"]).says(0, "\"withdrawn\"");
    consent(&["get", "nonsense"]).says(3, "consent.unknown");
}

fn reading(office: &Office, key: &str) {
    let ledger = |input: &str, arguments: &[&str]| office.as_system("hub/dpo", input, &with(&[&["ledger"], arguments]));
    let search = |more: &[&str]| ledger(PERSON, &with(&[&["search", "--subject", "-"], more, &CONTEXT]));
    search(&["--kind", "transfer", "--limit", "1"]).says(0, "identity sent identity/address to");
    let found = search(&["--all", "--json"]).says(0, "").json();
    assert!(found["found"].as_u64() > Some(10) && found["more"] == false, "{found}");
    search(&["--kind", "nonsense"]).says(2, "transfer");
    search(&["--from", "yesterday"]).says(2, "RFC 3339");
    ledger("", &["search"]).says(3, "who acts (--actor), in which case (--case)");
    ledger("", &with(&[&["entry", "1"], &CONTEXT])).says(0, "This reading is recorded, too");
    ledger("", &with(&[&["entry", "99999"], &CONTEXT])).says(3, "entry.unknown");
    ledger("", &["prove", "1", "--ledger-key", key, "--save", "checkpoint"]).says(0, "verified: entry 1");
    ledger("", &with(&[&["entry", "2"], &CONTEXT])).says(0, "");
    ledger("", &["prove", "1", "--ledger-key", key, "--since", "checkpoint"]).says(0, "grown: nothing");
    ledger("", &["prove", "99999", "--ledger-key", key]).says(1, "has no entry 99999");
    ledger("", &["prove", "1", "--ledger-key", "nonsense"]).says(2, "it looks like");
}

fn operating(office: &Office) {
    let operator = |arguments: &[&str]| office.as_system("hub/operator", "", arguments);
    operator(&["dead-letters", "list"]).says(0, "no delivery was given up");
    let unknown = "01a2007d-c599-78eb-bc19-3dc598385e8e";
    operator(&["dead-letters", "replay", unknown, "--reason", "a test"]).says(3, "dead-letter.unknown");
    operator(&["catalogue", "show"]).says(0, "identity sends identity/address 1 to tax");
    operator(&["catalogue", "publish"]).says(0, "nothing changed");
    office.as_system("tax/registry", "", &["catalogue", "publish"]).says(3, "peer.role-missing");
}

/// Calls that never reach a hub: each says what to change.
fn missing(office: &Office) {
    office.waybill(&["keys", "ca", "--name", "other", "--out", "other"]).says(0, "");
    office.waybill(&["keys", "system", "--ca", "other", "hub/operator", "--out", "other"]).says(0, "");
    let metrics = fs::read_to_string(office.path("waybill.toml")).unwrap();
    let metrics = metrics.split_once("[metrics]").unwrap().1.split('"').nth(1).unwrap().rsplit(':').next().unwrap();
    let call = |more: &[&str]| office.as_system("hub/operator", "", &with(&[&["catalogue", "show"], more]));
    let elsewhere = |host: &str, port: &str| format!("https://{host}:{port}");
    call(&["--hub", &elsewhere("127.0.0.1", &office.port.to_string())]).says(2, "next: give with --hub a name");
    call(&["--ca", "other/ca.pem"]).says(2, "next: give with --ca");
    call(&["--hub", &elsewhere("localhost", metrics)]).says(2, "`grpc.listen`");
    let foreign = ["--cert", "other/hub-operator.pem", "--key", "other/hub-operator.key.pem"];
    for more in [&[][..], &["--json"]] {
        call(&with(&[&foreign, more])).says(2, "the hub did not accept this certificate");
    }
}

/// Changes an agreement's title, which raises its revision.
fn rename_agreement(office: &Office, revision: u32) {
    let file = office.path("catalogue/agreements/identity-address-to-tax.toml");
    let text = fs::read_to_string(&file).unwrap();
    let changed = text
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("title", _)) => format!("title = \"Changed {revision} times\""),
            Some(("revision", _)) => format!("revision = {revision}"),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>();
    fs::write(file, changed.join("\n") + "\n").unwrap();
}

fn digest(office: &Office) -> String {
    let shown = office.as_system("hub/operator", "", &["catalogue", "show", "--json"]).says(0, "").json();
    shown["digest"].as_str().unwrap().to_owned()
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_catalogue_is_in_force_after_a_signal_and_after_a_restart_and_a_bad_one_never() {
    let mut office = Office::new();
    office.prepare();
    office.start().await;
    let first = digest(&office);

    rename_agreement(&office, 2);
    office.signal("-HUP");
    until("the signal publishes the catalogue", || digest(&office) != first).await;
    let second = digest(&office);

    let agency = office.path("catalogue/agencies/tax.toml");
    let good = fs::read_to_string(&agency).unwrap();
    fs::write(&agency, format!("nonsense = true\n{good}")).unwrap();
    office.signal("-HUP");
    until("the log says what is wrong", || fs::read_to_string(office.path("log")).unwrap().contains("nonsense")).await;
    assert_eq!(digest(&office), second, "a bad one is not taken");
    fs::write(&agency, good).unwrap();

    office.stop();
    rename_agreement(&office, 3);
    office.start().await;
    let third = digest(&office);
    assert!(third != first && third != second);
    let published = ["ledger", "search", "--kind", "catalogue_published", "--all", "--json"];
    let found = office.as_system("hub/dpo", "", &with(&[&published, &CONTEXT])).says(0, "").json();
    assert_eq!(found["found"], 3, "each is an entry: {found}");
}
