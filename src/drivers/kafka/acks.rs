//! How a recipient answers: `{"transferId": …, "outcome": "acknowledged"}` (or `rejected`, or `failed`) on its acks topic,
//! alone or as the data of a CloudEvent in either mode. Which deliveries wait for it is not asked here.

use rdkafka::{
    ClientConfig, Message as _,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::super::{Outcome, Report, Reporter};
use crate::{
    domain::{agency::AgencyId, transfer::TransferId},
    kafka::{Told, Topic, TopicKind},
};

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Event { data: Answer },
    Bare(Answer),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    transfer_id: uuid::Uuid,
    outcome: Word,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Acknowledged,
    Rejected,
    Failed,
}

/// Collects answers until told to end. An answer is noted in the group only after the relay has it; one that is lost with
/// the hub is given again when the delivery comes again.
pub(super) async fn collect(
    mut config: ClientConfig,
    group: String,
    agency: AgencyId,
    reporter: Reporter,
    stop: CancellationToken,
) {
    let topic = Topic::new(TopicKind::Acks, agency).to_string();
    config
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50");
    let consumer: StreamConsumer<Told> = match config.create_with_context(Told) {
        Ok(consumer) => consumer,
        Err(error) => return tracing::error!(%error, topic, "answers cannot be read"),
    };
    if let Err(error) = consumer.subscribe(&[&topic]) {
        return tracing::error!(%error, topic, "answers cannot be read");
    }
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return,
            message = consumer.recv() => message,
        };
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, topic, "reading answers");
                continue;
            }
        };
        match read(message.payload().unwrap_or_default()) {
            Some(report) => reporter.report(vec![report]).await,
            None => {
                metrics::counter!("waybill_kafka_answers_unreadable_total", "topic" => topic.clone()).increment(1);
                tracing::warn!(topic, partition = message.partition(), offset = message.offset(), "no answer");
            }
        }
        if let Err(error) = consumer.commit_message(&message, CommitMode::Async) {
            tracing::warn!(%error, topic, "an answer's offset was not noted");
        }
    }
}

fn read(value: &[u8]) -> Option<Report> {
    if value.len() > ANSWER_BYTES_MAX {
        return None;
    }
    let (Written::Event { data } | Written::Bare(data)) = serde_json::from_slice(value).ok()?;
    let outcome = match data.outcome {
        Word::Acknowledged => Outcome::Acknowledged,
        Word::Rejected => Outcome::Rejected,
        Word::Failed => Outcome::Failed,
    };
    Some(Report { transfer: TransferId(data.transfer_id), outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01990000-0000-7000-8000-000000000001";

    #[test]
    fn an_answer_is_read_alone_and_as_an_events_data() {
        let bare = format!(r#"{{"transferId":"{ID}","outcome":"rejected"}}"#);
        let wanted = Some(Report { transfer: ID.parse().unwrap(), outcome: Outcome::Rejected });
        assert_eq!(read(bare.as_bytes()), wanted);
        assert_eq!(read(format!(r#"{{"specversion":"1.0","data":{bare}}}"#).as_bytes()), wanted);
        for bad in
            ["", "{}", "[]", "null", r#"{"transferId":"1","outcome":"rejected"}"#, &bare.replace("rejected", "lost")]
        {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_longest_answer_is_read_and_one_byte_more_is_not() {
        let answer = format!(r#"{{"transferId":"{ID}","outcome":"failed"}}"#);
        let padded = |length: usize| format!("{answer}{}", " ".repeat(length - answer.len()));
        assert!(read(padded(ANSWER_BYTES_MAX).as_bytes()).is_some());
        assert_eq!(read(padded(ANSWER_BYTES_MAX + 1).as_bytes()), None);
    }
}
