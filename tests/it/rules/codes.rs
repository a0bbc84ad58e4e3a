//! Every refusal code is reached from outside, says what it should, proves itself, is found by audit, and tells nothing
//! of the record.

use std::{collections::BTreeSet, fs, time::Duration};

use tonic::Code;
use tonic_types::StatusExt as _;
use waybill::{
    domain::{
        agency::AgencyId,
        facts::{FACTS_MAX, Fact, FactScope},
        refusal::{LiesIn, RefusalCode},
        time::{Clock as _, Moment},
        transfer::TransferId,
    },
    ledger::Attribute,
};
use waybill_proto::v1;

use super::calls::{Call, Failed};
use crate::scene::{Scene, Setup, context, for_agency, key_at, said};

/// Stands in every payload that is refused, and must never come back.
const SECRET: &str = "Zebrafink4711";
const IDENTITY: &str = "identity/registry";
const CLAIMS: &str = "benefit/claims";
const PORTAL: &str = "benefit/portal";

/// What no call can reach yet.
const NOT_YET: [RefusalCode; 1] = [
    // Needs the hub to remember the newest revision of each record.
    RefusalCode::RecordStale,
];

/// Whether the same call under the same key gets the same entry.
#[derive(Clone, Copy, PartialEq)]
enum Again {
    Same,
    /// The caller is not known, or the key is none of its own: the refusal cannot hang on it.
    New,
}
use Again::{New, Same};

