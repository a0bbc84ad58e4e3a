//! What messages are read as, at and beyond their bounds.

use prost_types::Timestamp;
use tonic::metadata::MetadataMap;
use waybill_proto::v1;

use super::super::{read, write};
use crate::{
    desk::{Answer, Arrival, Malformed, NoRecord},
    domain::{
        context::Authority,
        record::{Change, RecordAuthority},
        refusal::RefusalCode,
        subject::{IDENTIFIER_BYTES_MAX, SCHEME_BYTES_MAX},
        time::Moment,
    },
    exchange::submission::{CallKey, Submission},
};

const TRANSFER: &str = "01919d5f-2b6e-7cc0-98c3-0e1f2a3b4c5d";

fn message() -> v1::Submission {
    v1::Submission {
        idempotency_key: TRANSFER.into(),
        record_type: "identity/address".into(),
        schema_version: "1.0".into(),
        payload: "{}".into(),
        record: Some(v1::RecordIdentity {
            record_id: "r".into(),
            revision: Some(1),
            as_of: Some(Timestamp { seconds: 12, nanos: 345_678_999 }),
            change: v1::Change::Corrected.into(),
            corrects_revision: Some(1),
            copy_of_transfer_id: TRANSFER.into(),
        }),
        context: Some(v1::Context {
            actor: "a".into(),
            acting_for: Some(v1::Representation {
                representative: "r".into(),
                authority: v1::Authority::Court.into(),
                until: Some(Timestamp { seconds: 9, nanos: 0 }),
            }),
            ..v1::Context::default()
        }),
        only_recipients: vec!["tax".into()],
        traceparent: String::new(),
    }
}

fn read(change: impl FnOnce(&mut v1::Submission)) -> Result<Submission, Malformed> {
    let mut changed = message();
    change(&mut changed);
    match read::arrival(Some(changed), "of the call") {
        Arrival::Submission(submission) => Ok(submission),
        Arrival::Malformed(malformed) => Err(malformed),
    }
}

/// The faults of a message after one change.
fn faults(change: impl FnOnce(&mut v1::Submission)) -> Vec<(String, &'static str)> {
    let violations = |malformed: Malformed| {
        assert_eq!(malformed.refusal.code, RefusalCode::CallMalformed);
        malformed.refusal.violations.into_iter().map(|one| (one.pointer, one.keyword)).collect()
    };
    read(change).map_or_else(violations, |_| Vec::new())
}

fn record(message: &mut v1::Submission) -> &mut v1::RecordIdentity {
    message.record.as_mut().unwrap()
}

fn acting_for(message: &mut v1::Submission) -> &mut v1::Representation {
    message.context.as_mut().unwrap().acting_for.as_mut().unwrap()
}

#[test]
fn a_submission_is_read_with_everything_it_says() {
    let read = read(|_| {}).unwrap();
    assert_eq!((read.key, read.traceparent.as_str()), (CallKey::Named(TRANSFER.into()), "of the call"));
    assert_eq!(read.record.as_of, Some(Moment(12_345)));
    assert_eq!(read.record.change, Change::Corrected);
    assert_eq!(read.record.authority, RecordAuthority::CopyOf(TRANSFER.parse().unwrap()));
    assert_eq!((read.context.on_behalf_of, read.context.rest.actor.as_str()), (None, "a"));
    let acting_for = read.context.rest.acting_for.unwrap();
    assert_eq!((acting_for.authority, acting_for.until), (Authority::Court, Some(Moment(9000))));
    assert_eq!(
        write::record(read.record),
        v1::RecordIdentity { as_of: Some(Timestamp { seconds: 12, nanos: 345_000_000 }), ..message().record.unwrap() }
    );
}

#[test]
fn its_own_traceparent_comes_before_that_of_the_call() {
    assert_eq!(read(|message| message.traceparent = "own".into()).unwrap().traceparent, "own");
    let mut metadata = MetadataMap::new();
    assert_eq!(read::traceparent(&metadata), "");
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (text, kept) in [(good, good), (&good[1..], ""), (&format!("{good}0"), ""), ("words", "")] {
        metadata.insert("traceparent", text.parse().unwrap());
        assert_eq!(read::traceparent(&metadata), kept);
    }
}

#[test]
fn moments_are_read_from_1970_to_9999_and_not_beyond() {
    let as_of = |seconds, nanos| {
        faults(|message| record(message).as_of = Some(Timestamp { seconds, nanos })).first().map(|fault| fault.1)
    };
    assert_eq!(as_of(0, 0), None);
    assert_eq!(as_of(-1, 0), Some("minimum"));
    assert_eq!(as_of(253_402_300_799, 999_999_999), None);
    assert_eq!(as_of(253_402_300_800, 0), Some("maximum"));
    assert_eq!(as_of(i64::MAX, 0), Some("maximum"));
    assert_eq!(as_of(i64::MIN, 0), Some("minimum"));
    assert_eq!(as_of(0, -1), Some("format"));
    assert_eq!(as_of(0, 1_000_000_000), Some("format"));
}

