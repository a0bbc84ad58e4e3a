//! Reads whom a call is about: identifiers as `scheme value` lines or as JSON. They are personal data, so no message
//! quotes them.

use serde::Deserialize;
use waybill_proto::v1;

use super::{exit::Failure, input::Source, printed::path_word};
use crate::domain::subject::Identifier;

/// Identifiers of one person are a handful.
const BYTES_MAX: u64 = 64 * 1024;

/// `--subject`.
#[derive(Debug, clap::Args)]
pub(super) struct SubjectOption {
    /// Whom it is about: a file, or `-` for standard input, with a line `scheme value` for each identifier, or JSON
    /// `{"scheme": …, "value": …}`, or a list of such objects
    #[arg(long, value_name = "FILE", default_value = "-")]
    subject: Source,
}

impl SubjectOption {
    /// The option for another command about the same person, after a blank; nothing where she is read from standard input.
    pub(super) fn again(&self) -> String {
        match &self.subject {
            Source::File(path) => format!(" --subject {}", path_word(path)),
            Source::Stdin => String::new(),
        }
    }

    pub(super) fn read(&self) -> Result<Vec<v1::Identifier>, Failure> {
        read(&self.subject)
    }
}

/// Reads the identifiers of one person, at least one.
pub(super) fn read(source: &Source) -> Result<Vec<v1::Identifier>, Failure> {
    parse(&source.read("identifiers (`scheme value`, one a line)", BYTES_MAX)?).map_err(Failure::Usage)
}

fn parse(content: &[u8]) -> Result<Vec<v1::Identifier>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "the identifiers are not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let found = if text.starts_with(['{', '[']) { from_json(text)? } else { from_lines(text)? };
    if found.is_empty() {
        return Err("no identifier was given: write `scheme value`, e.g. `national-number …`, one a line".to_owned());
    }
    Ok(found)
}

fn from_lines(text: &str) -> Result<Vec<v1::Identifier>, String> {
    let numbered = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    numbered
        .map(|(index, line)| {
            let at = |why: &dyn std::fmt::Display| format!("line {}: {why}", index + 1);
            let (scheme, value) =
                line.split_once(char::is_whitespace).ok_or_else(|| at(&"an identifier is `scheme value`"))?;
            identifier(scheme, value.trim()).map_err(|error| at(&error))
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    scheme: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Written),
    Many(Vec<Written>),
}

fn from_json(text: &str) -> Result<Vec<v1::Identifier>, String> {
    // The parser's own message may quote a value.
    let wrong = |_| "the identifiers are not JSON of the form {\"scheme\": \"…\", \"value\": \"…\"}".to_owned();
    let written = match serde_json::from_str(text).map_err(wrong)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    written
        .iter()
        .enumerate()
        .map(|(index, one)| {
            identifier(&one.scheme, &one.value).map_err(|error| format!("identifier {}: {error}", index + 1))
        })
        .collect()
}

fn identifier(scheme: &str, value: &str) -> Result<v1::Identifier, String> {
    Identifier::new(scheme, value).map_err(|error| error.to_string())?;
    Ok(v1::Identifier { scheme: scheme.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
        let found = parse(text.as_bytes())?;
        Ok(found.into_iter().map(|one| (one.scheme, one.value)).collect())
    }

    fn pair(scheme: &str, value: &str) -> (String, String) {
        (scheme.to_owned(), value.to_owned())
    }

    #[test]
    fn each_line_is_a_scheme_and_a_value_that_may_have_blanks() {
        let found = pairs("\u{feff}national-number  123 456\n\n tax-number\tABC \r\n").unwrap();
        assert_eq!(found, [pair("national-number", "123 456"), pair("tax-number", "ABC")]);
    }

    #[test]
    fn json_is_one_object_or_a_list() {
        let one = r#"{"scheme": "national-number", "value": "1"}"#;
        assert_eq!(pairs(one).unwrap(), [pair("national-number", "1")]);
        assert_eq!(pairs(&format!("[{one}, {one}]")).unwrap().len(), 2);
    }

    #[test]
    fn nobody_is_refused() {
        for nothing in ["", " \n\n", "[]"] {
            assert!(pairs(nothing).unwrap_err().starts_with("no identifier"), "{nothing:?}");
        }
    }

    #[test]
    fn no_message_quotes_what_was_read() {
        for wrong in ["marked1", "MARKED 1", "a marked\nmarked", r#"{"scheme": "marked"}"#, r#"[{"marked": 1}]"#] {
            let message = pairs(wrong).unwrap_err();
            assert!(!message.to_lowercase().contains("marked"), "{message}");
        }
        assert_eq!(pairs("a b\nmarked").unwrap_err(), "line 2: an identifier is `scheme value`");
        assert!(parse(&[0xff]).is_err());
    }
}
