//! An entry as sentences: when, who sent what to whom, for what, under which law, what was withheld, delivered or not,
//! refused and why. Says only what was opened for its reader; asks nobody and decides nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use waybill_proto::v1;

use crate::{
    cli::context::show,
    domain::refusal::RefusalCode,
    ledger::{Attribute, Kind, Opening, PublicAttributes},
};

/// What an entry says, as far as it is open.
#[derive(Default)]
pub(super) struct Said {
    attributes: BTreeMap<u16, Value>,
}

impl Said {
    /// Of an entry that a hub shows.
    pub(super) fn shown(entry: &v1::EntryView) -> Self {
        let read = |attribute: &v1::Attribute| {
            Some((u16::try_from(attribute.number).ok()?, serde_json::from_str(&attribute.value).ok()?))
        };
        let mut said = Self { attributes: entry.attributes.iter().filter_map(read).collect() };
        if let Some(kind) = Kind::ALL.iter().find(|kind| kind.name() == entry.kind) {
            said.attributes.insert(Attribute::Kind.number(), kind.number().into());
        }
        said
    }

    /// Of the openings of a receipt; fields are not among it.
    pub(super) fn opened(openings: &[Opening]) -> Self {
        let read = |opening: &Opening| Some((opening.name.parse().ok()?, serde_json::from_str(&opening.value).ok()?));
        Self { attributes: openings.iter().filter_map(read).collect() }
    }

    /// Of an entry in the clear.
    pub(super) fn public(attributes: &PublicAttributes) -> Self {
        let read = |(number, value): (&u16, &Value)| (*number, value.clone());
        Self { attributes: attributes.iter().map(read).collect() }
    }

    /// What happened; `None` if that is not open, or not known here.
    pub(super) fn kind(&self) -> Option<Kind> {
        let number = self.get(Attribute::Kind)?.as_u64()?;
        Kind::from_number(u16::try_from(number).ok()?)
    }

    /// All of it, by name.
    pub(super) fn to_json(&self) -> Value {
        let named = |(number, value): (&u16, &Value)| {
            let name = Attribute::from_number(*number).map_or_else(|| number.to_string(), |known| known.to_string());
            (name, value.clone())
        };
        Value::Object(self.attributes.iter().map(named).collect::<Map<_, _>>())
    }

    fn get(&self, attribute: Attribute) -> Option<&Value> {
        self.attributes.get(&attribute.number())
    }

