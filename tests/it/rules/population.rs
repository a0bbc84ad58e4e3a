//! A whole population, with everything that is unusual about people, goes through the hub: every record of a type that
//! is pushed is accepted, and each delivery is exactly what its agreement's view schema allows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use waybill::{
    cli::demo::population::{Population, Record},
    domain::agreement::{AgreementId, Demand},
    exchange::parse::{RecordLimits, parse},
};
use waybill_proto::v1::{self, numbered_outcome, receive_request, receive_response};

use crate::scene::Scene;

const SEED: u64 = 20_260_101;
const CITIZENS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// Who pushes what: the types that some push agreement of the demo names.
const PUSHED: [(&str, &[&str]); 2] = [
    ("identity/registry", &["identity/person", "identity/address", "identity/contact", "identity/civil-status"]),
    ("tax/registry", &["tax/residency"]),
];

async fn push_all(scene: &Scene, system: &str, records: &[Record]) -> Vec<(Record, v1::Outcome)> {
    let (requests, sent) = mpsc::channel(4);
    let mut exchange = scene.exchange(system).await;
    let mut outcomes = exchange.submit_stream(ReceiverStream::new(sent)).await.unwrap().into_inner();
    let numbered: Vec<_> = (0..)
        .zip(records)
        .map(|(number, record)| v1::NumberedSubmission { number, submission: Some(scene.submission(record)) })
        .collect();
    let sending = tokio::spawn(async move {
        for submissions in numbered.chunks(32) {
            let (receipt_detail, submissions) = (v1::ReceiptDetail::Index.into(), submissions.to_vec());
            requests.send(v1::SubmitStreamRequest { receipt_detail, submissions }).await.unwrap();
        }
    });
    let mut accepted = BTreeMap::new();
    while let Some(response) = outcomes.message().await.unwrap() {
        for outcome in response.outcomes {
            let record = &records[usize::try_from(outcome.number).unwrap()];
            let Some(numbered_outcome::Result::Outcome(outcome_of)) = outcome.result else {
                panic!("{} of citizen with record {}: {:?}", record.record_type, record.id, outcome.result)
            };
            accepted.insert(outcome.number, (record.clone(), outcome_of));
        }
    }
    sending.await.unwrap();
    assert_eq!(accepted.len(), records.len());
    accepted.into_values().collect()
}

/// Receives and acknowledges until everything of `expected` has come.
async fn receive_all(
    answers: mpsc::Sender<v1::ReceiveRequest>,
    mut stream: Streaming<v1::ReceiveResponse>,
    mut expected: BTreeSet<String>,
) -> Vec<v1::Delivery> {
    let mut all = Vec::new();
    while !expected.is_empty() {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("deliveries keep coming");
        let Some(receive_response::Message::Deliveries(batch)) = message.unwrap().unwrap().message else { continue };
        let transfer_ids: Vec<String> = batch.deliveries.iter().map(|one| one.transfer_id.clone()).collect();
        for id in &transfer_ids {
            assert!(expected.remove(id), "a delivery that nobody was told of, or a second time");
        }
        let answer = Some(v1::delivery_answer::Answer::Acknowledged(v1::Acknowledged {}));
        let answer = receive_request::Message::Answer(v1::DeliveryAnswer { transfer_ids, answer });
        answers.send(v1::ReceiveRequest { message: Some(answer) }).await.unwrap();
        all.extend(batch.deliveries);
    }
    all
}

async fn open(scene: &Scene, system: &str) -> (mpsc::Sender<v1::ReceiveRequest>, Streaming<v1::ReceiveResponse>) {
    let (answers, sent) = mpsc::channel(64);
    let open = receive_request::Message::Open(v1::ReceiveOpen::default());
    answers.send(v1::ReceiveRequest { message: Some(open) }).await.unwrap();
    let stream = scene.exchange(system).await.receive(ReceiverStream::new(sent)).await.unwrap().into_inner();
    (answers, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_s_records_are_accepted_and_each_delivery_is_what_its_agreement_shows() {
    println!("seed {SEED}");
    let scene = Scene::new().await;
    let people = Population::generate(SEED, CITIZENS);
    let mut sent: BTreeMap<String, (Record, String)> = BTreeMap::new();
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let catalogue = scene.core().desk.catalogue();
    for (system, types) in PUSHED {
        let records: Vec<Record> = people.records().filter(|record| types.contains(&record.record_type)).collect();
        assert_eq!(records.len(), types.len() * CITIZENS);
        for (record, outcome) in push_all(&scene, system, &records).await {
            for recipient in outcome.recipients {
                assert!(recipient.refusal.is_none(), "{} of record {}", record.record_type, record.id);
                let agreement = catalogue.agreement(&AgreementId::new(&recipient.agreement).unwrap()).unwrap();
                // What rests on a consent that nobody gave is decided, and not delivered.
                if agreement.agreement.demand != Demand::Consent {
                    expected.entry(recipient.recipient).or_default().insert(recipient.transfer_id.clone());
                    sent.insert(recipient.transfer_id, (record.clone(), recipient.agreement));
                }
            }
        }
    }
    for (recipient, system) in [("benefit", "benefit/claims"), ("tax", "tax/registry")] {
        let (answers, stream) = open(&scene, system).await;
        let deliveries = receive_all(answers, stream, expected.remove(recipient).unwrap()).await;
        for delivery in deliveries {
            let (record, agreement) = &sent[&delivery.transfer_id];
            assert_eq!(delivery.agreement, *agreement);
            let compiled = catalogue.agreement(&AgreementId::new(agreement).unwrap()).unwrap();
            let value = parse(&delivery.payload, &RecordLimits::default()).unwrap();
            assert!(
                compiled.view_validator.is_valid(&value),
                "{agreement}, record {}: {:?}",
                record.id,
                compiled.view_validator.violations(&value, 20)
            );
            let body: serde_json::Value = serde_json::from_slice(&delivery.payload).unwrap();
            assert!(within(&body, &record.body), "{agreement}, record {}: more than was sent", record.id);
            scene.verify(delivery.receipt.as_ref().unwrap(), Some(&body));
        }
    }
    assert!(expected.is_empty());
}

/// Whether everything in `part` stands in `whole`, at the same place.
fn within(part: &serde_json::Value, whole: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (part, whole) {
        (Object(part), Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|whole| within(value, whole)))
        }
        (Array(part), Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| within(part, whole))
        }
        _ => part == whole,
    }
}
