//! Benefit's consumer: a plain Kafka client that knows what `deploy/kafka/README.md` says, and nothing of the hub's code.

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use parking_lot::Mutex;
use rdkafka::{
    Message as _, Offset,
    consumer::{Consumer as _, StreamConsumer},
    message::{BorrowedMessage, Headers as _},
};
use tokio::task::JoinHandle;
use waybill_proto::v1;

use super::{
    ANSWER_MAX,
    books::{Books, Judgement, RecordName},
    client,
};
use crate::cli::demo::systems::{Inbox, PATIENCE};

pub use super::books::Counts;

/// Benefit's consumer group; the demo's alone, since it is deleted at the end.
pub const GROUP: &str = "waybill-demo.benefit.claims";
const TOPIC: &str = "waybill.out.benefit";

/// A consumer that runs.
pub struct Consumer {
    client: Arc<StreamConsumer>,
    books: Arc<Mutex<Books>>,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Starts it: what is to be taken goes into `inbox`.
    pub fn start(bootstrap: &str, inbox: Arc<Inbox>) -> anyhow::Result<Self> {
        let mut config = client(bootstrap);
        config
            .set("group.id", GROUP)
            .set("auto.offset.reset", "earliest")
            // The group's offset moves after a delivery was taken, not when it is read.
            .set("enable.auto.offset.store", "false")
            .set("fetch.wait.max.ms", "50");
        let client: Arc<StreamConsumer> = Arc::new(config.create()?);
        client.subscribe(&[TOPIC])?;
        let books = Arc::new(Mutex::new(Books::default()));
        let task = tokio::spawn(consume(Arc::clone(&client), Arc::clone(&books), inbox));
        Ok(Self { client, books, task })
    }

    /// What it has read, taken and dropped so far.
    pub fn counts(&self) -> Counts {
        self.books.lock().counts()
    }

    /// Goes back to the beginning of the topic, as after a restore, and waits until everything was read again. Says what
    /// it had counted before.
    pub async fn read_again(&self) -> anyhow::Result<Counts> {
        let before = self.counts();
        let client = Arc::clone(&self.client);
        let sought = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
            let mut partitions = client.assignment()?;
            partitions.set_all_offsets(Offset::Beginning)?;
            for partition in client.seek_partitions(partitions, ANSWER_MAX)?.elements() {
                partition.error()?;
            }
            Ok(())
        });
        sought.await??;
        let deadline = Instant::now() + PATIENCE;
        while self.counts().read < 2 * before.read {
            anyhow::ensure!(Instant::now() < deadline, "the topic was not read again within {PATIENCE:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Ok(before)
    }

    /// Ends it, and leaves the group.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.task.abort();
        let _ = self.task.await; // broken off: that is what was asked for
        let client = self.client;
        Ok(tokio::task::spawn_blocking(move || drop(client)).await?)
    }
}

async fn consume(client: Arc<StreamConsumer>, books: Arc<Mutex<Books>>, inbox: Arc<Inbox>) {
    loop {
        // Brokers that are away come back; what is then still missing is missed by who waits for it.
        let Ok(message) = client.recv().await else { continue };
        match delivery(&message) {
            Ok((record, delivery)) => {
                let judged = books.lock().judge(&delivery.transfer_id, record, delivery.ledger_index);
                if judged == Judgement::Take {
                    inbox.take(delivery);
                }
            }
            Err(error) => eprintln!("benefit cannot read a message: {error:#}"),
        }
        let _ = client.store_offset_from_message(&message); // else it is read again, and dropped
    }
}

/// The delivery that a message carries, and the record that it is about.
fn delivery(message: &BorrowedMessage<'_>) -> anyhow::Result<(RecordName, v1::Delivery)> {
    let header = |name: &'static str| {
        let found = message.headers().into_iter().flat_map(|all| all.iter()).find(|one| one.key == name);
        let value = found.and_then(|one| one.value).with_context(|| format!("it has no header {name}"))?;
        Ok::<_, anyhow::Error>(std::str::from_utf8(value)?.to_owned())
    };
    anyhow::ensure!(header("ce_type")? == "waybill.delivery.v1", "it is no delivery");
    let schema = header("ce_dataschema")?;
    let (record_type, schema_version) = schema.rsplit_once('/').context("its schema has no version")?;
    let record = RecordName { agreement: header("ce_agreement")?, id: header("ce_subject")? };
    let delivery = v1::Delivery {
        transfer_id: header("ce_id")?,
        ledger_index: header("ce_index")?.parse()?,
        source: header("ce_agency")?,
        agreement: header("ce_agreement")?,
        purpose: header("ce_purpose")?,
        record_type: record_type.to_owned(),
        schema_version: schema_version.to_owned(),
        payload: message.payload().unwrap_or_default().to_vec().into(),
        ..v1::Delivery::default()
    };
    Ok((record, delivery))
}
