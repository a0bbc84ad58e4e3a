//! The agencies' systems as they would be anywhere: gRPC clients over mTLS that know nothing but the public protos.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use waybill_proto::v1::{
    self, consent_service_client::ConsentServiceClient, exchange_service_client::ExchangeServiceClient,
    ledger_service_client::LedgerServiceClient, operator_service_client::OperatorServiceClient,
};

use super::{
    population::{Citizen, Record},
    setup::Place,
};
use crate::tls::{
    client::{ClientTls, connect, endpoint},
    system_clock,
};

/// Deliveries that a demo system takes unanswered.
const CREDIT: u32 = 1024;
/// How long the demo waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One system's connection.
#[derive(Clone)]
pub struct System {
    /// Pushing, asking.
    pub exchange: ExchangeServiceClient<Channel>,
    /// Consents.
    pub consent: ConsentServiceClient<Channel>,
    /// The ledger.
    pub ledger: LedgerServiceClient<Channel>,
    /// Operating.
    pub operator: OperatorServiceClient<Channel>,
}

impl System {
    /// Connects as `system`.
    pub async fn connect(place: &Place, system: &str) -> anyhow::Result<Self> {
        let tls = ClientTls::load(place.certificates(system)?, &system_clock())?;
        let endpoint = endpoint(&format!("https://localhost:{}", place.address.port()))?;
        // Windows for many records in flight; the defaults of HTTP/2 hold 32 of them.
        let endpoint = endpoint.initial_stream_window_size(4 << 20).initial_connection_window_size(8 << 20);
        let channel = connect(&endpoint, &tls).await.with_context(|| format!("connecting as {system}"))?;
        Ok(Self {
            exchange: ExchangeServiceClient::new(channel.clone()),
            consent: ConsentServiceClient::new(channel.clone()),
            ledger: LedgerServiceClient::new(channel.clone()),
            operator: OperatorServiceClient::new(channel),
        })
    }
}

/// A new idempotency key.
pub fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Why a call is made.
pub fn context(actor: &str, case: &str, reason: &str) -> Option<v1::Context> {
    Some(v1::Context {
        actor: actor.into(),
        case_reference: case.into(),
        reason: reason.into(),
        ..v1::Context::default()
    })
}

/// How a citizen is named to the hub.
pub fn identifiers(citizen: &Citizen) -> Vec<v1::Identifier> {
    let (scheme, value) = citizen.identifier();
    vec![v1::Identifier { scheme: scheme.into(), value: value.into() }]
}

/// A submission of `record`.
pub fn submission(record: &Record, change: v1::Change, reason: &str) -> v1::Submission {
    v1::Submission {
        idempotency_key: new_key(),
        record_type: record.record_type.into(),
        schema_version: super::population::SCHEMA_VERSION.into(),
        payload: record.body.to_string().into(),
        record: Some(v1::RecordIdentity {
            record_id: record.id.clone(),
            revision: Some(record.revision),
            as_of: None,
            change: change.into(),
            corrects_revision: None,
            copy_of_transfer_id: String::new(),
        }),
        context: context("registry", "", reason),
        only_recipients: Vec::new(),
        traceparent: String::new(),
    }
}

