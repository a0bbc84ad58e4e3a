//! Each field of each call is part of what makes it that call: changed alone, it makes another.

use bytes::Bytes;

use super::*;
use crate::{
    domain::{
        context::{Authority, Representation},
        record::{Change, RecordIdentity},
        transfer::TransferId,
    },
    exchange::submission::{CallKey, ContextRest},
    vault::MasterKey,
};

type Varied<T> = (&'static str, fn(&mut T));
type Changes<T> = Vec<Varied<T>>;

fn one(byte: u8) -> TransferId {
    TransferId(uuid::Uuid::from_bytes([byte; 16]))
}

fn somebody(scheme: &str, value: &str) -> Vec<Identifier> {
    vec![Identifier::new(scheme, value).unwrap()]
}

fn context() -> CallContext {
    let rest = ContextRest { actor: "a".into(), case: "b".into(), reason: "c".into(), acting_for: None };
    CallContext { on_behalf_of: None, rest: Box::new(rest) }
}

fn represented(context: &mut CallContext, authority: Authority, representative: &str, until: Option<Moment>) {
    let representative = representative.to_owned();
    context.rest.acting_for = Some(Representation { representative, authority, until });
}

/// What every call says of who makes it, changed; some differ from others only in where a text ends.
const CONTEXTS: [Varied<CallContext>; 11] = [
    ("for another", |context| context.on_behalf_of = Some("tax".into())),
    ("another actor", |context| context.rest.actor = "x".into()),
    ("another case", |context| context.rest.case = "x".into()),
    ("another reason", |context| context.rest.reason = "x".into()),
    ("actor and case as one", |context| {
        context.rest.actor = "ab".into();
        context.rest.case = String::new();
    }),
    ("for a parent", |context| represented(context, Authority::Parent, "p", None)),
    ("for nobody in particular", |context| represented(context, Authority::Parent, "", None)),
    ("for a guardian", |context| represented(context, Authority::Guardian, "p", None)),
    ("for another parent", |context| represented(context, Authority::Parent, "q", None)),
    ("until a moment", |context| represented(context, Authority::Parent, "p", Some(Moment(0)))),
    ("until another", |context| represented(context, Authority::Parent, "p", Some(Moment(1)))),
];

/// No two of the calls are one: as it is, changed in any way, or with another context.
fn all_differ<T: Clone>(
    call: &T,
    changes: &Changes<T>,
    context_of: impl Fn(&mut T) -> &mut CallContext,
    hash: impl Fn(&T) -> ContentHash,
) {
    let mut seen = vec![("as it is", hash(call))];
    let mut see = |name, changed: &T| {
        let hash = hash(changed);
        assert!(seen.iter().all(|(_, known)| known.0 != hash.0), "{name} is taken for another");
        seen.push((name, hash));
    };
    for (name, change) in changes {
        let mut changed = call.clone();
        change(&mut changed);
        see(name, &changed);
    }
    for (name, change) in CONTEXTS {
        let mut changed = call.clone();
        change(context_of(&mut changed));
        see(name, &changed);
    }
    assert!(hash(call).0 == seen[0].1.0, "a repeat is the same");
}

fn hasher() -> Hasher {
    MasterKey::new([1; 32]).hasher()
}

#[test]
fn a_submission_is_all_that_it_says() {
    let call = Submission {
        key: CallKey::Named(String::new()),
        record_type: "identity/address".into(),
        schema_version: "1.0".into(),
        payload: Bytes::from_static(b"{}"),
        record: RecordIdentity {
            record_id: "r".into(),
            revision: None,
            as_of: None,
            change: Change::New,
            corrects_revision: None,
            authority: RecordAuthority::Authoritative,
        },
        context: context(),
        only: Vec::new(),
        traceparent: String::new(),
    };
    let changes: Changes<Submission> = vec![
        ("record type", |call| call.record_type.push('x')),
        ("version", |call| call.schema_version.push('1')),
        ("payload", |call| call.payload = Bytes::from_static(b"{ }")),
        ("record", |call| call.record.record_id.push('x')),
        ("revision 0", |call| call.record.revision = Some(0)),
        ("revision 1", |call| call.record.revision = Some(1)),
        ("as of", |call| call.record.as_of = Some(Moment(0))),
        ("change", |call| call.record.change = Change::Ended),
        ("corrects", |call| call.record.corrects_revision = Some(0)),
        ("a copy", |call| call.record.authority = RecordAuthority::CopyOf(one(1))),
        ("a copy of another", |call| call.record.authority = RecordAuthority::CopyOf(one(2))),
        ("only one", |call| call.only = vec!["a".into()]),
        ("only two", |call| call.only = vec!["a".into(), "b".into()]),
        ("only one with a line's end", |call| call.only = vec!["a\nb".into()]),
    ];
    all_differ(&call, &changes, |call| &mut call.context, |call| of_submission(&hasher(), call));
    let traced = Submission { traceparent: "00".into(), key: CallKey::Named("k".into()), ..call.clone() };
    assert!(of_submission(&hasher(), &traced).0 == of_submission(&hasher(), &call).0, "neither is content");
}

#[test]
fn a_request_is_all_that_it_says() {
    let call = RequestCall {
        key: String::new(),
        record_type: "tax/income".into(),
        purpose: "p".into(),
        provider: String::new(),
        subject: somebody("national-number", "1"),
        explicit_request: None,
        context: context(),
        deadline: None,
        traceparent: String::new(),
    };
    let changes: Changes<RequestCall> = vec![
        ("record type", |call| call.record_type.push('x')),
        ("purpose", |call| call.purpose.push('x')),
        ("provider", |call| call.provider.push('x')),
        ("number", |call| call.subject = somebody("national-number", "2")),
        ("scheme", |call| call.subject = somebody("tax-number", "1")),
        ("nobody", |call| call.subject.clear()),
        ("one more", |call| call.subject.extend(somebody("tax-number", "1"))),
        ("asked for", |call| {
            call.explicit_request = Some(ExplicitRequest { asked_at: None, reference: String::new() });
        }),
        ("by form", |call| call.explicit_request = Some(ExplicitRequest { asked_at: None, reference: "f".into() })),
        ("at a time", |call| {
            call.explicit_request = Some(ExplicitRequest { asked_at: Some(Moment(0)), reference: String::new() });
        }),
    ];
    all_differ(&call, &changes, |call| &mut call.context, |call| of_request(&hasher(), call));
    let again = RequestCall { traceparent: "00".into(), key: "k".into(), deadline: Some(Moment(1)), ..call.clone() };
    assert!(of_request(&hasher(), &again).0 == of_request(&hasher(), &call).0, "none of these is content");
}

#[test]
fn a_consent_and_its_withdrawal_are_all_that_they_say() {
    let grant = GrantCall {
        key: String::new(),
        subject: somebody("national-number", "1"),
        agreement: "a".into(),
        revision: 1,
        from: None,
        until: None,
        notice_version: "1".into(),
        notice_language: "en".into(),
        evidence_media_type: "text/plain".into(),
        evidence: Bytes::from_static(b"signed"),
        context: context(),
    };
    let changes: Changes<GrantCall> = vec![
        ("number", |call| call.subject = somebody("national-number", "2")),
        ("scheme", |call| call.subject = somebody("tax-number", "1")),
        ("agreement", |call| call.agreement.push('x')),
        ("revision", |call| call.revision = 2),
        ("from", |call| call.from = Some(Moment(0))),
        ("until", |call| call.until = Some(Moment(0))),
        ("notice", |call| call.notice_version.push('x')),
        ("language", |call| call.notice_language.push('x')),
        ("media type", |call| call.evidence_media_type.push('x')),
        ("evidence", |call| call.evidence = Bytes::new()),
    ];
    all_differ(&grant, &changes, |call| &mut call.context, |call| of_grant(&hasher(), call));

    let subject = somebody("national-number", "1");
    let withdrawal = WithdrawCall { key: String::new(), consent: "c".into(), subject, context: context() };
    let changes: Changes<WithdrawCall> = vec![
        ("consent", |call| call.consent.push('x')),
        ("number", |call| call.subject = somebody("national-number", "2")),
        ("scheme", |call| call.subject = somebody("tax-number", "1")),
    ];
    all_differ(&withdrawal, &changes, |call| &mut call.context, |call| of_withdrawal(&hasher(), call));
}

#[test]
fn a_reading_and_an_operators_call_are_all_that_they_say() {
    let changes: Changes<(SearchCall, CallContext)> = vec![
        ("whom", |(call, _)| call.subject = somebody("national-number", "1")),
        ("scheme", |(call, _)| call.subject = somebody("tax-number", "1")),
        ("agency", |(call, _)| call.agency = "x".into()),
        ("purpose", |(call, _)| call.purpose = "x".into()),
        ("record type", |(call, _)| call.record_type = "x".into()),
        ("outcome", |(call, _)| call.outcome = "x".into()),
        ("kind", |(call, _)| call.kind = "x".into()),
        ("from", |(call, _)| call.from = Some(Moment(0))),
        ("until", |(call, _)| call.until = Some(Moment(0))),
        ("page size", |(call, _)| call.page_size = 1),
        ("page", |(call, _)| call.page_token = "x".into()),
    ];
    let search = (SearchCall::default(), context());
    let hash = |(call, context): &(SearchCall, CallContext)| of_search(&hasher(), call, context);
    all_differ(&search, &changes, |(_, context)| context, hash);

    let changes: Changes<(u64, CallContext)> = vec![("another entry", |(index, _)| *index = 2)];
    let hash = |(index, context): &(u64, CallContext)| of_entry(&hasher(), *index, context);
    all_differ(&(1, context()), &changes, |(_, context)| context, hash);

    let changes: Changes<(String, CallContext)> = vec![("another transfer", |(transfer, _)| transfer.push('x'))];
    let hash = |(transfer, context): &(String, CallContext)| of_replay(&hasher(), transfer, context);
    all_differ(&("t".to_owned(), context()), &changes, |(_, context)| context, hash);
    all_differ(&context(), &Vec::new(), |context| context, |context| of_publication(&hasher(), context));
    assert!(of_publication(&hasher(), &context()).0 != of_replay(&hasher(), "", &context()).0);
}
