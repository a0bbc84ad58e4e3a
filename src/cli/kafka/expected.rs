//! Which topics a catalogue asks for, and what each must be. Whether it is, is asked in `brokers.rs`.

use std::time::Duration;

use crate::{
    catalogue::{Catalogue, CompiledAgreement},
    config::Topics,
    domain::{
        agency::AgencyId,
        agreement::{Direction, Retention},
    },
    kafka::{AROUND_RECORD_BYTES_MAX, BATCH_BYTES_MAX, Topic, TopicKind},
};

/// How long a topic is kept whose agency has no agreement yet.
const WITHOUT_AGREEMENT: Duration = Duration::from_hours(2);
/// The brokers keep batches as they are without compression.
pub(super) const UNCOMPRESSED: &str = "uncompressed";
/// Segments of a topic: what has expired is only deleted by whole segments.
const SEGMENT_MAX: Duration = Duration::from_hours(1);

/// A topic as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// What it carries, and whose it is.
    pub topic: Topic,
    /// Its name.
    pub name: String,
    pub partitions: u16,
    pub replication: u16,
    pub min_insync: u16,
    /// The longest that anything may lie in it.
    pub kept_at_most: Duration,
    /// What a batch of messages may have, and so a message.
    pub batch_bytes: usize,
}

impl Expected {
    /// The settings that it is created with.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let segment = (self.kept_at_most / 2).min(SEGMENT_MAX);
        let mut settings = vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", self.kept_at_most.saturating_sub(segment).as_millis().to_string()),
            ("segment.ms", segment.as_millis().to_string()),
            ("min.insync.replicas", self.min_insync.to_string()),
            ("max.message.bytes", self.batch_bytes.to_string()),
        ];
        if self.topic.kind.is_inbound() {
            // The window of idempotency is the brokers' time, not the writer's.
            settings.push(("message.timestamp.type", "LogAppendTime".to_owned()));
            // The brokers expand what comes compressed, in whichever way, and bound what it then has.
            settings.push(("compression.type", UNCOMPRESSED.to_owned()));
        }
        settings
    }
}

/// The topics that `catalogue` asks for.
pub(super) fn expected(catalogue: &Catalogue, topics: &Topics, record_bytes_max: usize) -> Vec<Expected> {
    let mut all = Vec::new();
    for agency in catalogue.agencies() {
        let Some(kafka) = &agency.kafka else { continue };
        let mut kinds = Vec::new();
        let answers = kafka.receives.is_some()
            && received(catalogue, &agency.id).any(|compiled| compiled.agreement.answer_required);
        if kafka.submits.is_some() {
            kinds.extend([TopicKind::In, TopicKind::Outcomes]);
        }
        if kafka.submits.is_some() || answers {
            kinds.push(TopicKind::Dead);
        }
        if kafka.receives.is_some() {
            kinds.push(TopicKind::Out);
        }
        if answers {
            kinds.push(TopicKind::Acks);
        }
        for kind in kinds {
            let topic = Topic::new(kind, agency.id.clone());
            all.push(Expected {
                name: topic.to_string(),
                partitions: topics.partitions,
                replication: topics.replication,
                min_insync: topics.min_insync,
                kept_at_most: term(catalogue, &topic),
                batch_bytes: (record_bytes_max + AROUND_RECORD_BYTES_MAX).max(BATCH_BYTES_MAX),
                topic,
            });
        }
    }
    all
}

/// The agreements whose records come to an agency.
pub(super) fn received<'c>(
    catalogue: &'c Catalogue,
    agency: &'c AgencyId,
) -> impl Iterator<Item = &'c CompiledAgreement> {
    catalogue
        .agreements()
        .map(|compiled| &**compiled)
        .filter(move |known| known.agreement.direction == Direction::Push && known.agreement.recipient == *agency)
}

/// The agreements under which an agency submits.
pub(super) fn submitted<'c>(
    catalogue: &'c Catalogue,
    agency: &'c AgencyId,
) -> impl Iterator<Item = &'c CompiledAgreement> {
    catalogue
        .agreements()
        .map(|compiled| &**compiled)
        .filter(move |known| known.agreement.direction == Direction::Push && known.agreement.source == *agency)
}

/// The shortest term of a payload among the agreements that a topic serves.
fn term(catalogue: &Catalogue, topic: &Topic) -> Duration {
    let term = |known: &CompiledAgreement| known.agreement.retention.payload.unwrap_or(Retention::NONE_MEANS);
    let shortest = match topic.kind {
        TopicKind::In | TopicKind::Outcomes => submitted(catalogue, &topic.agency).map(term).min(),
        TopicKind::Dead => {
            submitted(catalogue, &topic.agency).chain(received(catalogue, &topic.agency)).map(term).min()
        }
        TopicKind::Out | TopicKind::Acks => received(catalogue, &topic.agency).map(term).min(),
    };
    shortest.unwrap_or(WITHOUT_AGREEMENT)
}
