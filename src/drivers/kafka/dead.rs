//! Writes what is said of answers that nobody can read, and waits until the brokers have it. Which those are is asked in
//! `acks.rs`.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::agency::AgencyId,
    kafka::{Connection, DeadLetter, Producer, Report, SendFault, Topic, TopicKind},
};

/// How long to wait after it was not written.
const REST: Duration = Duration::from_secs(1);
/// A dead letter has coordinates and a reason.
const MESSAGE_BYTES_MAX: usize = 65_536;

/// One letter on its way.
struct Written(oneshot::Sender<Result<(), SendFault>>);

impl Report for Written {
    fn reported(self, written: Result<(), SendFault>) {
        let _ = self.0.send(written); // nobody may wait any more
    }
}

/// Where an agency's dead letters go.
pub(super) struct DeadLetters {
    connection: Connection,
    source: String,
    topic: String,
    /// Made for the first, and anew after one that was not written.
    producer: Option<Producer<Written>>,
}

impl DeadLetters {
    pub(super) fn new(connection: Connection, source: String, agency: AgencyId) -> Self {
        let topic = Topic::new(TopicKind::Dead, agency).to_string();
        Self { connection, source, topic, producer: None }
    }

    /// Writes one, however long that takes; whether it was written before `stop`.
    pub(super) async fn write(&mut self, letter: &DeadLetter<'_>, stop: &CancellationToken) -> bool {
        loop {
            let written = tokio::select! {
                () = stop.cancelled() => return false,
                written = self.try_write(letter) => written,
            };
            let Err(error) = written else { return true };
            tracing::warn!(error, topic = self.topic, "a dead letter was not written; trying again");
            self.producer = None;
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(REST) => {}
            }
        }
    }

    async fn try_write(&mut self, letter: &DeadLetter<'_>) -> Result<(), String> {
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => {
                let made = Producer::new(&self.connection, "waybill-dead", MESSAGE_BYTES_MAX);
                none.insert(made.map_err(|error| error.to_string())?)
            }
        };
        let message = letter.message(&self.source);
        let (token, written) = oneshot::channel();
        let key = letter.at.partition.to_string();
        let sent = producer.send(&self.topic, &key, &message.value, message.headers, Written(token)).await;
        sent.map_err(|lost| lost.to_string())?;
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(SendFault::Message)) => {
                // It would never get through, and must not hold up the answers behind it.
                let at = letter.at.id();
                tracing::error!(topic = self.topic, at, "a dead letter that the brokers do not take was not written");
                Ok(())
            }
            Ok(Err(SendFault::Producer(code))) => Err(code.to_string()),
            Err(_) => Err("the producer has gone".to_owned()),
        }
    }
}
