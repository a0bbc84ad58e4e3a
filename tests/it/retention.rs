//! What is kept no longer than it must be: payloads go with their hour, late ones wait sealed again, dead letters have a
//! term. The clock is the test's.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt as _;
use waybill::{
    app::retire_payloads,
    config::Limits,
    store::{SlotNumber, Store as _},
};
use waybill_proto::v1::{self, request_response::Answer};

use crate::{
    crash::scene::until,
    rules::calls::{Call, Recipient, provide_always},
    scene::{Scene, context, detail},
};

const HOUR: Duration = Duration::from_hours(1);
const CLAIMS: &str = "benefit/claims";

/// How long a dead letter is kept, unless it is configured.
fn term() -> Duration {
    Limits::default().dead_letter_s_max
}

/// What the hub does every minute.
async fn retire(scene: &Scene) -> usize {
    let (store, desk, now) = (scene.core().store.clone(), scene.core().desk.clone(), scene.now());
    tokio::task::spawn_blocking(move || retire_payloads(&store, &desk, now, term()).unwrap()).await.unwrap()
}

/// Where the epoch's key of an entry's payload lies now.
async fn epoch_of(scene: &Scene, index: u64) -> SlotNumber {
    let stored = scene.core().store.entries(index, 1).await.unwrap().remove(0);
    stored.routing.payload.unwrap().epoch
}

async fn has_key(scene: &Scene, slot: SlotNumber) -> bool {
    scene.core().store.slot_key(slot).await.unwrap().is_some()
}

/// Pushes an address, which benefit and tax are to get; the entries of both transfers.
async fn pushed(scene: &Scene, citizen: usize) -> [u64; 2] {
    let outcome = scene.push(scene.record(citizen, "identity/address")).await.unwrap();
    let indices: Vec<u64> = outcome.recipients.iter().map(|one| one.receipt.as_ref().unwrap().index).collect();
    indices.try_into().unwrap()
}

