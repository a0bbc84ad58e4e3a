//! SubmitStream: the window, an outcome for each submission, and the order in which they are recorded.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use waybill::{app::grpc_limits, config::Limits, ingress::grpc::GrpcLimits};
use waybill_proto::v1::{
    self, consent_service_client::ConsentServiceClient, exchange_service_client::ExchangeServiceClient,
    numbered_outcome::Result as Decided,
};

use super::scene::{Hub, context, key, submission};

type Requests = mpsc::Sender<v1::SubmitStreamRequest>;

async fn open(hub: &Hub) -> (Requests, Streaming<v1::SubmitStreamResponse>, u32) {
    let mut identity = ExchangeServiceClient::new(hub.connect("identity", "registry").await);
    let (requests, sent) = mpsc::channel(16);
    let mut outcomes = identity.submit_stream(ReceiverStream::new(sent)).await.unwrap().into_inner();
    let window = outcomes.message().await.unwrap().unwrap().window;
    (requests, outcomes, window)
}

fn message(submissions: Vec<(u64, v1::Submission)>) -> v1::SubmitStreamRequest {
    let number = |(number, submission)| v1::NumberedSubmission { number, submission: Some(submission) };
    v1::SubmitStreamRequest {
        receipt_detail: v1::ReceiptDetail::Index.into(),
        submissions: submissions.into_iter().map(number).collect(),
    }
}

async fn collect(mut outcomes: Streaming<v1::SubmitStreamResponse>) -> BTreeMap<u64, Decided> {
    let mut all = BTreeMap::new();
    while let Some(response) = outcomes.message().await.unwrap() {
        for outcome in response.outcomes {
            assert!(all.insert(outcome.number, outcome.result.unwrap()).is_none(), "one outcome each");
        }
    }
    all
}

/// The indices of everything that was recorded, in the order in which it was sent.
fn indices(outcomes: &BTreeMap<u64, Decided>) -> Vec<u64> {
    let mut indices = Vec::new();
    for (number, decided) in outcomes {
        match decided {
            Decided::Outcome(outcome) => {
                indices.extend(outcome.recipients.iter().map(|one| one.receipt.as_ref().unwrap().index));
            }
            Decided::Refusal(refusal) => indices.push(refusal.receipt.as_ref().unwrap().index),
            Decided::Busy(busy) => panic!("{number}: {busy:?}"),
        }
    }
    indices
}

fn limits() -> Limits {
    Limits { refusals_burst_max: 100_000, ..Limits::default() }
}

