//! The other services: request and provide, proofs, audit, health, reflection.

use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use waybill::ledger::{Checkpoint, Hash, Note, verify_consistency, verify_inclusion};
use waybill_proto::v1::{
    self, exchange_service_client::ExchangeServiceClient, ledger_service_client::LedgerServiceClient, provide_request,
    provide_response, request_response::Answer,
};

use super::scene::{Hub, context, key, submission};

fn hashes(bytes: &[bytes::Bytes]) -> Vec<Hash> {
    bytes.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_the_provider_over_its_stream_and_the_answer_comes_back_minimised() {
    let hub = Hub::start().await;
    let citizen = hub.people.citizens().find(|citizen| citizen.national_number().is_some()).unwrap();
    let income = citizen.records().into_iter().find(|record| record.record_type == "tax/income-statement").unwrap();
    let mut tax = ExchangeServiceClient::new(hub.connect("tax", "registry").await);
    let (answers, sent) = mpsc::channel(4);
    let open = provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
    let mut questions = tax.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
    let ready = questions.message().await.unwrap().unwrap().message;
    assert!(matches!(ready, Some(provide_response::Message::Ready(_))));
    let provider = tokio::spawn(async move {
        let Some(provide_response::Message::Question(question)) = questions.message().await.unwrap().unwrap().message
        else {
            panic!("no question")
        };
        let given = submission(&income);
        let record = v1::ProvidedRecord { schema_version: "1.0".into(), payload: given.payload, record: given.record };
        let answer = v1::ProvideAnswer {
            request_id: question.request_id.clone(),
            answer: Some(v1::provide_answer::Answer::Record(record)),
            context: context(),
            ..v1::ProvideAnswer::default()
        };
        let answer = provide_request::Message::Answer(answer);
        answers.send(v1::ProvideRequest { message: Some(answer) }).await.unwrap();
        let recorded = questions.message().await.unwrap().unwrap().message;
        let Some(provide_response::Message::Recorded(recorded)) = recorded else { panic!("{recorded:?}") };
        (question, recorded)
    });
    let subject =
        vec![v1::Identifier { scheme: "national-number".into(), value: citizen.national_number().unwrap().into() }];
    let request = v1::RequestRequest {
        idempotency_key: key(),
        record_type: "tax/income-statement".into(),
        purpose: hub
            .core
            .desk
            .catalogue()
            .agreements()
            .find(|one| one.agreement.id.as_str() == "benefit-asks-income")
            .unwrap()
            .agreement
            .purpose
            .to_string(),
        subject,
        explicit_request: Some(v1::ExplicitRequest { reference: "form 3".into(), ..v1::ExplicitRequest::default() }),
        context: context(),
        traceparent: String::new(),
        ..v1::RequestRequest::default()
    };
    let mut benefit = ExchangeServiceClient::new(hub.connect("benefit", "claims").await);
    let mut request = tonic::Request::new(request);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    let answered = benefit.request(request).await.unwrap().into_inner();
    let (question, recorded) = provider.await.unwrap();
    assert_eq!((question.request_id.as_str(), question.requester.as_str()), (answered.request_id.as_str(), "benefit"));
    assert_eq!(question.traceparent, traceparent);
    let Some(Answer::Evidence(evidence)) = answered.answer else { panic!("{:?}", answered.answer) };
    let record: serde_json::Value = serde_json::from_slice(&evidence.payload).unwrap();
    assert!(record.is_object());
    let (asked, transfer) = (answered.asked.unwrap().index, evidence.receipt.unwrap().index);
    assert!(asked < transfer);
    assert_eq!(recorded.receipt.unwrap().index, transfer);
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_are_open_to_every_system_and_verify() {
    let hub = Hub::start().await;
    let mut identity = ExchangeServiceClient::new(hub.connect("identity", "registry").await);
    let mut ledger = LedgerServiceClient::new(hub.connect("benefit", "claims").await);
    let checkpoint = async |ledger: &mut LedgerServiceClient<_>| {
        let got = ledger.get_checkpoint(v1::GetCheckpointRequest {}).await.unwrap().into_inner();
        assert_eq!(got.verifier_key, hub.verifier.to_string());
        Checkpoint::verify(&Note::parse(&got.checkpoint).unwrap(), std::slice::from_ref(&hub.verifier)).unwrap()
    };
    identity.submit(v1::SubmitRequest { submission: Some(hub.address_of(0)) }).await.unwrap();
    let before = checkpoint(&mut ledger).await;
    identity.submit(v1::SubmitRequest { submission: Some(hub.address_of(1)) }).await.unwrap();
    let after = checkpoint(&mut ledger).await;
    assert!(after.size > before.size);

    let asked = v1::GetInclusionProofRequest { index: 1, size: 0 };
    let proven = ledger.get_inclusion_proof(asked).await.unwrap().into_inner();
    let leaf = Hash::from_slice(&proven.leaf_hash).unwrap();
    verify_inclusion(1, after.size, &leaf, &hashes(&proven.inclusion_proof), &after.root).unwrap();
    let asked = v1::GetConsistencyProofRequest { from_size: before.size, to_size: after.size };
    let proven = ledger.get_consistency_proof(asked).await.unwrap().into_inner();
    let proof = hashes(&proven.consistency_proof);
    verify_consistency(before.size, after.size, &before.root, &after.root, &proof).unwrap();
    for (index, size) in [(after.size, 0), (0, after.size + 1)] {
        let refused = ledger.get_inclusion_proof(v1::GetInclusionProofRequest { index, size }).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_searches_and_opens_what_concerns_the_agency() {
    let hub = Hub::start().await;
    let mut identity = ExchangeServiceClient::new(hub.connect("identity", "registry").await);
    identity.submit(v1::SubmitRequest { submission: Some(hub.address_of(0)) }).await.unwrap();
    let mut officer = LedgerServiceClient::new(hub.connect("benefit", "dpo").await);
    let search = v1::SearchRequest {
        idempotency_key: key(),
        context: context(),
        kind: "transfer".into(),
        ..v1::SearchRequest::default()
    };
    let found = officer.search(search).await.unwrap().into_inner();
    let [entry] = found.entries.as_slice() else { panic!("{:?}", found.entries) };
    assert_eq!((entry.kind.as_str(), entry.erased), ("transfer", false));
    let recipient = entry.attributes.iter().find(|one| one.name == "recipient").unwrap();
    assert_eq!((recipient.number, recipient.value.as_str()), (4, r#""benefit""#));
    assert!(!entry.fields.is_empty() && entry.fields.iter().all(|path| path.starts_with('/')));
    let asked = v1::GetEntryRequest { idempotency_key: key(), index: entry.index, context: context() };
    let opened = officer.get_entry(asked).await.unwrap().into_inner();
    assert_eq!(opened.entry.unwrap().index, entry.index);
    assert!(opened.read.unwrap().index > found.read.unwrap().index);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_by_service_and_ends_with_the_hub() {
    let hub = Hub::start().await;
    let mut health = HealthClient::new(hub.connect("identity", "registry").await);
    for service in ["", "waybill.v1.ExchangeService", "waybill.v1.ConsentService", "waybill.v1.LedgerService"] {
        let status = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner().status;
        assert_eq!(status, ServingStatus::Serving as i32, "{service}");
    }
    let watched = HealthCheckRequest { service: "waybill.v1.ExchangeService".into() };
    let mut watch = health.watch(watched).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    hub.core.sequencer.drain().await;
    assert_eq!(watch.message().await.unwrap().unwrap().status, ServingStatus::NotServing as i32);
    hub.stopping.cancel();
    assert!(watch.message().await.unwrap().is_none());
    hub.serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_describes_the_services() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let hub = Hub::start().await;
    let mut client = ServerReflectionClient::new(hub.connect("tax", "registry").await);
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["waybill.v1.ExchangeService", "waybill.v1.LedgerService", "grpc.health.v1.Health"] {
        assert!(names.contains(&service), "{names:?}");
    }
}
