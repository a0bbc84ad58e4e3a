//! What an entry says: numbered attributes with their RFC 8785 values, before they are committed to and sealed.

use std::{fmt::Write as _, ops::Range};

use crate::{
    domain::{
        canonical,
        context::Context,
        record::{RecordAuthority, RecordIdentity},
        time::Moment,
    },
    ledger::{Attribute, Kind},
};

/// Attributes in ascending order, in one buffer.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Statement {
    text: String,
    items: Vec<(Attribute, Range<u32>)>,
}

/// It is about a person, so it prints only its size.
impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Statement({} attributes)", self.items.len())
    }
}

impl Statement {
    /// A statement of `kind`.
    pub fn of(kind: Kind) -> Self {
        let mut statement = Self { text: String::with_capacity(2048), items: Vec::with_capacity(24) };
        statement.number(Attribute::Kind, u64::from(kind.number()));
        statement
    }

    /// Says `attribute` with what `write` appends, which must be RFC 8785 JSON.
    pub fn with(&mut self, attribute: Attribute, write: impl FnOnce(&mut String)) {
        let start = self.text.len() as u32;
        write(&mut self.text);
        let item = (attribute, start..self.text.len() as u32);
        // Attributes are said almost in order; a list this short sorts itself by insertion.
        let place = self.items.iter().rposition(|(known, _)| *known < attribute).map_or(0, |before| before + 1);
        self.items.insert(place, item);
    }

    /// Says `attribute` as a string.
    pub fn string(&mut self, attribute: Attribute, value: &str) {
        self.with(attribute, |text| canonical::write_string(text, value));
    }

    /// Says `attribute` as a string whose characters are never escaped: an id, a version.
    pub fn id(&mut self, attribute: Attribute, value: impl std::fmt::Display) {
        self.with(attribute, |text| {
            // Writing to a String cannot fail.
            let _ = write!(text, "\"{value}\"");
        });
    }

    /// Says `attribute` as a string, unless it is empty.
    pub fn string_if_any(&mut self, attribute: Attribute, value: &str) {
        if !value.is_empty() {
            self.string(attribute, value);
        }
    }

    /// Says `attribute` as a number; one beyond 2^53-1 becomes a string, since RFC 8785 numbers are doubles.
    pub fn number(&mut self, attribute: Attribute, value: u64) {
        match i64::try_from(value) {
            Ok(small) if small <= crate::domain::value::INTEGER_MAX => {
                self.with(attribute, |text| canonical::write_integer(text, small));
            }
            _ => self.string(attribute, &value.to_string()),
        }
    }

    /// Says `attribute` as another number than before.
    pub fn replace_number(&mut self, attribute: Attribute, value: u64) {
        self.items.retain(|(known, _)| *known != attribute);
        self.number(attribute, value);
    }

    /// Says `attribute` as true or false.
    pub fn flag(&mut self, attribute: Attribute, value: bool) {
        self.with(attribute, |text| text.push_str(if value { "true" } else { "false" }));
    }

    /// Says `attribute` as a moment (RFC 3339).
    pub fn moment(&mut self, attribute: Attribute, value: Moment) {
        self.string(attribute, &value.to_string());
    }

    /// Says `attribute` as a list of strings.
    pub fn list<'a>(&mut self, attribute: Attribute, values: impl IntoIterator<Item = &'a str>) {
        self.with(attribute, |text| {
            text.push('[');
            for (position, value) in values.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                canonical::write_string(text, value);
            }
            text.push(']');
        });
    }

    /// Says what is already in canonical form.
    pub fn canonical(&mut self, attribute: Attribute, value: &str) {
        self.with(attribute, |text| text.push_str(value));
    }

    /// Says the context of the call.
    pub fn context(&mut self, context: &Context) {
        self.string(Attribute::OnBehalfOf, context.on_behalf_of.as_str());
        self.string_if_any(Attribute::Actor, &context.actor);
        self.string_if_any(Attribute::Case, &context.case);
        self.string_if_any(Attribute::Reason, &context.reason);
        if let Some(acting_for) = &context.acting_for {
            self.with(Attribute::ActingFor, |text| {
                text.push_str("{\"authority\":");
                canonical::write_string(text, acting_for.authority.as_str());
                text.push_str(",\"representative\":");
                canonical::write_string(text, &acting_for.representative);
                if let Some(until) = acting_for.until {
                    text.push_str(",\"until\":");
                    canonical::write_string(text, &until.to_string());
                }
                text.push('}');
            });
        }
    }

    /// Says which record it is.
    pub fn record(&mut self, record: &RecordIdentity) {
        self.string(Attribute::RecordId, &record.record_id);
        if let Some(revision) = record.revision {
            self.number(Attribute::Revision, revision);
        }
        if let Some(as_of) = record.as_of {
            self.moment(Attribute::AsOf, as_of);
        }
        self.string(Attribute::Change, record.change.as_str());
        if let Some(revision) = record.corrects_revision {
            self.number(Attribute::CorrectsRevision, revision);
        }
        match record.authority {
            RecordAuthority::Authoritative => self.flag(Attribute::Authoritative, true),
            RecordAuthority::CopyOf(transfer) => {
                self.flag(Attribute::Authoritative, false);
                self.string(Attribute::CopyOf, &transfer.to_string());
            }
        }
    }

    /// The attributes, ascending by number.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = (Attribute, &str)> + Clone {
        self.items.iter().map(|(attribute, range)| (*attribute, &self.text[range.start as usize..range.end as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_stand_in_the_order_of_their_numbers_however_they_were_said() {
        let mut statement = Statement::of(Kind::Transfer);
        statement.string(Attribute::Purpose, "p");
        statement.string(Attribute::Source, "s");
        statement.list(Attribute::Withheld, ["/a", "/b"]);
        statement.number(Attribute::Revision, u64::MAX);
        let said: Vec<_> = statement.attributes().collect();
        assert_eq!(
            said,
            [
                (Attribute::Kind, "1"),
                (Attribute::Source, "\"s\""),
                (Attribute::Purpose, "\"p\""),
                (Attribute::Revision, "\"18446744073709551615\""),
                (Attribute::Withheld, "[\"/a\",\"/b\"]"),
            ]
        );
    }
}