/// Every identity record of everybody, citizen by citizen: most people are new with their first, and known with the rest.
fn registrations(hub: &Hub) -> Vec<v1::Submission> {
    let of_identity = hub.people.records().filter(|record| record.record_type.starts_with("identity/"));
    of_identity.map(|record| submission(&record)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_is_recorded_in_the_order_sent_with_people_who_are_new_and_submissions_that_are_bad() {
    let hub = Hub::with(&limits(), grpc_limits(&Limits::default())).await;
    let (requests, outcomes, window) = open(&hub).await;
    assert_eq!(window, 1024);
    let mut all = registrations(&hub);
    for (place, submission) in all.iter_mut().enumerate() {
        match place % 50 {
            7 => submission.payload = "{".into(),
            23 => submission.record.as_mut().unwrap().change = 0,
            41 => submission.idempotency_key = "none".into(),
            _ => {}
        }
    }
    let count = all.len();
    let sending = tokio::spawn(async move {
        let mut numbered = (0..).zip(all);
        // Messages of all sizes.
        for size in (1..).map(|n: usize| 1 + n * 7 % 61) {
            let submissions: Vec<_> = numbered.by_ref().take(size).collect();
            if submissions.is_empty() {
                return;
            }
            requests.send(message(submissions)).await.unwrap();
        }
    });
    let outcomes = collect(outcomes).await;
    sending.await.unwrap();
    assert_eq!(outcomes.len(), count);
    let indices = indices(&outcomes);
    assert!(indices.is_sorted_by(|one, next| one < next), "{indices:?}");
    let refused = outcomes.values().filter(|decided| matches!(decided, Decided::Refusal(_))).count();
    assert_eq!(refused, (0..count).filter(|place| [7, 23, 41].contains(&(place % 50))).count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_order_holds_while_consents_of_the_same_people_come_and_make_decisions_stale() {
    let hub = Hub::with(&limits(), grpc_limits(&Limits::default())).await;
    let (requests, outcomes, _) = open(&hub).await;
    let contacts = hub.people.records().filter(|record| record.record_type == "identity/contact");
    let all: Vec<_> = contacts.flat_map(|record| [submission(&record), submission(&record)]).collect();
    let count = all.len();
    let sending = tokio::spawn(async move {
        for numbered in (0..).zip(all) {
            requests.send(message(vec![numbered])).await.unwrap();
        }
    });
    let mut consents = ConsentServiceClient::new(hub.connect("benefit", "portal").await);
    let mut granted = 0;
    for citizen in hub.people.citizens() {
        let (scheme, value) = citizen.identifier();
        let subject = vec![v1::Identifier { scheme: scheme.into(), value: value.into() }];
        let grant = v1::GrantRequest {
            idempotency_key: key(),
            subject,
            agreement: "identity-contact-to-benefit".into(),
            agreement_revision: 1,
            notice: Some(v1::Notice { version: "1".into(), language: "en".into() }),
            evidence: Some(v1::grant_request::Evidence { media_type: "text/plain".into(), content: "signed".into() }),
            context: context(),
            ..v1::GrantRequest::default()
        };
        granted += usize::from(consents.grant(grant).await.is_ok());
    }
    let outcomes = collect(outcomes).await;
    sending.await.unwrap();
    assert_eq!(outcomes.len(), count);
    assert!(granted > 0);
    let indices = indices(&outcomes);
    assert!(indices.is_sorted_by(|one, next| one < next), "{indices:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_one_still_moves_and_proofs_come_when_they_are_asked_for() {
    let grpc = GrpcLimits { stream_window_max: 1, ..grpc_limits(&Limits::default()) };
    let hub = Hub::with(&limits(), grpc).await;
    let (requests, outcomes, window) = open(&hub).await;
    assert_eq!(window, 1);
    let mut first = message((0..3).map(|n| (n, hub.address_of(n as usize))).collect());
    first.receipt_detail = 0;
    let mut second = message((3..6).map(|n| (n, hub.address_of(n as usize))).collect());
    second.receipt_detail = v1::ReceiptDetail::Proof.into();
    let mut third = message((6..9).map(|n| (n, hub.address_of(n as usize))).collect());
    third.receipt_detail = 0;
    for message in [first, second, third] {
        requests.send(message).await.unwrap();
    }
    drop(requests);
    let outcomes = collect(outcomes).await;
    for (number, decided) in outcomes {
        let Decided::Outcome(outcome) = decided else { panic!("{number}: {decided:?}") };
        let proven = outcome.recipients.iter().all(|one| !one.receipt.as_ref().unwrap().checkpoint.is_empty());
        assert_eq!(proven, number >= 3, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_over_its_rate_is_told_so_submission_by_submission_and_the_stream_goes_on() {
    let limits = Limits { rate_per_s_max: 10, rate_burst_max: 5, refusals_per_s_max: 1, ..Limits::default() };
    let hub = Hub::with(&limits, grpc_limits(&Limits::default())).await;
    let (requests, outcomes, _) = open(&hub).await;
    requests.send(message((0..20).map(|n| (n, hub.address_of(n as usize))).collect())).await.unwrap();
    drop(requests);
    let outcomes = collect(outcomes).await;
    assert_eq!(outcomes.len(), 20);
    let busy: Vec<_> = outcomes
        .values()
        .filter_map(|decided| match decided {
            Decided::Busy(busy) => Some(busy),
            _ => None,
        })
        .collect();
    assert!(busy.len() >= 10, "{busy:?}");
    assert!(busy.iter().all(|busy| busy.code == Code::ResourceExhausted as u32 && busy.retry_after_ms > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_gives_every_outcome_and_then_ends_the_stream() {
    let hub = Hub::start().await;
    let (requests, mut outcomes, _) = open(&hub).await;
    requests.send(message((0..5).map(|n| (n, hub.address_of(n as usize))).collect())).await.unwrap();
    let first = outcomes.message().await.unwrap().unwrap();
    hub.stopping.cancel();
    let rest = collect(outcomes).await;
    assert_eq!(first.outcomes.len() + rest.len(), 5);
    hub.serving.await.unwrap();
}
