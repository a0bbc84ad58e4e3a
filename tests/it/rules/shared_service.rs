//! A system that acts for other agencies than its own: in the name of each that it serves, of nobody else, and within
//! quotas of its own, whomever it acts for.

use std::fs;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use waybill::{config::Limits, ledger::Attribute};
use waybill_proto::v1::{self, provide_request, provide_response, receive_request, receive_response};

use super::{
    calls::{Call, provide_always},
    cross_agency::{GATES, SAYS_FOR_WHOM, call},
};
use crate::{
    crash::scene::until,
    scene::{Agreed, Scene, Setup, for_agency, said},
};

/// Tax's, and it acts for benefit too; not for identity.
const SERVICE: &str = "tax/service";
const SYSTEM: &str = r#"
[[system]]
name = "service"
san = "urn:waybill:system:tax:service"
acts_for = ["tax", "benefit"]
roles = ["submit", "provide", "request", "receive", "collect-consent", "audit-own-agency"]
"#;

/// Claims go from benefit to tax, pushed or asked for.
fn claims(direction: &str) -> String {
    let (source, recipient, record_type) = ("benefit", "tax", "benefit/claim");
    let fields = &["/subject/nationalNumber", "/claimNumber"];
    Agreed { revision: 1, direction, source, recipient, record_type, purpose: "taxation-of-benefits", fields }.file()
}

/// The demo with the service, whose quotas are these.
async fn scene(quotas: &str) -> Scene {
    let tax = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo/catalogue/agencies/tax.toml"));
    let tax = tax.unwrap().replace("\"provide\", \"receive\"", "\"provide\", \"receive\", \"request\"");
    let catalogue = vec![
        ("agencies/tax.toml", format!("{tax}{SYSTEM}{quotas}")),
        ("agreements/benefit-claim-to-tax.toml", claims("push")),
        ("agreements/tax-asks-claim.toml", claims("pull")),
    ];
    let limits = Limits { refusals_burst_max: 1_000, ..Limits::default() };
    Scene::with(Setup { limits, catalogue, ..Setup::default() }).await
}

/// What an entry says: its kind, who acted, and for whom.
async fn acted(scene: &Scene, index: u64) -> [String; 3] {
    let entry = scene.entry(index).await;
    let word = |attribute| said(&entry, attribute).trim_matches('"').to_owned();
    [entry.kind.clone(), word(Attribute::System), word(Attribute::OnBehalfOf)]
}

async fn submit(scene: &Scene, citizen: usize, record_type: &str, agency: &str) -> Result<v1::Outcome, Status> {
    let submission = v1::Submission { context: for_agency(agency), ..scene.record(citizen, record_type) };
    let request = v1::SubmitRequest { submission: Some(submission) };
    Ok(scene.exchange(SERVICE).await.submit(request).await?.into_inner().outcome.unwrap())
}

/// The service as benefit's provider; answers one question with a claim. The index of the answer's entry.
async fn provide_for_benefit(scene: &Scene) -> (tokio::task::JoinHandle<u64>, mpsc::Sender<v1::ProvideRequest>) {
    let (answers, sent) = mpsc::channel(4);
    let open = v1::ProvideOpen { on_behalf_of: "benefit".into(), ..v1::ProvideOpen::default() };
    let said = |message| v1::ProvideRequest { message: Some(message) };
    answers.send(said(provide_request::Message::Open(open))).await.unwrap();
    let mut exchange = scene.exchange(SERVICE).await;
    let mut heard = exchange.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
    heard.message().await.unwrap().unwrap();
    let (claim, say) = (scene.record(0, "benefit/claim"), answers.clone());
    let provided = v1::ProvidedRecord {
        schema_version: claim.schema_version.clone(),
        payload: claim.payload.clone(),
        record: claim.record.clone(),
    };
    let answering = tokio::spawn(async move {
        let asked = heard.message().await.unwrap().unwrap().message;
        let Some(provide_response::Message::Question(question)) = asked else { panic!("{asked:?}") };
        let answer = v1::ProvideAnswer {
            request_id: question.request_id,
            answer: Some(v1::provide_answer::Answer::Record(provided)),
            context: for_agency("benefit"),
            ..v1::ProvideAnswer::default()
        };
        say.send(v1::ProvideRequest { message: Some(provide_request::Message::Answer(answer)) }).await.unwrap();
        let recorded = heard.message().await.unwrap().unwrap().message;
        let Some(provide_response::Message::Recorded(recorded)) = recorded else { panic!("{recorded:?}") };
        recorded.receipt.unwrap().index
    });
    (answering, answers)
}

