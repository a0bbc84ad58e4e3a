//! Clients that we did not write, as agencies have them: kcat, `confluent-kafka` and `aiokafka` write submissions, and read
//! what became of them and what was delivered. `tests/run` installs them; the scripts are in `clients/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use waybill::cli::demo::population::Record;

use super::{
    forms::structured,
    load::assert_comes_to,
    scene::{Event, Read, Scene},
};
use crate::crash::scene::PATIENCE;

const IN: &str = "waybill.in.identity";
const OUTCOMES: &str = "waybill.outcomes.identity";
const OUT: &str = "waybill.out.benefit";
/// Under it benefit hears of addresses.
const AGREEMENT: &str = "identity-address-to-benefit";
/// What the catalogue maps to `identity/address/1.0`.
const SCHEMA_ID: u32 = 17;

/// A client.
enum Client {
    Kcat,
    /// A script in `clients/`.
    Python(&'static str),
}

const CONFLUENT: Client = Client::Python("with_confluent.py");
const AIOKAFKA: Client = Client::Python("with_aiokafka.py");

/// Something that the client is to write.
enum Writing {
    Event(Event),
    /// This event's record in the Confluent wire format, by the client's own serialiser.
    Wire(Event, Record),
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a client with `input`; what it printed.
#[track_caller]
fn output(command: &mut Command, input: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tests/run installs it");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn python(script: &str, what: &str, bootstrap: &str, topic: &str) -> Command {
    let mut command = Command::new(root().join("target/tools/python/bin/python"));
    let script: PathBuf = root().join("tests/it/kafka/clients").join(script);
    command.args(["-W", "ignore"]).arg(script).args([what, bootstrap, topic]);
    command
}

fn kcat(bootstrap: &str, topic: &str) -> Command {
    let mut command = Command::new("timeout");
    // With the Kafka library of the system, not with the hub's, which Cargo puts before it.
    command.env_remove("LD_LIBRARY_PATH").args(["60", "kcat", "-b", bootstrap, "-t", topic]);
    command
}

fn kcat_writes(bootstrap: &str, topic: &str, event: &Event, codec: &str) {
    let mut command = kcat(bootstrap, topic);
    command.args(["-P", "-X", "acks=all", "-z", codec, "-k", &event.key]);
    for (name, value) in &event.headers {
        command.args(["-H", &format!("{name}={value}")]);
    }
    output(&mut command, &event.value);
}

impl Client {
    fn write(&self, bootstrap: &str, topic: &str, all: &[Writing]) {
        match self {
            Self::Kcat => {
                for one in all {
                    let Writing::Event(event) = one else { panic!("kcat has no serialiser") };
                    kcat_writes(bootstrap, topic, event, "none");
                }
            }
            Self::Python(script) => {
                let lines: Vec<String> = all.iter().map(|one| line(one).to_string()).collect();
                output(&mut python(script, "write", bootstrap, topic), lines.join("\n").as_bytes());
            }
        }
    }

    /// Reads a topic from its beginning to its end, again until there are so many messages or more.
    fn read(&self, bootstrap: &str, topic: &str, wanted: usize) -> Vec<Read> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = match self {
                Self::Kcat => output(kcat(bootstrap, topic).args(["-C", "-o", "beginning", "-e", "-q", "-J"]), b""),
                Self::Python(script) => output(&mut python(script, "read", bootstrap, topic), b""),
            };
            let found: Vec<Read> = found.lines().map(message).collect();
            if found.len() >= wanted {
                return found;
            }
            assert!(Instant::now() < deadline, "{topic} has only {} messages", found.len());
        }
    }
}

/// What a script is told to write.
fn line(one: &Writing) -> Value {
    match one {
        Writing::Event(event) => {
            let value = String::from_utf8(event.value.clone()).unwrap();
            json!({ "key": event.key, "headers": event.headers, "value": value })
        }
        Writing::Wire(event, record) => {
            let schema = std::fs::read_to_string(root().join("schemas/identity/address/1.0.json")).unwrap();
            let (key, headers) = (&event.key, &event.headers);
            json!({ "key": key, "headers": headers, "record": record.body, "schema": schema, "schemaId": SCHEMA_ID })
        }
    }
}

/// A message as kcat or a script printed it.
fn message(line: &str) -> Read {
    let said: Value = serde_json::from_str(line).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = said["headers"].as_array().unwrap();
    let headers = match headers.first() {
        Some(Value::Array(_)) => headers.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        _ => headers.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
    };
    Read {
        key: text(&said["key"]),
        headers,
        value: text(said.get("value").unwrap_or(&said["payload"])).into_bytes(),
        partition: said["partition"].as_i64().unwrap() as i32,
        offset: said["offset"].as_i64().unwrap(),
    }
}

/// What of a record the agreement's file lets its recipient see. It has no arrays.
fn agreed(scene: &Scene, record: &Value) -> Value {
    let file = scene.hub.place.config.paths.catalogue.join(format!("agreements/{AGREEMENT}.toml"));
    let agreement: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let mut cut = json!({});
    for field in agreement["fields"].as_array().unwrap() {
        let pointer = field.as_str().unwrap();
        let Some(value) = record.pointer(pointer) else { continue };
        let mut place = &mut cut;
        for name in pointer.split('/').skip(1) {
            assert_ne!(name, "*");
            place = &mut place[name];
        }
        *place = value.clone();
    }
    cut
}