    /// A text or number, as it is read.
    fn text(&self, attribute: Attribute) -> Option<String> {
        match self.get(attribute)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn list(&self, attribute: Attribute) -> Option<Vec<&str>> {
        Some(self.get(attribute)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    fn or(&self, attribute: Attribute, unsaid: &str) -> String {
        self.text(attribute).unwrap_or_else(|| unsaid.to_owned())
    }

    fn source(&self) -> String {
        self.or(Attribute::Source, "an agency that is not shown")
    }

    fn recipient(&self) -> String {
        self.or(Attribute::Recipient, "an agency that is not shown")
    }

    fn record_type(&self) -> String {
        self.or(Attribute::RecordType, "a record")
    }

    /// The agency in whose name it was done, and its system.
    fn actor(&self) -> String {
        match (self.text(Attribute::OnBehalfOf), self.text(Attribute::System)) {
            (Some(agency), Some(system)) => format!("{agency} (system {system})"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "a caller that is not shown".to_owned(),
        }
    }

    /// ` for tax-assessment, under Tax Act § 5 (GDPR Art. 6(1)(c)), by agreement address-to-tax (revision 2)`.
    fn ground(&self) -> String {
        let law = self.get(Attribute::Basis).and_then(law).map(|law| format!(", under {law}"));
        let agreement = self.agreement().map(|agreement| format!(", by {agreement}"));
        [Some(self.purpose()), law, agreement].into_iter().flatten().collect()
    }

    fn purpose(&self) -> String {
        self.text(Attribute::Purpose).map_or_else(String::new, |purpose| format!(" for {purpose}"))
    }

    fn agreement(&self) -> Option<String> {
        let revision =
            self.text(Attribute::AgreementRevision).map_or_else(String::new, |number| format!(" (revision {number})"));
        Some(format!("agreement {}{revision}", self.text(Attribute::Agreement)?))
    }

    fn refusal(&self) -> String {
        let code = self.or(Attribute::RefusalCode, "for a reason that is not shown");
        match RefusalCode::from_code(&code) {
            Some(known) => format!("{code}: {}", known.text()),
            None => code,
        }
    }

    /// What happened, in a sentence.
    pub(super) fn sentence(&self) -> String {
        let (source, recipient, what) = (self.source(), self.recipient(), self.record_type());
        let Some(kind) = self.kind() else { return "What happened is not open to this reader.".to_owned() };
        match kind {
            Kind::Transfer if self.get(Attribute::RequestId).is_some() => {
                format!("{source} answered {recipient}'s request with {what}{}.", self.ground())
            }
            Kind::Transfer => format!("{source} sent {what} to {recipient}{}.", self.ground()),
            Kind::RefusalOfSubmission => format!("{source} submitted {what}; it was refused: {}.", self.refusal()),
            Kind::RefusalOfRecipient => {
                format!("{what} from {source} was not sent to {recipient}{}: {}.", self.purpose(), self.refusal())
            }
            Kind::RequestAsked => {
                let asked = match self.get(Attribute::ExplicitRequest) {
                    None | Some(Value::Bool(false)) => "",
                    Some(_) => ", as the person had explicitly requested",
                };
                format!("{recipient} asked {source} for {what}{}{asked}.", self.ground())
            }
            Kind::AnswerWithoutRecord => {
                let answer = self.or(Attribute::Answer, "not shown").replace('-', " ");
                format!("{source} answered {recipient}'s request for {what} without a record: {answer}.")
            }
            Kind::ConsentGranted | Kind::ConsentWithdrawn => self.consent(kind),
            Kind::AuditRead if self.is_about_consents() => {
                format!("{} looked up this person's consents.", self.actor())
            }
            Kind::AuditRead => format!("{} read the ledger: {}.", self.actor(), self.searched()),
            Kind::Refusal => format!("A call of {} was refused: {}.", self.actor(), self.refusal()),
            Kind::DeliveryAcknowledged
            | Kind::DeliveryRejected
            | Kind::DeliveryDeadLettered
            | Kind::DeliveryReplayed
            | Kind::DeliveryCancelled => self.delivery(kind),
            _ => self.of_the_hub(kind),
        }
    }

    fn delivery(&self, kind: Kind) -> String {
        let (from, to) = (self.text(Attribute::Source), self.text(Attribute::Recipient));
        let from = from.map_or_else(String::new, |source| format!(" from {source}"));
        let recipient = to.clone().unwrap_or_else(|| "The recipient".to_owned());
        let to = to.map_or_else(String::new, |recipient| format!(" to {recipient}"));
        match kind {
            Kind::DeliveryAcknowledged => format!("A record{from} was delivered{to}."),
            Kind::DeliveryRejected => format!("{recipient} rejected a delivery{from}."),
            Kind::DeliveryDeadLettered => {
                let attempts = self.text(Attribute::Attempts).map_or_else(String::new, |number| {
                    let noun = if number == "1" { "attempt" } else { "attempts" };
                    format!(" after {number} {noun}")
                });
                let kept = match self.text(Attribute::Outcome).as_deref() {
                    Some("dead-lettered: unopenable") => "it can be opened no more, and not be replayed",
                    _ => "it is kept for its term, in which it can be replayed",
                };
                format!("A delivery{from}{to} was given up{attempts}; {kept}.")
            }
            Kind::DeliveryReplayed => format!("{} had a delivery{from}{to} handed over again.", self.actor()),
            _ if self.text(Attribute::Outcome).as_deref() == Some("may-have-been-received") => {
                format!("A delivery{from}{to} was ended; it may have been received, and is never sent again.")
            }
            _ => format!("A delivery{from}{to} was stopped before it left."),
        }
    }

    fn consent(&self, kind: Kind) -> String {
        let who = match self.text(Attribute::Grantor).as_deref() {
            Some("representative") => "A representative of the person",
            _ => "The person",
        };
        let agreement = self.agreement().unwrap_or_else(|| "an agreement that is not shown".to_owned());
        let what = format!("{} gives {} what {agreement} names{}", self.source(), self.recipient(), self.purpose());
        match kind {
            Kind::ConsentGranted => format!("{who} consented that {what}."),
            _ => format!("{who} withdrew the consent that {what}."),
        }
    }

    /// Whether what was read are consents, and not entries.
    fn is_about_consents(&self) -> bool {
        let text = self.or(Attribute::WhatWasSearched, "");
        serde_json::from_str(&text).is_ok_and(|asked: Value| asked.get("consents").is_some())
    }

    /// What an audit looked for. It is text: an object in JSON of what was asked, or `entry 17`.
    fn searched(&self) -> String {
        let text = self.or(Attribute::WhatWasSearched, "what was looked for is not shown");
        match serde_json::from_str(&text) {
            Ok(Value::Object(asked)) if asked.is_empty() => "everything".to_owned(),
            Ok(Value::Object(asked)) => {
                let said = |(name, value): (&String, &Value)| match value {
                    Value::String(value) => format!("{} {value}", name.replace('_', " ")),
                    other => format!("{} {other}", name.replace('_', " ")),
                };
                asked.iter().map(said).collect::<Vec<_>>().join(", ")
            }
            _ => text,
        }
    }

    fn of_the_hub(&self, kind: Kind) -> String {
        let catalogue = self.or(Attribute::Catalogue, "that is not shown");
        match kind {
            Kind::RestrictionPlaced => format!("{} restricted what may move about this person.", self.actor()),
            Kind::RestrictionLifted => format!("{} lifted a restriction.", self.actor()),
            Kind::InterestPlaced => format!("{} registered an interest in this person.", self.actor()),
            Kind::InterestEnded => format!("{} ended its interest in this person.", self.actor()),
            Kind::Link => format!("A record of {} linked an identifier to this person.", self.source()),
            Kind::Merge => format!("A record of {} showed that two subjects are one person.", self.source()),
            Kind::LegalHoldPlaced => format!("{} stopped erasure for this person.", self.actor()),
            Kind::LegalHoldLifted => format!("{} lifted a stop of erasure.", self.actor()),
            Kind::Erasure => "Data of this person was erased: its keys were destroyed.".to_owned(),
            Kind::CataloguePublished => format!("The hub decides under catalogue {catalogue} from here on."),
            Kind::KeyRotated => {
                let key = self.or(Attribute::PublicKey, "that is not shown");
                format!("Checkpoints are signed with the key {key} from here on.")
            }
            Kind::Restored => "The ledger goes on from a backup from here on.".to_owned(),
            other => format!("{}.", other.name().replace('_', " ")),
        }
    }

    /// The rest, a line each: label and text.
    pub(super) fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = Vec::new();
        if let Some(withheld) = self.list(Attribute::Withheld) {
            let list = if withheld.is_empty() { "nothing".to_owned() } else { withheld.join(" ") };
            details.push(("withheld", list));
        }
        if let Some(violations) = self.list(Attribute::Violations) {
            let fault = |fault: &&str| match fault.split_once(' ') {
                Some((keyword, "")) => format!("{keyword} (the whole)"),
                _ => (*fault).to_owned(),
            };
            details.push(("faults", violations.iter().map(fault).collect::<Vec<_>>().join(", ")));
        }
        details.extend(self.record().map(|record| ("record", record)));
        details.extend(self.validity().map(|validity| ("holds", validity)));
        let kind = self.kind();
        let acting = [
            (!matches!(kind, Some(Kind::AuditRead | Kind::Refusal | Kind::DeliveryReplayed))).then(|| self.acting()),
            self.text(Attribute::Actor).map(|actor| format!("actor {actor}")),
            self.text(Attribute::Case).map(|case| format!("case {case}")),
            self.text(Attribute::Reason).map(|reason| format!("reason: {reason}")),
            self.get(Attribute::ActingFor).and_then(representative),
        ];
        let acting: Vec<String> = acting.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        if !acting.is_empty() {
            details.push(("acting", acting.join(", ")));
        }
        for (label, attribute) in [
            ("transfer", Attribute::TransferId),
            ("request", Attribute::RequestId),
            ("consent", Attribute::ConsentId),
            ("deadline", Attribute::Deadline),
        ] {
            details.extend(self.text(attribute).map(|text| (label, text)));
        }
        if let Some(refers) = self.list(Attribute::RefersTo).filter(|list| !list.is_empty()) {
            details.push(("follows", refers.join(" ")));
        }
        details
    }

    fn acting(&self) -> String {
        match (self.text(Attribute::System), self.text(Attribute::OnBehalfOf)) {
            (Some(system), Some(agency)) => format!("system {system} for {agency}"),
            (Some(system), None) => format!("system {system}"),
            (None, Some(agency)) => format!("for {agency}"),
            (None, None) => String::new(),
        }
    }

    fn record(&self) -> Option<String> {
        let id = self.text(Attribute::RecordId)?;
        let said = [
            (", revision ", Attribute::Revision, ""),
            (", ", Attribute::Change, ""),
            (" (of revision ", Attribute::CorrectsRevision, ")"),
            (", as of ", Attribute::AsOf, ""),
            (", a copy of transfer ", Attribute::CopyOf, ""),
        ]
        .map(|(before, attribute, after)| Some(format!("{before}{}{after}", self.text(attribute)?)));
        Some(std::iter::once(id).chain(said.into_iter().flatten()).collect())
    }

    fn validity(&self) -> Option<String> {
        let (from, until) = (self.text(Attribute::ValidFrom), self.text(Attribute::ValidUntil));
        let notice = self.get(Attribute::Notice).map_or_else(String::new, |notice| {
            let part = |name: &str| notice[name].as_str().unwrap_or("?").to_owned();
            format!(", notice {} ({})", part("version"), part("language"))
        });
        match (from, until) {
            (None, None) => None,
            (Some(from), None) => Some(format!("from {from}{notice}")),
            (None, Some(until)) => Some(format!("until {until}{notice}")),
            (Some(from), Some(until)) => Some(format!("from {from} until {until}{notice}")),
        }
    }
}

/// `Tax Act § 5 (GDPR Art. 6(1)(c))`.
fn law(basis: &Value) -> Option<String> {
    let article = basis["article"].as_str()?;
    let ground = basis["special_ground"].as_str().map_or_else(String::new, |ground| format!(" and {ground}"));
    Some(match basis["law"].as_str() {
        Some(law) => format!("{law} (GDPR Art. {article}{ground})"),
        None => format!("GDPR Art. {article}{ground}"),
    })
}

fn representative(acting_for: &Value) -> Option<String> {
    let who = acting_for["representative"].as_str()?;
    let authority = acting_for["authority"].as_str().unwrap_or("not shown");
    let until = acting_for["until"].as_str().map_or_else(String::new, |until| format!(", until {until}"));
    Some(format!("through representative {who} (authority: {authority}{until})"))
}

/// An entry that a hub shows, for a person.
pub(in crate::cli) fn text(entry: &v1::EntryView) -> String {
    let time = show(entry.time).unwrap_or_default();
    let head = format!("#{}  {time}", entry.index);
    if entry.erased {
        return format!("{head}\n  Its key was erased: this entry proves its place and says nothing more.");
    }
    let said = Said::shown(entry);
    let mut details = Vec::new();
    if !entry.fields.is_empty() {
        details.push(("sent", entry.fields.join(" ")));
    }
    if !entry.delivery.is_empty() {
        details.push(("delivery", delivery(&entry.delivery).to_owned()));
    }
    details.extend(said.details());
    format!("{head}\n  {}{}", said.sentence(), lines(&details))
}

/// Labels and texts, aligned, each on a line of its own.
pub(super) fn lines(details: &[(&'static str, String)]) -> String {
    let line =
        |(label, text): &(&str, String)| ["\n    ", &format!("{label}:{:1$}", "", 9 - label.len()), text].concat();
    details.iter().map(line).collect()
}

/// An entry that a hub shows, for a machine.
pub(super) fn object(entry: &v1::EntryView) -> Value {
    let said = Said::shown(entry);
    json!({
        "ledger_index": entry.index,
        "time": show(entry.time),
        "kind": entry.kind,
        "sentence": if entry.erased { Value::Null } else { said.sentence().into() },
        "attributes": said.to_json(),
        "fields": entry.fields,
        "delivery": Some(&entry.delivery).filter(|delivery| !delivery.is_empty()),
        "erased": entry.erased,
    })
}

fn delivery(state: &str) -> &str {
    match state {
        "due" => "not yet",
        "claimed" => "under way: it may have been received",
        "acknowledged" => "delivered",
        "rejected" => "rejected by its recipient",
        "dead-lettered" => "given up; can be replayed within its term",
        "cancelled" => "stopped",
        "answered" => "in the answer itself",
        other => other,
    }
}
