//! What the brokers have: topics and their settings, compared with what they must be. Nothing is changed but by
//! [`Brokers::create`].

use std::{path::Path, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication},
    config::FromClientConfigAndContext as _,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::MetadataTopic,
};

use super::{
    super::{
        exit::Failure,
        output::count,
        printed::{path_word, word},
    },
    expected::{Expected, UNCOMPRESSED},
    tool,
};
use crate::{
    config::{Config, Kafka},
    kafka::{Connection, Told, TopicKind, group},
};

/// How long the brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A connection as the hub.
pub(super) struct Brokers {
    admin: AdminClient<Told>,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub topic: String,
    pub problem: String,
    pub help: String,
}

/// What is known of where the brokers' settings are written, and how Kafka's tools reach them.
#[derive(Clone, Copy)]
pub(super) struct Advice<'c> {
    pub config: &'c Path,
    pub kafka: &'c Kafka,
}

impl Advice<'_> {
    /// How a topic that is missing is created.
    fn create(self) -> String {
        format!("create it: waybill kafka topics --apply --config {}", path_word(self.config))
    }

    /// How settings of a topic are set, `name=value` with commas between.
    fn set(self, topic: &str, settings: &str) -> String {
        let (topic, settings) = (word(topic), word(settings));
        tool(self.kafka, "kafka-configs", &format!("--alter --topic {topic} --add-config {settings}"))
    }
}

fn away(error: KafkaError) -> Failure {
    Failure::fault(format!("the brokers cannot be asked: {error}"))
}

impl Brokers {
    pub(super) fn connect(config: &Config) -> Result<Self, Failure> {
        let kafka = config.kafka.as_ref();
        let kafka = kafka.ok_or_else(|| Failure::Usage("the configuration has no [kafka]".to_owned()))?;
        let client = Connection::new(kafka).client("waybill-cli");
        let admin = AdminClient::from_config_and_context(&client, Told::of(&client)).map_err(Failure::usage)?;
        Ok(Self { admin })
    }

    /// Creates a topic; whether it was not there.
    pub(super) async fn create(&self, topic: &Expected) -> Result<bool, Failure> {
        let settings = topic.settings();
        let mut new = NewTopic::new(
            &topic.name,
            i32::from(topic.partitions),
            TopicReplication::Fixed(i32::from(topic.replication)),
        );
        for (name, value) in &settings {
            new = new.set(name, value);
        }
        let made = self.admin.create_topics([&new], &options()).await.map_err(away)?;
        match made.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((name, code))) => Err(Failure::fault(format!("{name} cannot be created: {code}"))),
            None => Err(Failure::fault(format!("{} cannot be created: the brokers did not say why", topic.name))),
        }
    }

    /// What is wrong with a topic.
    pub(super) async fn check(&self, topic: &Expected, advice: Advice<'_>) -> Result<Vec<Finding>, Failure> {
        let finding = |problem: String, help: String| Finding { topic: topic.name.clone(), problem, help };
        let metadata = self.admin.inner().fetch_metadata(Some(&topic.name), ANSWER_MAX).map_err(away)?;
        let Some(known) = metadata.topics().iter().find(|known| known.name() == topic.name) else {
            return Ok(vec![finding("the brokers do not say that it is there".into(), "try again".into())]);
        };
        if let Some(code) = known.error() {
            let code = RDKafkaErrorCode::from(code);
            let help = match code {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => advice.create(),
                RDKafkaErrorCode::TopicAuthorizationFailed => allow(topic),
                _ => "the brokers' log says why".to_owned(),
            };
            return Ok(vec![finding(format!("it cannot be used: {code}"), help)]);
        }
        let mut findings = Vec::new();
        let replicas = fewest_replicas(known);
        let mut tell = |problem, help| findings.push(finding(problem, help));
        check_partitions(topic, known.partitions().len(), replicas, &mut tell);
        let asked = [ResourceSpecifier::Topic(&topic.name)];
        match self.admin.describe_configs(&asked, &options()).await.map_err(away)?.into_iter().next() {
            Some(Ok(settings)) => {
                check_settings(topic, replicas, &settings, advice, &mut tell);
            }
            Some(Err(code)) => findings.push(finding(format!("its settings cannot be read: {code}"), allow(topic))),
            None => {}
        }
        Ok(findings)
    }

    /// Whether the hub may use its group.
    pub(super) fn check_group(&self, hub: &str) -> Vec<Finding> {
        let name = group(hub);
        let asked = self.admin.inner().fetch_group_list(Some(&name), ANSWER_MAX);
        match asked {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                let help = format!("allow the hub to Read and Describe the group {name}");
                vec![Finding { topic: name, problem: "the hub may not use its consumer group".into(), help }]
            }
            _ => Vec::new(),
        }
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_MAX)).operation_timeout(Some(ANSWER_MAX))
}

