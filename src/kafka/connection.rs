//! The connection to the brokers: addresses and certificates. Not what the library logs: `told.rs`.

use std::sync::Arc;

use rdkafka::config::ClientConfig;

use super::hook::{KafkaHook, NoKafkaHook};
use crate::config::Kafka;

/// What a batch of messages may have, in bytes, wherever one message is not larger: what brokers take by themselves, and
/// no client's library exceeds unless it is told to.
pub const BATCH_BYTES_MAX: usize = 1_048_588;
/// What an event may have beside its record, either way, in bytes.
pub const AROUND_RECORD_BYTES_MAX: usize = 65_536;
/// What the hub puts into one batch.
const BATCH_BYTES: usize = 1_000_000;
/// What the hub fetches of a partition at once, and of all together from one broker; a batch comes even if it is larger.
const FETCHED_OF_PARTITION_BYTES: usize = 1_048_576;
const FETCHED_BYTES_MAX: usize = 16_777_216;
/// What a client holds of a partition that was fetched and not taken, in KiB.
const FETCHED_AHEAD_KIB: usize = 4096;

/// How to reach the brokers. Clients are made from it.
#[derive(Clone)]
pub struct Connection {
    base: ClientConfig,
    hook: Arc<dyn KafkaHook>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("bootstrap", &self.base.get("bootstrap.servers")).finish_non_exhaustive()
    }
}

impl Connection {
    /// The connection that the configuration names. Nothing is opened yet.
    pub fn new(kafka: &Kafka) -> Self {
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", &kafka.bootstrap);
        if kafka.plaintext {
            base.set("security.protocol", "plaintext");
        } else {
            base.set("security.protocol", "ssl");
            let files = [
                ("ssl.certificate.location", &kafka.certificate),
                ("ssl.key.location", &kafka.key),
                ("ssl.ca.location", &kafka.ca),
            ];
            for (name, file) in files {
                if let Some(file) = file {
                    base.set(name, file.display().to_string());
                }
            }
        }
        // A broker that comes back is found again within this, not within ten seconds.
        base.set("reconnect.backoff.max.ms", "2000");
        base.set("socket.keepalive.enable", "true");
        Self { base, hook: Arc::new(NoKafkaHook) }
    }

    /// A connection without encryption, for tests; its clients have these settings, too.
    #[cfg(test)]
    pub(crate) fn plaintext(bootstrap: &str, settings: &[(&str, &str)]) -> Self {
        let mut base = ClientConfig::new();
        base.set("bootstrap.servers", bootstrap);
        for (name, value) in settings {
            base.set(*name, *value);
        }
        Self { base, hook: Arc::new(NoKafkaHook) }
    }

    /// The same with the steps of its clients hooked.
    pub fn hooked(self, hook: Arc<dyn KafkaHook>) -> Self {
        Self { hook, ..self }
    }

    /// What the steps of its clients call.
    pub fn hook(&self) -> &Arc<dyn KafkaHook> {
        &self.hook
    }

    /// Settings of a client that calls itself `id`.
    pub fn client(&self, id: &str) -> ClientConfig {
        let mut config = self.base.clone();
        config.set("client.id", id);
        config
    }

    /// Settings of a consumer that calls itself `id`: what it holds in memory is bounded.
    pub fn consumer(&self, id: &str) -> ClientConfig {
        let mut config = self.client(id);
        config
            .set("fetch.wait.max.ms", "50")
            .set("fetch.message.max.bytes", FETCHED_OF_PARTITION_BYTES.to_string())
            .set("fetch.max.bytes", FETCHED_BYTES_MAX.to_string())
            .set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB.to_string());
        config
    }

    /// Settings of a producer that neither loses nor reorders nor doubles, and never gives up by itself.
    pub fn producer(&self, id: &str, message_bytes_max: usize) -> ClientConfig {
        let mut config = self.client(id);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "5")
            .set("message.timeout.ms", "0")
            .set("linger.ms", "20")
            .set("batch.num.messages", "10000")
            .set("batch.size", BATCH_BYTES.to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set("message.max.bytes", message_bytes_max.to_string());
        config
    }
}
