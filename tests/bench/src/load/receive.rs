//! Two recipients that take deliveries and acknowledge them, and calls whose deliveries are awaited.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use waybill_proto::v1::{
    self, exchange_service_client::ExchangeServiceClient, receive_request::Message as Asked,
    receive_response::Message as Said,
};

use super::{Client, Outcome, dial, recorded};
use crate::{processes::metric, records::DELIVERED, scene::Scene, submitter::SubmitOne};

/// Deliveries that one recipient takes unanswered.
const CREDIT: u32 = 4096;
/// Deliveries that have not arrived, of all recipients: beyond, nothing more is submitted, so that what is measured can
/// be kept up.
const OPEN_MAX: usize = 4096;
/// Not measured: what had been waiting is delivered first.
const BEGIN: Duration = Duration::from_secs(1);
/// Nothing arriving for so long means that what was due has been delivered.
const QUIET: Duration = Duration::from_millis(700);

/// The recipients.
pub(super) struct Inboxes {
    open: Arc<Semaphore>,
    _receiving: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Inboxes {
    /// Connects them, and waits until what was due before has been delivered.
    pub(super) async fn open(scene: &Scene) -> anyhow::Result<Self> {
        let (arrived, open) = (Arc::<AtomicU64>::default(), Arc::new(Semaphore::new(0)));
        let mut receiving = Vec::new();
        for agency in DELIVERED {
            let hub = ExchangeServiceClient::new(dial(scene, agency, scene.hub).await?);
            receiving.push(tokio::spawn(receive(hub, Arc::clone(&arrived), Arc::clone(&open))));
        }
        loop {
            let before = arrived.load(Ordering::Relaxed);
            tokio::time::sleep(QUIET).await;
            if arrived.load(Ordering::Relaxed) == before {
                break;
            }
        }
        open.forget_permits(open.available_permits());
        open.add_permits(OPEN_MAX);
        Ok(Self { open, _receiving: receiving })
    }
}

async fn receive(
    mut hub: ExchangeServiceClient<tonic::transport::Channel>,
    arrived: Arc<AtomicU64>,
    open: Arc<Semaphore>,
) -> anyhow::Result<()> {
    let (answers, out) = mpsc::channel(64);
    let opening = v1::ReceiveOpen { on_behalf_of: String::new(), credit: CREDIT };
    answers.send(v1::ReceiveRequest { message: Some(Asked::Open(opening)) }).await?;
    let mut deliveries = hub.receive(ReceiverStream::new(out)).await?.into_inner();
    while let Some(message) = deliveries.message().await? {
        let Some(Said::Deliveries(batch)) = message.message else { continue };
        let count = batch.deliveries.len();
        let transfer_ids = batch.deliveries.into_iter().map(|one| one.transfer_id).collect();
        let acknowledged = v1::delivery_answer::Answer::Acknowledged(v1::Acknowledged {});
        let answer = v1::DeliveryAnswer { transfer_ids, answer: Some(acknowledged) };
        answers.send(v1::ReceiveRequest { message: Some(Asked::Answer(answer)) }).await?;
        arrived.fetch_add(count as u64, Ordering::Relaxed);
        open.add_permits(count);
    }
    Ok(())
}

pub(super) async fn delivered(
    client: &Client,
    inboxes: &Inboxes,
    in_flight: usize,
    seconds: f64,
) -> anyhow::Result<Outcome> {
    let begin = Instant::now() + BEGIN;
    let end = begin + Duration::from_secs_f64(seconds);
    let each = DELIVERED.len();
    let metrics = client.scene.metrics;
    let at_first = acknowledged(metrics).await?;
    let submissions = Arc::new(client.records.submissions(DELIVERED)?);
    let mut callers = Vec::with_capacity(in_flight);
    for nth in 0..in_flight {
        let (mut hub, submissions, mut people) = (client.hub.clone(), Arc::clone(&submissions), client.people(nth));
        let open = Arc::clone(&inboxes.open);
        callers.push(tokio::spawn(async move {
            let mut total = 0;
            while Instant::now() < end {
                open.acquire_many(each as u32).await?.forget();
                let submission = submissions.of(people.next());
                let answer = hub.submit(SubmitOne { submission }).await?.into_inner();
                anyhow::ensure!(recorded(answer.outcome.as_ref())? == each, "not for each recipient");
                total += 1;
            }
            anyhow::Ok(total)
        }));
    }
    tokio::time::sleep_until(begin.into()).await;
    let at_begin = acknowledged(metrics).await?;
    tokio::time::sleep_until(end.into()).await;
    let at_end = acknowledged(metrics).await?;
    let mut outcome = Outcome { seconds, records: (at_end - at_begin) / each as u64, ..Outcome::default() };
    for caller in callers {
        outcome.total += caller.await??;
    }
    // The hub's work for what was submitted ends with the last acknowledgement.
    let wanted = at_first + outcome.total * each as u64;
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let now = acknowledged(metrics).await?;
        if now >= wanted {
            return Ok(outcome);
        }
        anyhow::ensure!(Instant::now() < patience, "acknowledgements are missing: {now} of {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many acknowledgements the hub has made durable.
async fn acknowledged(metrics: SocketAddr) -> anyhow::Result<u64> {
    let count = tokio::task::spawn_blocking(move || {
        DELIVERED.iter().try_fold(0.0, |sum, agency| {
            let line = format!("waybill_deliveries_acknowledged_total{{recipient=\"{agency}\"}} ");
            anyhow::Ok(sum + metric(metrics, &line)?)
        })
    });
    #[expect(clippy::cast_sign_loss, reason = "a count is not negative")]
    let count = count.await?? as u64;
    Ok(count)
}
