//! The scene: brokers, the hub on them, and clients that write and read topics as agencies do.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
    message::{Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};
use waybill::{
    cli::demo::population::{Population, Record},
    kafka::Topic,
    tls::authority::Authority,
};

use super::broker::Brokers;
use crate::crash::scene::{PATIENCE, Scene as Hub, Served, until};

/// Brokers take memory: one cluster at a time.
static ONE: Mutex<()> = Mutex::const_new(());

/// Waits until no other test has brokers.
pub async fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().await
}

/// What the catalogue says of Kafka: identity submits there, benefit receives there.
const IDENTITY: &str = r#"
[kafka]
submits = "identity/registry"
[kafka.schemas]
17 = "identity/address/1.0"
"#;
const BENEFIT: &str = r#"
[kafka]
submits = "benefit/claims"
receives = "benefit/claims"
"#;

/// Partitions of each topic.
const PARTITIONS: i32 = 4;
/// What `waybill kafka topics --apply` sets of every topic, and of those that agencies write; not how long they are kept.
const SETTINGS: [(&str, &str); 1] = [("max.message.bytes", "1048588")];
const INBOUND: [(&str, &str); 2] = [("message.timestamp.type", "LogAppendTime"), ("compression.type", "uncompressed")];

pub struct Scene {
    pub brokers: Brokers,
    pub hub: Hub,
    pub people: Population,
    pub client: ClientConfig,
    tls: Option<PathBuf>,
    _one: MutexGuard<'static, ()>,
}

/// A message as it was read.
#[derive(Debug, Clone)]
pub struct Read {
    pub key: String,
    pub headers: HashMap<String, String>,
    pub value: Vec<u8>,
    pub partition: i32,
    pub offset: i64,
}

impl Read {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).unwrap()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers.keys()))
    }
}

impl Scene {
    /// One broker without certificates; the hub is not started.
    pub async fn new() -> Self {
        Self::with(1, "").await
    }

    /// With so many brokers, and `more` for `[kafka]` and after it.
    pub async fn with(nodes: u16, more: &str) -> Self {
        let scene = Self::lay_out(nodes, false, more).await;
        scene.create_topics().await;
        scene
    }

    /// One broker without topics.
    pub async fn bare(more: &str) -> Self {
        Self::lay_out(1, false, more).await
    }

    /// One broker that demands certificates, of the hub's own development CA, and allows nothing yet.
    pub async fn secured() -> Self {
        let scene = Self::lay_out(1, true, "").await;
        scene.create_topics().await;
        scene
    }

    /// The same without topics, and with `more` for `[kafka]`.
    pub async fn secured_bare(more: &str) -> Self {
        Self::lay_out(1, true, more).await
    }

    async fn lay_out(nodes: u16, secured: bool, more: &str) -> Self {
        let one = alone().await;
        let hub = Hub::lay_out("warn", "");
        let keys = hub.place.folder.join("keys");
        let tls = secured.then(|| {
            let folder = hub.beside("certificates");
            fs::create_dir_all(&folder).unwrap();
            super::secured::issue(&Authority::open(&keys).unwrap(), &folder);
            folder
        });
        let brokers = Brokers::start_with(nodes, tls.as_deref());
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", brokers.bootstrap());
        let how = match &tls {
            None => "plaintext = true".to_owned(),
            Some(folder) => {
                client.set("security.protocol", "ssl");
                for (name, file) in [("ca", "ca.pem"), ("certificate", "admin.pem"), ("key", "admin.key.pem")] {
                    client.set(format!("ssl.{name}.location"), folder.join(file).display().to_string());
                }
                let file = |name: &str| folder.join(name).display().to_string();
                let (certificate, key, ca) = (file("hub-kafka.pem"), file("hub-kafka.key.pem"), file("ca.pem"));
                format!("certificate = \"{certificate}\"\nkey = \"{key}\"\nca = \"{ca}\"")
            }
        };
        put_on(&brokers.bootstrap(), &hub, &how, more);
        Self { brokers, hub, people: Population::generate(1, 300), client, tls, _one: one }
    }

    /// Where the certificates of a secured scene are.
    pub fn certificates(&self) -> &Path {
        self.tls.as_deref().unwrap()
    }

    /// Changes settings of a topic.
    pub async fn alter(&self, topic: &str, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client.create().unwrap();
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (name, value) in settings {
            altered = altered.set(name, value);
        }
        let done = admin.alter_configs(&[altered], &AdminOptions::new()).await.unwrap();
        done.into_iter().for_each(|one| drop(one.unwrap()));
    }

    /// Deletes what lies below an offset, as retention does.
    pub async fn delete_below(&self, topic: &str, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.client.create().unwrap();
        let mut below = TopicPartitionList::new();
        below.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let deleted = admin.delete_records(&below, &AdminOptions::new()).await.unwrap();
        deleted.elements().iter().for_each(|one| one.error().unwrap());
    }

    pub fn start(&self) -> Served {
        self.hub.start()
    }

    /// Another hub of the same name on the same brokers, with a ledger of its own; not started.
    pub fn second_hub(&self) -> Hub {
        let hub = Hub::lay_out("warn", "");
        put_on(&self.brokers.bootstrap(), &hub, "plaintext = true", "");
        hub
    }