/// Submits each record in its own form, and one of them twice, as a client does that was not sure; then reads everything.
async fn assert_exchanges(client: Client, wire: bool) {
    let scene = Scene::new().await;
    let hub = scene.start();
    let bootstrap = scene.brokers.bootstrap();
    let record = |citizen: usize| scene.people.citizen(citizen).unwrap().moved_record(1);
    let mut records = vec![("binary", record(1)), ("structured", record(2))];
    let binary = Event::of(&records[0].1, "binary");
    let mut all =
        vec![Writing::Event(binary.clone()), Writing::Event(structured(&Event::of(&records[1].1, ""), "structured"))];
    if wire {
        let event = Event::of(&record(3), "wire").without("ce_dataschema");
        all.push(Writing::Wire(event, record(3)));
        records.push(("wire", record(3)));
    }
    all.push(Writing::Event(binary));
    client.write(&bootstrap, IN, &all);

    let outcomes = client.read(&bootstrap, OUTCOMES, all.len());
    assert_eq!(outcomes.len(), all.len(), "each event is answered, and each once");
    let (mut answers, mut entries) = (BTreeMap::<&str, Value>::new(), BTreeSet::new());
    for outcome in &outcomes {
        assert_eq!(outcome.header("ce_type"), "waybill.outcome.v1");
        assert_eq!(outcome.header("ce_eventsource"), "urn:registry");
        assert_eq!(outcome.header("ce_outcome"), "recorded", "{}", outcome.json());
        let recipients = outcome.json()["recipients"].clone();
        let before = answers.insert(outcome.header("ce_eventid"), recipients.clone());
        match before {
            Some(before) => assert_eq!(before, recipients, "a repeat has the outcome that it had"),
            None => {
                for one in recipients.as_array().unwrap() {
                    assert!(entries.insert(one["index"].as_u64().unwrap()), "an entry answers two events");
                }
            }
        }
    }
    assert_eq!(answers.keys().copied().collect::<BTreeSet<_>>(), records.iter().map(|(id, _)| *id).collect());

    // One decision for each event and recipient, one acknowledgement for each delivery to benefit, and the catalogue.
    assert_comes_to(&scene.hub.place, hub, 1 + 2 * records.len() + records.len()).await;
    assert_eq!(entries.len(), 2 * records.len());
    let deliveries = client.read(&bootstrap, OUT, records.len());
    assert_eq!(deliveries.len(), records.len(), "each record is delivered, and each once");
    for (id, record) in &records {
        let told = answers[id].as_array().unwrap().iter().find(|one| one["recipient"] == "benefit").unwrap();
        let transfer = told["transferId"].as_str().unwrap();
        let delivery = deliveries.iter().find(|one| one.header("ce_id") == transfer).unwrap();
        assert_eq!(delivery.header("ce_index"), told["index"].to_string());
        assert_eq!(delivery.header("ce_agreement"), AGREEMENT);
        assert_eq!(delivery.header("ce_dataschema"), "identity/address/1.0");
        assert_eq!(delivery.header("ce_subject"), record.id);
        assert_eq!(delivery.key, delivery.header("ce_partitionkey"));
        assert_eq!(delivery.json(), agreed(&scene, &record.body), "what is agreed, and nothing else");
        assert_ne!(delivery.json(), record.body, "something is withheld");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kcat_submits_and_receives() {
    assert_exchanges(Client::Kcat, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confluent_kafka_submits_in_its_wire_format_too_and_receives() {
    assert_exchanges(CONFLUENT, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aiokafka_submits_and_receives() {
    assert_exchanges(AIOKAFKA, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_compressed_in_whichever_way_is_taken_and_no_more_than_may_come_expanded() {
    let scene = Scene::bare("topics = { partitions = 4, replication = 1, min_insync = 1 }\n").await;
    let mut apply = Command::new(env!("CARGO_BIN_EXE_waybill"));
    apply.args(["kafka", "topics", "--apply", "--config"]).arg(&scene.hub.place.config_file);
    output(&mut apply, b"");
    let (hub, codecs) = (scene.start(), ["none", "gzip", "snappy", "lz4", "zstd"]);
    for (citizen, codec) in codecs.into_iter().enumerate() {
        let event = Event::of(&scene.people.citizen(citizen).unwrap().moved_record(1), codec);
        // What does not become smaller is sent as it is.
        kcat_writes(&scene.brokers.bootstrap(), IN, &event.with("padding", &"p".repeat(2000)), codec);
    }
    let outcomes = scene.read_some(OUTCOMES, codecs.len()).await;
    assert!(outcomes.iter().all(|one| one.header("ce_outcome") == "recorded"), "{outcomes:?}");
    let told: BTreeSet<&str> = outcomes.iter().map(|one| one.header("ce_eventid")).collect();
    assert_eq!(told, codecs.into_iter().collect());

    // Some kilobytes on the way, and far more than the hub takes when they are expanded.
    let mut client = scene.client.clone();
    client.set("compression.codec", "gzip").set("message.max.bytes", "16777216");
    let (producer, zeros) = (client.create::<FutureProducer>().unwrap(), vec![0_u8; 8 << 20]);
    let sent = producer.send(FutureRecord::to(IN).key("k").payload(&zeros), PATIENCE).await;
    let code = sent.map_err(|(error, _)| error.rdkafka_error_code().unwrap());
    assert_eq!(code.unwrap_err(), RDKafkaErrorCode::MessageSizeTooLarge);
    assert!(hub.stop().await.success());
}
