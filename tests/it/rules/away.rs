//! A request whose provider is away: UNAVAILABLE, with the entries that were made all the same.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use waybill::{config::Limits, ledger::Attribute};
use waybill_proto::v1::{self, request_response::Answer};

use crate::scene::{Scene, absence_in, said, timestamp};

async fn ask(scene: &Scene, request: &v1::RequestRequest) -> Result<v1::RequestResponse, Status> {
    let asked = scene.exchange("benefit/claims").await.request(request.clone()).await;
    asked.map(tonic::Response::into_inner)
}

fn income(scene: &Scene) -> v1::RequestRequest {
    scene.request(0, "tax/income-statement", "income-assessment")
}

/// The entries of what was asked, and of that nobody answered; both verify, and neither repeats what the caller said.
#[track_caller]
fn entries(scene: &Scene, status: &Status) -> (u64, u64) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("provider.unavailable", "waybill"));
    assert!(status.get_details_retry_info().is_none(), "the same key gets the same answer");
    let details = String::from_utf8_lossy(status.details()).into_owned();
    for own in ["clerk 7", "case 1", "form 3", &scene.subject(0)[0].value] {
        assert!(!details.contains(own), "{own:?} stands in a trailer");
    }
    let answer = absence_in(status).unwrap();
    let asked = answer.asked.unwrap();
    let Some(Answer::NoRecord(none)) = answer.answer else { panic!("{:?}", answer.answer) };
    assert_eq!(none.reason(), v1::NoRecordReason::ProviderUnavailable);
    let ended = none.receipt.unwrap();
    scene.verify(&asked, None);
    scene.verify(&ended, None);
    (asked.index, ended.index)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_provider_is_away_is_unavailable_and_carries_its_entries() {
    let scene = Scene::new().await;
    let before = scene.size();
    let request = income(&scene);
    let away = ask(&scene, &request).await.unwrap_err();
    let (asked, ended) = entries(&scene, &away);
    assert_eq!((asked, ended, scene.size()), (before, before + 1, before + 2));
    let entry = scene.entry(ended).await;
    assert_eq!(said(&entry, Attribute::Outcome), "\"provider-unavailable\"");

    let size = scene.size();
    let again = ask(&scene, &request).await.unwrap_err();
    assert_eq!(entries(&scene, &again), (asked, ended), "a repeat gets the same");
    assert_eq!(scene.size(), size, "and adds nothing");
    let other = v1::RequestRequest { purpose: "benefit-administration".into(), ..request };
    assert_eq!(ask(&scene, &other).await.unwrap_err().code(), Code::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn her_explicit_request_is_recorded_as_that_and_a_consent_is_none() {
    let scene = Scene::new().await;
    let moment = scene.now();
    let asked = async |request: v1::RequestRequest| {
        let (asked, _) = entries(&scene, &ask(&scene, &request).await.unwrap_err());
        let entry = scene.entry(asked).await;
        assert_eq!(entry.kind, "request_asked");
        (said(&entry, Attribute::ExplicitRequest), said(&entry, Attribute::ConsentId))
    };
    let explicit = |asked_at| Some(v1::ExplicitRequest { reference: "form 3".into(), asked_at });
    let at_a_moment = v1::RequestRequest { explicit_request: explicit(timestamp(moment)), ..income(&scene) };
    let (hers, consent) = asked(at_a_moment).await;
    assert_eq!((hers, consent), (format!(r#"{{"asked_at":"{moment}","reference":"form 3"}}"#), String::new()));
    let (hers, _) = asked(v1::RequestRequest { explicit_request: explicit(None), ..income(&scene) }).await;
    assert_eq!(hers, r#"{"reference":"form 3"}"#);

    let id = scene.granted(scene.grant(0, "benefit-asks-contact")).await.consent_id;
    let contact = scene.request(0, "identity/contact", "optional-reminders");
    let (hers, consent) = asked(v1::RequestRequest { explicit_request: None, ..contact }).await;
    assert_eq!((hers, consent), (String::new(), format!("\"{id}\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_in_time_is_away() {
    let limits = Limits { request_s_max: Duration::from_secs(1), ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let (answers, sent) = mpsc::channel(2);
    let open = v1::provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
    let mut tax = scene.exchange("tax/registry").await.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
    tax.message().await.unwrap().unwrap();
    let request = income(&scene);
    let away = ask(&scene, &request).await.unwrap_err();
    let first = entries(&scene, &away);
    let again = ask(&scene, &request).await.unwrap_err();
    assert_eq!(entries(&scene, &again), first);
}
