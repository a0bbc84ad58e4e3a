//! How benefit submits: an event on its inbound topic, and what became of it from its topic of outcomes.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    message::{Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;

use super::{ANSWER_MAX, client};
use crate::cli::demo::{
    population::{Record, SCHEMA_VERSION},
    systems::{PATIENCE, new_key},
};

const IN: &str = "waybill.in.benefit";
const OUTCOMES: &str = "waybill.outcomes.benefit";
/// Who reads outcomes; the demo's alone, since it is deleted at the end.
pub const GROUP: &str = "waybill-demo.benefit.outcomes";

/// Submits a new record, and returns what became of it.
pub async fn submit(bootstrap: &str, record: &Record, reason: &str) -> anyhow::Result<Value> {
    let id = new_key();
    let attributes = [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_type", "waybill.submission.v1"),
        ("ce_source", "urn:benefit:claims"),
        ("ce_id", &id),
        ("ce_subject", &record.id),
        ("ce_dataschema", &format!("{}/{SCHEMA_VERSION}", record.record_type)),
        ("ce_change", "new"),
        ("ce_revision", &record.revision.to_string()),
        ("ce_actor", "clerk 31"),
        ("ce_casereference", "claim 2026-117"),
        ("ce_reason", reason),
    ];
    let headers = attributes
        .iter()
        .fold(OwnedHeaders::new(), |headers, (name, value)| headers.insert(Header { key: name, value: Some(*value) }));
    let body = record.body.to_string();
    let producer: FutureProducer = client(bootstrap).set("acks", "all").set("enable.idempotence", "true").create()?;
    let event = FutureRecord::to(IN).key(&record.id).payload(&body).headers(headers);
    producer.send(event, ANSWER_MAX).await.map_err(|(error, _)| error).context(IN)?;
    let outcome = tokio::time::timeout(PATIENCE, outcome_of(bootstrap, &id)).await;
    outcome.with_context(|| format!("no outcome came within {PATIENCE:?}"))?
}

/// Reads outcomes from the topic's beginning until that of event `id`.
async fn outcome_of(bootstrap: &str, id: &str) -> anyhow::Result<Value> {
    let mut config = client(bootstrap);
    config.set("group.id", GROUP).set("enable.auto.commit", "false").set("fetch.wait.max.ms", "50");
    let consumer: StreamConsumer = config.create()?;
    let all = {
        let metadata = consumer.fetch_metadata(Some(OUTCOMES), Duration::from_secs(5))?;
        let topic = metadata.topics().first().context("the brokers say nothing of the outcomes")?;
        let mut all = TopicPartitionList::new();
        for partition in topic.partitions() {
            all.add_partition_offset(OUTCOMES, partition.id(), Offset::Beginning)?;
        }
        all
    };
    consumer.assign(&all)?;
    loop {
        let message = consumer.recv().await?;
        let ours = message.headers().into_iter().flat_map(|headers| headers.iter());
        if ours.into_iter().any(|header| header.key == "ce_eventid" && header.value == Some(id.as_bytes())) {
            return Ok(serde_json::from_slice(message.payload().unwrap_or_default())?);
        }
    }
}
