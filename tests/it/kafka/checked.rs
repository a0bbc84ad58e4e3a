//! `waybill kafka check` finds each thing that is wrong with a topic, and nothing else, and its help mends it.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;

use super::scene::Scene;
use crate::crash::scene::until;

const IN: &str = "waybill.in.identity";
const DEAD: &str = "waybill.dead.identity";
const OUT: &str = "waybill.out.benefit";
/// As the scene configures topics.
const TOPICS: &str = "topics = { partitions = 4, replication = 1, min_insync = 1 }\n";
/// Those that the catalogue asks for.
const COUNT: usize = 7;

/// What is wrong with a topic: its name, the problem, the help.
type Finding = (String, String, String);

/// What the command says, one JSON object a line, and its exit status.
fn said(scene: &Scene, words: &[&str]) -> (i32, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    command.args(["--json", "kafka"]).args(words).arg("--config").arg(&scene.hub.place.config_file);
    let output = command.output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What is found; the exit status says whether anything is.
fn check(scene: &Scene) -> Vec<Finding> {
    let (code, found) = said(scene, &["check"]);
    assert_eq!(code, if found.is_empty() { 0 } else { 5 }, "{found:?}");
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    found.iter().map(|one| (text(one, "topic"), text(one, "problem"), text(one, "help"))).collect()
}

/// Waits until so much is found: a broker hears of what was changed a moment later.
async fn found(scene: &Scene, count: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    until("so much is found", async || {
        found = check(scene);
        found.len() == count
    })
    .await;
    found
}

/// The shortest term of what identity sends is 10 hours, of what benefit gets 20.
fn lay_out_terms(scene: &Scene) {
    for file in fs::read_dir(scene.hub.place.folder.join("catalogue/agreements")).unwrap() {
        let file = file.unwrap().path();
        let term = match file.file_stem().unwrap().to_str().unwrap() {
            "identity-address-to-tax" => "10h",
            "tax-residency-to-benefit" => "20h",
            _ => "30h",
        };
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("payload = \"none\"", &format!("payload = \"{term}\""))).unwrap();
    }
}

/// The settings that topics are created with.
fn settings(scene: &Scene) -> BTreeMap<String, BTreeMap<String, String>> {
    let (code, topics) = said(scene, &["topics"]);
    assert_eq!((code, topics.len()), (0, COUNT));
    let of = |topic: &Value| serde_json::from_value(topic["settings"].clone()).unwrap();
    topics.iter().map(|topic| (topic["topic"].as_str().unwrap().to_owned(), of(topic))).collect()
}

/// A topic, a setting of it, a value that it must not have, the problem, and what the help sets.
const WRONG: [(&str, &str, &str, &str, &str); 14] = [
    (IN, "cleanup.policy", "compact", "cleanup.policy is compact: what must go would stay", "cleanup.policy=delete"),
    (DEAD, "cleanup.policy", "compact", "cleanup.policy is compact: what must go would stay", "cleanup.policy=delete"),
    (
        OUT,
        "cleanup.policy",
        "compact,delete",
        "cleanup.policy is compact,delete: what must go would stay",
        "cleanup.policy=delete",
    ),
    (IN, "retention.ms", "32400001", TEN_HOURS, "retention.ms=32400000,segment.ms=3600000"),
    (DEAD, "retention.ms", "32400001", TEN_HOURS, "retention.ms=32400000,segment.ms=3600000"),
    (OUT, "retention.ms", "68400001", TWENTY_HOURS, "retention.ms=68400000,segment.ms=3600000"),
    (OUT, "segment.ms", "3600001", TWENTY_HOURS, "retention.ms=68400000,segment.ms=3600000"),
    (
        OUT,
        "retention.ms",
        "-1",
        "a message may lie in it for ever, but the agreements' payloads only for 72000 s",
        "retention.ms=68400000,segment.ms=3600000",
    ),
    (
        OUT,
        "min.insync.replicas",
        "2",
        "min.insync.replicas is 2, and a partition of it is on 1 broker: none may be away",
        "min.insync.replicas=1",
    ),
    (IN, "max.message.bytes", "1048587", SMALL_BATCH, "max.message.bytes=1048588"),
    (OUT, "max.message.bytes", "1048587", SMALL_BATCH, "max.message.bytes=1048588"),
    (IN, "compression.type", "producer", COMPRESSED, "compression.type=uncompressed"),
    (
        IN,
        "message.timestamp.type",
        "CreateTime",
        "message.timestamp.type is the writer's time: it could put an event outside the window",
        "message.timestamp.type=LogAppendTime",
    ),
    (
        "waybill.outcomes.identity",
        "max.message.bytes",
        "1000",
        "max.message.bytes is 1000: a batch may be larger",
        "max.message.bytes=1048588",
    ),
];
const TEN_HOURS: &str = "a message may lie in it for 36001 s, but the agreements' payloads only for 36000 s";
const TWENTY_HOURS: &str = "a message may lie in it for 72001 s, but the agreements' payloads only for 72000 s";
const SMALL_BATCH: &str = "max.message.bytes is 1048587: a batch may be larger";
const COMPRESSED: &str =
    "compression.type is producer: the hub reads no zstd, and what is small now may be of any size expanded";

