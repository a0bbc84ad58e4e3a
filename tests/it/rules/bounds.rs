//! Bounds of calls as a whole: how large, how long, how much is told. Those of what a call says are `limits.rs`, those of
//! its connection `http2.rs`.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};
use waybill::{config::Limits, domain::time::Moment, sequencer::Proposal, store::Store as _};
use waybill_proto::{
    codec::{PART_BYTES_MIN, PARTS_FREE},
    v1,
};

use crate::{
    crash::scene::until,
    scene::{Scene, context, refusal_in, timestamp},
};

type Questions = Streaming<v1::ProvideResponse>;

/// Tax's stream, over which it answers nothing. It ends when the sender is dropped.
async fn silent_provider(scene: &Scene) -> (mpsc::Sender<v1::ProvideRequest>, Questions) {
    let (answers, sent) = mpsc::channel(2);
    let open = v1::provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
    let mut tax = scene.exchange("tax/registry").await.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
    tax.message().await.unwrap().unwrap();
    (answers, tax)
}

async fn question(tax: &mut Questions) -> v1::Question {
    match tax.message().await.unwrap().unwrap().message {
        Some(v1::provide_response::Message::Question(question)) => question,
        other => panic!("{other:?}"),
    }
}

fn income(scene: &Scene, deadline: Option<Moment>) -> v1::RequestRequest {
    let request = scene.request(0, "tax/income-statement", "income-assessment");
    v1::RequestRequest { deadline: deadline.and_then(timestamp), ..request }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_be_as_large_as_its_limit_says() {
    const MAX: usize = 400_000;
    let scene = Scene::with_limits(Limits { grpc_message_bytes_max: MAX, ..Limits::default() }).await;
    let of = |bytes: usize| {
        let mut submission = scene.record(0, "identity/address");
        let request = |submission| v1::SubmitRequest { submission: Some(submission) };
        let text = submission.payload.to_vec();
        submission.payload = [text.clone(), vec![b' '; MAX / 2]].concat().into();
        let rest = request(submission.clone()).encoded_len() - MAX / 2;
        submission.payload = [text, vec![b' '; bytes - rest]].concat().into();
        let request = request(submission);
        assert_eq!(request.encoded_len(), bytes);
        request
    };
    let mut identity = scene.exchange("identity/registry").await;
    let read = identity.submit(of(MAX)).await.unwrap_err();
    assert_eq!(refusal_in(&read).code, "record.too-large", "it was read");
    let before = scene.size();
    let unread = identity.submit(of(MAX + 1)).await.unwrap_err();
    assert_eq!((unread.code(), scene.size()), (Code::OutOfRange, before), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_no_more_parts_than_its_bytes_allow() {
    let scene = Scene::new().await;
    let opened = |parts: usize| {
        let submissions = vec![v1::NumberedSubmission::default(); parts];
        let message = v1::SubmitStreamRequest { submissions, ..v1::SubmitStreamRequest::default() };
        let exchange = scene.exchange("identity/registry");
        async move {
            let mut outcomes = exchange.await.submit_stream(tokio_stream::iter([message])).await.unwrap().into_inner();
            loop {
                match outcomes.message().await {
                    Ok(Some(_)) => {}
                    ended => return ended.map(|_| ()).map_err(|status| status.code()),
                }
            }
        }
    };
    // An empty submission is two bytes, so that 32 of them bring one part more.
    let most = PARTS_FREE + 2 * PARTS_FREE / PART_BYTES_MIN + 1;
    assert_eq!(opened(most).await, Ok(()), "each is answered");
    let before = scene.size();
    assert_eq!((opened(most + 1).await, scene.size()), (Err(Code::OutOfRange), before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_search_is_no_larger_than_a_message_and_goes_on_where_it_ends() {
    const MAX: usize = 65_536;
    let scene = Scene::with_limits(Limits { grpc_message_bytes_max: MAX, ..Limits::default() }).await;
    for citizen in 0..40 {
        scene.push(scene.record(citizen, "identity/address")).await.unwrap();
    }
    let all: Vec<u64> = (0..scene.size()).rev().collect();
    let mut ledger = scene.ledger("hub/dpo").await;
    let (mut found, mut pages, mut page_token, mut largest) = (Vec::new(), 0, String::new(), 0);
    loop {
        let (idempotency_key, context) = (scene.key(), crate::scene::context());
        let search = v1::SearchRequest { idempotency_key, context, page_size: 500, page_token, ..Default::default() };
        let page = ledger.search(search).await.unwrap().into_inner();
        largest = largest.max(page.encoded_len());
        assert!(page.encoded_len() <= MAX, "{}", page.encoded_len());
        found.extend(page.entries.iter().map(|entry| entry.index));
        (pages, page_token) = (pages + 1, page.next_page_token);
        if page_token.is_empty() {
            break;
        }
    }
    assert!(pages > 1 && largest > MAX * 3 / 4, "{pages} pages, the largest of {largest} bytes");
    assert_eq!(found, all, "nothing is left out, nothing comes twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_faults_are_told_than_the_limit_says() {
    for (max, told) in [(4, 4), (5, 5), (6, 5)] {
        let scene = Scene::with_limits(Limits { violations_max: max, ..Limits::default() }).await;
        let mut record = scene.record(0, "identity/address");
        record.payload = "{\"a\":1}".into(); // lacks four things, and has one too many
        let refused = scene.push(record).await.unwrap_err();
        assert_eq!(refusal_in(&refused).violations.len(), told, "at most {max}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_until_its_deadline_and_no_longer_than_the_limit_says() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let (_answers, mut tax) = silent_provider(&scene).await;
    let (now, max, ms) = (scene.now(), Limits::default().request_s_max, Duration::from_millis(1));
    for (asked, granted) in [
        (Some(now.after(max)), now.after(max)),
        (Some(now.after(max + ms)), now.after(max)),
        (Some(now.after(ms)), now.after(ms)),
        (None, now.after(max)),
    ] {
        let asking = tokio::spawn({
            let scene = scene.clone();
            async move { scene.exchange("benefit/claims").await.request(income(&scene, asked)).await }
        });
        assert_eq!(question(&mut tax).await.deadline, timestamp(granted), "{asked:?}");
        asking.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_answers_of_a_provider_are_being_recorded_as_the_limit_says() {
    for (provide_answers_max, recording) in [(1, 1), (2, 2), (3, 2)] {
        let scene = std::sync::Arc::new(Scene::with_limits(Limits { provide_answers_max, ..Limits::default() }).await);
        let (answers, mut tax) = silent_provider(&scene).await;
        let mut questions = Vec::new();
        for _ in 0..2 {
            let scene = scene.clone();
            tokio::spawn(async move { scene.exchange("benefit/claims").await.request(income(&scene, None)).await });
            questions.push(question(&mut tax).await);
        }
        // Nothing can be recorded while somebody else has the store's lock.
        let held = scene.core().store.lock_head(&[], &[]).await.unwrap();
        let sequencer = &scene.core().sequencer;
        assert!(sequencer.propose(Proposal::default()).now_or_never().is_none());
        let waiting = async |count| until("answers wait", async || sequencer.waiting() == count).await;
        waiting(0).await;
        for question in questions {
            answers.send(no_record(question)).await.unwrap();
        }
        waiting(recording).await;
        let more = tokio::time::timeout(Duration::from_millis(300), waiting(recording + 1)).await;
        assert!(more.is_err(), "{provide_answers_max} at once");
        drop(held);
        for _ in 0..2 {
            let recorded = tax.message().await.unwrap().unwrap().message;
            assert!(matches!(recorded, Some(v1::provide_response::Message::Recorded(_))), "{recorded:?}");
        }
    }
}

fn no_record(question: v1::Question) -> v1::ProvideRequest {
    let answer = v1::ProvideAnswer {
        request_id: question.request_id,
        answer: Some(v1::provide_answer::Answer::NoRecord(v1::NoRecordReason::NoSuchRecord.into())),
        context: context(),
        ..v1::ProvideAnswer::default()
    };
    v1::ProvideRequest { message: Some(v1::provide_request::Message::Answer(answer)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_deadline_has_passed_is_refused_and_nobody_is_asked() {
    let scene = Scene::new().await;
    let (answers, mut tax) = silent_provider(&scene).await;
    let mut benefit = scene.exchange("benefit/claims").await;
    let now = scene.now();
    for deadline in [now, now.before(Duration::from_millis(1)), Moment(0)] {
        let before = scene.size();
        let refused = benefit.request(income(&scene, Some(deadline))).await.unwrap_err();
        let refusal = refusal_in(&refused);
        let faults: Vec<_> = refusal.violations.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!((refusal.code.as_str(), &faults[..]), ("call.malformed", &["/deadline"][..]), "{deadline}");
        assert_eq!(scene.size(), before + 1, "the refusal alone");
    }
    drop(answers);
    assert!(tax.message().await.unwrap().is_none(), "tax was asked nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_waits_for_calls_as_long_as_the_limit_says() {
    let (short, long) = (Duration::from_secs(2), Duration::from_mins(10));
    for (under_way, drain_s_max, least, most) in
        [(false, long, Duration::ZERO, long), (true, short, short, Limits::default().drain_s_max)]
    {
        let scene = Scene::with_limits(Limits { drain_s_max, ..Limits::default() }).await;
        let (_answers, mut tax) = silent_provider(&scene).await;
        let mut benefit = scene.exchange("benefit/claims").await;
        let request = income(&scene, None);
        let asking = under_way.then(|| tokio::spawn(async move { benefit.request(request).await }));
        if under_way {
            question(&mut tax).await;
        }
        let begun = Instant::now();
        scene.hub.stop().await.unwrap();
        let took = begun.elapsed();
        assert!((least..most).contains(&took), "{took:?}, a call under way: {under_way}");
        drop(asking);
    }
}
