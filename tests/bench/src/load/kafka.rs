//! A client on Kafka: makes the topics, and is what librdkafka's own producer reaches with the hub's settings and
//! messages.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use rdkafka::{
    ClientContext, Message as _, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use uuid::Uuid;
use waybill::{
    config::{Kafka, Topics},
    kafka::Connection,
};

use super::Outcome;
use crate::records::{ACCEPTED, People, Records};

/// Where submissions are written, where deliveries arrive, and where copies of these go.
const IN: &str = "waybill.in.tax";
const OUT: &str = "waybill.out.archive";
const BESIDE: &str = "beside";
/// Further topics that the hub writes.
const ANSWERS: [&str; 2] = ["waybill.outcomes.tax", "waybill.dead.tax"];
const PARTITIONS: i32 = 4;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How long a broker may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the library's full queue is left alone.
const FULL: Duration = Duration::from_millis(1);

fn connection(bootstrap: &str) -> Connection {
    Connection::new(&Kafka {
        bootstrap: bootstrap.to_owned(),
        certificate: None,
        key: None,
        ca: None,
        plaintext: true,
        members: 1,
        topics: Topics::default(),
    })
}

pub(super) async fn make_topics(bootstrap: &str) -> anyhow::Result<Outcome> {
    let admin: AdminClient<DefaultClientContext> = connection(bootstrap).client("bench").create()?;
    let names = [IN, OUT, BESIDE].into_iter().chain(ANSWERS);
    let topic = |name| {
        NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)).set("message.timestamp.type", "LogAppendTime")
    };
    let topics: Vec<_> = names.map(topic).collect();
    for made in admin.create_topics(&topics, &AdminOptions::new().request_timeout(Some(PATIENCE))).await? {
        if let Err((name, code)) = made {
            bail!("{name}: {code}");
        }
    }
    Ok(Outcome::default())
}

/// One message of the bare producer.
pub(super) struct Written {
    topic: &'static str,
    key: Bytes,
    headers: OwnedHeaders,
    value: Bytes,
}

/// Submissions, as an agency writes them.
pub(super) struct Submissions {
    records: Arc<Records>,
    people: People,
}

impl Submissions {
    pub(super) fn new(records: &Arc<Records>, people: People) -> Self {
        Self { records: Arc::clone(records), people }
    }
}

impl Iterator for Submissions {
    type Item = Written;

    fn next(&mut self) -> Option<Written> {
        let person = self.people.next();
        let (id, record) = (Uuid::now_v7().to_string(), format!("IS-2025-{person:08}"));
        let mut headers = OwnedHeaders::new_with_capacity(10);
        for (key, value) in [
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_type", "waybill.submission.v1"),
            ("ce_source", "urn:bench:tax"),
            ("ce_id", &id),
            ("ce_subject", &record),
            ("ce_dataschema", "tax/income-statement/1.0"),
            ("ce_change", "changed"),
            ("ce_actor", "assessor-17"),
            ("ce_reason", "yearly assessment"),
            ("ce_onlyrecipients", ACCEPTED[0]),
        ] {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        Some(Written { topic: IN, key: record.into(), headers, value: self.records.payload(person) })
    }
}

/// Counts what the brokers have reported.
#[derive(Clone, Default)]
struct Reported {
    good: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Reported {}

impl ProducerContext for Reported {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.good } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Produces as fast as librdkafka takes it, until all is reported. Blocks.
pub(super) fn produce(
    bootstrap: &str,
    messages: impl Iterator<Item = Written>,
    records: u64,
) -> anyhow::Result<Outcome> {
    let reported = Reported::default();
    let config = connection(bootstrap).producer("bench", MESSAGE_BYTES_MAX);
    let producer = ThreadedProducer::from_config_and_context(&config, reported.clone())?;
    // Connecting is not measured.
    producer.client().fetch_metadata(Some(IN), PATIENCE)?;
    let (mut bytes, mut part) = (0, Part::new(records));
    for Written { topic, key, headers, value } in messages.take(usize::try_from(records)?) {
        bytes = value.len();
        let mut record = BaseRecord::to(topic).key(&key[..]).payload(&value[..]).headers(headers);
        while let Err((error, back)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = back;
            pause();
        }
        part.look(&reported);
    }
    while reported.good.load(Ordering::Relaxed) < records {
        anyhow::ensure!(reported.failed.load(Ordering::Relaxed) == 0, "the brokers did not take everything");
        part.look(&reported);
        pause();
    }
    part.look(&reported);
    let (records, seconds) = part.measured().context("too few messages")?;
    Ok(Outcome { records, total: records, seconds, answer_bytes: u32::try_from(bytes)?, ..Outcome::default() })
}

/// The part of all reports that is measured, as of the hub's: neither the first tenth nor the last.
struct Part {
    records: u64,
    begin: Option<(u64, Instant)>,
    end: Option<(u64, Instant)>,
}

impl Part {
    const fn new(records: u64) -> Self {
        Self { records, begin: None, end: None }
    }

    fn look(&mut self, reported: &Reported) {
        let done = reported.good.load(Ordering::Relaxed);
        if self.begin.is_none() && done >= self.records / 10 {
            self.begin = Some((done, Instant::now()));
        }
        if self.end.is_none() && done >= self.records * 9 / 10 {
            self.end = Some((done, Instant::now()));
        }
    }

    /// How many, in how many seconds.
    fn measured(&self) -> Option<(u64, f64)> {
        let (begin, end) = (self.begin?, self.end?);
        Some((end.0 - begin.0, (end.1 - begin.1).as_secs_f64()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own that waits for the library")]
fn pause() {
    std::thread::sleep(FULL);
}

/// Produces copies of the first delivery with all its headers, each for another person. Blocks.
pub(super) fn produce_copies(bootstrap: &str, records: u64) -> anyhow::Result<Outcome> {
    let mut config = connection(bootstrap).client("bench");
    config.set("group.id", "bench").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(OUT, partition, rdkafka::Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let message = consumer.poll(PATIENCE).context("no delivery has arrived")??;
    let headers = message.headers().context("a delivery without headers")?.detach();
    let key_bytes = message.key().map_or(0, <[u8]>::len);
    let value = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let copies = (0_u64..).map(move |nth| Written {
        topic: BESIDE,
        // Another person's each, so that they spread over the partitions as deliveries do.
        key: format!("{nth:0key_bytes$}").into(),
        headers: headers.clone(),
        value: value.clone(),
    });
    produce(bootstrap, copies, records)
}
