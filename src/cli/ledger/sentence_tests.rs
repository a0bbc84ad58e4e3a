//! Tests of the sentences: one for each kind of entry, and what must never be in them.

use serde_json::{Value, json};
use waybill_proto::v1;

use super::sentence::{Said, object, text};
use crate::{
    cli::context::timestamp,
    domain::time::Moment,
    ledger::{Attribute, Kind},
};

/// An entry of `kind` that says what `attributes` say.
fn entry(kind: Kind, attributes: &[(Attribute, Value)]) -> v1::EntryView {
    let written = |(attribute, value): &(Attribute, Value)| v1::Attribute {
        number: attribute.number().into(),
        name: attribute.name().to_owned(),
        value: value.to_string(),
    };
    v1::EntryView {
        index: 17,
        time: Some(timestamp(Moment::from_secs(1_763_640_000))),
        kind: kind.name().to_owned(),
        attributes: attributes.iter().map(written).collect(),
        ..v1::EntryView::default()
    }
}

/// What every entry under an agreement says.
fn agreed() -> Vec<(Attribute, Value)> {
    vec![
        (Attribute::Source, json!("identity")),
        (Attribute::Recipient, json!("tax")),
        (Attribute::Agreement, json!("address-to-tax")),
        (Attribute::AgreementRevision, json!(2)),
        (Attribute::Purpose, json!("assessment")),
        (Attribute::Basis, json!({"article": "6(1)(c)", "law": "Tax Act § 5"})),
        (Attribute::RecordType, json!("identity/address")),
    ]
}

fn sentence(kind: Kind, more: &[(Attribute, Value)]) -> String {
    Said::shown(&entry(kind, &[agreed(), more.to_vec()].concat())).sentence()
}

fn about_nobody(kind: Kind, attributes: &[(Attribute, Value)]) -> String {
    Said::shown(&entry(kind, attributes)).sentence()
}

#[test]
fn a_transfer_says_when_who_what_whom_for_what_under_which_law_what_was_withheld_and_whether_delivered() {
    let more = [
        (Attribute::Withheld, json!(["/country", "/phone"])),
        (Attribute::RecordId, json!("r-1")),
        (Attribute::Revision, json!(3)),
        (Attribute::Change, json!("corrected")),
        (Attribute::CorrectsRevision, json!(2)),
        (Attribute::System, json!("identity/registry")),
        (Attribute::OnBehalfOf, json!("identity")),
        (Attribute::Case, json!("c-9")),
    ];
    let mut entry = entry(Kind::Transfer, &[agreed(), more.to_vec()].concat());
    entry.fields = vec!["/city".to_owned(), "/street".to_owned()];
    entry.delivery = "acknowledged".to_owned();
    assert_eq!(
        text(&entry),
        "#17  2025-11-20T12:00:00Z\n  identity sent identity/address to tax for assessment, under Tax Act § 5 (GDPR Art. \
         6(1)(c)), by agreement address-to-tax (revision 2).\
         \n    sent:     /city /street\
         \n    delivery: delivered\
         \n    withheld: /country /phone\
         \n    record:   r-1, revision 3, corrected (of revision 2)\
         \n    acting:   system identity/registry for identity, case c-9"
    );
    let object = object(&entry);
    assert_eq!((&object["ledger_index"], &object["attributes"]["revision"]), (&json!(17), &json!(3)));
}

#[test]
fn an_answered_request_is_told_as_an_answer() {
    let told = sentence(Kind::Transfer, &[(Attribute::RequestId, json!("q-1"))]);
    assert!(told.starts_with("identity answered tax's request with identity/address for assessment"), "{told}");
}

#[test]
fn a_question_says_that_the_person_had_asked() {
    let asked = sentence(Kind::RequestAsked, &[(Attribute::ExplicitRequest, json!({"reference": "x"}))]);
    assert!(asked.starts_with("tax asked identity for identity/address"), "{asked}");
    assert!(asked.ends_with(", as the person had explicitly requested."), "{asked}");
    let unasked = sentence(Kind::RequestAsked, &[(Attribute::ExplicitRequest, json!(false))]);
    assert!(!unasked.contains("explicitly"), "{unasked}");
}

#[test]
fn an_answer_without_a_record_says_which() {
    assert_eq!(
        sentence(Kind::AnswerWithoutRecord, &[(Attribute::Answer, json!("no-such-person"))]),
        "identity answered tax's request for identity/address without a record: no such person."
    );
}

#[test]
fn refusals_say_why_in_words() {
    let why = [(Attribute::RefusalCode, json!("consent.withdrawn"))];
    assert_eq!(
        sentence(Kind::RefusalOfRecipient, &why),
        "identity/address from identity was not sent to tax for assessment: consent.withdrawn: the person has withdrawn \
         the consent."
    );
    assert_eq!(
        sentence(Kind::RefusalOfSubmission, &[(Attribute::RefusalCode, json!("record.invalid"))]),
        "identity submitted identity/address; it was refused: record.invalid: the record breaks its schema."
    );
    let call = [(Attribute::System, json!("tax/desk")), (Attribute::RefusalCode, json!("future.code"))];
    assert_eq!(about_nobody(Kind::Refusal, &call), "A call of tax/desk was refused: future.code.");
}

