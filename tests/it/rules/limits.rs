//! Limits, seen from outside: what is just within passes, what is just beyond does not. Where a bound is about load,
//! nothing is decided and nothing recorded.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_types::StatusExt as _;
use waybill::{
    config::Limits,
    domain::{subject::IDENTIFIERS_MAX, time::Clock as _},
    exchange::submission::ONLY_RECIPIENTS_MAX,
};
use waybill_proto::v1;

use super::calls::{Call, Failed, Recipient};
use crate::scene::{Scene, context, key_at};

const IDENTITY: &str = "identity/registry";
const CLAIMS: &str = "benefit/claims";
const DPO: &str = "benefit/dpo";

/// What becomes of a call: empty when it passes, or the refusal's code and its faults.
pub(super) async fn met(scene: &Scene, system: &str, call: Call) -> String {
    let Err(failed) = call.make(scene, system).await else { return String::new() };
    let Some(refusal) = failed.refusal() else { return failed.code() };
    let faults = refusal.violations.iter().map(|fault| format!(" {} {}", fault.keyword, fault.pointer));
    refusal.code + &faults.collect::<String>()
}

fn address(scene: &Scene, change: impl FnOnce(&mut v1::Submission)) -> Call {
    let mut submission = scene.record(0, "identity/address");
    change(&mut submission);
    Call::Submit(v1::SubmitRequest { submission: Some(submission) })
}

