//! How a recipient answers: `{"transferId": …, "outcome": "acknowledged"}` (or `rejected`, or `failed`) on its acks topic,
//! alone or as the data of a CloudEvent in either mode. What nobody can read goes to the agency's dead topic. Which
//! deliveries wait for an answer is not asked here.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    Message as _,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Outcome, Report, Reporter},
    dead::DeadLetters,
};
use crate::{
    domain::{agency::AgencyId, time::Moment},
    kafka::{
        Client, Conflicts, Connection, Coordinates, DeadLetter, Group, Reason, Told, Topic, TopicKind, group,
        hub_source,
    },
};

/// When it is asked again who reads answers, until the brokers have said it.
const ASK_AGAIN: Duration = Duration::from_secs(5);

type Consumer = Client<StreamConsumer<Told>>;

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;

/// What the answers of one agency are collected with.
pub(super) struct Collecting {
    pub connection: Connection,
    /// The hub's name.
    pub hub: String,
    /// Its ledger's id.
    pub ledger: String,
    pub conflicts: Arc<Conflicts>,
    pub agency: AgencyId,
    pub reporter: Reporter,
    pub stop: CancellationToken,
}

impl Collecting {
    /// Collects answers until told to end. An answer is noted in the group only after the relay has it, and one that nobody
    /// can read after its dead letter is written; one that is lost with the hub is given again when the delivery comes
    /// again.
    pub(super) async fn run(self) {
        let topic = Topic::new(TopicKind::Acks, self.agency.clone()).to_string();
        let consumer = match self.join(&topic).await {
            Ok(Some(consumer)) => consumer,
            Ok(None) => return,
            Err(error) => return tracing::error!(%error, topic, "answers cannot be read"),
        };
        let mut dead = DeadLetters::new(self.connection.clone(), hub_source(&self.hub), self.agency.clone());
        tokio::select! {
            () = self.collect(&topic, &consumer, &mut dead) => {}
            () = self.displaced(&consumer) => {}
        }
        // It leaves the group then. Who may still ask in its name lets it go otherwise.
        if let Some(consumer) = Arc::into_inner(consumer) {
            consumer.end(|_| ()).await;
        }
    }

    /// Waits until it is known that a hub with another ledger reads the answers, too.
    async fn displaced(&self, consumer: &Arc<Consumer>) {
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            let has_joined = consumer.assignment().is_ok_and(|partitions| partitions.count() > 0);
            match if has_joined { self.is_ours(consumer).await } else { None } {
                Some(true) => std::future::pending().await,
                Some(false) => return,
                None => {}
            }
        }
    }

    /// Whether no hub with another ledger reads the answers; `None` where the brokers do not say.
    async fn is_ours(&self, consumer: &Arc<Consumer>) -> Option<bool> {
        let (group, conflicts, consumer) = (self.group(), Arc::clone(&self.conflicts), Arc::clone(consumer));
        tokio::task::spawn_blocking(move || group.is_ours(consumer.client(), &conflicts)).await.ok()?
    }

    fn group(&self) -> Group {
        let name = format!("{}.acks.{}", group(&self.hub), self.agency);
        Group { name, kind: TopicKind::Acks, ledger: self.ledger.clone() }
    }

    async fn collect(&self, topic: &str, consumer: &Consumer, dead: &mut DeadLetters) {
        loop {
            let message = tokio::select! {
                () = self.stop.cancelled() => return,
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
                Ok(report) => self.reporter.report(vec![report]).await,
                Err(reason) => {
                    metrics::counter!("waybill_kafka_answers_unreadable_total", "topic" => topic.to_owned())
                        .increment(1);
                    if !dead.write(&letter(topic, &message, reason), &self.stop).await {
                        return;
                    }
                }
            }
            if let Err(error) = consumer.commit_message(&message, CommitMode::Async) {
                tracing::warn!(%error, topic, "an answer's offset was not noted");
            }
        }
    }

    /// Joins the group; not where a hub with another ledger reads in it.
    async fn join(&self, topic: &str) -> Result<Option<Arc<Consumer>>, KafkaError> {
        let group = self.group();
        let mut config = self.connection.consumer(&group.client_id(0));
        config.set("group.id", group.name).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
        let consumer = Arc::new(Consumer::new(config.create_with_context(Told::of(&config))?));
        let joined = match self.is_ours(&consumer).await {
            Some(false) => Ok(false),
            Some(true) | None => consumer.subscribe(&[topic]).map(|()| true),
        };
        joined.map(|joined| joined.then_some(consumer))
    }
}

