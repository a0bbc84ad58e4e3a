//! Nobody acts as another: every system of the demo × every RPC × every agency to act for, against a table that was
//! written by hand and not read from the catalogue.

use tonic::Code;
use waybill::config::Limits;
use waybill_proto::v1;

use super::calls::{Call, Recipient};
use crate::{
    crash::scene::until,
    scene::{Scene, Setup, context, for_agency},
};

/// Every system of the demo's catalogue, and a stranger.
const SYSTEMS: [&str; 10] = [
    "benefit/claims",
    "benefit/portal",
    "benefit/dpo",
    "hub/dpo",
    "hub/operator",
    "identity/registry",
    "identity/portal",
    "identity/dpo",
    "tax/registry",
    "tax/dpo",
];
const STRANGER: &str = "nobody/knows";

/// For whom a call may be made: left out, each agency, and none that exists.
const FOR: [&str; 6] = ["", "benefit", "hub", "identity", "tax", "nobody"];

/// Who may make which call at all; always for its own agency only.
const MAY: [(&str, &[&str]); 20] = [
    ("Submit", &["benefit/claims", "identity/registry", "tax/registry"]),
    ("SubmitStream", &["benefit/claims", "identity/registry", "tax/registry"]),
    ("Request", &["benefit/claims"]),
    ("Provide", &["identity/registry", "tax/registry"]),
    ("Answer", &["identity/registry", "tax/registry"]),
    ("Receive", &["benefit/claims", "tax/registry"]),
    ("GetTransfer", &["benefit/claims", "identity/registry", "tax/registry"]),
    ("Grant", &["benefit/portal", "identity/portal"]),
    ("Withdraw", &["benefit/portal", "identity/portal"]),
    ("GetConsent", &["benefit/portal", "identity/portal"]),
    ("ListConsents", &["benefit/portal", "identity/portal"]),
    ("Search", &["benefit/dpo", "hub/dpo", "identity/dpo", "tax/dpo"]),
    ("GetEntry", &["benefit/dpo", "hub/dpo", "identity/dpo", "tax/dpo"]),
    ("GetCheckpoint", &SYSTEMS),
    ("GetInclusionProof", &SYSTEMS),
    ("GetConsistencyProof", &SYSTEMS),
    ("ListDeadLetters", &["hub/operator"]),
    ("Replay", &["hub/operator"]),
    ("ShowCatalogue", &SYSTEMS),
    ("Publish", &["hub/operator"]),
];

/// Calls that can say for whom they are made.
pub(super) const SAYS_FOR_WHOM: [&str; 13] = [
    "Submit",
    "SubmitStream",
    "Request",
    "Provide",
    "Answer",
    "Receive",
    "GetTransfer",
    "Grant",
    "Withdraw",
    "GetConsent",
    "ListConsents",
    "Search",
    "GetEntry",
];

/// Whom each system belongs to, and so acts for.
fn own(system: &str) -> &str {
    system.split_once('/').unwrap().0
}

async fn scene() -> Scene {
    let limits =
        Limits { refusals_burst_max: 1_000_000, request_s_max: std::time::Duration::from_secs(1), ..Limits::default() };
    Scene::with(Setup { limits, ..Setup::default() }).await
}