#[test]
fn each_fault_is_named_by_its_pointer() {
    let fault = |pointer: &str, keyword| vec![(pointer.to_owned(), keyword)];
    assert_eq!(faults(|message| message.record = None), fault("/record", "required"));
    assert_eq!(faults(|message| record(message).change = 0), fault("/record/change", "required"));
    assert_eq!(faults(|message| record(message).change = 99), fault("/record/change", "enum"));
    assert_eq!(faults(|message| record(message).revision = Some(0)), fault("/record/revision", "minimum"));
    let copy = |text: &str| faults(|message| record(message).copy_of_transfer_id = text.into());
    assert_eq!(copy("no uuid"), fault("/record/copy_of_transfer_id", "format"));
    assert_eq!(copy(""), []);
    let authority = |number| faults(|message| acting_for(message).authority = number);
    assert_eq!(authority(0), fault("/context/acting_for/authority", "required"));
    assert_eq!(authority(99), fault("/context/acting_for/authority", "enum"));
    let until = Some(Timestamp { seconds: -1, nanos: 0 });
    assert_eq!(faults(|message| acting_for(message).until = until), fault("/context/acting_for/until", "minimum"));
    let both = faults(|message| (record(message).change, acting_for(message).authority) = (0, 0));
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn what_is_malformed_keeps_its_key_and_tells_itself_from_another_call() {
    let malformed = |payload: &'static str| {
        let read = read(|message| {
            record(message).change = 0;
            message.payload = payload.into();
        });
        read.unwrap_err()
    };
    assert_eq!(malformed("1").key, CallKey::Named(TRANSFER.into()));
    assert_eq!(malformed("1").content, malformed("1").content);
    assert_ne!(malformed("1").content, malformed("2").content);
    assert!(matches!(read::arrival(None, ""), Arrival::Malformed(_)));
}

#[test]
fn identifiers_are_bounded_and_a_fault_never_shows_one() {
    let request = |scheme: String, value: String| {
        let subject = vec![v1::Identifier { scheme, value }];
        read::request(v1::RequestRequest { subject, ..v1::RequestRequest::default() }, "")
    };
    let longest = request("s".repeat(SCHEME_BYTES_MAX), "v".repeat(IDENTIFIER_BYTES_MAX)).unwrap();
    assert_eq!(longest.subject.len(), 1);
    for (scheme, value, pointer) in [
        ("s".repeat(SCHEME_BYTES_MAX + 1), "v".to_owned(), "/subject/0/scheme"),
        ("s".to_owned(), "v".repeat(IDENTIFIER_BYTES_MAX + 1), "/subject/0/value"),
        ("s".to_owned(), String::new(), "/subject/0/value"),
    ] {
        let malformed = request(scheme, value).unwrap_err();
        assert_eq!(malformed.refusal.violations[0].pointer, pointer);
        assert!(!format!("{:?}", malformed.refusal).contains("vvv"));
    }
}

#[test]
fn so_many_faults_of_a_call_are_named() {
    let named = |wrong: usize| {
        let subject = vec![v1::Identifier { scheme: "S".into(), value: "v".into() }; wrong - 1];
        let deadline = Some(Timestamp { seconds: -1, nanos: 0 });
        let malformed = read::request(v1::RequestRequest { subject, deadline, ..v1::RequestRequest::default() }, "");
        malformed.unwrap_err().refusal.violations.len()
    };
    assert_eq!([named(15), named(16), named(17)], [15, 16, 16]);
}

#[test]
fn an_answer_holds_a_record_or_a_reason_that_a_provider_may_give() {
    let answer_at =
        |available_at, answer| read::answer(v1::ProvideAnswer { answer, available_at, ..v1::ProvideAnswer::default() });
    let answer = |answer| answer_at(Some(Timestamp { seconds: 5, nanos: 0 }), answer);
    let reason = |reason: v1::NoRecordReason| answer(Some(v1::provide_answer::Answer::NoRecord(reason.into())));
    let until = reason(v1::NoRecordReason::NotAvailableUntil).unwrap().0;
    assert!(matches!(until, Answer::None(NoRecord::NotAvailableUntil(Some(Moment(5000))))));
    let some_day = Some(v1::provide_answer::Answer::NoRecord(v1::NoRecordReason::NotAvailableUntil.into()));
    assert_eq!(answer_at(None, some_day).unwrap_err().refusal.violations[0].pointer, "/available_at");
    assert!(reason(v1::NoRecordReason::Unspecified).is_err());
    assert!(reason(v1::NoRecordReason::ProviderUnavailable).is_err(), "that is the hub's to say");
    assert!(answer(None).is_err());
    let mut provided = v1::ProvidedRecord { record: message().record, ..v1::ProvidedRecord::default() };
    let with = |provided: &v1::ProvidedRecord| answer(Some(v1::provide_answer::Answer::Record(provided.clone())));
    assert!(matches!(with(&provided), Ok((Answer::Record(_), _))));
    provided.record = None;
    assert_eq!(with(&provided).unwrap_err().refusal.violations[0].pointer, "/record");
}
