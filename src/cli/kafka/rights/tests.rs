//! What is told of rights that are too much or missing.

use super::*;

const TOPIC: &str = "waybill.in.identity";

fn kafka() -> Kafka {
    toml::from_str("bootstrap = \"broker:9092, other:9092\"\nplaintext = true").unwrap()
}

/// Identity's inbound topic.
fn guarded() -> Guarded {
    let (writer, hub) = (vec!["identity.registry".to_owned()], vec!["hub.kafka".to_owned()]);
    let both = [writer.clone(), hub.clone()].concat();
    let needs = vec![(Operation::Write, writer), (Operation::Read, hub)];
    Guarded { resource: Resource::Topic, name: TOPIC.into(), readers: both.clone(), writers: both, needs }
}

fn acl(principal: &str, operation: Operation, name: &str) -> Acl {
    Acl {
        resource: Resource::Topic,
        name: name.into(),
        prefixed: false,
        principal: format!("User:{principal}"),
        host: "*".into(),
        operation,
        allows: true,
    }
}

fn prefixed(acl: Acl) -> Acl {
    Acl { prefixed: true, ..acl }
}

fn denied(acl: Acl) -> Acl {
    Acl { allows: false, ..acl }
}

fn strays(acls: &[Acl]) -> Vec<String> {
    acls.iter().filter_map(|acl| stray(acl, acls, &[guarded()], &kafka())).map(|found| found.problem).collect()
}

#[test]
fn whoever_else_may_is_found_however_it_is_said() {
    let write = Operation::Write;
    for (wrong, problem) in [
        (acl("tax.registry", write, TOPIC), "User:tax.registry may Write waybill.in.identity"),
        (acl("tax.registry", write, "*"), "User:tax.registry may Write waybill.in.identity"),
        (prefixed(acl("tax.registry", write, "waybill.")), "User:tax.registry may Write waybill.in.identity"),
        (acl("*", Operation::Read, TOPIC), "everybody may Read waybill.in.identity"),
        (acl("*", Operation::All, TOPIC), "everybody may Read waybill.in.identity, and 1 more"),
        (acl("identity.registry.x", write, TOPIC), "User:identity.registry.x may Write waybill.in.identity"),
    ] {
        assert_eq!(strays(&[wrong]), [problem]);
    }
}

#[test]
fn whoever_should_is_not_and_neither_is_what_is_elsewhere_or_taken_away() {
    let (tax, write) = (acl("tax.registry", Operation::Write, TOPIC), Operation::Write);
    for right in [
        vec![acl("identity.registry", write, TOPIC), acl("hub.kafka", Operation::All, "*")],
        vec![acl("CN=identity.registry,O=Identity", write, TOPIC)],
        vec![acl("tax.registry", write, "waybill.in.tax"), prefixed(acl("tax.registry", write, "waybill.in.t"))],
        vec![acl("tax.registry", Operation::Other(8), TOPIC)],
        vec![tax.clone(), denied(acl("tax.registry", Operation::All, "*"))],
        vec![tax, denied(acl("*", write, TOPIC))],
    ] {
        assert_eq!(strays(&right), [""; 0], "{right:?}");
    }
    let from_one_host = Acl { host: "10.0.0.1".into(), ..denied(acl("tax.registry", write, TOPIC)) };
    assert_eq!(strays(&[acl("tax.registry", write, TOPIC), from_one_host]).len(), 1);
}

fn lacks(acls: &[Acl]) -> Vec<String> {
    let (one, kafka) = (guarded(), kafka());
    let lacks =
        one.needs.iter().filter_map(|(operation, who)| missing(acls, "hub.kafka", &one, *operation, who, &kafka));
    lacks.map(|found| found.help).collect()
}

#[test]
fn who_must_be_able_to_and_is_not_is_found_with_the_command_that_helps() {
    let (read, write) = (Operation::Read, Operation::Write);
    let add = |who: &str, operation: Operation| {
        let options = format!("--allow-principal 'User:{who}' --allow-host '*' --operation {operation}");
        format!("kafka-acls --bootstrap-server broker:9092 --add {options} --topic '{TOPIC}'")
    };
    let identity = acl("identity.registry", write, TOPIC);
    assert_eq!(lacks(&[]), [add("identity.registry", write)], "a hub without any right is a super user");
    let hub_writes = acl("hub.kafka", write, TOPIC);
    assert_eq!(lacks(&[identity.clone(), hub_writes.clone()]), [add("hub.kafka", read)]);
    assert_eq!(lacks(&[identity.clone(), hub_writes, acl("hub.kafka", read, "*")]), [""; 0]);
    assert_eq!(lacks(&[identity, denied(acl("identity.registry", write, "*"))]), [add("identity.registry", write)]);
}

#[test]
fn a_comma_that_is_part_of_a_value_begins_no_name() {
    let named = |principal: &str| acl(principal, Operation::Write, TOPIC).names("identity.registry");
    assert!(
        named("identity.registry") && named("O=Waybill,CN=identity.registry") && named("CN=identity.registry, C=ZZ")
    );
    assert!(!named(r"O=Waybill\,CN=identity.registry") && !named("OU=identity.registry"));
}