/// What the hub must be allowed.
fn allow(topic: &Expected) -> String {
    let operation = if topic.topic.kind.is_inbound() { "Read" } else { "Write" };
    format!("allow the hub to {operation}, Describe and DescribeConfigs {}", topic.name)
}

/// The brokers that have the partition that fewest have.
fn fewest_replicas(known: &MetadataTopic) -> usize {
    known.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or_default()
}

/// How long a message may lie in a topic, if not for ever: what has expired goes with its segment.
fn kept(retention_ms: i64, segment_ms: i64) -> Option<Duration> {
    let retention = u64::try_from(retention_ms).ok()?;
    Some(Duration::from_millis(retention.saturating_add(u64::try_from(segment_ms).ok()?)))
}

/// What is not whole seconds is not less than it is.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_millis().div_ceil(1000))
}

fn check_partitions(topic: &Expected, partitions: usize, replicas: usize, tell: &mut impl FnMut(String, String)) {
    if partitions < usize::from(topic.partitions) {
        tell(
            format!("it has {partitions} partitions, not {}", topic.partitions),
            "add partitions while no key's order matters, or lower kafka.topics.partitions".into(),
        );
    }
    if replicas < usize::from(topic.replication) {
        tell(
            format!("a partition of it is on {}, not on {}", count(replicas, "broker"), topic.replication),
            "reassign its replicas (kafka-reassign-partitions), or lower kafka.topics.replication".into(),
        );
    }
}