/// What need not be so, of topics that the hub writes or whose term is not the agreements' matter.
const RIGHT: [(&str, &str, &str); 5] = [
    (OUT, "compression.type", "producer"),
    (OUT, "message.timestamp.type", "CreateTime"),
    ("waybill.in.benefit", "retention.ms", "1000"),
    (IN, "max.message.bytes", "1048589"),
    ("waybill.outcomes.identity", "retention.ms", "-1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_setting_that_is_wrong_is_found_alone_and_the_help_sets_it_right() {
    let scene = Scene::bare(TOPICS).await;
    lay_out_terms(&scene);
    let missing = check(&scene);
    assert_eq!(missing.len(), COUNT);
    let config = scene.hub.place.config_file.display();
    for (topic, problem, help) in &missing {
        assert!(problem.starts_with("it cannot be used: UnknownTopicOrPartition"), "{topic}: {problem}");
        assert_eq!(*help, format!("create it: waybill kafka topics --apply --config {config}"));
    }
    assert_eq!(said(&scene, &["topics", "--apply"]).0, 0);
    // What is created lies there exactly as long as it may.
    found(&scene, 0).await;

    let mut settings = settings(&scene);
    for (topic, name, value) in RIGHT {
        settings.get_mut(topic).unwrap().insert(name.to_owned(), value.to_owned());
    }
    // Whatever is not named goes back to what the broker does by itself.
    let alter = async |topic: &str, name: &str, value: &str| {
        let own = settings[topic].iter().map(|(name, value)| (&**name, &**value));
        let all: Vec<(&str, &str)> = own.filter(|(known, _)| *known != name).chain([(name, value)]).collect();
        scene.alter(topic, &all).await;
    };
    for (topic, name, value) in RIGHT {
        alter(topic, name, value).await;
    }
    let begins = format!("kafka-configs --bootstrap-server localhost:{} ", scene.brokers.port);
    for (topic, name, value, problem, set) in WRONG {
        alter(topic, name, value).await;
        let (found_in, found_problem, help) = found(&scene, 1).await.remove(0);
        assert_eq!((&*found_in, &*found_problem), (topic, problem));
        let options = help.strip_prefix(&begins).unwrap_or_else(|| panic!("{help}"));
        assert_eq!(options, format!("--alter --topic {topic} --add-config {set}"));
        scene.brokers.configs(&options.split(' ').collect::<Vec<_>>());
        found(&scene, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_partitions_replicas_and_brokers_in_sync_are_found() {
    let scene = Scene::bare(TOPICS).await;
    assert_eq!(said(&scene, &["topics", "--apply"]).0, 0);
    found(&scene, 0).await;
    let replicas = "a partition of it is on 1 broker, not on 2";
    let mut before = TOPICS.to_owned();
    for (demanded, problems) in [
        ("partitions = 3, replication = 1, min_insync = 1", &[][..]),
        ("partitions = 5, replication = 1, min_insync = 1", &["it has 4 partitions, not 5"]),
        ("partitions = 4, replication = 2, min_insync = 1", &[replicas]),
        ("partitions = 4, replication = 2, min_insync = 2", &[replicas, "min.insync.replicas is 1, not 2"]),
    ] {
        let topics = format!("topics = {{ {demanded} }}\n");
        scene.hub.configure(|text| text.replace(&before, &topics));
        before = topics;
        let found = check(&scene);
        assert_eq!(found.len(), COUNT * problems.len(), "{demanded}: {found:?}");
        for (topic, problem, help) in &found {
            assert!(problems.contains(&&**problem), "{topic}: {problem}");
            let wanted = match problem {
                problem if problem.contains("partitions,") => "lower kafka.topics.partitions",
                problem if problem.contains("replicas is") => "--add-config min.insync.replicas=2",
                _ => "kafka-reassign-partitions",
            };
            assert!(help.contains(wanted), "{topic}: {help}");
        }
    }
}
