//! Agreements that a test adds to the demo's catalogue, under an invented law.

/// What differs from one to the other.
pub struct Agreed<'a> {
    pub revision: u32,
    pub direction: &'a str,
    pub source: &'a str,
    pub recipient: &'a str,
    pub record_type: &'a str,
    pub purpose: &'a str,
    pub fields: &'a [&'a str],
}

impl Agreed<'_> {
    /// As the catalogue's file.
    pub fn file(&self) -> String {
        let Self { revision, direction, source, recipient, record_type, purpose, fields } = self;
        format!(
            r#"title = "A test's"
description = "{recipient} hears of it from {source}."
revision = {revision}
direction = "{direction}"
source = "{source}"
recipient = "{recipient}"
record_type = "{record_type}"
schema_major = 1
purpose = "{purpose}"
demand = "nothing"
scope = {{ all = "everyone is reported by law" }}
fields = {fields:?}
valid_from = 2026-01-01
[basis]
article = "6(1)(c)"
law = "Reports Act (invented), s. 1"
[retention]
payload = "none"
trail = "10y"
at_recipient = "10y"
"#
        )
    }
}
