//! `waybill kafka check` sees who may use the topics: what is too much, what is missing, and the command line that helps.

use std::process::Command;

use super::scene::Scene;

struct Check {
    code: i32,
    said: String,
}

fn check(scene: &Scene) -> Check {
    run(scene, &["check"])
}

fn run(scene: &Scene, words: &[&str]) -> Check {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    command.arg("kafka").args(words).arg("--config").arg(&scene.hub.place.config_file);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Check { code: output.status.code().unwrap(), said: String::from_utf8(said).unwrap() }
}

impl Check {
    #[track_caller]
    fn finds(&self, problem: &str) {
        assert!(self.code == 5 && self.said.contains(problem), "{problem}: {}: {}", self.code, self.said);
    }

    /// Gives the command lines that it names, as they stand there.
    fn help(&self, scene: &Scene) {
        for line in self.said.lines().filter_map(|line| line.trim().strip_prefix("help: kafka-acls ")) {
            let words: Vec<&str> = line.split(' ').map(|word| word.trim_matches('\'')).collect();
            // Which brokers, and as whom.
            assert_eq!((words[0], words[2]), ("--bootstrap-server", "--command-config"), "{line}");
            scene.brokers.acls(&words[4..]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_or_too_much_are_found_and_the_command_lines_help() {
    let scene = Scene::secured_bare("topics = { partitions = 4, replication = 1, min_insync = 1 }\n").await;
    let topics = |who: &str, operation: &str, topics: &[&str]| scene.brokers.allow(who, operation, topics);
    let hub_group = format!("group:waybill.{}", scene.hub.place.config.hub);
    scene.brokers.acls(&["--add", "--allow-principal", "User:hub.kafka", "--operation", "Create", "--cluster"]);
    assert!(run(&scene, &["topics", "--apply"]).code == 0);
    let both = |kind: &str| [format!("waybill.{kind}.identity"), format!("waybill.{kind}.benefit")];
    let [outcomes, dead, inbound] = ["outcomes", "dead", "in"].map(both);
    let written = [&outcomes[0], &outcomes[1], &dead[0], &dead[1], "waybill.out.benefit"];
    topics("hub.kafka", "Write", &written);
    topics("hub.kafka", "DescribeConfigs", &[&written[..], &[&inbound[0], &inbound[1]]].concat());
    topics("hub.kafka", "Read", &[&inbound[0], &inbound[1], &hub_group]);
    let unseen = check(&scene);
    unseen.finds("the hub may not see who may use the topics");
    unseen.help(&scene);

    let bare = check(&scene);
    bare.finds("waybill.in.identity: no right lets identity.registry Write it");
    bare.finds("waybill.out.benefit: no right lets benefit.claims Read it");
    bare.help(&scene);
    topics("tax.registry", "Write", &["waybill.in.identity"]);
    scene.brokers.acls(&["--add", "--allow-principal", "User:*", "--operation", "Read", "--topic", "*"]);
    let prefixed = ["--topic", "waybill.out.", "--resource-pattern-type", "prefixed"];
    scene.brokers.acls(
        &[&["--add", "--allow-principal", "User:identity.registry", "--operation", "All"], &prefixed[..]].concat(),
    );
    let open = check(&scene);
    open.finds("waybill.in.identity: User:tax.registry may Write waybill.in.identity");
    open.finds("*: everybody may Read waybill.in.");
    open.finds("waybill.out.: User:identity.registry may Read waybill.out.benefit, and 1 more");
    open.help(&scene);

    let closed = check(&scene);
    assert!(closed.code == 0 && closed.said.contains("topics as they must be"), "{}: {}", closed.code, closed.said);
}