#[test]
fn deliveries_say_how_they_ended() {
    assert_eq!(sentence(Kind::DeliveryAcknowledged, &[]), "A record from identity was delivered to tax.");
    assert_eq!(sentence(Kind::DeliveryRejected, &[]), "tax rejected a delivery from identity.");
    assert_eq!(
        sentence(Kind::DeliveryDeadLettered, &[(Attribute::Attempts, json!(8))]),
        "A delivery from identity to tax was given up after 8 attempts; it is kept for its term, in which it can be \
         replayed."
    );
    assert_eq!(
        sentence(Kind::DeliveryDeadLettered, &[(Attribute::Outcome, json!("dead-lettered: unopenable"))]),
        "A delivery from identity to tax was given up; it can be opened no more, and not be replayed."
    );
    assert_eq!(
        sentence(Kind::DeliveryReplayed, &[(Attribute::System, json!("hub/console"))]),
        "hub/console had a delivery from identity to tax handed over again."
    );
    assert_eq!(
        sentence(Kind::DeliveryCancelled, &[(Attribute::Outcome, json!("cancelled"))]),
        "A delivery from identity to tax was stopped before it left."
    );
    let late = sentence(Kind::DeliveryCancelled, &[(Attribute::Outcome, json!("may-have-been-received"))]);
    assert!(late.contains("it may have been received"), "{late}");
}

#[test]
fn consents_say_who_gave_them_for_what_and_how_long() {
    let more = [
        (Attribute::Grantor, json!("representative")),
        (Attribute::ValidFrom, json!("2026-01-01T00:00:00Z")),
        (Attribute::Notice, json!({"version": "2", "language": "sk"})),
        (
            Attribute::ActingFor,
            json!({"representative": "r-7", "authority": "parent", "until": "2030-01-01T00:00:00Z"}),
        ),
    ];
    let told = text(&entry(Kind::ConsentGranted, &[agreed(), more.to_vec()].concat()));
    for part in [
        "A representative of the person consented that identity gives tax what agreement address-to-tax (revision 2) \
         names for assessment.",
        "holds:    from 2026-01-01T00:00:00Z, notice 2 (sk)",
        "through representative r-7 (authority: parent, until 2030-01-01T00:00:00Z)",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let withdrawn = sentence(Kind::ConsentWithdrawn, &[]);
    assert!(withdrawn.starts_with("The person withdrew the consent that identity gives tax"), "{withdrawn}");
}

#[test]
fn a_reading_says_who_read_what() {
    let read = |searched: &str| {
        about_nobody(
            Kind::AuditRead,
            &[
                (Attribute::System, json!("tax/audit")),
                (Attribute::OnBehalfOf, json!("tax")),
                (Attribute::WhatWasSearched, json!(searched)),
            ],
        )
    };
    assert_eq!(
        read(r#"{"about":"one person","record_type":"identity/address"}"#),
        "tax (system tax/audit) read the ledger: about one person, record type identity/address."
    );
    assert_eq!(
        read(r#"{"about":"one person","consents":"one"}"#),
        "tax (system tax/audit) looked up this person's consents."
    );
    assert_eq!(read("entry 5"), "tax (system tax/audit) read the ledger: entry 5.");
    assert_eq!(read("{}"), "tax (system tax/audit) read the ledger: everything.");
}

#[test]
fn entries_about_no_person_say_what_changed() {
    assert_eq!(
        about_nobody(Kind::CataloguePublished, &[(Attribute::Catalogue, json!("ab12"))]),
        "The hub decides under catalogue ab12 from here on."
    );
    assert_eq!(
        about_nobody(Kind::KeyRotated, &[(Attribute::PublicKey, json!("k+1+x"))]),
        "Checkpoints are signed with the key k+1+x from here on."
    );
    assert_eq!(about_nobody(Kind::Restored, &[]), "The ledger goes on from a backup from here on.");
}

#[test]
fn every_kind_is_a_sentence_with_and_without_what_it_could_say() {
    for kind in Kind::ALL {
        for told in [sentence(*kind, &[]), about_nobody(*kind, &[])] {
            assert!(told.ends_with('.') && !told.contains('_') && !told.contains("  "), "{kind}: {told}");
        }
    }
}

#[test]
fn what_was_erased_or_not_opened_is_said_so() {
    let mut erased = entry(Kind::Transfer, &agreed());
    erased.erased = true;
    assert!(text(&erased).ends_with("proves its place and says nothing more."));
    assert_eq!(object(&erased)["sentence"], Value::Null);
    let closed = v1::EntryView { index: 3, ..v1::EntryView::default() };
    assert_eq!(text(&closed), "#3  \n  What happened is not open to this reader.");
}

#[test]
fn a_person_is_not_named_by_the_pseudonym_unless_a_machine_asks_for_everything() {
    let entry = entry(Kind::Transfer, &[agreed(), vec![(Attribute::Subject, json!("pseudonym-1"))]].concat());
    assert!(!text(&entry).contains("pseudonym-1"));
    assert_eq!(object(&entry)["attributes"]["subject"], "pseudonym-1");
}

#[test]
fn what_a_hub_sends_instead_of_attributes_is_passed_over() {
    let mut entry = entry(Kind::Transfer, &agreed());
    entry.attributes.push(v1::Attribute { number: 70_000, value: "1".to_owned(), ..v1::Attribute::default() });
    entry.attributes.push(v1::Attribute { number: 19, value: "not json".to_owned(), ..v1::Attribute::default() });
    entry.attributes.push(v1::Attribute { number: 900, value: "[]".to_owned(), ..v1::Attribute::default() });
    assert!(text(&entry).contains("identity sent"));
    assert_eq!(object(&entry)["attributes"]["900"], json!([]));
}