/// Advances to a moment after the whole hour.
fn to_next_hour(scene: &Scene, after: Duration) {
    let past = Duration::from_millis(scene.now().0 % 3_600_000);
    scene.clock.advance(HOUR.saturating_sub(past) + after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_goes_with_its_hour_once_it_was_handed_over_and_a_late_one_is_sealed_again() {
    let scene = Scene::new().await;
    let [to_benefit, to_tax] = pushed(&scene, 0).await;
    let first = epoch_of(&scene, to_tax).await;
    assert_eq!(epoch_of(&scene, to_benefit).await, first);
    let (mut tax, _) = Recipient::with_credit(&scene, "tax/registry", 8).await;
    let delivery = tax.next().await;
    tax.acknowledge(&delivery).await;
    settled(&scene, "tax/registry", &delivery.transfer_id, v1::DeliveryState::Acknowledged).await;

    to_next_hour(&scene, Duration::from_secs(599));
    assert_eq!((retire(&scene).await, has_key(&scene, first).await), (0, true), "something may still be under way");
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!((retire(&scene).await, has_key(&scene, first).await), (1, false), "what tax has is gone from the hub");
    assert_eq!(retire(&scene).await, 0);
    let second = epoch_of(&scene, to_benefit).await;
    assert!(second != first && has_key(&scene, second).await, "what benefit has not waits under a later key");
    assert_eq!(epoch_of(&scene, to_tax).await, first);

    // It stays there for as long as benefit is away, hour by hour, under one key after the other.
    for _ in 0..3 {
        to_next_hour(&scene, Duration::from_mins(11));
        assert_eq!(retire(&scene).await, 1);
    }
    assert!(!has_key(&scene, second).await);
    let (mut benefit, _) = Recipient::with_credit(&scene, CLAIMS, 8).await;
    let late = benefit.next().await;
    assert_eq!(late.ledger_index, to_benefit);
    let record: serde_json::Value = serde_json::from_slice(&late.payload).unwrap();
    assert!(record["subject"]["nationalNumber"].is_string(), "it is whole");
    scene.verify(late.receipt.as_ref().unwrap(), Some(&record));
    let last = epoch_of(&scene, to_benefit).await;
    benefit.acknowledge(&late).await;
    settled(&scene, CLAIMS, &late.transfer_id, v1::DeliveryState::Acknowledged).await;
    to_next_hour(&scene, Duration::from_mins(10));
    retire(&scene).await;
    assert!(!has_key(&scene, last).await, "within two hours of its acknowledgement");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_its_evidence_while_it_is_kept_and_is_told_when_it_is_not() {
    let scene = Scene::new().await;
    provide_always(&scene, "tax/registry", scene.record(0, "tax/income-statement")).await;
    let request = scene.request(0, "tax/income-statement", "income-assessment");
    let mut benefit = scene.exchange(CLAIMS).await;
    let evidence = |answered: v1::RequestResponse| match answered.answer {
        Some(Answer::Evidence(evidence)) => (answered.asked.unwrap().index, evidence),
        other => panic!("{other:?}"),
    };
    let (asked, first) = evidence(benefit.request(request.clone()).await.unwrap().into_inner());
    let (_, again) = evidence(benefit.request(request.clone()).await.unwrap().into_inner());
    assert!(!first.payload.is_empty() && again.payload == first.payload);

    let index = first.receipt.as_ref().unwrap().index;
    let epoch = epoch_of(&scene, index).await;
    to_next_hour(&scene, Duration::from_mins(11));
    retire(&scene).await;
    assert!(!has_key(&scene, epoch).await);
    let size = scene.size();
    let gone = benefit.request(request).await.unwrap_err();
    assert_eq!(gone.code(), Code::FailedPrecondition, "{gone:?}");
    assert_eq!(gone.get_details_error_info().unwrap().reason, "evidence.not-kept");
    let (still_asked, told) = evidence(detail(&gone, "RequestResponse").unwrap());
    assert_eq!((still_asked, told.transfer_id.as_str()), (asked, first.transfer_id.as_str()));
    assert!(told.payload.is_empty());
    let details = String::from_utf8_lossy(gone.details()).into_owned();
    for own in ["clerk 7", "form 3", &first.record.unwrap().record_id, &scene.subject(0)[0].value] {
        assert!(!details.contains(own), "{own:?} stands in a trailer");
    }
    let receipt = told.receipt.unwrap();
    assert_eq!(receipt.index, index);
    scene.verify(&v1::Receipt { openings: Vec::new(), ..receipt }, None);
    assert_eq!(scene.size(), size, "a repeat adds nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_a_recipient_may_keep_a_record_is_told_with_it() {
    let scene = Scene::new().await;
    let years = |years: u64| years * 365 * 24 * 3600;
    pushed(&scene, 0).await;
    // As the demo's agreements say.
    for (system, agreed) in [(CLAIMS, years(5)), ("tax/registry", years(10))] {
        let (mut recipient, _) = Recipient::with_credit(&scene, system, 1).await;
        assert_eq!(recipient.next().await.keep_seconds, agreed, "{system}");
    }
    provide_always(&scene, "tax/registry", scene.record(0, "tax/income-statement")).await;
    let request = scene.request(0, "tax/income-statement", "income-assessment");
    let answered = scene.exchange(CLAIMS).await.request(request).await.unwrap().into_inner();
    let Some(Answer::Evidence(evidence)) = answered.answer else { panic!("{answered:?}") };
    assert_eq!(evidence.keep_seconds, years(5));
}

async fn settled(scene: &Scene, system: &str, transfer: &str, state: v1::DeliveryState) {
    let asked = || v1::GetTransferRequest { transfer_id: transfer.into(), context: context() };
    let mut exchange = scene.exchange(system).await;
    while exchange.get_transfer(asked()).await.unwrap().into_inner().state() != state {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_can_be_replayed_until_its_term_is_over_and_then_nobody_can_open_it() {
    let backoff = Duration::from_millis(1);
    let limits =
        Limits { delivery_attempts_max: 1, backoff_ms_min: backoff, backoff_ms_max: backoff, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let mut dead = Vec::new();
    let (mut benefit, _) = Recipient::with_credit(&scene, CLAIMS, 8).await;
    for citizen in [0, 1] {
        let [index, _] = pushed(&scene, citizen).await;
        let delivery = benefit.next().await;
        benefit.reject(&delivery, v1::RejectionReason::TryAgain).await;
        settled(&scene, CLAIMS, &delivery.transfer_id, v1::DeliveryState::DeadLettered).await;
        dead.push((index, delivery.transfer_id));
    }
    let replay = |id: &str| {
        let (idempotency_key, transfer_id, reason) = (scene.key(), id.to_owned(), "a test".to_owned());
        Call::Replay(v1::ReplayDeadLetterRequest { idempotency_key, transfer_id, reason })
    };
    let [(_, one), (index, other)] = &dead[..] else { unreachable!("two were given up") };

    to_next_hour(&scene, Duration::from_mins(11));
    assert_eq!(retire(&scene).await, 1);
    // Just within the term: both are kept, and one is replayed, whole.
    scene.clock.advance(term().saturating_sub(Duration::from_hours(2)));
    retire(&scene).await;
    replay(one).make(&scene, "hub/operator").await.unwrap();
    let delivery = benefit.next().await;
    assert!(delivery.replayed && delivery.transfer_id == *one && !delivery.payload.is_empty());
    benefit.acknowledge(&delivery).await;
    settled(&scene, CLAIMS, one, v1::DeliveryState::Acknowledged).await;
    let kept = epoch_of(&scene, *index).await;
    assert!(has_key(&scene, kept).await);

    // Just beyond it: the other is forgotten, and its content goes with the hour.
    scene.clock.advance(Duration::from_hours(3));
    retire(&scene).await;
    assert!(!has_key(&scene, kept).await);
    let list = v1::ListDeadLettersRequest { recipient: "benefit".into(), ..v1::ListDeadLettersRequest::default() };
    let listed = scene.operator("hub/operator").await.list_dead_letters(list).await.unwrap().into_inner();
    assert!(listed.dead_letters.is_empty(), "{listed:?}");
    assert_eq!(replay(other).fails(&scene, "hub/operator").await.code(), "dead-letter.unknown");
}

/// How many dead letters of benefit's are listed.
async fn listed(scene: &Scene) -> usize {
    let list = v1::ListDeadLettersRequest { recipient: "benefit".into(), ..v1::ListDeadLettersRequest::default() };
    scene.operator("hub/operator").await.list_dead_letters(list).await.unwrap().into_inner().dead_letters.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_forgets_a_dead_letter_after_the_term_that_is_configured_and_not_before() {
    let (term, backoff) = (Duration::from_hours(2), Duration::from_millis(1));
    let limits = Limits { delivery_attempts_max: 1, backoff_ms_min: backoff, ..Limits::default() };
    let scene = Scene::with_limits(Limits { dead_letter_s_max: term, backoff_ms_max: backoff, ..limits }).await;
    // Entries have the time in whole seconds, and the term begins with one.
    scene.clock.advance(Duration::from_millis(1_000 - scene.now().0 % 1_000));
    let [index, _] = pushed(&scene, 0).await;
    let (mut benefit, _) = Recipient::with_credit(&scene, CLAIMS, 8).await;
    let delivery = benefit.next().await;
    benefit.reject(&delivery, v1::RejectionReason::TryAgain).await;
    settled(&scene, CLAIMS, &delivery.transfer_id, v1::DeliveryState::DeadLettered).await;
    drop(benefit);
    let first = epoch_of(&scene, index).await;

    // What the hub does every minute, it does as it starts. The clock stands still otherwise.
    scene.clock.advance(term);
    let scene = scene.restart().await;
    until("the hour has ended", async || !has_key(&scene, first).await).await;
    assert_eq!(listed(&scene).await, 1, "its term is not over");
    let second = epoch_of(&scene, index).await;
    assert!(has_key(&scene, second).await, "it could be replayed");

    scene.clock.advance(Duration::from_millis(1));
    let scene = scene.restart().await;
    until("the dead letter is forgotten", async || listed(&scene).await == 0).await;
    // Its content goes with the hour in which it was sealed last.
    scene.clock.advance(2 * HOUR);
    let scene = scene.restart().await;
    until("that hour has ended", async || !has_key(&scene, second).await).await;
    let (idempotency_key, transfer_id, reason) = (scene.key(), delivery.transfer_id, "a test".to_owned());
    let replay = Call::Replay(v1::ReplayDeadLetterRequest { idempotency_key, transfer_id, reason });
    assert_eq!(replay.fails(&scene, "hub/operator").await.code(), "dead-letter.unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_replayed_to_the_end_of_its_term_and_not_after_it_though_its_content_is_still_there() {
    let (term, backoff) = (Duration::from_hours(1), Duration::from_millis(1));
    let limits = Limits { delivery_attempts_max: 1, backoff_ms_min: backoff, ..Limits::default() };
    let scene = Scene::with_limits(Limits { dead_letter_s_max: term, backoff_ms_max: backoff, ..limits }).await;
    // Entries have the time in whole seconds, and the term begins with one.
    scene.clock.advance(Duration::from_millis(1_000 - scene.now().0 % 1_000));
    let mut dead = Vec::new();
    let (mut benefit, _) = Recipient::with_credit(&scene, CLAIMS, 8).await;
    for citizen in [0, 1, 2] {
        let [index, _] = pushed(&scene, citizen).await;
        let delivery = benefit.next().await;
        benefit.reject(&delivery, v1::RejectionReason::TryAgain).await;
        settled(&scene, CLAIMS, &delivery.transfer_id, v1::DeliveryState::DeadLettered).await;
        dead.push((index, delivery.transfer_id));
    }
    drop(benefit);
    let replay = |id: &str| {
        let (idempotency_key, transfer_id, reason) = (scene.key(), id.to_owned(), "a test".to_owned());
        Call::Replay(v1::ReplayDeadLetterRequest { idempotency_key, transfer_id, reason })
    };
    let [(_, first), (index, second), (_, third)] = &dead[..] else { unreachable!("three were given up") };

    scene.clock.advance(term);
    replay(first).make(&scene, "hub/operator").await.unwrap();
    // A moment later the hub has not yet looked for what it may forget; then it has, and the hour's key is still there.
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(replay(second).fails(&scene, "hub/operator").await.code(), "dead-letter.unknown");
    let (store, before) = (scene.core().store.clone(), scene.now().before(term));
    let forgotten = tokio::task::spawn_blocking(move || store.forget_dead_letters(before).unwrap()).await.unwrap();
    assert_eq!((forgotten, listed(&scene).await), (2, 0));
    for gone in [second, third] {
        assert_eq!(replay(gone).fails(&scene, "hub/operator").await.code(), "dead-letter.unknown");
    }
    let kept = epoch_of(&scene, *index).await;
    assert!(has_key(&scene, kept).await);
}
