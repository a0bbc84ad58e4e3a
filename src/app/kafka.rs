//! Both ends on Kafka, put together from the configuration and the catalogue.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Context as _;

use super::core::Core;
use crate::{
    catalogue::Catalogue,
    config::{Config, Limits},
    domain::{agreement::Direction, environment::Environment},
    drivers::kafka::{KafkaOut, KafkaOutLimits, KafkaOutParts, Recipient},
    ingress::kafka::{KafkaIngress, KafkaParts},
    kafka::{Conflict, Conflicts, Connection, KafkaHook},
    relay::Registry,
    tls,
};

/// The way in and the way out, if the configuration names a Kafka.
#[derive(Debug)]
pub(super) struct KafkaEnds {
    ends: Option<(KafkaIngress, KafkaOut)>,
    conflicts: Arc<Conflicts>,
}

impl KafkaEnds {
    /// Starts both; neither, if it fails.
    pub(super) fn start(
        config: &Config,
        ledger: &str,
        core: &Core,
        relay: &Arc<Registry>,
        hook: Arc<dyn KafkaHook>,
    ) -> anyhow::Result<Self> {
        let conflicts = Arc::<Conflicts>::default();
        let Some(kafka) = &config.kafka else { return Ok(Self { ends: None, conflicts }) };
        if config.environment == Environment::Production {
            let files = kafka.certificate.iter().chain(&kafka.ca);
            tls::refuse_development_files(files).context("[kafka] of the configuration")?;
        }
        let (limits, hub) = (&config.limits, config.hub.to_string());
        let connection = Connection::new(kafka).hooked(hook);
        let way_in = KafkaIngress::start(KafkaParts {
            desk: Arc::clone(&core.desk),
            connection: connection.clone(),
            hub: hub.clone(),
            ledger: ledger.to_owned(),
            conflicts: Arc::clone(&conflicts),
            members: kafka.members,
            window_max: limits.kafka_window_max,
            untold_bytes_max: limits.kafka_window_bytes_max,
            record_bytes_max: limits.record_bytes_max,
        });
        let way_in = way_in.context("Kafka's members cannot be started")?;
        let desk = Arc::clone(&core.desk);
        let way_out = KafkaOut::start(KafkaOutParts {
            relay: Arc::clone(relay),
            connection,
            hub,
            ledger: ledger.to_owned(),
            conflicts: Arc::clone(&conflicts),
            recipients: Box::new(move || recipients(&desk.catalogue())),
            limits: kafka_out_limits(limits),
        });
        Ok(Self { ends: Some((way_in, way_out)), conflicts })
    }

    /// Waits until the hub must not go on because of what it found in Kafka.
    pub(super) async fn conflict(&self) -> Conflict {
        self.conflicts.any().await
    }

    /// Ends both: first what comes in, then what goes out.
    pub(super) async fn stop(self, within: Duration) {
        if let Some((way_in, way_out)) = self.ends {
            way_in.stop(within).await;
            way_out.stop(within).await;
        }
    }
}

/// The bounds of the way out, from the table of limits.
pub fn kafka_out_limits(limits: &Limits) -> KafkaOutLimits {
    KafkaOutLimits {
        in_flight_max: limits.kafka_in_flight_max,
        answer_within: limits.kafka_answer_s_max,
        record_bytes_max: limits.record_bytes_max,
    }
}

/// Who receives on Kafka.
fn recipients(catalogue: &Catalogue) -> Vec<Recipient> {
    let answering: HashSet<_> = catalogue
        .agreements()
        .map(|compiled| &compiled.agreement)
        .filter(|agreed| agreed.direction == Direction::Push && agreed.answer_required)
        .map(|agreed| &agreed.recipient)
        .collect();
    let on_kafka = catalogue.agencies().filter_map(|agency| {
        let system = agency.kafka.as_ref()?.receives.clone()?;
        Some(Recipient { agency: agency.id.clone(), system, answers: answering.contains(&agency.id) })
    });
    on_kafka.collect()
}