/// Leaves of a record: what a person would have to fill in.
pub fn leaves(value: &Value) -> u64 {
    match value {
        Value::Object(members) => members.values().map(leaves).sum(),
        Value::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// What a recipient has received.
#[derive(Default)]
pub struct Inbox {
    deliveries: Mutex<HashMap<String, v1::Delivery>>,
    fields: Mutex<u64>,
    arrived: Notify,
}

impl Inbox {
    /// How many transfers have arrived, each counted once.
    pub fn count(&self) -> usize {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether a transfer has arrived.
    pub fn has(&self, transfer: &str) -> bool {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).contains_key(transfer)
    }

    /// Fields received so far, each transfer counted once.
    pub fn fields(&self) -> u64 {
        *self.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `wanted` transfers have arrived.
    pub async fn wait_for(&self, wanted: usize) -> anyhow::Result<()> {
        let (mut deadline, mut before) = (Instant::now() + PATIENCE, self.count());
        loop {
            let arrived = self.arrived.notified();
            let count = self.count();
            if count >= wanted {
                return Ok(());
            }
            if count > before {
                (deadline, before) = (Instant::now() + PATIENCE, count);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, arrived).await.is_err() {
                anyhow::bail!("{} of {wanted} deliveries arrived, and no more within {PATIENCE:?}", self.count());
            }
        }
    }

    /// Waits for the delivery of one transfer.
    pub async fn transfer(&self, id: &str) -> anyhow::Result<v1::Delivery> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let arrived = self.arrived.notified();
            if let Some(found) = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
                return Ok(found.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, arrived).await.is_err() {
                anyhow::bail!("a delivery did not arrive within {PATIENCE:?}");
            }
        }
    }

    /// Keeps a delivery; a second one of the same transfer changes nothing (recipients de-duplicate by transfer id).
    pub(super) fn take(&self, delivery: v1::Delivery) {
        let fields = serde_json::from_slice(&delivery.payload).map_or(0, |record| leaves(&record));
        let before = self
            .deliveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(delivery.transfer_id.clone(), delivery);
        if before.is_none() {
            *self.fields.lock().unwrap_or_else(PoisonError::into_inner) += fields;
        }
        self.arrived.notify_waiters();
    }
}

/// Receives for a system and acknowledges, until it is aborted.
pub async fn receive(system: &System, inbox: Arc<Inbox>) -> anyhow::Result<JoinHandle<()>> {
    let (answers, out) = mpsc::channel(64);
    let open = v1::ReceiveOpen { on_behalf_of: String::new(), credit: CREDIT };
    let message = v1::receive_request::Message::Open(open);
    answers.send(v1::ReceiveRequest { message: Some(message) }).await?;
    let mut client = system.exchange.clone();
    let mut deliveries = client.receive(ReceiverStream::new(out)).await?.into_inner();
    match deliveries.message().await?.and_then(|first| first.message) {
        Some(v1::receive_response::Message::Ready(_)) => {}
        other => anyhow::bail!("the hub began a Receive stream with {other:?}"),
    }
    Ok(tokio::spawn(async move {
        while let Ok(Some(message)) = deliveries.message().await {
            let Some(v1::receive_response::Message::Deliveries(batch)) = message.message else { continue };
            let transfer_ids = batch.deliveries.iter().map(|one| one.transfer_id.clone()).collect();
            batch.deliveries.into_iter().for_each(|delivery| inbox.take(delivery));
            let acknowledged = v1::delivery_answer::Answer::Acknowledged(v1::Acknowledged {});
            let answer = v1::DeliveryAnswer { transfer_ids, answer: Some(acknowledged) };
            let message = v1::receive_request::Message::Answer(answer);
            if answers.send(v1::ReceiveRequest { message: Some(message) }).await.is_err() {
                return;
            }
        }
    }))
}

/// Answers the hub's questions with what `find` finds, until it is aborted.
pub async fn provide(
    system: &System,
    find: impl Fn(&v1::Question) -> Option<Record> + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let (answers, out) = mpsc::channel(64);
    let open = v1::provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await?;
    let mut client = system.exchange.clone();
    let mut questions = client.provide(ReceiverStream::new(out)).await?.into_inner();
    match questions.message().await?.and_then(|first| first.message) {
        Some(v1::provide_response::Message::Ready(_)) => {}
        other => anyhow::bail!("the hub began a Provide stream with {other:?}"),
    }
    Ok(tokio::spawn(async move {
        while let Ok(Some(message)) = questions.message().await {
            let Some(v1::provide_response::Message::Question(question)) = message.message else { continue };
            let answer = match find(&question) {
                Some(record) => v1::provide_answer::Answer::Record(v1::ProvidedRecord {
                    schema_version: super::population::SCHEMA_VERSION.into(),
                    payload: record.body.to_string().into(),
                    record: submission(&record, v1::Change::New, "").record,
                }),
                None => v1::provide_answer::Answer::NoRecord(v1::NoRecordReason::NoSuchRecord.into()),
            };
            let answer = v1::ProvideAnswer {
                request_id: question.request_id,
                answer: Some(answer),
                available_at: None,
                context: context("registry", "", "answer to a request"),
            };
            let message = v1::provide_request::Message::Answer(answer);
            if answers.send(v1::ProvideRequest { message: Some(message) }).await.is_err() {
                return;
            }
        }
    }))
}
