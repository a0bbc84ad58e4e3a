//! A call that makes the hub panic ends alone: its caller is told that the hub failed and nothing more, and the hub goes on.
//! Submissions, of which a panic gives up a record: `kafka/poison.rs`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;
use waybill::vault::{Random, SystemRandom};
use waybill_proto::v1::{self, provide_answer, provide_request, provide_response, request_response::Answer};

use super::calls::{Call, Failed};
use crate::scene::{Scene, Setup, context};

/// What a panic says of a person.
const PANIC: &str = "whose name stands here";
const CLAIMS: &str = "benefit/claims";
const PORTAL: &str = "benefit/portal";

/// Random bytes, but for one draw, which panics. It stands for whatever a decision comes upon.
#[derive(Default)]
struct Panicking {
    /// How many draws from now; 0: none.
    draws: AtomicUsize,
}

impl Panicking {
    fn panic_at(&self, draw: usize) {
        self.draws.store(draw, Ordering::Relaxed);
    }

    fn has_panicked(&self) -> bool {
        self.draws.load(Ordering::Relaxed) == 0
    }
}

impl Random for Panicking {
    fn fill(&self, out: &mut [u8]) {
        let left = self.draws.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left != Ok(1), "there are no random bytes for the person {PANIC}");
        SystemRandom.fill(out);
    }
}

async fn scene() -> (Scene, Arc<Panicking>) {
    let random = Arc::new(Panicking::default());
    let scene = Scene::with(Setup { random: Some(Arc::clone(&random) as _), ..Setup::default() }).await;
    (scene, random)
}

/// Calls of every kind that somebody waits for, and who makes them.
fn calls(scene: &Scene) -> Vec<(&'static str, Call)> {
    let (key, context) = (|| scene.key(), context());
    let malformed = v1::RequestRequest { context: None, ..scene.request(0, "tax/income-statement", "no purpose") };
    let search = v1::SearchRequest { subject: scene.subject(0), ..v1::SearchRequest::default() };
    let entry = v1::GetEntryRequest { idempotency_key: key(), index: 0, context: context.clone() };
    let replay = v1::ReplayDeadLetterRequest { idempotency_key: key(), ..v1::ReplayDeadLetterRequest::default() };
    let transfer = v1::GetTransferRequest { transfer_id: "none".into(), context: context.clone() };
    vec![
        (CLAIMS, Call::Request(scene.request(0, "tax/income-statement", "income-assessment"))),
        (CLAIMS, Call::Request(malformed)),
        (PORTAL, Call::Grant(scene.grant(0, "identity-contact-to-benefit"))),
        (PORTAL, Call::Withdraw(scene.withdrawal(0, "none"))),
        (
            PORTAL,
            Call::ListConsents(v1::ListRequest {
                idempotency_key: scene.key(),
                subject: scene.subject(0),
                context: context.clone(),
            }),
        ),
        ("benefit/dpo", Call::Search(v1::SearchRequest { idempotency_key: key(), context, ..search })),
        ("hub/dpo", Call::GetEntry(entry)),
        ("hub/operator", Call::Replay(replay)),
        (CLAIMS, Call::GetTransfer(transfer)),
    ]
}

/// The hub has failed, and tells nothing of how.
fn assert_fault(failed: &Failed, call: &Call) {
    let Failed::Status(status) = failed else { panic!("{call:?}: {failed:?}") };
    assert_eq!((status.code(), status.message()), (Code::Internal, "the hub failed; its log says why"), "{call:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "hub.failed", "{call:?}");
    assert!(details.retry_info().is_none() && details.bad_request().is_none(), "{call:?}: {status:?}");
    assert!(!String::from_utf8_lossy(status.details()).contains("name stands here"), "{call:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_makes_the_hub_panic_fails_alone_and_says_nothing_of_the_person() {
    let (scene, random) = scene().await;
    // The first draw is the decision's own id; the second seals its entry, or that of its refusal.
    for draw in [1, 2] {
        for (system, call) in calls(&scene) {
            random.panic_at(draw);
            assert_fault(&call.fails(&scene, system).await, &call);
            assert!(random.has_panicked(), "{call:?}");
            // The same call, on the same connection.
            if let Err(failed) = call.make(&scene, system).await {
                assert!(failed.refusal().is_some(), "{call:?}: {failed:?}");
            }
        }
    }
}

/// A provider whose answers are the test's.
struct Provider {
    answers: mpsc::Sender<v1::ProvideRequest>,
    told: Streaming<v1::ProvideResponse>,
}

impl Provider {
    async fn open(scene: &Scene) -> Self {
        let (answers, sent) = mpsc::channel(4);
        let open = provide_request::Message::Open(v1::ProvideOpen::default());
        answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
        let mut exchange = scene.exchange("tax/registry").await;
        let told = exchange.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
        let mut provider = Self { answers, told };
        assert!(matches!(provider.next().await, provide_response::Message::Ready(_)));
        provider
    }

    async fn next(&mut self) -> provide_response::Message {
        self.told.message().await.unwrap().unwrap().message.unwrap()
    }

    async fn question(&mut self) -> String {
        match self.next().await {
            provide_response::Message::Question(question) => question.request_id,
            other => panic!("{other:?}"),
        }
    }

    /// Answers a question with somebody's income; what is told of the answer.
    async fn answer(&mut self, scene: &Scene, request_id: &str) -> v1::AnswerRecorded {
        let v1::Submission { schema_version, payload, record, .. } = scene.record(0, "tax/income-statement");
        let answer = provide_answer::Answer::Record(v1::ProvidedRecord { schema_version, payload, record });
        let answer = v1::ProvideAnswer {
            request_id: request_id.into(),
            answer: Some(answer),
            context: context(),
            ..v1::ProvideAnswer::default()
        };
        let answer = provide_request::Message::Answer(answer);
        self.answers.send(v1::ProvideRequest { message: Some(answer) }).await.unwrap();
        match self.next().await {
            provide_response::Message::Recorded(recorded) => recorded,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_makes_the_hub_panic_is_not_recorded_and_the_question_can_be_answered_again() {
    let (scene, random) = scene().await;
    let mut provider = Provider::open(&scene).await;
    let request = scene.request(0, "tax/income-statement", "income-assessment");
    let exchange = scene.exchange(CLAIMS).await;
    let ask = || {
        let (mut exchange, request) = (exchange.clone(), request.clone());
        tokio::spawn(async move { exchange.request(request).await })
    };
    let asked = ask();
    let question = provider.question().await;
    // As it is taken in: the question is still open.
    random.panic_at(1);
    let told = provider.answer(&scene, &question).await;
    assert!(random.has_panicked() && told.receipt.is_none() && told.refusal.is_none(), "{told:?}");
    // As what is in it is decided, which ends the request, too.
    random.panic_at(2);
    let told = provider.answer(&scene, &question).await;
    assert!(random.has_panicked() && told.receipt.is_none() && told.refusal.is_none(), "{told:?}");
    let failed = asked.await.unwrap().unwrap_err();
    assert_fault(&failed.into(), &Call::Request(request.clone()));

    // Asked again under the same key, it is the same question, and answered over the same stream.
    let asked = ask();
    assert_eq!(provider.question().await, question);
    let told = provider.answer(&scene, &question).await;
    assert!(told.receipt.is_some(), "{told:?}");
    let answered = asked.await.unwrap().unwrap().into_inner();
    assert!(matches!(answered.answer, Some(Answer::Evidence(_))), "{answered:?}");
}
