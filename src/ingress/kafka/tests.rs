//! What messages are read as, at and beyond their bounds.

use rdkafka::message::{Header, OwnedHeaders};

use super::{
    attributes::{ATTRIBUTE_BYTES_MAX, Attributes, unreadable},
    read::{ReadEvent, Reading},
};
use crate::{
    catalogue::Kafka,
    domain::{agency::AgencyId, context::Authority, idempotency::IdempotencyKey, record::Change, time::Moment},
    exchange::submission::CallKey,
    kafka::{AROUND_RECORD_BYTES_MAX, Reason},
};

const RECORD_BYTES_MAX: usize = 1024;

fn event() -> Vec<(&'static str, String)> {
    let plain = [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_type", "waybill.submission.v1"),
        ("ce_source", "urn:s"),
        ("ce_id", "1"),
        ("ce_dataschema", "identity/address/1.0"),
        ("ce_change", "corrected"),
        ("ce_correctsrevision", "3"),
    ];
    plain.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn with(name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    let mut all = event();
    all.retain(|(known, _)| *known != name);
    all.push((name, value.to_owned()));
    all
}

fn read(headers: &[(&'static str, String)], value: &[u8]) -> Result<ReadEvent, Reason> {
    let mut written = OwnedHeaders::new();
    for (key, value) in headers {
        written = written.insert(Header { key, value: Some(value) });
    }
    let agency = AgencyId::new("identity").unwrap();
    let schemas = [(17, ("identity/address".parse().unwrap(), "1.0".parse().unwrap()))].into();
    let kafka = Kafka { schemas, ..Kafka::default() };
    let key = |_: &_| CallKey::Event(IdempotencyKey::of_event(&[1; 16], Moment(1)));
    let reading = Reading { agency: &agency, kafka: &kafka, record_bytes_max: RECORD_BYTES_MAX, key: &key };
    reading.fits(value.len())?;
    reading.event(Attributes::read(Some(written.as_borrowed()), value)?)
}

#[track_caller]
fn wrong(read: Result<ReadEvent, Reason>) -> Reason {
    match read {
        Err(why) => why,
        Ok(_) => panic!("it was read"),
    }
}

#[test]
fn attributes_become_a_submission() {
    let mut sent = with("ce_actingfor", "guardian 9");
    sent.push(("ce_actingauthority", "guardian".into()));
    sent.push(("ce_onlyrecipients", "tax, benefit".into()));
    sent.push(("ce_unknown", "is not asked for".into()));
    sent.push(("other", "is no attribute".into()));
    let submission = read(&sent, b"{}").ok().unwrap().submission;
    assert_eq!((submission.record_type.as_str(), submission.schema_version.as_str()), ("identity/address", "1.0"));
    assert_eq!((submission.record.change, submission.record.corrects_revision), (Change::Corrected, Some(3)));
    assert_eq!(submission.context.on_behalf_of.as_deref(), Some("identity"));
    assert_eq!(submission.context.rest.acting_for.unwrap().authority, Authority::Guardian);
    assert_eq!(submission.only, ["tax", "benefit"]);
}

#[test]
fn an_event_counts_for_all_that_it_brings() {
    let bytes = |event: &[_]| read(event, b"{}").ok().unwrap().bytes;
    let plain = bytes(&event());
    assert!(bytes(&with("ce_reason", &"r".repeat(1000))) >= plain + 900);
    let names = vec!["a"; 500].join(",");
    let only = bytes(&with("ce_onlyrecipients", &names));
    assert!(only >= plain + 500 * size_of::<String>(), "each of so many names is a text of its own");
}

#[test]
fn what_is_not_as_it_must_be_is_told_by_part_and_keyword() {
    for (name, value, pointer, keyword) in [
        ("ce_specversion", "0.3", "/specversion", "const"),
        ("ce_type", "other", "/type", "const"),
        ("ce_id", "", "/id", "required"),
        ("ce_source", "", "/source", "required"),
        ("ce_dataschema", "", "/dataschema", "required"),
        ("ce_change", "gone", "/change", "enum"),
        ("ce_revision", "0", "/revision", "minimum"),
        ("ce_revision", "-1", "/revision", "type"),
        ("ce_time", "yesterday", "/time", "format"),
        ("ce_copyof", "x", "/copyof", "format"),
        ("ce_actingfor", "x", "/actingauthority", "required"),
        ("content-type", "text/plain", "/datacontenttype", "enum"),
        ("content-type", "application/cloudevents+avro", "/datacontenttype", "enum"),
    ] {
        assert_eq!(wrong(read(&with(name, value), b"{}")), unreadable(pointer, keyword), "{name}: {value}");
    }
    assert_eq!(wrong(read(&event(), b"")), unreadable("/data", "required"));
    let mut twice = event();
    twice.push(("ce_id", "2".into()));
    assert_eq!(wrong(read(&twice, b"{}")), unreadable("", "uniqueItems"));
}

#[test]
fn the_wire_format_names_its_schema() {
    let framed = |id: u32| [&[0][..], &id.to_be_bytes(), b"{}"].concat();
    let submission = read(&with("ce_dataschema", ""), &framed(17)).ok().unwrap().submission;
    assert_eq!((submission.record_type.as_str(), &submission.payload[..]), ("identity/address", &b"{}"[..]));
    assert_eq!(wrong(read(&event(), &framed(18))), unreadable("/dataschema", "enum"));
    assert_eq!(wrong(read(&with("ce_dataschema", "tax/income/1.0"), &framed(17))), unreadable("/dataschema", "const"));
    assert_eq!(wrong(read(&event(), &[0, 0, 0, 0])), unreadable("/data", "format"));
}

#[test]
fn an_attribute_at_its_bound_is_read_and_one_byte_more_is_not() {
    assert!(read(&with("ce_id", &"x".repeat(ATTRIBUTE_BYTES_MAX)), b"{}").is_ok());
    let beyond = wrong(read(&with("ce_id", &"x".repeat(ATTRIBUTE_BYTES_MAX + 1)), b"{}"));
    assert_eq!(beyond, unreadable("", "maxLength"));
}

#[test]
fn an_event_has_so_many_attributes_whichever_way_it_comes() {
    let named = |count: usize| (0..count).map(|number| format!("more{number}"));
    let whole = |count: usize| {
        let mut headers = event();
        // The media type is one, too.
        headers.extend(named(count - headers.len()).map(|name| (&*format!("ce_{name}").leak(), String::new())));
        read(&headers, b"{}").map(|_| ())
    };
    let structured = |count: usize| {
        let mut said = serde_json::json!({"specversion": "1.0", "type": "waybill.submission.v1", "source": "s", "id": "1",
            "dataschema": "identity/address/1.0", "change": "new"});
        let more: Vec<String> = named(count - said.as_object().unwrap().len()).collect();
        more.into_iter().for_each(|name| said[name] = "x".into());
        said["data"] = serde_json::json!({}); // is none
        read(&[("content-type", "application/cloudevents+json".into())], said.to_string().as_bytes()).map(|_| ())
    };
    assert_eq!((whole(64), structured(64)), (Ok(()), Ok(())));
    let beyond = Err(unreadable("", "maxProperties"));
    assert_eq!((whole(65), structured(65)), (beyond, beyond));
}

#[test]
fn a_message_at_its_bound_is_read_and_one_byte_more_is_not() {
    let most = RECORD_BYTES_MAX + AROUND_RECORD_BYTES_MAX;
    assert!(read(&event(), &vec![b' '; most]).is_ok());
    assert_eq!(wrong(read(&event(), &vec![b' '; most + 1])), unreadable("/data", "maxLength"));
}

#[test]
fn structured_mode_is_read_and_what_is_no_object_is_not() {
    let structured = [("content-type", "application/cloudevents+json".to_owned())];
    let whole = r#"{"specversion":"1.0","type":"waybill.submission.v1","source":"s","id":"1","revision":4,
        "dataschema":"identity/address/1.0","change":"new","data":{"a":[1, 2]},"extra":null}"#;
    let submission = read(&structured, whole.as_bytes()).ok().unwrap().submission;
    assert_eq!((&submission.payload[..], submission.record.revision), (&br#"{"a":[1, 2]}"#[..], Some(4)));
    let coded = whole.replace(r#""data":{"a":[1, 2]}"#, r#""data_base64":"e30=""#);
    assert_eq!(&read(&structured, coded.as_bytes()).ok().unwrap().submission.payload[..], b"{}");
    for bad in ["", "[]", "{", "1", r#"{"id":{}}"#, "\u{0}"] {
        assert!(read(&structured, bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_read_makes_it_panic(value: Vec<u8>, name in "[a-z_]{0,12}", text in ".{0,40}", whole: bool) {
        let kind = if whole { "application/cloudevents+json" } else { "application/json" };
        let mut headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(kind) });
        for (key, text) in event().iter().skip(1) {
            headers = headers.insert(Header { key, value: Some(text) });
        }
        headers = headers.insert(Header { key: &name, value: Some(&text) });
        drop(Attributes::read(Some(headers.as_borrowed()), &value));
    }
}