type Case = (RefusalCode, Code, Again, &'static str, Call);

async fn scene() -> Scene {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let read = |path: &str| fs::read_to_string(format!("{root}{path}")).unwrap();
    let registers = read("deploy/demo/catalogue/record-types.toml")
        + "\n[[record_type]]\nid = \"identity/many\"\nauthority = \"identity\"\n";
    let many = read("schemas/identity/contact/1.0.json")
        .replace("schemas/identity/contact/", "schemas/identity/many/")
        .replace("\"maxItems\": 16", "\"maxItems\": 600");
    let push = read("deploy/demo/catalogue/agreements/identity-address-to-tax.toml");
    let (head, rest) = push.split_once("fields = [").unwrap();
    let rest = rest.split_once(']').unwrap().1;
    let many_to_tax = format!("{head}fields = [\"/subject/nationalNumber\", \"/otherLanguage/*\"]{rest}")
        .replace("identity/address", "identity/many");
    let asks_person = read("deploy/demo/catalogue/agreements/benefit-asks-income.toml");
    let (head, rest) = asks_person.split_once("fields = [").unwrap();
    let rest = rest.split_once(']').unwrap().1;
    let head = head.replace(
        "scope = { all = \"each request is about one claimant, in one case\" }",
        "scope = \"registered-interest\"",
    );
    let asks_person = format!("{head}fields = [\"/subject/nationalNumber\", \"/fullName\"]{rest}")
        .replace("source = \"tax\"", "source = \"identity\"")
        .replace("tax/income-statement", "identity/person");
    Scene::with(Setup {
        catalogue: vec![
            ("record-types.toml", registers),
            ("agreements/identity-many-to-tax.toml", many_to_tax),
            ("agreements/benefit-asks-person.toml", asks_person),
        ],
        schemas: vec![("identity/many/1.0.json", many)],
        ..Setup::default()
    })
    .await
}

fn fact(at: Moment, number: usize, scope: FactScope) -> Fact {
    let mut random = [7; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let agency = AgencyId::new("tax").unwrap();
    Fact { id: TransferId::new(at, random), agency, scope, from: at, until: None, ended: None }
}

fn submit(submission: v1::Submission) -> Call {
    Call::Submit(v1::SubmitRequest { submission: Some(submission) })
}

/// Somebody's address, changed.
fn changed(scene: &Scene, change: impl FnOnce(&mut v1::Submission)) -> Call {
    let mut submission = scene.record(0, "identity/address");
    change(&mut submission);
    submit(submission)
}

fn payload(scene: &Scene, payload: impl Into<bytes::Bytes>) -> Call {
    let payload = payload.into();
    changed(scene, |submission| submission.payload = payload)
}

/// Who calls, and under which key.
async fn of_the_caller(scene: &Scene) -> Vec<Case> {
    use RefusalCode::{KeyInvalid, KeyReused, KeyTooNew, KeyTooOld, NotActingFor, PeerUnknown, RoleMissing};
    let now = scene.clock.now();
    let key = |moment| changed(scene, |submission| submission.idempotency_key = key_at(moment));
    let used = scene.record(0, "identity/address");
    scene.push(used.clone()).await.unwrap();
    let reused = v1::Submission { payload: format!("{{\"{SECRET}\": 1}}").into(), ..used };
    let posing = changed(scene, |submission| submission.context = for_agency("identity"));
    vec![
        (PeerUnknown, Code::Unauthenticated, New, "nobody/knows", changed(scene, |_| ())),
        (NotActingFor, Code::PermissionDenied, New, "tax/registry", posing),
        (RoleMissing, Code::PermissionDenied, New, "identity/dpo", changed(scene, |_| ())),
        (KeyInvalid, Code::InvalidArgument, New, IDENTITY, changed(scene, |one| one.idempotency_key = "none".into())),
        (KeyTooOld, Code::InvalidArgument, New, IDENTITY, key(now.before(Duration::from_hours(169)))),
        (KeyTooNew, Code::InvalidArgument, New, IDENTITY, key(now.after(Duration::from_secs(301)))),
        (KeyReused, Code::AlreadyExists, New, IDENTITY, submit(reused)),
    ]
}

/// What the call is about.
fn of_the_call(scene: &Scene) -> Vec<Case> {
    use RefusalCode::{
        AgreementMissing, CallMalformed, ContextMissing, ExplicitRequestMissing, PurposeUnknown, RecordTypeUnknown,
        SchemaUnknown, SubjectMissing,
    };
    let income = scene.request(0, "tax/income-statement", "income-assessment");
    let purpose = v1::RequestRequest { idempotency_key: scene.key(), purpose: "gossip".into(), ..income.clone() };
    let mut caseless = v1::RequestRequest { idempotency_key: scene.key(), ..income.clone() };
    caseless.context.as_mut().unwrap().case_reference = String::new();
    let silent = v1::RequestRequest { idempotency_key: scene.key(), explicit_request: None, ..income.clone() };
    let nobody = v1::RequestRequest { idempotency_key: scene.key(), subject: Vec::new(), ..income };
    let (bad, ruled) = (Code::InvalidArgument, Code::FailedPrecondition);
    vec![
        (CallMalformed, bad, Same, IDENTITY, changed(scene, |one| one.record.as_mut().unwrap().change = 0)),
        (RecordTypeUnknown, ruled, Same, IDENTITY, changed(scene, |one| one.record_type = "identity/shoes".into())),
        (SchemaUnknown, ruled, Same, IDENTITY, changed(scene, |one| one.schema_version = "9.9".into())),
        (AgreementMissing, ruled, Same, "tax/registry", changed(scene, |_| ())),
        (PurposeUnknown, ruled, Same, CLAIMS, Call::Request(purpose)),
        (ContextMissing, bad, Same, CLAIMS, Call::Request(caseless)),
        (ExplicitRequestMissing, bad, Same, CLAIMS, Call::Request(silent)),
        (SubjectMissing, bad, Same, CLAIMS, Call::Request(nobody)),
    ]
}

/// The record itself.
async fn of_the_record(scene: &Scene) -> Vec<Case> {
    use RefusalCode::{
        RecordDuplicateKey, RecordInvalid, RecordNotJson, RecordNumber, RecordStringTooLong, RecordTooDeep,
        RecordTooLarge, RecordTooManyItems, SubjectAmbiguous, TooManyFields,
    };
    let many = vec!["1"; 10_000].join(",");
    scene.push(scene.record(1, "identity/address")).await.unwrap();
    scene.push(scene.record(2, "identity/address")).await.unwrap();
    let mut both = scene.request(1, "tax/income-statement", "income-assessment");
    both.subject.extend(scene.subject(2));
    let languages = vec!["\"en\""; 600].join(",");
    let number = scene.subject(0)[0].value.clone();
    let fields = format!("{{\"subject\":{{\"nationalNumber\":\"{number}\"}},\"otherLanguage\":[{languages}]}}");
    let fields = changed(scene, |one| {
        one.record_type = "identity/many".into();
        one.payload = fields.into();
    });
    let bad = Code::InvalidArgument;
    vec![
        (RecordTooLarge, bad, Same, IDENTITY, payload(scene, format!("\"{}\"", SECRET.repeat(30_000)))),
        (RecordNotJson, bad, Same, IDENTITY, payload(scene, format!("{{\"{SECRET}\""))),
        (RecordDuplicateKey, bad, Same, IDENTITY, payload(scene, format!("{{\"{SECRET}\":1,\"{SECRET}\":2}}"))),
        (RecordTooDeep, bad, Same, IDENTITY, payload(scene, format!("[\"{SECRET}\",{}", "[".repeat(33)))),
        (RecordNumber, bad, Same, IDENTITY, payload(scene, format!("{{\"{SECRET}\":1.5}}"))),
        (RecordStringTooLong, bad, Same, IDENTITY, payload(scene, format!("\"{}\"", SECRET.repeat(6_000)))),
        (RecordTooManyItems, bad, Same, IDENTITY, payload(scene, format!("[\"{SECRET}\",{many}]"))),
        (RecordInvalid, bad, Same, IDENTITY, payload(scene, format!("{{\"{SECRET}\":\"{SECRET}\"}}"))),
        (SubjectAmbiguous, bad, Same, CLAIMS, Call::Request(both)),
        (TooManyFields, bad, Same, IDENTITY, fields),
    ]
}

/// The person, and what she said.
async fn of_the_person(scene: &Scene) -> Vec<Case> {
    use RefusalCode::{ConsentExpired, ConsentMissing, ConsentWithdrawn, FactsFull, InterestMissing, NotAvailable};
    let now = scene.clock.now();
    for citizen in 3..=7 {
        scene.push(scene.record(citizen + 20, "identity/address")).await.unwrap();
    }
    let contact = |citizen| Call::Request(scene.request(citizen, "identity/contact", "optional-reminders"));
    scene.put_facts(23, [fact(now, 0, FactScope::Restriction { record_types: Vec::new() })]).await;
    let grant = scene.granted(scene.grant(25, "benefit-asks-contact")).await;
    scene.withdrawn(scene.withdrawal(25, &grant.consent_id)).await;
    let until = crate::scene::timestamp(now.after(Duration::from_hours(1)));
    scene.granted(v1::GrantRequest { valid_until: until, ..scene.grant(26, "benefit-asks-contact") }).await;
    scene.clock.advance(Duration::from_hours(2));
    let interest = |number| fact(now, number, FactScope::Interest { record_types: Vec::new() });
    scene.put_facts(27, (0..FACTS_MAX).map(interest)).await;
    let interest = scene.request(24, "identity/person", "income-assessment");
    let ruled = Code::FailedPrecondition;
    vec![
        (
            NotAvailable,
            ruled,
            Same,
            CLAIMS,
            Call::Request(scene.request(23, "tax/income-statement", "income-assessment")),
        ),
        (InterestMissing, ruled, Same, CLAIMS, Call::Request(interest)),
        (ConsentMissing, ruled, Same, CLAIMS, contact(24)),
        (ConsentWithdrawn, ruled, Same, CLAIMS, contact(25)),
        (ConsentExpired, ruled, Same, CLAIMS, contact(26)),
        (FactsFull, ruled, Same, PORTAL, Call::Grant(scene.grant(27, "benefit-asks-contact"))),
    ]
}

/// What is looked for and not there.
fn of_what_is_not_there(scene: &Scene) -> Vec<Case> {
    use RefusalCode::{
        CatalogueRefused, ConsentUnknown, DeadLetterUnknown, EntryUnknown, RequestUnknown, TransferUnknown,
    };
    let (unknown, key) = (scene.key(), || scene.key());
    let transfer = v1::GetTransferRequest { transfer_id: unknown.clone(), context: context() };
    let entry = v1::GetEntryRequest { idempotency_key: key(), index: u64::MAX, context: context() };
    let letter =
        v1::ReplayDeadLetterRequest { idempotency_key: key(), transfer_id: unknown.clone(), reason: "a test".into() };
    let answer = v1::ProvideAnswer {
        request_id: unknown.clone(),
        answer: Some(v1::provide_answer::Answer::NoRecord(v1::NoRecordReason::NoSuchPerson.into())),
        context: context(),
        ..v1::ProvideAnswer::default()
    };
    let withdrawal = Call::Withdraw(scene.withdrawal(23, &unknown));
    let publish = Call::Publish(v1::PublishCatalogueRequest { idempotency_key: key() });
    fs::write(scene.catalogue().join("purposes.toml"), "[[purpose]]\nid = 1\n").unwrap();
    let gone = Code::NotFound;
    vec![
        (TransferUnknown, gone, New, CLAIMS, Call::GetTransfer(transfer)),
        (EntryUnknown, gone, Same, "benefit/dpo", Call::GetEntry(entry)),
        (ConsentUnknown, gone, Same, PORTAL, withdrawal),
        (DeadLetterUnknown, gone, Same, "hub/operator", Call::Replay(letter)),
        (RequestUnknown, gone, New, "tax/registry", Call::Answer(answer)),
        (CatalogueRefused, Code::FailedPrecondition, Same, "hub/operator", publish),
    ]
}

/// The refusal is told as it should be, and no more; and its entry is found.
async fn check(scene: &Scene, (code, status, again, system, call): Case) {
    let failed = call.fails(scene, system).await;
    let refusal = failed.refusal().unwrap_or_else(|| panic!("{code}: {failed:?}"));
    let told = code.told_to_caller();
    assert_eq!((refusal.code.as_str(), refusal.stage.as_str()), (told.code(), told.stage().as_str()));
    assert_eq!(refusal.message, told.text());
    if let Failed::Status(failed) = &failed {
        assert_eq!(failed.code(), status, "{code}");
        let info = failed.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (told.code(), "waybill"));
        assert_eq!(info.metadata["stage"], told.stage().as_str());
        assert_eq!(failed.message(), told.text());
        tells_nothing(failed.details(), code);
    }
    let receipt = refusal.receipt.unwrap_or_else(|| panic!("{code}: no receipt"));
    scene.verify(&receipt, None);
    if code.lies_in() == LiesIn::Person {
        assert!(receipt.openings.is_empty() && receipt.commitments.is_empty(), "{code}: the caller learns too much");
    }

    let repeated = call.fails(scene, system).await.refusal().unwrap_or_else(|| panic!("{code}: no second refusal"));
    let repeat = repeated.receipt.unwrap();
    assert_eq!((repeated.code.as_str(), &repeated.violations), (told.code(), &refusal.violations));
    assert_eq!(
        (repeat.index == receipt.index, repeat.entry == receipt.entry),
        (again == Same, again == Same),
        "{code}"
    );

    let search = v1::SearchRequest { outcome: code.code().into(), ..v1::SearchRequest::default() };
    let found = scene.found("hub/dpo", search).await;
    let entry = found.iter().find(|entry| entry.index == receipt.index).unwrap_or_else(|| panic!("{code}: not found"));
    assert_eq!(said(entry, Attribute::RefusalCode), format!("\"{code}\""));
    assert_eq!(said(entry, Attribute::RefusalStage), format!("\"{}\"", code.stage().as_str()));
    assert_eq!(entry.receipt.as_ref().unwrap().entry, receipt.entry, "{code}");
    let all = format!("{:?}", entry.attributes);
    assert!(!all.contains(SECRET), "{code}: the entry has a value of the record");
}

async fn check_all(scene: &Scene, reached: &mut BTreeSet<RefusalCode>, cases: Vec<Case>) {
    for case in cases {
        assert!(reached.insert(case.0), "{} twice", case.0);
        check(scene, case).await;
    }
}

fn tells_nothing(details: &[u8], code: RefusalCode) {
    let secret = SECRET.as_bytes();
    assert!(
        !details.windows(secret.len()).any(|window| window == secret),
        "{code}: the status has a value of the record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_is_reached_and_is_an_entry_that_proves_itself_and_tells_nothing_of_the_record() {
    let scene = scene().await;
    let mut reached: BTreeSet<RefusalCode> = NOT_YET.into();
    // One after the other: the person's facts take time to come about, and keys age with it.
    check_all(&scene, &mut reached, of_the_caller(&scene).await).await;
    check_all(&scene, &mut reached, of_the_call(&scene)).await;
    check_all(&scene, &mut reached, of_the_record(&scene).await).await;
    check_all(&scene, &mut reached, of_the_person(&scene).await).await;
    check_all(&scene, &mut reached, of_what_is_not_there(&scene)).await;
    assert_eq!(reached, RefusalCode::ALL.iter().copied().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_stays_refused_under_its_key_when_what_it_lacked_has_come() {
    let scene = scene().await;
    scene.push(scene.record(0, "identity/address")).await.unwrap();
    let request = scene.request(0, "identity/contact", "optional-reminders");
    let first = Call::Request(request.clone()).fails(&scene, CLAIMS).await.refusal().unwrap();
    scene.granted(scene.grant(0, "benefit-asks-contact")).await;
    let again = Call::Request(request.clone()).fails(&scene, CLAIMS).await.refusal().unwrap();
    assert_eq!((first.code.as_str(), again.code.as_str()), ("consent.missing", "consent.missing"));
    assert_eq!(first.receipt.unwrap().index, again.receipt.unwrap().index);
    let anew = v1::RequestRequest { idempotency_key: scene.key(), ..request };
    Call::Request(anew).make(&scene, CLAIMS).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_used_is_refused_for_anything_else_by_every_call_that_has_one() {
    let scene = scene().await;
    scene.push(scene.record(0, "identity/address")).await.unwrap();
    let key = scene.key();
    let key = || key.clone();
    let search = |kind: &str| {
        let kind = kind.to_owned();
        Call::Search(v1::SearchRequest {
            idempotency_key: key(),
            kind,
            context: context(),
            ..v1::SearchRequest::default()
        })
    };
    let entry = |index| Call::GetEntry(v1::GetEntryRequest { idempotency_key: key(), index, context: context() });
    let replay = |reason: &str| {
        let (transfer_id, reason) = (key(), reason.into());
        Call::Replay(v1::ReplayDeadLetterRequest { idempotency_key: key(), transfer_id, reason })
    };
    let income = |citizen| {
        let request = scene.request(citizen, "tax/income-statement", "income-assessment");
        Call::Request(v1::RequestRequest { idempotency_key: key(), ..request })
    };
    let grant = |citizen| {
        Call::Grant(v1::GrantRequest { idempotency_key: key(), ..scene.grant(citizen, "benefit-asks-contact") })
    };
    let withdrawal =
        |citizen| Call::Withdraw(v1::WithdrawRequest { idempotency_key: key(), ..scene.withdrawal(citizen, &key()) });
    let push = |citizen| submit(v1::Submission { idempotency_key: key(), ..scene.record(citizen, "identity/address") });
    let publish = Call::Publish(v1::PublishCatalogueRequest { idempotency_key: key() });
    for (system, first, other) in [
        (IDENTITY, push(0), push(1)),
        (CLAIMS, income(0), income(1)),
        (PORTAL, grant(0), grant(1)),
        ("identity/portal", withdrawal(0), withdrawal(1)),
        ("benefit/dpo", search("transfer"), search("refusal")),
        ("tax/dpo", entry(0), entry(1)),
        ("identity/dpo", search("transfer"), entry(0)),
        ("hub/operator", replay("one"), replay("other")),
        ("hub/operator", replay("one"), publish),
    ] {
        let _ = first.make(&scene, system).await; // accepted or refused, it has used the key
        let before = scene.size();
        let reused = other.fails(&scene, system).await;
        assert_eq!(reused.code(), "key.reused", "{system}: {other:?}");
        assert_eq!(scene.size(), before + 1, "{system}: the refusal is an entry");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_that_lacks_something_is_refused_with_all_that_it_lacks() {
    let scene = Scene::new().await;
    let mut request = scene.request(0, "tax/income-statement", "income-assessment");
    request.context.as_mut().unwrap().case_reference = String::new();
    let bare = v1::Context { reason: "audit".into(), ..v1::Context::default() };
    let search =
        v1::SearchRequest { idempotency_key: scene.key(), context: Some(bare), ..v1::SearchRequest::default() };
    let (actor, case) = (("/context/actor", "required"), ("/context/case_reference", "required"));
    for (system, call, lacking) in
        [(CLAIMS, Call::Request(request), vec![case]), ("tax/dpo", Call::Search(search), vec![actor, case])]
    {
        let refused = call.fails(&scene, system).await.refusal().unwrap();
        let faults: Vec<_> = refused.violations.iter().map(|one| (&*one.pointer, &*one.keyword)).collect();
        assert_eq!((&*refused.code, faults), ("context.missing", lacking));
    }
    // What a call is to say is shown beforehand.
    let show = scene.operator(CLAIMS).await.show_catalogue(v1::ShowCatalogueRequest {}).await;
    let shown = show.unwrap().into_inner().agreements;
    let income = shown.iter().find(|one| one.purpose == "income-assessment").unwrap();
    assert_eq!(income.context, ["case"]);
}
