//! With certificates and ACLs: an agency does what its own topics are for, and nothing with another's.

use std::{path::Path, process::Command, time::Duration};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};
use rustls_pki_types::UnixTime;
use waybill::tls::{
    Existing,
    authority::{Authority, Issued, Validity},
};

use super::scene::{Event, Scene};
use crate::crash::scene::until;

fn valid() -> Validity {
    Validity::starting(UnixTime::now(), Duration::from_hours(24))
}

/// Certificates of the brokers, of who administers them, and of the hub as their client.
pub fn issue(ca: &Authority, folder: &Path) {
    std::fs::write(folder.join("ca.pem"), ca.certificate_pem()).unwrap();
    let save = |issued: Issued, stem: &str| drop(issued.save(folder, stem, Existing::Keep).unwrap());
    save(ca.issue_broker(&["localhost"], valid()).unwrap(), "broker");
    save(ca.issue_client("waybill.admin", &[], valid()).unwrap(), "admin");
    save(ca.issue_system("hub", "kafka", valid()).unwrap(), "hub-kafka");
    for agency in ["identity", "benefit", "tax"] {
        save(ca.issue_system(agency, "registry", valid()).unwrap(), agency);
    }
}

fn client_as(scene: &Scene, who: &str) -> ClientConfig {
    let folder = scene.certificates();
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", scene.brokers.bootstrap())
        .set("security.protocol", "ssl")
        .set("ssl.ca.location", folder.join("ca.pem").display().to_string())
        .set("ssl.certificate.location", folder.join(format!("{who}.pem")).display().to_string())
        .set("ssl.key.location", folder.join(format!("{who}.key.pem")).display().to_string());
    client
}

async fn write(client: &ClientConfig, topic: &str) -> Result<(), RDKafkaErrorCode> {
    let producer: FutureProducer = client.create().unwrap();
    let record = FutureRecord::to(topic).key("k").payload("{}");
    match producer.send(record, Duration::from_secs(20)).await {
        Ok(_) => Ok(()),
        Err((error, _)) => Err(error.rdkafka_error_code().unwrap()),
    }
}

fn read(client: &ClientConfig, topic: &str) -> Result<usize, RDKafkaErrorCode> {
    let consumer: BaseConsumer = client.clone().set("group.id", "benefit.reader").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
    if let Some(code) = metadata.topics()[0].error() {
        return Err(code.into());
    }
    let mut from = rdkafka::TopicPartitionList::new();
    (0..4).for_each(|one| from.add_partition_offset(topic, one, rdkafka::Offset::Beginning).unwrap());
    consumer.assign(&from).unwrap();
    for _ in 0..300 {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return Ok(message.payload_len());
        }
    }
    panic!("{topic} has no message")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_uses_its_own_topics_and_no_others() {
    let scene = Scene::secured().await;
    let allow = |who: &str, what: &str, names: &[&str]| scene.brokers.allow(who, what, names);
    let hub_group = format!("group:waybill.{}", scene.hub.place.config.hub);
    allow("hub.kafka", "Write", &["waybill.outcomes.identity", "waybill.dead.identity", "waybill.out.benefit"]);
    allow("hub.kafka", "Read", &["waybill.in.identity", "waybill.in.benefit", &hub_group]);
    allow("identity.registry", "Write", &["waybill.in.identity"]);
    allow("benefit.registry", "Read", &["waybill.out.benefit", "group:benefit.reader"]);

    let hub = scene.start();
    let record = scene.people.citizen(1).unwrap().moved_record(1);
    let identity: FutureProducer = client_as(&scene, "identity").create().unwrap();
    Event::of(&record, "one").send(&identity, "waybill.in.identity").await;
    let benefit = client_as(&scene, "benefit");
    assert!(tokio::task::spawn_blocking(move || read(&benefit, "waybill.out.benefit")).await.unwrap().unwrap() > 2);

    let denied = RDKafkaErrorCode::TopicAuthorizationFailed;
    let tax = client_as(&scene, "tax");
    assert_eq!(write(&tax, "waybill.in.identity").await, Err(denied));
    assert_eq!(write(&client_as(&scene, "identity"), "waybill.in.benefit").await, Err(denied));
    let reading = tokio::task::spawn_blocking(move || read(&tax, "waybill.out.benefit"));
    assert_eq!(reading.await.unwrap(), Err(denied));
    assert!(hub.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_create_what_the_catalogue_asks_for_and_find_what_is_not_so() {
    let scene = Scene::bare("topics = { partitions = 4, replication = 1, min_insync = 1 }\n").await;
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        let output =
            command.arg("kafka").args(words).arg("--config").arg(&scene.hub.place.config_file).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(&["check"]);
    assert!(code == 5 && said.contains("waybill.in.identity") && said.contains("topics --apply"), "{code}: {said}");
    let (code, said) = run(&["topics", "--apply"]);
    assert!(code == 0 && said.contains("waybill.out.benefit: 4 × 1") && said.contains("created"), "{code}: {said}");
    // A broker hears of what was changed a moment later.
    until("7 topics are as they must be", async || {
        let (code, said) = run(&["check"]);
        code == 0 && said.contains("7 topics as they must be")
    })
    .await;

    scene.alter("waybill.out.benefit", &[("cleanup.policy", "compact"), ("retention.ms", "-1")]).await;
    scene.alter("waybill.in.identity", &[("compression.type", "producer"), ("max.message.bytes", "327680")]).await;
    until("the brokers know the last", async || run(&["check"]).1.contains("max.message.bytes is 327680")).await;
    let (code, said) = run(&["check"]);
    assert_eq!(code, 5);
    for wanted in [
        "cleanup.policy is compact",
        "may lie in it for ever",
        "add-config retention.ms=",
        "compression.type is producer",
        "add-config compression.type=uncompressed",
        "max.message.bytes is 327680",
        "add-config max.message.bytes=1048588",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let (code, said) = run(&["asyncapi"]);
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, document["asyncapi"].as_str()), (0, Some("3.0.0")));
    assert_eq!(document["channels"].as_object().unwrap().len(), 7);
    validate(&scene.hub.beside("asyncapi.json"), &said);
}

/// Has the document read by AsyncAPI's own parser, which `tests/run` installs.
fn validate(file: &Path, document: &str) {
    std::fs::write(file, document).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = r"
        const { Parser } = require('@asyncapi/parser');
        const text = require('fs').readFileSync(process.argv[1], 'utf8');
        new Parser().parse(text).then(({ document, diagnostics }) => {
            const wrong = diagnostics.filter((one) => one.severity === 0);
            wrong.forEach((one) => console.error(one.path.join('/'), one.message));
            process.exit(document && wrong.length === 0 ? 0 : 1);
        });";
    let mut node = Command::new("node");
    node.args(["-e", program]).arg(file).env("NODE_PATH", root.join("target/tools/node_modules"));
    let output = node.output().expect("node is there: tests/run installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
