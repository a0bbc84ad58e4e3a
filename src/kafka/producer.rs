//! A producer whose messages are counted only by their delivery reports. What is produced, and what a report means, is its
//! user's matter.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use rdkafka::{
    ClientContext, Statistics,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Headers as _, Message as _, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

use super::{client::Client, connection::Connection, hook::KafkaHook, told::Told};

/// How long to wait while the library's queue is full.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// A message as the library takes it.
type Record<'a, T> = BaseRecord<'a, str, [u8], Box<T>>;

/// A message of no more than this part of what one may have cannot be too large for a topic that is as it must be.
const SMALL_PART: usize = 2;

/// What a message stands for: told what became of it, once, from the library's thread.
pub trait Report: Send + Sync + 'static {
    /// It was written by all brokers that must have it; or it was not.
    fn reported(self, written: Result<(), SendFault>);
}

/// Why a message was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFault {
    /// It alone cannot be written: it is too large.
    Message,
    /// No message can be written now, or order can no longer be kept: the producer is to be made anew.
    Producer(RDKafkaErrorCode),
}

impl SendFault {
    fn of(error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord) => Self::Message,
            Some(code) => Self::Producer(code),
            None => Self::Producer(RDKafkaErrorCode::Fail),
        }
    }

    /// What the brokers said of a message. Which one of a batch is too large they don't say, and say it of each; a small one
    /// is not, and can be written when the topic takes what it must.
    fn reported(error: &KafkaError, bytes: usize, bytes_max: usize) -> Self {
        let code = RDKafkaErrorCode::MessageSizeTooLarge;
        let is_small = bytes <= bytes_max / SMALL_PART;
        if is_small && error.rdkafka_error_code() == Some(code) { Self::Producer(code) } else { Self::of(error) }
    }
}

/// What a message has, without what the format adds.
fn size(message: &BorrowedMessage<'_>) -> usize {
    let headers = message.headers().map_or(0, |headers| {
        headers.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len)).sum::<usize>()
    });
    message.payload_len() + message.key_len() + headers
}

/// The producer was lost: it is to be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the producer was lost ({0})")]
pub struct Lost(pub RDKafkaErrorCode);

/// Whether the library took a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It has it.
    Taken,
    /// Its queue is full: it is as if the message had not been offered.
    Full,
}

/// A producer of messages that stand for a `T`.
pub struct Producer<T: Report> {
    library: Client<ThreadedProducer<Context<T>>>,
    hook: Arc<dyn KafkaHook>,
}

struct Context<T> {
    told: Told,
    hook: Arc<dyn KafkaHook>,
    message_bytes_max: usize,
    reports: PhantomData<fn(T)>,
}

impl<T: Report> ClientContext for Context<T> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.told.log(level, facility, message);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.told.error(error, reason);
    }
}

impl<T: Report> ProducerContext for Context<T> {
    type DeliveryOpaque = Box<T>;

    fn delivery(&self, result: &DeliveryResult<'_>, token: Box<T>) {
        self.hook.before_report(result);
        let fault = |(error, message): &(_, _)| SendFault::reported(error, size(message), self.message_bytes_max);
        token.reported(result.as_ref().map(|_| ()).map_err(fault));
    }
}

impl<T: Report> Producer<T> {
    /// Makes a producer that calls itself `id`; it connects by itself.
    pub fn new(connection: &Connection, id: &str, message_bytes_max: usize) -> Result<Self, KafkaError> {
        let hook = Arc::clone(connection.hook());
        let config = connection.producer(id, message_bytes_max);
        let context =
            Context { told: Told::of(&config), hook: Arc::clone(&hook), message_bytes_max, reports: PhantomData };
        Ok(Self { library: Client::new(ThreadedProducer::from_config_and_context(&config, context)?), hook })
    }

    /// Hands one message to the library, which copies it. Waits while the library's queue is full. A message that can't be
    /// taken at all is reported as such.
    pub async fn send(
        &self,
        topic: &str,
        key: &str,
        payload: &[u8],
        headers: OwnedHeaders,
        token: T,
    ) -> Result<(), Lost> {
        self.hook.before_produce(topic);
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(token)).key(key).payload(payload).headers(headers);
        while let Some(back) = self.hand(topic, record)? {
            record = back;
            tokio::time::sleep(FULL_PAUSE).await;
        }
        Ok(())
    }

    /// The same for a message that must not wait: the library takes it now, or not at all.
    pub fn offer(
        &self,
        topic: &str,
        key: &str,
        payload: &[u8],
        headers: OwnedHeaders,
        token: T,
    ) -> Result<Offered, Lost> {
        self.hook.before_produce(topic);
        let record = BaseRecord::with_opaque_to(topic, Box::new(token)).key(key).payload(payload).headers(headers);
        Ok(self.hand(topic, record)?.map_or(Offered::Taken, |_| Offered::Full))
    }

    /// Hands a message to the library; it comes back when the queue is full.
    fn hand<'a>(&self, topic: &str, record: Record<'a, T>) -> Result<Option<Record<'a, T>>, Lost> {
        let Err((error, back)) = self.library.send(record) else {
            self.hook.after_produce(topic);
            return Ok(None);
        };
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::QueueFull) {
            return Ok(Some(back));
        }
        let fault = SendFault::of(&error);
        back.delivery_opaque.reported(Err(fault));
        match fault {
            SendFault::Producer(_) => Err(Lost(code.unwrap_or(RDKafkaErrorCode::Fail))),
            SendFault::Message => Ok(None),
        }
    }

    /// Whether it can no longer keep its promises: it is to be made anew.
    pub fn is_lost(&self) -> bool {
        self.library.client().fatal_error().is_some()
    }

    /// Waits until everything that was sent is reported, at most for `within`, and ends. A lost one says at once what it
    /// lost.
    pub async fn end(self, within: Duration) {
        let is_lost = self.is_lost();
        let flush = move |library: &ThreadedProducer<_>| {
            if !is_lost {
                // What is not reported by then is sent again by whoever comes next.
                let _ = library.flush(within);
            }
        };
        self.library.end(flush).await;
    }
}

impl<T: Report> std::fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.library.in_flight_count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_brokers_say_of_a_batch_is_not_said_of_a_small_message_in_it() {
        let code = RDKafkaErrorCode::MessageSizeTooLarge;
        let said = |bytes| SendFault::reported(&KafkaError::MessageProduction(code), bytes, 1000);
        assert_eq!([said(500), said(501)], [SendFault::Producer(code), SendFault::Message]);
        let denied = RDKafkaErrorCode::TopicAuthorizationFailed;
        let said = SendFault::reported(&KafkaError::MessageProduction(denied), 501, 1000);
        assert_eq!(said, SendFault::Producer(denied));
        assert_eq!(SendFault::of(&KafkaError::MessageProduction(code)), SendFault::Message, "before it is sent");
    }
}