fn check_settings(
    topic: &Expected,
    replicas: usize,
    found: &ConfigResource,
    advice: Advice<'_>,
    tell: &mut impl FnMut(String, String),
) {
    let text = |name: &str| found.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
    let number = |name: &str| text(name).parse::<i64>().unwrap_or(-1);
    let set = |name: &str, value: &str| advice.set(&topic.name, &format!("{name}={value}"));
    let wanted = topic.settings();
    let value = |name: &str| wanted.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    if matches!(topic.topic.kind, TopicKind::In | TopicKind::Out | TopicKind::Dead) {
        if text("cleanup.policy") != "delete" {
            let problem = format!("cleanup.policy is {}: what must go would stay", text("cleanup.policy"));
            tell(problem, set("cleanup.policy", "delete"));
        }
        let kept = kept(number("retention.ms"), number("segment.ms"));
        if kept.is_none_or(|kept| kept > topic.kept_at_most) {
            let kept = kept.map_or_else(|| "for ever".to_owned(), |kept| format!("for {}", seconds(kept)));
            let most = seconds(topic.kept_at_most);
            let both = format!("{},segment.ms={}", value("retention.ms"), value("segment.ms"));
            let problem = format!("a message may lie in it {kept}, but the agreements' payloads only for {most}");
            tell(problem, set("retention.ms", &both));
        }
    }
    let insync = number("min.insync.replicas");
    let set_insync = || set("min.insync.replicas", value("min.insync.replicas"));
    if insync < i64::from(topic.min_insync) {
        tell(format!("min.insync.replicas is {}, not {}", text("min.insync.replicas"), topic.min_insync), set_insync());
    } else if insync > i64::from(topic.min_insync) && usize::try_from(insync).is_ok_and(|insync| insync >= replicas) {
        let on = count(replicas, "broker");
        let problem = format!("min.insync.replicas is {insync}, and a partition of it is on {on}: none may be away");
        tell(problem, set_insync());
    }
    if number("max.message.bytes") < i64::try_from(topic.batch_bytes).unwrap_or(i64::MAX) {
        let problem = format!("max.message.bytes is {}: a batch may be larger", text("max.message.bytes"));
        tell(problem, set("max.message.bytes", value("max.message.bytes")));
    }
    if topic.topic.kind.is_inbound() && text("compression.type") != UNCOMPRESSED {
        let problem = format!(
            "compression.type is {}: the hub reads no zstd, and what is small now may be of any size expanded",
            text("compression.type")
        );
        tell(problem, set("compression.type", UNCOMPRESSED));
    }
    if topic.topic.kind.is_inbound() && text("message.timestamp.type") != "LogAppendTime" {
        let problem = "message.timestamp.type is the writer's time: it could put an event outside the window".into();
        tell(problem, set("message.timestamp.type", "LogAppendTime"));
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    use super::*;
    use crate::{cli::tests::assert_commands, kafka::Topic};

    fn kafka(more: &str) -> Kafka {
        toml::from_str(&format!("bootstrap = \"broker:9092, other:9092\"\n{more}")).unwrap()
    }

    #[test]
    fn a_topic_that_is_missing_is_created_as_the_check_says() {
        let kafka = kafka("plaintext = true");
        let told = Advice { config: Path::new("its place/waybill.toml"), kafka: &kafka }.create();
        assert_commands(&told, &[&["kafka", "topics", "--apply", "--config", "its place/waybill.toml"]]);
    }

    #[test]
    fn a_setting_that_is_wrong_is_set_on_the_brokers_that_have_the_topic() {
        let topic = Topic::new(TopicKind::In, "tax".parse().unwrap());
        let kept_at_most = Duration::from_hours(2);
        let (name, partitions, replication, min_insync, batch_bytes) = (topic.to_string(), 1, 1, 1, 1_000_000);
        let expected = Expected { topic, name, partitions, replication, min_insync, kept_at_most, batch_bytes };
        let nothing =
            ConfigResource { specifier: OwnedResourceSpecifier::Topic(expected.name.clone()), entries: Vec::new() };
        for (more, config) in [("plaintext = true", ""), ("ca = \"ca.pem\"", " --command-config admin.properties")] {
            let kafka = kafka(more);
            let advice = Advice { config: Path::new("waybill.toml"), kafka: &kafka };
            let mut helps = Vec::new();
            check_settings(&expected, 3, &nothing, advice, &mut |_, help| helps.push(help));
            let begin = format!(
                "kafka-configs --bootstrap-server broker:9092{config} --alter --topic waybill.in.tax --add-config "
            );
            assert!(helps.len() == 6 && helps.iter().all(|help| help.starts_with(&begin)), "{helps:?}");
            assert!(helps.iter().any(|help| help.ends_with(" retention.ms=3600000,segment.ms=3600000")), "{helps:?}");
        }
    }

    /// Identity's inbound topic, on three brokers, of which two must have a record.
    fn topic() -> Expected {
        let topic = Topic::new(TopicKind::In, "identity".parse().unwrap());
        let kept_at_most = Duration::from_hours(2);
        let name = topic.to_string();
        Expected { topic, name, partitions: 6, replication: 3, min_insync: 2, kept_at_most, batch_bytes: 1000 }
    }

    /// What is found when the topic has its settings, but for this one.
    fn found(replicas: usize, other: &str, value: &str) -> Vec<(String, String)> {
        let entry = |(name, own): (&'static str, String)| ConfigEntry {
            name: name.to_owned(),
            value: Some(if name == other { value.to_owned() } else { own }),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        };
        let topic = topic();
        let entries = topic.settings().into_iter().map(entry).collect();
        let settings = ConfigResource { specifier: OwnedResourceSpecifier::Topic(topic.name.clone()), entries };
        let mut found = Vec::new();
        let kafka = kafka("plaintext = true");
        let advice = Advice { config: Path::new("waybill.toml"), kafka: &kafka };
        check_settings(&topic, replicas, &settings, advice, &mut |problem, help| found.push((problem, help)));
        found
    }

    #[test]
    fn so_many_brokers_must_have_a_record_as_is_demanded_and_not_all_that_have_it() {
        let help = "kafka-configs --bootstrap-server broker:9092 --alter --topic waybill.in.identity --add-config \
                    min.insync.replicas=2";
        for (replicas, value, problem) in [
            (3, "2", ""),
            (3, "1", "min.insync.replicas is 1, not 2"),
            (3, "3", "min.insync.replicas is 3, and a partition of it is on 3 brokers: none may be away"),
            (4, "3", ""),
            (4, "5", "min.insync.replicas is 5, and a partition of it is on 4 brokers: none may be away"),
            // That there are too few is found by itself.
            (2, "2", ""),
        ] {
            let wanted = (!problem.is_empty()).then(|| (problem.to_owned(), help.to_owned()));
            assert_eq!(found(replicas, "min.insync.replicas", value), Vec::from_iter(wanted), "{value} of {replicas}");
        }
    }

    #[test]
    fn as_many_partitions_and_replicas_as_are_demanded_are_enough() {
        let found = |partitions, replicas| {
            let mut found = Vec::new();
            check_partitions(&topic(), partitions, replicas, &mut |problem, _| found.push(problem));
            found
        };
        assert_eq!(found(6, 3), [""; 0]);
        assert_eq!(found(5, 3), ["it has 5 partitions, not 6"]);
        assert_eq!(found(6, 2), ["a partition of it is on 2 brokers, not on 3"]);
    }
}
