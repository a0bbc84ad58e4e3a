//! The moments of a message at which a hub can be cut off, for the tests that kill it exactly there. In production nothing
//! is hooked. The moments of a commit are the store's (`store/embedded/hook.rs`).

use rdkafka::message::DeliveryResult;

/// What happens around each step of a message from and to the brokers. Whoever does not return holds the step up.
pub trait KafkaHook: Send + Sync + 'static {
    /// The brokers have said who is in the group, and this member is about to join it.
    fn before_join(&self) {}

    /// A message of `topic` was read, and nothing has been done with it.
    fn consumed(&self, _topic: &str) {}

    /// A message is about to be handed to the library, for `topic`.
    fn before_produce(&self, _topic: &str) {}

    /// The library has it; whether the brokers get it is open.
    fn after_produce(&self, _topic: &str) {}

    /// The brokers have said what became of a message, and nobody has been told. Called in the library's thread.
    fn before_report(&self, _reported: &DeliveryResult<'_>) {}

    /// What became of records of `topic` is told, and the group's offset has not moved past them.
    fn before_offset(&self, _topic: &str) {}
}

/// Nothing is hooked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKafkaHook;

impl KafkaHook for NoKafkaHook {}
