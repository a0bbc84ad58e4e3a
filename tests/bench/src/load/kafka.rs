//! A client on Kafka: makes the topics, and has the bare producer (`bare.c`, a program of its own) show what librdkafka's
//! own producer reaches with the hub's settings and messages. These are made before, and not measured.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use rdkafka::{
    Message as _, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders},
};
use uuid::Uuid;
use waybill::{
    config::{Kafka, Topics},
    kafka::Connection,
};

use super::Outcome;
use crate::records::{ACCEPTED, People, Records};

/// Where submissions are written, where deliveries arrive, and where copies of these go.
pub(super) const IN: &str = "waybill.in.tax";
const OUT: &str = "waybill.out.archive";
const BESIDE: &str = "beside";
/// Further topics that the hub writes.
const ANSWERS: [&str; 2] = ["waybill.outcomes.tax", "waybill.dead.tax"];
const PARTITIONS: i32 = 4;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How long a broker may take.
const PATIENCE: Duration = Duration::from_mins(1);

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
    // As `waybill kafka topics --apply` makes them.
    let topic = |name| {
        let new = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)).set("max.message.bytes", "1048588");
        match name {
            IN => new.set("message.timestamp.type", "LogAppendTime").set("compression.type", "uncompressed"),
            _ => new,
        }
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
        Some(Written { key: record.into(), headers, value: self.records.payload(person) })
    }
}

/// Has the bare producer produce as fast as librdkafka takes it, until all is reported. Blocks.
pub(super) fn produce(
    (bootstrap, folder): (&str, &Path),
    topic: &str,
    messages: impl Iterator<Item = Written>,
    records: u64,
) -> anyhow::Result<Outcome> {
    let file = folder.join("messages");
    let bytes = write(&file, messages.take(usize::try_from(records)?))?;
    let config = connection(bootstrap).producer("bench", MESSAGE_BYTES_MAX);
    let settings = config.config_map().into_iter().map(|(name, value)| format!("{name}={value}"));
    let done = Command::new(env!("BARE_PRODUCER"))
        .arg(&file)
        .args([topic, &records.to_string()])
        .args(settings)
        .stderr(Stdio::inherit())
        .output()
        .context("starting the bare producer")?;
    fs::remove_file(file)?;
    anyhow::ensure!(done.status.success(), "the bare producer has ended with {}", done.status);
    let told = String::from_utf8(done.stdout)?;
    let (records, seconds) = told.trim().split_once(' ').context("the bare producer says nothing")?;
    let (records, seconds) = (records.parse()?, seconds.parse()?);
    Ok(Outcome { records, total: records, seconds, answer_bytes: u32::try_from(bytes)?, ..Outcome::default() })
}

/// Writes messages as the bare producer reads them; says how long the last one's value is.
fn write(file: &Path, messages: impl Iterator<Item = Written>) -> anyhow::Result<usize> {
    let (mut out, mut bytes) = (BufWriter::new(File::create(file)?), 0);
    for Written { key, headers, value } in messages {
        bytes = value.len();
        write_bytes(&mut out, &key)?;
        write_bytes(&mut out, &value)?;
        write_number(&mut out, headers.count())?;
        for header in headers.iter() {
            write_bytes(&mut out, header.key.as_bytes())?;
            write_bytes(&mut out, header.value.unwrap_or_default())?;
        }
    }
    out.flush()?;
    Ok(bytes)
}

fn write_number(out: &mut impl Write, number: usize) -> anyhow::Result<()> {
    Ok(out.write_all(&u32::try_from(number)?.to_ne_bytes())?)
}

fn write_bytes(out: &mut impl Write, bytes: &[u8]) -> anyhow::Result<()> {
    write_number(out, bytes.len())?;
    Ok(out.write_all(bytes)?)
}

/// Produces copies of the first delivery with all its headers, each for another person. Blocks.
pub(super) fn produce_copies((bootstrap, folder): (&str, &Path), records: u64) -> anyhow::Result<Outcome> {
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
        // Another person's each, so that they spread over the partitions as deliveries do.
        key: format!("{nth:0key_bytes$}").into(),
        headers: headers.clone(),
        value: value.clone(),
    });
    produce((bootstrap, folder), BESIDE, copies, records)
}
