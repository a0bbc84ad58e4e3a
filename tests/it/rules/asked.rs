//! A request that was asked has one outcome, whatever happens while the provider thinks: a withdrawal, a second call, a
//! requester that goes, a catalogue without its agreement.

use std::{fs, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use waybill::ledger::Attribute;
use waybill_proto::v1::{
    self, provide_request::Message as Said, provide_response::Message as Heard, request_response::Answer,
};

use crate::scene::{Scene, context, detail, refusal_in, said};

const PULL: &str = "benefit-asks-contact";

/// A registry that answers when the test says so.
struct Provider {
    answers: mpsc::Sender<v1::ProvideRequest>,
    heard: Streaming<v1::ProvideResponse>,
    record: v1::Submission,
}

impl Provider {
    /// Identity's, which has contact data.
    async fn connect(scene: &Scene) -> Self {
        Self::connect_as(scene, "identity/registry", "identity/contact").await
    }

    async fn connect_as(scene: &Scene, system: &str, record_type: &str) -> Self {
        let (answers, sent) = mpsc::channel(4);
        let open = Said::Open(v1::ProvideOpen::default());
        answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
        let mut exchange = scene.exchange(system).await;
        let mut heard = exchange.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
        heard.message().await.unwrap().unwrap();
        Self { answers, heard, record: scene.record(0, record_type) }
    }

    async fn question(&mut self) -> v1::Question {
        let heard = tokio::time::timeout(Duration::from_secs(30), self.heard.message()).await.expect("a question");
        match heard.unwrap().unwrap().message {
            Some(Heard::Question(question)) => question,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&mut self, question: &v1::Question) -> v1::AnswerRecorded {
        let provided = v1::ProvidedRecord {
            schema_version: self.record.schema_version.clone(),
            payload: self.record.payload.clone(),
            record: self.record.record.clone(),
        };
        self.say(question, v1::provide_answer::Answer::Record(provided)).await
    }

    /// Answers that there is no such record.
    async fn has_none(&mut self, question: &v1::Question) -> v1::AnswerRecorded {
        let none = v1::provide_answer::Answer::NoRecord(v1::NoRecordReason::NoSuchRecord.into());
        self.say(question, none).await
    }

    async fn say(&mut self, question: &v1::Question, answer: v1::provide_answer::Answer) -> v1::AnswerRecorded {
        let answer = v1::ProvideAnswer {
            request_id: question.request_id.clone(),
            answer: Some(answer),
            context: context(),
            ..v1::ProvideAnswer::default()
        };
        self.answers.send(v1::ProvideRequest { message: Some(Said::Answer(answer)) }).await.unwrap();
        match self.heard.message().await.unwrap().unwrap().message {
            Some(Heard::Recorded(recorded)) => recorded,
            other => panic!("{other:?}"),
        }
    }

    /// Whether no question has come beyond those that were read: what it says now is answered next.
    async fn was_not_asked_again(&mut self) -> bool {
        let unknown =
            v1::ProvideAnswer { request_id: uuid::Uuid::now_v7().to_string(), ..v1::ProvideAnswer::default() };
        self.answers.send(v1::ProvideRequest { message: Some(Said::Answer(unknown)) }).await.unwrap();
        matches!(self.heard.message().await.unwrap().unwrap().message, Some(Heard::Recorded(_)))
    }
}

type Asked = tokio::task::JoinHandle<Result<v1::RequestResponse, Status>>;

async fn ask(scene: &Scene, request: &v1::RequestRequest) -> Result<v1::RequestResponse, Status> {
    let request = tonic::Request::new(request.clone());
    scene.exchange("benefit/claims").await.request(request).await.map(tonic::Response::into_inner)
}

fn asking(scene: &Arc<Scene>, request: &v1::RequestRequest) -> Asked {
    let (scene, request) = (Arc::clone(scene), request.clone());
    tokio::spawn(async move { ask(&scene, &request).await })
}

/// The requester goes, and waits for nothing any more.
async fn hang_up(asked: Asked) {
    asked.abort();
    let _ = asked.await;
}

/// The hub stops while the provider thinks, and starts again: the request is open.
async fn restarted(thinking: Thinking) -> (Scene, Provider, v1::RequestRequest, v1::Question) {
    let Thinking { scene, consent: _, identity, request, asked, question } = thinking;
    hang_up(asked).await;
    drop(identity);
    let scene = Arc::into_inner(scene).expect("nobody else has it");
    let scene = Box::pin(scene.restart()).await;
    let identity = Provider::connect(&scene).await;
    (scene, identity, request, question)
}

/// The catalogue without the agreement.
async fn without_agreement(scene: &Scene) {
    fs::remove_file(scene.catalogue().join(format!("agreements/{PULL}.toml"))).unwrap();
    let publish = v1::PublishCatalogueRequest { idempotency_key: scene.key() };
    assert!(scene.operator("hub/operator").await.publish_catalogue(publish).await.unwrap().into_inner().changed);
}

/// A request whose question identity has, and thinks about; it rests on a consent.
struct Thinking {
    scene: Arc<Scene>,
    consent: String,
    identity: Provider,
    request: v1::RequestRequest,
    asked: Asked,
    question: v1::Question,
}

async fn thinking() -> Thinking {
    let scene = Arc::new(Scene::new().await);
    let consent = scene.granted(scene.grant(0, PULL)).await.consent_id;
    let mut identity = Provider::connect(&scene).await;
    let request = contact(&scene);
    let asked = asking(&scene, &request);
    let question = identity.question().await;
    Thinking { scene, consent, identity, request, asked, question }
}

fn contact(scene: &Scene) -> v1::RequestRequest {
    scene.request(0, "identity/contact", "optional-reminders")
}

/// The index of the refusal's own entry, which says why, of which request.
async fn refused(scene: &Scene, status: &Status, code: &str, request: &str) -> u64 {
    let refusal = refusal_in(status);
    assert_eq!(refusal.code, code);
    let receipt = refusal.receipt.unwrap();
    scene.verify(&receipt, None);
    let entry = scene.entry(receipt.index).await;
    assert_eq!((entry.kind.as_str(), said(&entry, Attribute::RefusalCode)), ("refusal", format!("\"{code}\"")));
    assert_eq!(said(&entry, Attribute::RequestId), format!("\"{request}\""));
    receipt.index
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_is_withdrawn_while_the_provider_thinks_ends_the_request_for_good() {
    let Thinking { scene, consent, mut identity, request, asked, question } = thinking().await;
    scene.withdrawn(scene.withdrawal(0, &consent)).await;
    let recorded = identity.answer(&question).await;
    assert!(recorded.receipt.is_none() && recorded.refusal.is_none(), "why is not the provider's to know");
    let status = asked.await.unwrap().unwrap_err();
    let index = refused(&scene, &status, "consent.withdrawn", &question.request_id).await;

    let size = scene.size();
    let again = ask(&scene, &request).await.unwrap_err();
    assert_eq!(
        refused(&scene, &again, "consent.withdrawn", &question.request_id).await,
        index,
        "a repeat gets the same"
    );
    let reads = 1; // of the entry, by `refused`
    assert_eq!(scene.size(), size + reads);
    assert!(identity.was_not_asked_again().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_no_record_is_not_told_either_once_the_consent_is_withdrawn() {
    let Thinking { scene, consent, mut identity, request: _, asked, question } = thinking().await;
    scene.withdrawn(scene.withdrawal(0, &consent)).await;
    let recorded = identity.has_none(&question).await;
    assert!(recorded.receipt.is_none() && recorded.refusal.is_none(), "why is not the provider's to know");
    refused(&scene, &asked.await.unwrap().unwrap_err(), "consent.withdrawn", &question.request_id).await;

    let mut tax = Provider::connect_as(&scene, "tax/registry", "tax/income-statement").await;
    let asked = asking(&scene, &scene.request(0, "tax/income-statement", "income-assessment"));
    let question = tax.question().await;
    assert!(tax.has_none(&question).await.receipt.is_some(), "a law needs no consent");
    let Some(Answer::NoRecord(none)) = asked.await.unwrap().unwrap().answer else { panic!("a record") };
    assert_eq!(none.reason(), v1::NoRecordReason::NoSuchRecord);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_to_a_repeat_that_comes_after_the_withdrawal() {
    let Thinking { scene, consent, mut identity, request, asked, question } = thinking().await;
    hang_up(asked).await;
    let recorded = identity.has_none(&question).await.receipt.unwrap();
    scene.withdrawn(scene.withdrawal(0, &consent)).await;
    let again = ask(&scene, &request).await.unwrap_err();
    assert_eq!(again.get_details_error_info().unwrap().reason, "evidence.not-kept");
    let answered: v1::RequestResponse = detail(&again, "RequestResponse").unwrap();
    let Some(Answer::NoRecord(none)) = answered.answer else { panic!("{answered:?}") };
    assert_eq!(none.reason(), v1::NoRecordReason::Unspecified);
    let receipt = none.receipt.unwrap();
    assert_eq!((receipt.index, receipt.openings.len()), (recorded.index, 0), "its entry, and nothing of what it says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_comes_again_to_the_next_stream_of_a_provider_whose_own_broke() {
    let Thinking { scene, consent: _, identity, request: _, asked, question } = thinking().await;
    drop(identity);
    let mut identity = Provider::connect(&scene).await;
    assert_eq!(identity.question().await, question);
    assert!(identity.answer(&question).await.receipt.is_some());
    assert!(matches!(asked.await.unwrap().unwrap().answer, Some(Answer::Evidence(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_again_about_a_person_who_has_withdrawn_since() {
    let thinking = thinking().await;
    let consent = thinking.consent.clone();
    let (scene, mut identity, request, question) = restarted(thinking).await;
    scene.withdrawn(scene.withdrawal(0, &consent)).await;
    let status = ask(&scene, &request).await.unwrap_err();
    let index = refused(&scene, &status, "consent.withdrawn", &question.request_id).await;
    let again = ask(&scene, &request).await.unwrap_err();
    assert_eq!(refused(&scene, &again, "consent.withdrawn", &question.request_id).await, index);
    assert!(identity.was_not_asked_again().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_its_outcome_though_the_requester_has_hung_up() {
    let Thinking { scene, consent: _, mut identity, request, asked, question } = thinking().await;
    hang_up(asked).await;
    let recorded = identity.answer(&question).await.receipt.expect("the question still waits");
    let answered = ask(&scene, &request).await.unwrap();
    let Some(Answer::Evidence(evidence)) = answered.answer else { panic!("{answered:?}") };
    assert_eq!(evidence.receipt.unwrap().index, recorded.index);
    assert!(!evidence.payload.is_empty(), "it is told with the record");
    assert!(identity.was_not_asked_again().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_person_s_consent_nobody_is_asked_about_somebody_else() {
    let scene = Arc::new(Scene::new().await);
    scene.granted(scene.grant(0, PULL)).await;
    let mut identity = Provider::connect(&scene).await;
    let (hers, of_somebody_unknown) = (scene.subject(0), scene.subject(1));
    let subject = [of_somebody_unknown, hers.clone()].concat();
    let asked = asking(&scene, &v1::RequestRequest { subject, ..contact(&scene) });
    let question = identity.question().await;
    assert_eq!(question.subject, hers);
    identity.record = scene.record(1, "identity/contact");
    let recorded = identity.answer(&question).await;
    assert_eq!(recorded.refusal.unwrap().code, "subject.ambiguous", "it is not about her");
    asked.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_call_of_a_request_that_is_under_way_takes_nothing_from_the_first() {
    let Thinking { scene, consent: _, mut identity, request, asked: first, question } = thinking().await;
    let second = ask(&scene, &request).await.unwrap_err();
    assert_eq!(second.code(), Code::Unavailable, "{second:?}");
    assert!(second.get_details_retry_info().is_some());
    assert_eq!(second.get_details_error_info().unwrap().reason, "hub.unavailable");
    assert!(identity.answer(&question).await.receipt.is_some());
    let answered = first.await.unwrap().unwrap();
    assert!(matches!(answered.answer, Some(Answer::Evidence(_))));
    assert!(identity.was_not_asked_again().await);
    let again = ask(&scene, &request).await.unwrap();
    assert_eq!(again.asked.unwrap().index, answered.asked.unwrap().index);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_request_is_answered_alike_when_its_agreement_is_gone() {
    let Thinking { scene, consent: _, mut identity, request, asked, question } = thinking().await;
    identity.answer(&question).await;
    let evidence = |response: v1::RequestResponse| match response.answer {
        Some(Answer::Evidence(evidence)) => evidence,
        other => panic!("{other:?}"),
    };
    let first = evidence(asked.await.unwrap().unwrap());

    without_agreement(&scene).await;
    let again = evidence(ask(&scene, &request).await.unwrap());
    assert_eq!((&again.transfer_id, &again.payload), (&first.transfer_id, &first.payload));
    assert_eq!((&again.record_type, &again.schema_version), (&first.record_type, &first.schema_version));
    let anew = v1::RequestRequest { idempotency_key: scene.key(), ..request };
    assert_eq!(refusal_in(&ask(&scene, &anew).await.unwrap_err()).code, "agreement.missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_request_whose_agreement_is_gone_is_refused_by_an_entry_of_its_own() {
    let (scene, mut identity, request, question) = restarted(thinking().await).await;
    without_agreement(&scene).await;
    let status = ask(&scene, &request).await.unwrap_err();
    let index = refused(&scene, &status, "agreement.missing", &question.request_id).await;
    let again = ask(&scene, &request).await.unwrap_err();
    assert_eq!(refused(&scene, &again, "agreement.missing", &question.request_id).await, index);
    assert!(identity.was_not_asked_again().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_recorded_under_the_catalogue_that_its_question_was_asked_under() {
    let Thinking { scene, consent: _, mut identity, request: _, asked, question } = thinking().await;
    let file = scene.catalogue().join(format!("agreements/{PULL}.toml"));
    let revised = fs::read_to_string(&file).unwrap();
    let revised = revised.replace("revision = 1", "revision = 2\nconsent_since_revision = 1");
    fs::write(file, revised).unwrap();
    let publish = v1::PublishCatalogueRequest { idempotency_key: scene.key() };
    assert!(scene.operator("hub/operator").await.publish_catalogue(publish).await.unwrap().into_inner().changed);
    let under = async |response: v1::RequestResponse| {
        let Some(Answer::Evidence(evidence)) = response.answer else { panic!("no record") };
        let mut both = Vec::new();
        for receipt in [response.asked, evidence.receipt] {
            let entry = scene.entry(receipt.unwrap().index).await;
            both.push((said(&entry, Attribute::Catalogue), said(&entry, Attribute::AgreementRevision)));
        }
        assert_eq!(both[0], both[1], "question and answer");
        both.remove(0)
    };
    identity.answer(&question).await;
    let (old, revision) = under(asked.await.unwrap().unwrap()).await;
    assert_eq!(revision, "1");
    let asked = asking(&scene, &contact(&scene));
    let question = identity.question().await;
    identity.answer(&question).await;
    let (new, revision) = under(asked.await.unwrap().unwrap()).await;
    assert_eq!((revision.as_str(), new == old), ("2", false));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_was_asked_can_answer() {
    let scene = Arc::new(Scene::new().await);
    let mut tax = Provider::connect_as(&scene, "tax/registry", "tax/income-statement").await;
    let mut identity = Provider::connect(&scene).await;
    let asked = asking(&scene, &scene.request(0, "tax/income-statement", "income-assessment"));
    let question = tax.question().await;
    let refused = identity.answer(&question).await.refusal.expect("identity was asked nothing");
    assert_eq!(refused.code, "request.unknown");
    assert!(tax.answer(&question).await.receipt.is_some(), "the question still waits for tax");
    assert!(matches!(asked.await.unwrap().unwrap().answer, Some(Answer::Evidence(_))));
    assert_eq!(tax.answer(&question).await.refusal.unwrap().code, "request.unknown", "it was answered");
}