/// What is said of an answer that nobody can read.
fn letter<'a>(topic: &'a str, message: &BorrowedMessage<'_>, reason: Reason) -> DeadLetter<'a> {
    let time = message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default();
    // The library gives out no negative offset with a message.
    let offset = u64::try_from(message.offset()).unwrap_or_default();
    let at = Coordinates { topic, partition: message.partition(), offset };
    DeadLetter { at, time: Moment(time), reason, index: None, event: None }
}

fn read(value: &[u8]) -> Result<Report, Reason> {
    let not = |pointer: &'static str, keyword: &'static str| Reason { pointer, keyword };
    if value.len() > ANSWER_BYTES_MAX {
        return Err(not("", "maxLength"));
    }
    let said: Value = serde_json::from_slice(value).map_err(|_| not("", "format"))?;
    // An event has it as its data; a bare answer may have something else that is called so.
    let bare = said.get("transferId").is_some();
    let answer = said.get("data").filter(|data| data.is_object() && !bare).unwrap_or(&said);
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let transfer = text("transferId").ok_or(not("/transferId", "required"))?;
    let transfer = transfer.parse().map_err(|_| not("/transferId", "format"))?;
    let outcome = match text("outcome") {
        Some("acknowledged") => Outcome::Acknowledged,
        Some("rejected") => Outcome::Rejected,
        Some("failed") => Outcome::Failed,
        Some(_) => return Err(not("/outcome", "enum")),
        None => return Err(not("/outcome", "required")),
    };
    Ok(Report { transfer, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01990000-0000-7000-8000-000000000001";

    #[test]
    fn an_answer_is_read_alone_and_as_an_events_data() {
        let bare = format!(r#"{{"transferId":"{ID}","outcome":"rejected"}}"#);
        let wanted = Ok(Report { transfer: ID.parse().unwrap(), outcome: Outcome::Rejected });
        assert_eq!(read(bare.as_bytes()), wanted);
        assert_eq!(read(format!(r#"{{"specversion":"1.0","data":{bare}}}"#).as_bytes()), wanted);
        let with_data = bare.replacen('{', r#"{"data":{"ours":1},"#, 1);
        assert_eq!(read(with_data.as_bytes()), wanted);
    }

    #[test]
    fn what_is_no_answer_is_told_by_part_and_keyword() {
        let with = |id: &str, outcome: &str| format!(r#"{{"transferId":"{id}","outcome":"{outcome}"}}"#);
        for (bad, pointer, keyword) in [
            ("", "", "format"),
            ("yes", "", "format"),
            ("{}", "/transferId", "required"),
            ("[]", "/transferId", "required"),
            ("null", "/transferId", "required"),
            (&with("1", "rejected"), "/transferId", "format"),
            (&with(ID, "lost"), "/outcome", "enum"),
            (&format!(r#"{{"transferId":"{ID}"}}"#), "/outcome", "required"),
        ] {
            assert_eq!(read(bad.as_bytes()), Err(Reason { pointer, keyword }), "{bad}");
        }
    }

    #[test]
    fn the_longest_answer_is_read_and_one_byte_more_is_not() {
        let answer = format!(r#"{{"transferId":"{ID}","outcome":"failed"}}"#);
        let padded = |length: usize| format!("{answer}{}", " ".repeat(length - answer.len()));
        assert!(read(padded(ANSWER_BYTES_MAX).as_bytes()).is_ok());
        let beyond = Reason { pointer: "", keyword: "maxLength" };
        assert_eq!(read(padded(ANSWER_BYTES_MAX + 1).as_bytes()), Err(beyond));
    }
}
