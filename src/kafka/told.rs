//! What the library tells of itself, in the hub's log: each kind of it at once, and not again before a while has passed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Statistics,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::ConsumerContext,
    error::KafkaError,
};

/// For so long one kind of message of one client is not told again.
const QUIET: Duration = Duration::from_secs(30);
/// So many kinds are remembered before those that may be told again are forgotten.
const KINDS_KEPT: usize = 1024;

/// What was told lately. Of the whole process, since clients that find no brokers are made anew again and again.
static LATELY: Mutex<Lately> = Mutex::new(Lately(BTreeMap::new()));

/// What the library tells of a client goes into the hub's log: it names brokers and topics, never what is in a message.
#[derive(Debug, Clone)]
pub struct Told {
    client: String,
}

impl Told {
    /// Of the client with these settings. Clients that call themselves alike count as one.
    pub fn of(config: &ClientConfig) -> Self {
        Self { client: config.get("client.id").unwrap_or_default().to_owned() }
    }

    fn warn(&self, kind: &str, message: &str) {
        let left_out = LATELY.lock().tell(&self.client, kind, Instant::now());
        let client = &self.client;
        match left_out {
            None => {}
            Some(0) => tracing::warn!(client, kind, "{message}"),
            Some(left_out) => tracing::warn!(client, kind, left_out, "{message}"),
        }
    }
}

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                self.warn(facility, message);
            }
            _ => tracing::debug!(facility, "{message}"),
        }
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.warn(&error.to_string(), reason);
    }
}

impl ConsumerContext for Told {}

/// By client and kind of message: when it was told, and how often it was left out since.
#[derive(Debug)]
struct Lately(BTreeMap<(String, String), (Instant, u64)>);

impl Lately {
    /// How many of this kind were left out since the last that was told; nothing, if this one is to be left out, too.
    fn tell(&mut self, client: &str, kind: &str, now: Instant) -> Option<u64> {
        let is_quiet = |told: &Instant| now.saturating_duration_since(*told) < QUIET;
        let key = (client.to_owned(), kind.to_owned());
        if let Some((told, left_out)) = self.0.get_mut(&key)
            && is_quiet(told)
        {
            *left_out += 1;
            return None;
        }
        if self.0.len() >= KINDS_KEPT {
            self.0.retain(|one, (told, _)| *one == key || is_quiet(told));
        }
        self.0.insert(key, (now, 0)).map_or(Some(0), |(_, left_out)| Some(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_at_once_and_then_every_while_with_how_many_were_left_out() {
        let (mut lately, begun) = (Lately(BTreeMap::new()), Instant::now());
        let mut told = Vec::new();
        for second in 0..=61 {
            for _ in 0..10 {
                let left_out = lately.tell("probe", "AllBrokersDown", begun + Duration::from_secs(second));
                told.extend(left_out.map(|left_out| (second, left_out)));
            }
        }
        assert_eq!(told, [(0, 0), (30, 299), (60, 299)]);
    }

    #[test]
    fn another_kind_and_another_client_are_told_all_the_same() {
        let (mut lately, now) = (Lately(BTreeMap::new()), Instant::now());
        for (client, kind) in [("probe", "AllBrokersDown"), ("probe", "FAIL"), ("acks", "FAIL")] {
            assert_eq!(lately.tell(client, kind, now), Some(0));
            assert_eq!(lately.tell(client, kind, now), None);
        }
    }

    #[test]
    fn what_is_remembered_does_not_grow_for_ever() {
        let (mut lately, now) = (Lately(BTreeMap::new()), Instant::now());
        for kind in 0..KINDS_KEPT {
            lately.tell("probe", &kind.to_string(), now);
        }
        lately.tell("probe", "0", now);
        assert_eq!(lately.tell("probe", "0", now + QUIET), Some(1), "what was left out is told before it is forgotten");
        assert_eq!(lately.0.len(), 1);
    }

    #[test]
    fn a_client_is_known_by_the_name_that_it_has_with_the_brokers() {
        let mut config = ClientConfig::new();
        config.set("client.id", "waybill-probe");
        assert_eq!(Told::of(&config).client, "waybill-probe");
    }
}
