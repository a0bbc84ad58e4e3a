//! Rows of a file: a record with what it is, an object on a line. The record's bytes go to the hub as they stand in the
//! file, so that the hub judges them and not a copy that was written anew.

use bytes::Bytes;
use serde::Deserialize;
use sonic_rs::{JsonValueTrait as _, LazyValue};

use super::record::{Change, RecordOptions};

/// A line that can be a row.
const BYTES_MAX: usize = 17 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    record_type: Option<String>,
    schema_version: Option<String>,
    record_id: Option<String>,
    revision: Option<u64>,
    change: Option<Change>,
    as_of: Option<String>,
    corrects_revision: Option<u64>,
    copy_of: Option<String>,
    #[serde(borrow)]
    record: LazyValue<'a>,
}

/// A row that was read. It is a record, so it does not print.
#[derive(Clone)]
pub(super) struct Row {
    /// What the record is.
    pub(super) options: RecordOptions,
    /// Its content, in JSON.
    pub(super) payload: Bytes,
}

/// Reads a row; what it leaves out is as `defaults` say. No message quotes it.
pub(super) fn parse(line: &[u8], defaults: &RecordOptions) -> Result<Row, String> {
    if line.len() > BYTES_MAX {
        return Err(format!("longer than {BYTES_MAX} bytes"));
    }
    let wrong = "not an object with `record` and, if any, record_id, revision, change, as_of, corrects_revision, \
                 copy_of, record_type, schema_version";
    let row: Written<'_> = sonic_rs::from_slice(line).map_err(|_| wrong)?;
    if !row.record.is_object() {
        return Err("`record` is not an object".to_owned());
    }
    let mut options = defaults.clone();
    if let Some(text) = row.record_type {
        options.record_type = Some(text.parse().map_err(|_| "`record_type` is not DOMAIN/NAME")?);
    }
    if let Some(text) = row.schema_version {
        options.schema_version = Some(text.parse().map_err(|_| "`schema_version` is not MAJOR.MINOR")?);
    }
    if let Some(text) = row.as_of {
        options.as_of = Some(text.parse().map_err(|_| "`as_of` is not a moment (RFC 3339)")?);
    }
    options.record_id = row.record_id.or(options.record_id);
    options.revision = row.revision.or(options.revision);
    options.change = row.change.or(options.change);
    options.corrects_revision = row.corrects_revision.or(options.corrects_revision);
    options.copy_of = row.copy_of.or(options.copy_of);
    Ok(Row { options, payload: Bytes::copy_from_slice(row.record.as_raw_str().as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> RecordOptions {
        RecordOptions {
            record_type: Some("identity/address".parse().unwrap()),
            change: Some(Change::Changed),
            ..RecordOptions::default()
        }
    }

    #[test]
    fn a_row_overrides_the_options_and_keeps_the_records_bytes() {
        let line = br#" {"record_id": "r-1", "change": "new", "record": {"b":1.0,  "a":"x", "a":2} } "#;
        let row = parse(line, &defaults()).unwrap();
        assert_eq!(row.options.change, Some(Change::New));
        assert_eq!(row.options.record_id.as_deref(), Some("r-1"));
        assert_eq!(row.options.record_type, defaults().record_type);
        assert_eq!(&row.payload[..], br#"{"b":1.0,  "a":"x", "a":2}"#);
    }

    #[test]
    fn what_is_no_row_is_refused_without_quoting_it() {
        for wrong in [
            r#"{"record": "marked"}"#,
            r#"{"record": {}, "marked": 1}"#,
            r#"{"record": {}, "as_of": "marked"}"#,
            r#"{"record": {}, "record_type": "marked"}"#,
            r#"{"record": {}, "change": "marked"}"#,
            r#"{"marked": 1}"#,
            "marked",
            r#"{"record": {"#,
        ] {
            let message = parse(wrong.as_bytes(), &defaults()).err().unwrap();
            assert!(!message.contains("marked"), "{message}");
        }
        assert!(parse(&[0xff], &defaults()).is_err());
    }

    #[test]
    fn a_line_is_so_long() {
        let row = r#"{"record": {}}"#;
        let padded = |bytes: usize| format!("{row}{}", " ".repeat(bytes - row.len()));
        assert!(parse(padded(BYTES_MAX).as_bytes(), &defaults()).is_ok());
        let beyond = parse(padded(BYTES_MAX + 1).as_bytes(), &defaults()).err();
        assert_eq!(beyond.as_deref(), Some("longer than 17825792 bytes"));
    }
}