/// A call of every kind, made for `agency`, that would go through if the caller were the right one.
pub(super) fn call(scene: &Scene, name: &str, agency: &str, transfer: &str, consent: &str) -> Call {
    let (context, key) = (for_agency(agency), scene.key());
    let on_behalf_of = agency.to_owned();
    match name {
        "Submit" | "SubmitStream" => {
            let submission = v1::Submission { context, ..scene.record(1, "identity/address") };
            if name == "Submit" {
                Call::Submit(v1::SubmitRequest { submission: Some(submission) })
            } else {
                Call::SubmitStream(submission)
            }
        }
        "Request" => {
            let request = scene.request(1, "tax/income-statement", "income-assessment");
            Call::Request(v1::RequestRequest { context, ..request })
        }
        "Provide" => Call::Provide(v1::ProvideOpen { on_behalf_of, ..v1::ProvideOpen::default() }),
        "Answer" => Call::Answer(v1::ProvideAnswer {
            request_id: key,
            answer: Some(v1::provide_answer::Answer::NoRecord(v1::NoRecordReason::Declined.into())),
            context,
            ..v1::ProvideAnswer::default()
        }),
        "Receive" => Call::Receive(v1::ReceiveOpen { on_behalf_of, credit: 1 }),
        "GetTransfer" => Call::GetTransfer(v1::GetTransferRequest { transfer_id: transfer.into(), context }),
        "Grant" => Call::Grant(v1::GrantRequest { context, ..scene.grant(0, "benefit-asks-contact") }),
        "Withdraw" => Call::Withdraw(v1::WithdrawRequest { context, ..scene.withdrawal(0, &key) }),
        "GetConsent" => Call::GetConsent(v1::GetRequest {
            idempotency_key: scene.key(),
            consent_id: consent.into(),
            subject: scene.subject(0),
            context,
        }),
        "ListConsents" => {
            Call::ListConsents(v1::ListRequest { idempotency_key: scene.key(), subject: scene.subject(0), context })
        }
        "Search" => Call::Search(v1::SearchRequest { idempotency_key: key, context, ..v1::SearchRequest::default() }),
        "GetEntry" => Call::GetEntry(v1::GetEntryRequest { idempotency_key: key, index: 0, context }),
        "GetCheckpoint" => Call::GetCheckpoint(v1::GetCheckpointRequest {}),
        "GetInclusionProof" => Call::GetInclusionProof(v1::GetInclusionProofRequest { index: 0, size: 0 }),
        "GetConsistencyProof" => Call::GetConsistencyProof(v1::GetConsistencyProofRequest { from_size: 1, to_size: 0 }),
        "ListDeadLetters" => Call::ListDeadLetters(v1::ListDeadLettersRequest::default()),
        "Replay" => Call::Replay(v1::ReplayDeadLetterRequest {
            idempotency_key: key,
            transfer_id: transfer.into(),
            reason: "a test".into(),
        }),
        "ShowCatalogue" => Call::ShowCatalogue(v1::ShowCatalogueRequest {}),
        "Publish" => Call::Publish(v1::PublishCatalogueRequest { idempotency_key: key }),
        other => panic!("{other}"),
    }
}

/// What stops a caller before its call is looked at.
pub(super) const GATES: [&str; 3] = ["peer.unknown", "peer.not-acting-for", "peer.role-missing"];