fn payload(scene: &Scene, text: String) -> Call {
    address(scene, |submission| submission.payload = text.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_may_be_as_large_deep_and_full_as_its_limits_say() {
    let scene = Scene::new().await;
    let limits = Limits::default();
    // Blanks are no part of the record, but of its text.
    let text = String::from_utf8(scene.record(0, "identity/address").payload.to_vec()).unwrap();
    let padded = |bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let items = |values: usize| format!("[{}]", vec!["1"; values - 1].join(","));
    let string = |bytes: usize| format!("[\"{}\"]", "a".repeat(bytes));
    let (bytes, depth) = (limits.record_bytes_max, limits.record_depth_max);
    let (values, string_bytes) = (limits.record_values_max, limits.record_string_bytes_max);
    for (within, beyond, code) in [
        (padded(bytes), padded(bytes + 1), "record.too-large"),
        (nested(depth), nested(depth + 1), "record.too-deep"),
        (items(values), items(values + 1), "record.too-many-items"),
        (string(string_bytes), string(string_bytes + 1), "record.string-too-long"),
    ] {
        let within = met(&scene, IDENTITY, payload(&scene, within)).await;
        assert!(within.is_empty() || within.starts_with("record.invalid"), "{code}: {within}");
        assert_eq!(met(&scene, IDENTITY, payload(&scene, beyond)).await, code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_s_texts_may_be_as_long_as_their_limits_say() {
    let limits = Limits { evidence_bytes_max: 1_000, search_page_max: 7, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let said = |length: usize| "a".repeat(length);
    let with = |change: fn(&mut v1::Context, String), length| {
        address(&scene, |one| change(one.context.as_mut().unwrap(), said(length)))
    };
    let record_id = |length| address(&scene, |one| one.record.as_mut().unwrap().record_id = said(length));
    let texts: [(&dyn Fn(usize) -> Call, usize, &str); 4] = [
        (&|length| with(|of, text| of.actor = text, length), 512, "maxLength /context/actor"),
        (&|length| with(|of, text| of.case_reference = text, length), 512, "maxLength /context/case_reference"),
        (&|length| with(|of, text| of.reason = text, length), 512, "maxLength /context/reason"),
        (&record_id, 256, "maxLength /record/record_id"),
    ];
    for (call, max, beyond) in texts {
        assert_eq!(met(&scene, IDENTITY, call(max)).await, "", "{beyond}");
        assert_eq!(met(&scene, IDENTITY, call(max + 1)).await, format!("call.malformed {beyond}"));
    }
    assert_eq!(met(&scene, IDENTITY, record_id(0)).await, "call.malformed minLength /record/record_id");

    let asked = |length| {
        let reference = said(length);
        let explicit_request = Some(v1::ExplicitRequest { reference, asked_at: None });
        let request = scene.request(0, "tax/income-statement", "income-assessment");
        Call::Request(v1::RequestRequest { explicit_request, ..request })
    };
    assert_eq!(met(&scene, CLAIMS, asked(512)).await, "");
    assert_eq!(met(&scene, CLAIMS, asked(513)).await, "call.malformed maxLength /explicit_request/reference");
    let evidence = |length| {
        let evidence = v1::grant_request::Evidence { media_type: "text/plain".into(), content: said(length).into() };
        let grant = scene.grant(0, "identity-contact-to-benefit");
        Call::Grant(v1::GrantRequest { evidence: Some(evidence), ..grant })
    };
    assert_eq!(met(&scene, "benefit/portal", evidence(1_000)).await, "");
    assert_eq!(met(&scene, "benefit/portal", evidence(1_001)).await, "call.malformed maxLength /evidence/content");
    for (page_size, entries) in [(6, 6), (7, 7), (8, 7), (0, 7)] {
        let (idempotency_key, context) = (scene.key(), context());
        let search = v1::SearchRequest { idempotency_key, context, page_size, ..v1::SearchRequest::default() };
        let page = scene.ledger(DPO).await.search(search).await.unwrap().into_inner();
        assert_eq!(page.entries.len(), entries, "what is only wished for, or not said, is cut");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_names_no_more_than_the_formats_say() {
    let scene = Scene::new().await;
    let identifiers = |count: usize| {
        let known = scene.subject(0);
        let more =
            (known.len()..count).map(|nth| v1::Identifier { scheme: "case-number".into(), value: format!("{nth}") });
        known.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    let (key, said) = (|| scene.key(), context);
    let calls: [(&str, &dyn Fn(usize) -> Call); 5] = [
        (CLAIMS, &|count| {
            let request = scene.request(0, "tax/income-statement", "income-assessment");
            Call::Request(v1::RequestRequest { subject: identifiers(count), ..request })
        }),
        ("benefit/portal", &|count| {
            let grant = scene.grant(0, "identity-contact-to-benefit");
            Call::Grant(v1::GrantRequest { subject: identifiers(count), ..grant })
        }),
        ("benefit/portal", &|count| {
            let withdraw = scene.withdrawal(0, &uuid::Uuid::now_v7().to_string());
            Call::Withdraw(v1::WithdrawRequest { subject: identifiers(count), ..withdraw })
        }),
        ("benefit/portal", &|count| {
            let (idempotency_key, context) = (key(), said());
            Call::ListConsents(v1::ListRequest { idempotency_key, subject: identifiers(count), context })
        }),
        ("hub/dpo", &|count| {
            let (idempotency_key, context) = (key(), said());
            Call::Search(v1::SearchRequest {
                idempotency_key,
                context,
                subject: identifiers(count),
                ..Default::default()
            })
        }),
    ];
    for (system, call) in calls {
        let within = met(&scene, system, call(IDENTIFIERS_MAX)).await;
        assert!(!within.contains("maxItems"), "{system}: {within}");
        assert_eq!(
            met(&scene, system, call(IDENTIFIERS_MAX + 1)).await,
            "call.malformed maxItems /subject",
            "{system}"
        );
    }

    let named = |count: usize| {
        let names = std::iter::once("tax".to_owned()).chain((1..count).map(|nth| format!("agency-{nth}")));
        address(&scene, |one| one.only_recipients = names.collect())
    };
    assert_eq!(met(&scene, IDENTITY, named(ONLY_RECIPIENTS_MAX)).await, "");
    let beyond = met(&scene, IDENTITY, named(ONLY_RECIPIENTS_MAX + 1)).await;
    assert_eq!(beyond, "call.malformed maxItems /only_recipients");

    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = |text: &str| address(&scene, |one| one.traceparent = text.to_owned());
    for good in ["", trace, &trace.replace("00-0", "01-0")] {
        assert_eq!(met(&scene, IDENTITY, traced(good)).await, "", "{good}");
    }
    let zeros = |part: &str| trace.replace(part, &"0".repeat(part.len()));
    let (no_trace, no_parent) = (zeros("0af7651916cd43dd8448eb211c80319c"), zeros("b7ad6b7169203331"));
    let upper = trace.to_uppercase();
    for bad in [&trace[1..], &format!("{trace}0"), &format!("{trace}-ab"), &no_trace, &no_parent, &upper] {
        assert_eq!(met(&scene, IDENTITY, traced(bad)).await, "call.malformed pattern /traceparent", "{bad}");
    }
    assert_eq!(
        met(&scene, IDENTITY, traced(&trace.replace("00-0", "ff-0"))).await,
        "call.malformed pattern /traceparent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_holds_for_the_window_and_not_a_moment_longer() {
    let (back, ahead) = (Duration::from_hours(7), Duration::from_secs(50));
    let limits = Limits { idempotency_back_s_max: back, idempotency_ahead_s_max: ahead, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let ms = Duration::from_millis(1);
    let now = scene.clock.now();
    let keyed = |moment| address(&scene, |one| one.idempotency_key = key_at(moment));
    assert_eq!(met(&scene, IDENTITY, keyed(now.before(back))).await, "");
    assert_eq!(met(&scene, IDENTITY, keyed(now.before(back + ms))).await, "key.too-old");
    assert_eq!(met(&scene, IDENTITY, keyed(now.after(ahead))).await, "");
    assert_eq!(met(&scene, IDENTITY, keyed(now.after(ahead + ms))).await, "key.too-new");

    let submission = scene.record(1, "identity/address");
    let first = scene.push(submission.clone()).await.unwrap();
    let index = |outcome: &v1::Outcome| outcome.recipients[0].receipt.as_ref().unwrap().index;
    scene.clock.advance(back);
    assert_eq!(index(&scene.push(submission.clone()).await.unwrap()), index(&first), "the same entry to the last");
    scene.clock.advance(ms);
    let call = Call::Submit(v1::SubmitRequest { submission: Some(submission) });
    assert_eq!(met(&scene, IDENTITY, call).await, "key.too-old", "refused, not executed");
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_and_credits_are_those_of_the_configuration() {
    let limits = Limits { stream_window_max: 7, receive_credit_max: 5, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let (_requests, sent) = mpsc::channel(1);
    let mut stream =
        scene.exchange(IDENTITY).await.submit_stream(ReceiverStream::new(sent)).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().window, 7);
    for (asked, granted) in [(0, 5), (4, 4), (5, 5), (6, 5), (u32::MAX, 5)] {
        assert_eq!(Recipient::with_credit(&scene, CLAIMS, asked).await.1, granted, "{asked}");
    }
    // No more than the credit leaves while nothing is acknowledged.
    for citizen in 0..8 {
        scene.push(scene.record(citizen, "identity/address")).await.unwrap();
    }
    let (mut benefit, _) = Recipient::with_credit(&scene, CLAIMS, 2).await;
    let first = benefit.next().await;
    let second = benefit.next().await;
    assert!(benefit.has_nothing_more(), "two are unanswered");
    benefit.acknowledge(&first).await;
    let third = benefit.next().await;
    let ids = [&first, &second, &third].map(|one| one.transfer_id.as_str());
    assert!(ids[0] != ids[1] && !ids[..2].contains(&ids[2]));
    assert!(benefit.has_nothing_more(), "two are unanswered again");
}

/// Nothing was decided: the caller is told when to come back, and the ledger is as it was.
fn exhausted(failed: &Failed) {
    let Failed::Status(status) = failed else { panic!("{failed:?}") };
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_details_retry_info().expect("RetryInfo");
    assert!(retry.retry_delay.unwrap() > Duration::ZERO);
    assert!(failed.refusal().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_refused_too_often_is_told_to_wait_and_fills_no_ledger() {
    let limits = Limits { refusals_per_s_max: 1, refusals_burst_max: 3, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let bad = |scene: &Scene| payload(scene, "{".into());
    let before = scene.size();
    let mut refused = 0;
    let over = loop {
        let failed = bad(&scene).fails(&scene, IDENTITY).await;
        if failed.refusal().is_none() {
            break failed;
        }
        refused += 1;
        assert!(refused < 30, "no quota");
    };
    exhausted(&over);
    assert!(refused >= 3);
    assert_eq!(scene.size(), before + refused, "an entry for each refusal, none for what was not decided");
    // Good calls go on, and so does everybody else.
    assert_eq!(met(&scene, IDENTITY, address(&scene, |_| ())).await, "");
    let other = Call::GetTransfer(v1::GetTransferRequest { transfer_id: scene.key(), context: context() });
    assert_eq!(met(&scene, CLAIMS, other).await, "transfer.unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_over_its_rate_is_told_to_wait() {
    let limits = Limits { rate_per_s_max: 1, rate_burst_max: 3, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let before = scene.size();
    let mut passed = 0;
    let over = loop {
        match address(&scene, |_| ()).make(&scene, IDENTITY).await {
            Ok(()) => passed += 1,
            Err(failed) => break failed,
        }
        assert!(passed < 30, "no rate");
    };
    exhausted(&over);
    assert!(passed >= 3);
    assert_eq!(scene.size(), before + 2 * passed, "to benefit and tax, each time");
    // Whatever is read is a call as well.
    let reads = [
        Call::GetCheckpoint(v1::GetCheckpointRequest {}),
        Call::GetInclusionProof(v1::GetInclusionProofRequest { index: 0, size: 0 }),
        Call::GetConsistencyProof(v1::GetConsistencyProofRequest { from_size: 1, to_size: 0 }),
    ];
    for read in reads {
        let mut over = None;
        for _ in 0..30 {
            over = over.or(read.make(&scene, "tax/dpo").await.err());
        }
        exhausted(&over.unwrap_or_else(|| panic!("no rate: {read:?}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_calls_of_a_system_are_in_flight_than_it_may_have() {
    let limits = Limits { in_flight_per_system_max: 1, ..Limits::default() };
    let scene = std::sync::Arc::new(Scene::with_limits(limits).await);
    // Tax takes the question and says nothing, so that benefit's request stays in flight.
    let (answers, sent) = mpsc::channel(2);
    let open = v1::provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
    let mut tax = scene.exchange("tax/registry").await.provide(ReceiverStream::new(sent)).await.unwrap().into_inner();
    tax.message().await.unwrap().unwrap();
    let asking = tokio::spawn({
        let scene = scene.clone();
        async move {
            let request = scene.request(0, "tax/income-statement", "income-assessment");
            scene.exchange(CLAIMS).await.request(request).await
        }
    });
    let question = tax.message().await.unwrap().unwrap().message;
    let Some(v1::provide_response::Message::Question(question)) = question else { panic!("{question:?}") };
    let before = scene.size();
    let other = || Call::GetTransfer(v1::GetTransferRequest { transfer_id: scene.key(), context: context() });
    exhausted(&other().fails(&scene, CLAIMS).await);
    assert_eq!(scene.size(), before);
    assert_eq!(met(&scene, IDENTITY, address(&scene, |_| ())).await, "", "others are not held up");

    let answer = v1::provide_request::Message::Answer(v1::ProvideAnswer {
        request_id: question.request_id,
        answer: Some(v1::provide_answer::Answer::NoRecord(v1::NoRecordReason::NoSuchRecord.into())),
        context: context(),
        ..v1::ProvideAnswer::default()
    });
    answers.send(v1::ProvideRequest { message: Some(answer) }).await.unwrap();
    asking.await.unwrap().unwrap();
    assert_eq!(met(&scene, CLAIMS, other()).await, "transfer.unknown", "its place is free again");
}