/// Receives one delivery for benefit and acknowledges it.
async fn receive_for_benefit(scene: &Scene) -> (v1::Delivery, mpsc::Sender<v1::ReceiveRequest>) {
    let (answers, sent) = mpsc::channel(4);
    let said = |message| v1::ReceiveRequest { message: Some(message) };
    let open = v1::ReceiveOpen { on_behalf_of: "benefit".into(), credit: 1 };
    answers.send(said(receive_request::Message::Open(open))).await.unwrap();
    let mut exchange = scene.exchange(SERVICE).await;
    let mut heard = exchange.receive(ReceiverStream::new(sent)).await.unwrap().into_inner();
    heard.message().await.unwrap().unwrap();
    let delivered = heard.message().await.unwrap().unwrap().message;
    let Some(receive_response::Message::Deliveries(batch)) = delivered else { panic!("{delivered:?}") };
    let [delivery] = <[_; 1]>::try_from(batch.deliveries).unwrap();
    let answer = v1::DeliveryAnswer {
        transfer_ids: vec![delivery.transfer_id.clone()],
        answer: Some(v1::delivery_answer::Answer::Acknowledged(v1::Acknowledged {})),
    };
    answers.send(said(receive_request::Message::Answer(answer))).await.unwrap();
    (delivery, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_received_and_consented_is_in_the_name_of_whom_it_is_done_for() {
    let scene = scene("").await;
    for (record_type, agency) in [("benefit/claim", "benefit"), ("tax/residency", "tax"), ("tax/residency", "")] {
        let outcome = submit(&scene, 0, record_type, agency).await.unwrap();
        let [decision] = <[_; 1]>::try_from(outcome.recipients).unwrap();
        let named = if agency.is_empty() { "tax" } else { agency };
        let index = decision.receipt.unwrap().index;
        assert_eq!(acted(&scene, index).await, ["transfer", SERVICE, named]);
        assert_eq!(said(&scene.entry(index).await, Attribute::Source), format!("\"{named}\""));
    }
    for (record_type, agency) in [("benefit/claim", "tax"), ("tax/residency", "benefit")] {
        let refused = crate::scene::refusal_in(&submit(&scene, 0, record_type, agency).await.unwrap_err());
        assert_eq!(refused.code, "agreement.missing", "{agency} has no {record_type} to give");
    }

    let (delivery, _open) = receive_for_benefit(&scene).await;
    assert_eq!((delivery.source.as_str(), delivery.agreement.as_str()), ("tax", "tax-residency-to-benefit"));
    let kind = || v1::SearchRequest { kind: "delivery_acknowledged".into(), ..v1::SearchRequest::default() };
    until("it is acknowledged", async || !scene.found("hub/dpo", kind()).await.is_empty()).await;
    let acknowledged = scene.found("hub/dpo", kind()).await.remove(0);
    let parties = [Attribute::System, Attribute::Recipient].map(|attribute| said(&acknowledged, attribute));
    assert_eq!(parties, [format!("\"{SERVICE}\""), "\"benefit\"".into()]);

    let grant = v1::GrantRequest { context: for_agency("benefit"), ..scene.grant(0, "identity-contact-to-benefit") };
    let granted = scene.consents(SERVICE).await.grant(grant).await.unwrap().into_inner();
    assert_eq!(acted(&scene, granted.receipt.unwrap().index).await, ["consent_granted", SERVICE, "benefit"]);
    let withdrawal = v1::WithdrawRequest { context: for_agency("benefit"), ..scene.withdrawal(0, &granted.consent_id) };
    let withdrawn = scene.consents(SERVICE).await.withdraw(withdrawal).await.unwrap().into_inner();
    assert_eq!(acted(&scene, withdrawn.receipt.unwrap().index).await, ["consent_withdrawn", SERVICE, "benefit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_and_answered_is_in_the_name_of_whom_it_is_done_for() {
    let scene = scene("").await;
    provide_always(&scene, "tax/registry", scene.record(0, "tax/income-statement")).await;
    let income = scene.request(0, "tax/income-statement", "income-assessment");
    let for_benefit = v1::RequestRequest { context: for_agency("benefit"), ..income.clone() };
    let answered = scene.exchange(SERVICE).await.request(for_benefit).await.unwrap().into_inner();
    let asked = answered.asked.unwrap().index;
    assert_eq!(acted(&scene, asked).await, ["request_asked", SERVICE, "benefit"]);
    assert_eq!(said(&scene.entry(asked).await, Attribute::Recipient), "\"benefit\"");
    let Some(v1::request_response::Answer::Evidence(evidence)) = answered.answer else { panic!("no record") };
    assert_eq!(acted(&scene, evidence.receipt.unwrap().index).await, ["transfer", "tax/registry", "tax"]);
    let as_tax = v1::RequestRequest { idempotency_key: scene.key(), ..income };
    assert_eq!(Call::Request(as_tax).fails(&scene, SERVICE).await.code(), "agreement.missing");

    let (answering, _open) = provide_for_benefit(&scene).await;
    let claim = scene.request(0, "benefit/claim", "taxation-of-benefits");
    let answered = scene.exchange("tax/registry").await.request(claim).await.unwrap().into_inner();
    let Some(v1::request_response::Answer::Evidence(evidence)) = answered.answer else { panic!("no record") };
    let index = evidence.receipt.unwrap().index;
    assert_eq!(answering.await.unwrap(), index);
    assert_eq!(acted(&scene, index).await, ["transfer", SERVICE, "benefit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_audits_for_an_agency_sees_what_its_own_officer_sees() {
    let scene = scene("").await;
    scene.push(scene.record(0, "identity/address")).await.unwrap();
    submit(&scene, 0, "benefit/claim", "benefit").await.unwrap();
    submit(&scene, 0, "tax/residency", "tax").await.unwrap();
    let size = scene.size();
    let mut seen = Vec::new();
    for (system, agency) in [(SERVICE, "benefit"), (SERVICE, "tax"), ("benefit/dpo", "benefit"), ("tax/dpo", "tax")] {
        let search = v1::SearchRequest {
            idempotency_key: scene.key(),
            context: for_agency(agency),
            page_size: 500,
            ..v1::SearchRequest::default()
        };
        let found = scene.ledger(system).await.search(search).await.unwrap().into_inner();
        assert_eq!(acted(&scene, found.read.unwrap().index).await, ["audit_read", system, agency]);
        let indices = found.entries.iter().map(|one| one.index).filter(|index| *index < size);
        seen.push(indices.collect::<Vec<_>>());
    }
    assert_eq!((&seen[0], &seen[1]), (&seen[2], &seen[3]));
    assert_ne!(seen[0], seen[1], "identity's address goes to each of them by an entry of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_no_call_in_the_name_of_an_agency_that_it_does_not_serve() {
    let scene = scene("").await;
    let outcome = scene.push(scene.record(0, "identity/address")).await.unwrap();
    let transfer = &outcome.recipients[0].transfer_id;
    let consent = scene.granted(scene.grant(0, "identity-contact-to-benefit")).await.consent_id;
    for name in SAYS_FOR_WHOM {
        for (agency, serves) in [("", true), ("tax", true), ("benefit", true), ("identity", false), ("hub", false)] {
            let before = scene.size();
            let made = call(&scene, name, agency, transfer, &consent).make(&scene, SERVICE).await;
            let met = made.err().map(|failed| failed.code()).unwrap_or_default();
            if serves {
                assert!(!GATES.contains(&met.as_str()), "{name} for {agency:?}: {met}");
            } else {
                assert_eq!((met.as_str(), scene.size()), ("peer.not-acting-for", before + 1), "{name} for {agency}");
            }
        }
    }
}

/// Submits for one agency and for the other in turn, until the service is told to wait.
async fn exhausted(scene: &Scene, record_type: &str) -> (usize, Status) {
    for count in 0..100 {
        let agency = if count % 2 == 0 { "benefit" } else { "tax" };
        match submit(scene, count, record_type, agency).await {
            Err(status) if status.code() == Code::ResourceExhausted => return (count, status),
            _ => {}
        }
    }
    panic!("it was never told to wait")
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_quotas_bind_it_whomever_it_acts_for_and_bind_nobody_else() {
    let rate = "[system.quotas]\nrate_per_s = 1\nrate_burst = 3\n";
    let refusals = "[system.quotas]\nrefusals_per_s = 1\nrefusals_burst = 2\n";
    // An address is no record of either agency's: refused, until the refusals are used up.
    for (quotas, record_type, at_least) in [(rate, "tax/residency", 3), (refusals, "identity/address", 2)] {
        let scene = scene(quotas).await;
        let (count, status) = exhausted(&scene, record_type).await;
        assert!(count >= at_least, "{count} before {status:?}");
        assert!(status.get_details_retry_info().is_some(), "{status:?}");
        let size = scene.size();
        for citizen in 0..10 {
            let other = v1::SubmitRequest { submission: Some(scene.record(citizen, record_type)) };
            let other = Call::Submit(other).make(&scene, "tax/registry").await;
            assert_ne!(other.err().map(|failed| failed.code()).as_deref(), Some("ResourceExhausted"));
        }
        assert_eq!(scene.size(), size + 10, "each of the other system's has an entry");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_bound_of_calls_in_flight_counts_those_for_all_that_it_serves() {
    let scene = scene("[system.quotas]\nin_flight_max = 1\n").await;
    // A provider that thinks.
    let (answers, sent) = mpsc::channel(2);
    let open = provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
    let mut tax = scene.exchange("tax/registry").await.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
    tax.message().await.unwrap().unwrap();
    let income = scene.request(0, "tax/income-statement", "income-assessment");
    let for_benefit = v1::RequestRequest { context: for_agency("benefit"), ..income };
    let mut exchange = scene.exchange(SERVICE).await;
    let asked = tokio::spawn(async move { exchange.request(for_benefit).await });
    tax.message().await.unwrap().unwrap();
    let busy = submit(&scene, 1, "tax/residency", "tax").await.unwrap_err();
    assert_eq!(busy.code(), Code::ResourceExhausted, "{busy:?}");
    assert!(busy.get_details_retry_info().is_some());
    let other = v1::SubmitRequest { submission: Some(scene.record(1, "tax/residency")) };
    Call::Submit(other).make(&scene, "tax/registry").await.unwrap();
    asked.abort();
}