/// The gate at which the table says that it ends; empty: none.
fn expected(name: &str, system: &str, agency: &str) -> &'static str {
    let may = MAY.iter().find(|(call, _)| *call == name).unwrap().1;
    if system == STRANGER {
        "peer.unknown"
    } else if !agency.is_empty() && agency != own(system) {
        "peer.not-acting-for"
    } else if may.contains(&system) {
        ""
    } else {
        "peer.role-missing"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_system_makes_a_call_for_another_agency_or_in_a_role_that_it_lacks() {
    let scene = scene().await;
    let outcome = scene.push(scene.record(0, "identity/address")).await.unwrap();
    let transfer = &outcome.recipients[0].transfer_id;
    let consent = scene.granted(scene.grant(0, "identity-contact-to-benefit")).await.consent_id;
    for system in SYSTEMS.into_iter().chain([STRANGER]) {
        for (name, _) in MAY {
            let says = SAYS_FOR_WHOM.contains(&name);
            for agency in FOR.into_iter().filter(|agency| says || agency.is_empty()) {
                // An answer is given on a stream that only a provider can open.
                let gate = match expected(name, system, agency) {
                    "peer.not-acting-for" if name == "Answer" && expected("Provide", system, "") != "" => {
                        "peer.role-missing"
                    }
                    gate => gate,
                };
                let before = scene.size();
                let call = call(&scene, name, agency, transfer, &consent);
                let met = match call.make(&scene, system).await {
                    Ok(()) => String::new(),
                    Err(failed) => failed.code(),
                };
                let met_gate = if GATES.contains(&met.as_str()) { met.as_str() } else { "" };
                assert_eq!(met_gate, gate, "{system} calls {name} for {agency:?}: {met}");
                if !gate.is_empty() {
                    assert_eq!(scene.size(), before + 1, "{system} calls {name} for {agency:?}: one entry");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_one_agency_is_unknown_to_the_others() {
    let scene = scene().await;
    let outcome = scene.push(scene.record(0, "identity/civil-status")).await.unwrap();
    let [to_tax] = &outcome.recipients[..] else { panic!("{outcome:?}") };
    let index = to_tax.receipt.as_ref().unwrap().index;
    for (system, knows) in [("identity/registry", true), ("tax/registry", true), ("benefit/claims", false)] {
        let asked = v1::GetTransferRequest { transfer_id: to_tax.transfer_id.clone(), context: context() };
        let got = Call::GetTransfer(asked).make(&scene, system).await.map_err(|failed| failed.code());
        assert_eq!(got, if knows { Ok(()) } else { Err("transfer.unknown".to_owned()) }, "{system}");
    }
    for (officer, knows) in [("identity/dpo", true), ("tax/dpo", true), ("hub/dpo", true), ("benefit/dpo", false)] {
        let asked = v1::GetEntryRequest { idempotency_key: scene.key(), index, context: context() };
        let got = Call::GetEntry(asked).make(&scene, officer).await.map_err(|failed| failed.code());
        assert_eq!(got, if knows { Ok(()) } else { Err("entry.unknown".to_owned()) }, "{officer}");
        let search = v1::SearchRequest { subject: scene.subject(0), ..v1::SearchRequest::default() };
        let found = scene.found(officer, search).await;
        assert_eq!(found.iter().any(|entry| entry.index == index), knows, "{officer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_answers_for_its_own_deliveries_alone() {
    let scene = scene().await;
    let mut tax = Recipient::connect(&scene, "tax/registry").await;
    let mut benefit = Recipient::connect(&scene, "benefit/claims").await;
    let only_recipients = vec!["tax".to_owned(), "benefit".to_owned()];
    scene.push(v1::Submission { only_recipients, ..scene.record(9, "identity/address") }).await.unwrap();
    let (of_tax, of_benefit) = (tax.next().await, benefit.next().await);
    benefit.acknowledge(&of_tax).await;
    benefit.reject(&of_tax, v1::RejectionReason::Unprocessable).await;
    // Answers of one stream are taken in order: when its own is recorded, the others have had their chance.
    benefit.acknowledge(&of_benefit).await;
    let ends = async || {
        let kind = |kind: &str| v1::SearchRequest { kind: kind.into(), ..v1::SearchRequest::default() };
        let acknowledged = scene.found("hub/dpo", kind("delivery_acknowledged")).await.len();
        (acknowledged, scene.found("hub/dpo", kind("delivery_rejected")).await.len())
    };
    until("benefit's own is acknowledged", async || ends().await.0 >= 1).await;
    assert_eq!(ends().await, (1, 0), "nothing was said for tax");
    tax.acknowledge(&of_tax).await;
    until("tax's is acknowledged by tax", async || ends().await.0 >= 2).await;
    assert_eq!(ends().await, (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_can_answer_only_what_it_was_asked() {
    let scene = scene().await;
    // Identity's provider is there when tax is asked: the question does not reach it, and it cannot answer it.
    let (answers, sent) = tokio::sync::mpsc::channel(2);
    let open = v1::provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(sent);
    let mut identity = scene.exchange("identity/registry").await.provide(stream).await.unwrap().into_inner();
    identity.message().await.unwrap().unwrap();
    let request = scene.request(0, "tax/income-statement", "income-assessment");
    let away = scene.exchange("benefit/claims").await.request(request).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away:?}");
    drop(answers);
    assert!(identity.message().await.unwrap().is_none(), "identity was asked nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_role_was_taken_away_is_asked_nothing_more() {
    let scene = scene().await;
    let (answers, sent) = tokio::sync::mpsc::channel(2);
    let open = v1::provide_request::Message::Open(v1::ProvideOpen::default());
    answers.send(v1::ProvideRequest { message: Some(open) }).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(sent);
    let mut tax = scene.exchange("tax/registry").await.provide(stream).await.unwrap().into_inner();
    tax.message().await.unwrap().unwrap();
    let file = scene.catalogue().join("agencies/tax.toml");
    let without = std::fs::read_to_string(&file).unwrap().replace("\"provide\", ", "");
    // Somebody must have the role, or the agreement could never be used.
    let other = "[[system]]\nname = \"answers\"\nsan = \"urn:waybill:system:tax:answers\"\nroles = [\"provide\"]\n";
    std::fs::write(&file, format!("{without}\n{other}")).unwrap();
    let publish = Call::Publish(v1::PublishCatalogueRequest { idempotency_key: scene.key() });
    publish.make(&scene, "hub/operator").await.unwrap();

    let request = scene.request(0, "tax/income-statement", "income-assessment");
    let away = scene.exchange("benefit/claims").await.request(request).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away:?}");
    drop(answers);
    assert!(tax.message().await.unwrap().is_none(), "tax was asked nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_unknown_is_told_so_by_the_code_of_its_status() {
    let scene = scene().await;
    for (name, _) in MAY {
        let call = call(&scene, name, "", &scene.key(), &scene.key());
        match call.fails(&scene, STRANGER).await {
            super::calls::Failed::Status(status) => assert_eq!(status.code(), Code::Unauthenticated, "{name}"),
            super::calls::Failed::Inside(refusal) => {
                assert_eq!((name, refusal.code.as_str()), ("SubmitStream", "peer.unknown"));
            }
        }
    }
}
