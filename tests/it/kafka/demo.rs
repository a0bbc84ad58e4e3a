//! The demo with benefit on Kafka: on a broker of its own, and on one that runs already.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{broker::Brokers, scene::alone};

/// What the story says, in this order, when it is told with Kafka.
const SAID: [&str; 12] = [
    "Benefit is on Kafka: deliveries come from waybill.out.benefit",
    "benefit received 10 fields",
    "the proof, which no message carries, benefit fetched by the transfer's id",
    "benefit writes her award to waybill.in.benefit; what became of it comes on waybill.outcomes.benefit",
    "tax received 9 fields of it over gRPC",
    "what the brokers have, the hub cannot call back",
    "benefit's topic goes out of service",
    "that transfer waits in the hub, and nobody has claimed it",
    "cancelled before anybody received it: 1 transfer",
    "had already left, and is named: 1",
    "benefit's consumer goes back to the beginning of its topic, as after a restore: ",
    "fields reached an agency without anybody being asked again",
];

/// Runs the program's demo with few citizens: its exit code, what it printed, and what it complained of.
fn demo(program: &Path, within: &Path, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program);
    command.args(["demo", "--citizens", "20", "--changes", "40"]).args(more);
    command.current_dir(within).env("TMPDIR", within).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn assert_told((code, said, complained): &(i32, String, String)) {
    assert_eq!(*code, 0, "{said}\n{complained}");
    let mut rest = said.as_str();
    for wanted in SAID {
        let (_, after) = rest.split_once(wanted).unwrap_or_else(|| panic!("it does not say: {wanted}\n{said}"));
        rest = after;
    }
    // Twenty people with two records, one move, one e-mail address, forty moves: each to benefit once, each read twice.
    let again: usize = number_after(said, "as after a restore: ");
    let once: usize = number_after(said, "by its transfer's id and dropped: ");
    assert_eq!((again, once), (82, 82), "{said}");
}

fn number_after(text: &str, before: &str) -> usize {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("it does not say: {before}\n{text}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_is_told_with_a_broker_of_its_own_that_ends_with_it() {
    let _alone = alone().await;
    let temporary = tempfile::tempdir().unwrap();
    // The script is found from where the program lies.
    let told = demo(Path::new(env!("CARGO_BIN_EXE_waybill")), temporary.path(), &["--kafka"]);
    assert_told(&told);
    let left: Vec<_> = temporary.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_run_already_are_left_as_they_were() {
    let _alone = alone().await;
    let (brokers, temporary) = (Brokers::start_with(1, None), tempfile::tempdir().unwrap());
    let bootstrap = brokers.bootstrap();
    let program = Path::new(env!("CARGO_BIN_EXE_waybill"));
    let run = || demo(program, temporary.path(), &["--bootstrap", &bootstrap]);
    // The second time as the first: nothing of the first is left.
    for _ in 0..2 {
        assert_told(&run());
        assert_eq!(topics(&bootstrap), [""; 0]);
    }

    let mut client = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = client.set("bootstrap.servers", &bootstrap).create().unwrap();
    let foreign = NewTopic::new("waybill.out.benefit", 1, TopicReplication::Fixed(1));
    admin.create_topics(&[foreign], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let (code, _, complained) = run();
    assert_eq!(code, 1);
    assert!(complained.contains("the brokers have waybill.out.benefit already"), "{complained}");
    assert_eq!(topics(&bootstrap), ["waybill.out.benefit"], "somebody else's stays, the demo's own go");
}

/// The hub's topics on the brokers.
fn topics(bootstrap: &str) -> Vec<String> {
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let metadata = client.fetch_metadata(None, Duration::from_secs(20)).unwrap();
    let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
    names.filter(|name| name.starts_with("waybill.")).collect()
}

#[test]
fn outside_a_checkout_the_demo_says_what_to_do() {
    let elsewhere = tempfile::tempdir().unwrap();
    let program = elsewhere.path().join("waybill");
    std::fs::copy(env!("CARGO_BIN_EXE_waybill"), &program).unwrap();
    let (code, _, complained) = demo(&program, elsewhere.path(), &["--kafka"]);
    assert_eq!(code, 1);
    for wanted in ["deploy/kafka/broker is not here", "--bootstrap HOST:PORT"] {
        assert!(complained.contains(wanted), "{complained}");
    }
}
