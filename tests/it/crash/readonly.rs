//! Low disk space: the hub takes nothing more and says so, and serves again by itself once there is space.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use waybill::{
    cli::demo::{population::Population, systems::submission},
    desk::{CallError, ReceiptDetail},
    sequencer::Condition,
    tls::{
        client::{ClientTls, connect, endpoint},
        system_clock,
    },
};
use waybill_proto::v1;

use super::{
    core::{self, IDENTITY},
    scene::{PATIENCE, Scene, until},
};

const RESERVE: u64 = 1_000_000;

/// Free space as a test says.
fn scarce(options: &mut waybill::store::embedded::EmbeddedOptions) -> Arc<AtomicU64> {
    let free = Arc::new(AtomicU64::new(RESERVE));
    let measured = Arc::clone(&free);
    options.reserve_bytes = RESERVE;
    options.space_interval = Duration::ZERO;
    options.free_space = Arc::new(move |_| Ok(measured.load(Ordering::SeqCst)));
    free
}

async fn turns(condition: &mut watch::Receiver<Condition>, what: &str, wanted: impl FnMut(&Condition) -> bool) {
    let turned = tokio::time::timeout(PATIENCE, condition.wait_for(wanted)).await;
    assert!(turned.is_ok_and(|turned| turned.is_ok()), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_space_nothing_is_taken_and_with_space_again_the_hub_serves_though_nobody_calls() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = core::options(folder.path());
    let free = scarce(&mut options);
    let core = core::start(options).await.unwrap();
    let mut condition = core.sequencer.condition();
    let submitted = core::address(0, 1);
    core.desk.submit(IDENTITY, submitted.clone(), ReceiptDetail::Index).await.unwrap();
    let size = core.sequencer.newest().snapshot.size();

    free.store(RESERVE - 1, Ordering::SeqCst);
    turns(&mut condition, "it is told before a call fails", |now| matches!(now, Condition::Waiting(_))).await;
    let next = core::address(0, 2);
    let refused = core.desk.submit(IDENTITY, next.clone(), ReceiptDetail::Index).await.unwrap_err();
    assert!(matches!(refused, CallError::Unavailable(_)), "{refused:?}");
    assert_eq!(core.sequencer.newest().snapshot.size(), size);
    // What was recorded can still be read: a repeat is answered from its entries.
    let again = core.desk.submit(IDENTITY, submitted, ReceiptDetail::Index).await.unwrap();
    assert!(again.recipients.iter().all(|one| one.receipt.index < size), "{again:?}");

    free.store(RESERVE, Ordering::SeqCst);
    turns(&mut condition, "it is told that it serves again", |now| *now == Condition::Serving).await;
    let taken = core.desk.submit(IDENTITY, next, ReceiptDetail::Index).await.unwrap();
    assert_eq!(taken.recipients[0].receipt.index, size);
}

/// What the running hub says of its health.
async fn health(scene: &Scene) -> ServingStatus {
    let tls = ClientTls::load(scene.place.certificates("hub/operator").unwrap(), &system_clock()).unwrap();
    let endpoint = endpoint(&format!("https://localhost:{}", scene.place.address.port())).unwrap();
    let channel = connect(&endpoint, &tls).await.unwrap();
    let request = HealthCheckRequest { service: "waybill.v1.ExchangeService".into() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_starts_without_space_is_not_serving_and_answers_unavailable() {
    let scene = Scene::lay_out("info", "[store]\nreserve_bytes = 0\n");
    let people = Population::generate(1, 1);
    let made = submission(&people.citizen(0).unwrap().moved_record(1), v1::Change::Changed, "space");
    let submit = v1::SubmitRequest { submission: Some(made) };

    let hub = scene.start();
    let mut identity = scene.connect("identity/registry").await;
    until("the hub serves", async || health(&scene).await == ServingStatus::Serving).await;
    let first = identity.exchange.submit(submit.clone()).await.unwrap().into_inner();
    assert!(hub.stop().await.success());

    // More than any disk has.
    scene.configure(|text| text.replace("reserve_bytes = 0", "reserve_bytes = 9000000000000000000"));
    let hub = scene.start();
    let mut identity = scene.connect("identity/registry").await;
    until("the hub says that it does not serve", async || health(&scene).await == ServingStatus::NotServing).await;
    let repeated = identity.exchange.submit(submit.clone()).await.unwrap().into_inner();
    assert_eq!(indices(&repeated), indices(&first));
    let mut other = submit;
    other.submission.as_mut().unwrap().idempotency_key = waybill::cli::demo::systems::new_key();
    let status = identity.exchange.submit(other.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().contains("space"), "{status:?}");
    assert!(hub.stop().await.success());

    scene.configure(|text| text.replace("9000000000000000000", "0"));
    let _hub = scene.start();
    let mut identity = scene.connect("identity/registry").await;
    until("the hub serves again", async || health(&scene).await == ServingStatus::Serving).await;
    identity.exchange.submit(other).await.unwrap();
}

fn indices(response: &v1::SubmitResponse) -> Vec<u64> {
    let recipients = &response.outcome.as_ref().unwrap().recipients;
    recipients.iter().map(|one| one.receipt.as_ref().unwrap().index).collect()
}
