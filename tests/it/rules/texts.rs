//! Bounds of what a call says, beside those in `limits.rs`: what is just within passes, what is just beyond is refused and
//! named.

use waybill::desk::{NOTICE_BYTES_MAX, WORD_BYTES_MAX};
use waybill_proto::v1;

use super::{calls::Call, limits::met};
use crate::scene::{Scene, context};

fn said(length: usize) -> String {
    "a".repeat(length)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_search_are_so_long() {
    let scene = Scene::new().await;
    type Word = fn(&mut v1::SearchRequest) -> &mut String;
    let words: [(Word, &str); 5] = [
        (|search| &mut search.agency, "/agency"),
        (|search| &mut search.purpose, "/purpose"),
        (|search| &mut search.record_type, "/record_type"),
        (|search| &mut search.outcome, "/outcome"),
        (|search| &mut search.kind, "/kind"),
    ];
    for (word, pointer) in words {
        let search = |length: usize| {
            let (idempotency_key, context) = (scene.key(), context());
            let mut search = v1::SearchRequest { idempotency_key, context, ..v1::SearchRequest::default() };
            *word(&mut search) = said(length);
            Call::Search(search)
        };
        assert_eq!(met(&scene, "hub/dpo", search(WORD_BYTES_MAX)).await, "", "{pointer}");
        let beyond = met(&scene, "hub/dpo", search(WORD_BYTES_MAX + 1)).await;
        assert_eq!(beyond, format!("call.malformed maxLength {pointer}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_consent_is_so_long() {
    let scene = Scene::new().await;
    type Text = fn(&mut v1::GrantRequest) -> &mut String;
    let texts: [(Text, &str); 3] = [
        (|grant| &mut grant.notice.as_mut().unwrap().version, "/notice/version"),
        (|grant| &mut grant.notice.as_mut().unwrap().language, "/notice/language"),
        (|grant| &mut grant.evidence.as_mut().unwrap().media_type, "/evidence/media_type"),
    ];
    for (text, pointer) in texts {
        let grant = |length: usize| {
            let mut grant = scene.grant(0, "identity-contact-to-benefit");
            *text(&mut grant) = said(length);
            Call::Grant(grant)
        };
        assert_eq!(met(&scene, "benefit/portal", grant(NOTICE_BYTES_MAX)).await, "", "{pointer}");
        let beyond = met(&scene, "benefit/portal", grant(NOTICE_BYTES_MAX + 1)).await;
        assert_eq!(beyond, format!("call.malformed maxLength {pointer}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_representative_and_the_reason_of_a_replay_are_so_long() {
    let scene = Scene::new().await;
    let represented = |length: usize| {
        let mut submission = scene.record(0, "identity/address");
        submission.context.as_mut().unwrap().acting_for = Some(v1::Representation {
            representative: said(length),
            authority: v1::Authority::Guardian.into(),
            until: None,
        });
        Call::Submit(v1::SubmitRequest { submission: Some(submission) })
    };
    assert_eq!(met(&scene, "identity/registry", represented(512)).await, "");
    let beyond = met(&scene, "identity/registry", represented(513)).await;
    assert_eq!(beyond, "call.malformed maxLength /context/acting_for/representative");

    let replay = |length: usize| {
        let (idempotency_key, transfer_id) = (scene.key(), scene.key());
        Call::Replay(v1::ReplayDeadLetterRequest { idempotency_key, transfer_id, reason: said(length) })
    };
    assert_eq!(met(&scene, "hub/operator", replay(512)).await, "dead-letter.unknown");
    assert_eq!(met(&scene, "hub/operator", replay(513)).await, "call.malformed maxLength /reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_names_so_many_record_types() {
    let scene = Scene::new().await;
    let open = |count: usize| {
        let record_types = vec!["tax/income-statement".to_owned(); count];
        Call::Provide(v1::ProvideOpen { record_types, ..v1::ProvideOpen::default() })
    };
    assert_eq!(met(&scene, "tax/registry", open(1000)).await, "");
    let beyond = met(&scene, "tax/registry", open(1001)).await;
    assert_eq!(beyond, "call.malformed maxItems /open/record_types");
}