    /// Another hub on the same brokers, of this name and so in a group of its own; not started.
    pub fn hub_named(&self, name: &str) -> Hub {
        let hub = Hub::lay_out("warn", "").named(name);
        put_on(&self.brokers.bootstrap(), &hub, "plaintext = true", "");
        hub
    }

    /// Waits until somebody reads in the hub's group, or in one of its groups of answers (`.acks.<agency>`).
    pub async fn group_has_members(&self, which: &str) {
        let client: BaseConsumer = self.client.create().unwrap();
        let group = format!("waybill.{}{which}", self.hub.place.config.hub);
        let joined = || {
            let listed = client.client().fetch_group_list(Some(&group), Duration::from_secs(10));
            listed.is_ok_and(|listed| listed.groups().iter().any(|group| group.state() == "Stable"))
        };
        until("a member joins", async || tokio::task::block_in_place(joined)).await;
    }

    /// Creates the topics; those that are there stay as they are.
    pub async fn create_topics(&self) {
        let admin: AdminClient<DefaultClientContext> = self.client.create().unwrap();
        let copies = i32::from(self.brokers.nodes.min(3));
        let names: Vec<String> = ["identity", "benefit"]
            .iter()
            .flat_map(|agency| ["in", "outcomes", "dead", "out", "acks"].map(|kind| format!("waybill.{kind}.{agency}")))
            .collect();
        let topic = |name| {
            let inbound = Topic::parse(name).unwrap().kind.is_inbound();
            let settings = SETTINGS.iter().chain(INBOUND.iter().filter(|_| inbound));
            let new = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(copies));
            settings.fold(new, |new, (name, value)| new.set(name, value))
        };
        let topics: Vec<NewTopic<'_>> = names.iter().map(|name| topic(name)).collect();
        let made = admin.create_topics(&topics, &AdminOptions::new()).await.unwrap();
        for topic in made {
            assert!(matches!(topic, Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))), "{topic:?}");
        }
    }

    pub fn producer(&self) -> FutureProducer {
        self.client.clone().set("acks", "all").set("enable.idempotence", "true").create().unwrap()
    }

    /// Reads a topic from its beginning until `enough`.
    pub async fn read(&self, topic: &str, enough: impl Fn(&[Read]) -> bool + Send + 'static) -> Vec<Read> {
        let (client, topic) = (self.client.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || read(client, &topic, enough)).await.unwrap()
    }

    /// Reads so many messages of a topic.
    pub async fn read_some(&self, topic: &str, count: usize) -> Vec<Read> {
        self.read(topic, move |read| read.len() >= count).await
    }
}

/// Configures a hub for the brokers, with identity and benefit on them.
pub fn put_on(bootstrap: &str, hub: &Hub, how: &str, more: &str) {
    hub.configure(|text| {
        format!("{text}[store]\nreserve_bytes = 0\n[kafka]\nbootstrap = \"{bootstrap}\"\n{how}\n{more}")
    });
    let agencies = hub.place.folder.join("catalogue/agencies");
    append(&agencies.join("identity.toml"), IDENTITY);
    append(&agencies.join("benefit.toml"), BENEFIT);
}

fn append(file: &Path, more: &str) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text + more).unwrap();
}

/// Reads a topic from its beginning until `enough`.
pub fn read(mut client: ClientConfig, topic: &str, enough: impl Fn(&[Read]) -> bool) -> Vec<Read> {
    client.set("group.id", format!("test-{}", uuid::Uuid::now_v7())).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let (mut found, mut deadline) = (Vec::new(), Instant::now() + PATIENCE / 2);
    while !enough(&found) {
        assert!(Instant::now() < deadline, "{topic} has only {} messages", found.len());
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            deadline = Instant::now() + PATIENCE / 2;
            found.push(Read {
                key: message.key().map(text).unwrap_or_default(),
                headers: headers.map(|one| (one.key.to_owned(), text(one.value.unwrap_or_default()))).collect(),
                value: message.payload().unwrap_or_default().to_vec(),
                partition: message.partition(),
                offset: message.offset(),
            });
        }
    }
    found
}

/// An event as an agency writes it, in binary mode.
#[derive(Debug, Clone)]
pub struct Event {
    pub key: String,
    pub headers: Vec<(String, String)>,
    pub value: Vec<u8>,
}

impl Event {
    /// A submission of a record.
    pub fn of(record: &Record, id: &str) -> Self {
        let headers = [
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_type", "waybill.submission.v1"),
            ("ce_source", "urn:registry"),
            ("ce_id", id),
            ("ce_subject", &record.id),
            ("ce_dataschema", &format!("{}/1.0", record.record_type)),
            ("ce_change", "changed"),
            ("ce_revision", &record.revision.to_string()),
            ("ce_actor", "clerk 7"),
            ("ce_casereference", "case 1"),
            ("ce_reason", "a test"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { key: record.id.clone(), headers, value: record.body.to_string().into_bytes() }
    }

    /// With another header, or another value of one.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub async fn send(&self, producer: &FutureProducer, topic: &str) {
        self.send_to(producer, topic, None).await;
    }

    /// Into this partition, or the one of its key.
    pub async fn send_to(&self, producer: &FutureProducer, topic: &str, partition: Option<i32>) {
        let mut headers = OwnedHeaders::new();
        for (name, value) in &self.headers {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        let mut record = FutureRecord::to(topic).key(&self.key).payload(&self.value).headers(headers);
        record.partition = partition;
        producer.send(record, Duration::from_secs(60)).await.unwrap();
    }
}
