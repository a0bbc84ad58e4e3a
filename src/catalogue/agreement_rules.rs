//! Whether the agreements may stand: references, law, fields, overlaps, and whether anybody can use them.

use std::collections::BTreeMap;

use crate::domain::{
    agency::{AgencyId, Role},
    agreement::{Article6, Demand, Direction, PurposeId, Retention},
    record::RecordTypeId,
};

use super::{
    agencies::{AgencyDraft, role_word},
    agreements::AgreementDraft,
    problem::{Fault, Problems},
    registers::{Purpose, RecordTypeDraft},
    schema::{Schemas, Sensitivity},
};

/// The most fields of one agreement. An entry commits to at most 500 items, attributes included.
pub const AGREEMENT_FIELDS_MAX: usize = 256;

/// All that agreements refer to.
pub(super) struct Scene<'a> {
    pub(super) agencies: BTreeMap<&'a AgencyId, &'a AgencyDraft>,
    pub(super) purposes: BTreeMap<&'a PurposeId, &'a Purpose>,
    pub(super) record_types: &'a BTreeMap<RecordTypeId, RecordTypeDraft>,
    pub(super) schemas: &'a Schemas,
    pub(super) agreements: &'a [AgreementDraft],
    pub(super) problems: &'a Problems,
}

impl Scene<'_> {
    /// Checks each agreement, then all against each other.
    pub(super) fn check(&self) {
        for draft in self.agreements {
            self.parties(draft);
            self.terms(draft);
            self.basis(draft);
            self.consent(draft);
            self.fields(draft);
            self.users(draft);
        }
        self.overlaps();
    }

    fn parties(&self, draft: &AgreementDraft) {
        for party in [&draft.source, &draft.recipient] {
            if !self.agencies.contains_key(&party.value) {
                self.problems.at(&party.spot, Fault::AgencyUnknown { agency: party.value.to_string() });
            }
        }
        if draft.source.value == draft.recipient.value {
            let agency = draft.source.value.to_string();
            self.problems.at(&draft.recipient.spot, Fault::AgreementWithSelf { agency });
        }
        for (index, signature) in draft.signatures.iter().enumerate() {
            let agency = &signature.value.agency;
            if *agency != draft.source.value && *agency != draft.recipient.value {
                self.problems.at(&signature.spot, Fault::SignatureOfStranger { agency: agency.to_string() });
            }
            if draft.signatures[..index].iter().any(|earlier| earlier.value.agency == *agency) {
                let fault = Fault::ListedTwice { name: "signature".to_owned(), value: agency.to_string() };
                self.problems.at(&signature.spot, fault);
            }
        }
        let Some(record_type) = self.record_types.get(&draft.record_type.value) else {
            let record_type = draft.record_type.value.to_string();
            return self.problems.at(&draft.record_type.spot, Fault::RecordTypeUnknown { record_type });
        };
        self.source_holds(draft, record_type);
    }

    /// Only the authoritative agency has the record to begin with; copies travel where passing on was agreed.
    fn source_holds(&self, draft: &AgreementDraft, record_type: &RecordTypeDraft) {
        let source = &draft.source.value;
        let receives = self
            .agreements
            .iter()
            .any(|other| other.onward && other.recipient.value == *source && other.record_type.value == record_type.id);
        if record_type.authority.value != *source && self.agencies.contains_key(source) && !receives {
            let fault = Fault::SourceHoldsNone {
                agency: source.to_string(),
                record_type: record_type.id.to_string(),
                authority: record_type.authority.value.to_string(),
            };
            self.problems.at(&draft.source.spot, fault);
        }
    }

    fn terms(&self, draft: &AgreementDraft) {
        if draft.revision.value == 0 {
            let detail = "revision 0".to_owned();
            self.problems.at(&draft.revision.spot, Fault::RevisionInvalid { detail });
        }
        if let Some(since) = &draft.consent_since_revision
            && (since.value == 0 || since.value > draft.revision.value)
        {
            let detail = format!("consent_since_revision {} of revision {}", since.value, draft.revision.value);
            self.problems.at(&since.spot, Fault::RevisionInvalid { detail });
        }
        if let Some(until) = &draft.valid_until
            && until.value.0 <= draft.valid_from
        {
            self.problems.at(&until.spot, Fault::ValidityEmpty {});
        }
        if let Some(term) = draft.retention.payload.as_ref().filter(|term| term.value < Retention::NONE_MEANS) {
            self.problems.at(&term.spot, Fault::PayloadTermShort {});
        }
    }

    fn basis(&self, draft: &AgreementDraft) {
        let article = &draft.basis.article;
        match article.value {
            Article6::LegalObligation | Article6::PublicTask if draft.basis.law.is_none() => {
                let fault = Fault::LawMissing { article: article.value.as_str().to_owned() };
                self.problems.at(&article.spot, fault);
            }
            Article6::LegitimateInterests => {
                for party in [&draft.source.value, &draft.recipient.value] {
                    if self.agencies.get(party).is_some_and(|found| found.agency.public_authority) {
                        let fault = Fault::LegitimateInterests { agency: party.to_string() };
                        self.problems.at(&article.spot, fault);
                    }
                }
            }
            _ => {}
        }
        if let Some(ground) = &draft.basis.special_ground {
            match Grounds::parse(&ground.value) {
                None => self.problems.at(&ground.spot, Fault::GroundInvalid { ground: ground.value.clone() }),
                Some(grounds) if grounds.explicit_consent && draft.demand.value != Demand::Consent => {
                    self.problems.at(&ground.spot, Fault::GroundNeedsConsent {});
                }
                Some(_) => {}
            }
        }
    }

    /// Consent as basis, as demand and as purpose come together or not at all.
    fn consent(&self, draft: &AgreementDraft) {
        let article = draft.basis.article.value;
        let article_text = || article.as_str().to_owned();
        let by_consent = article == Article6::Consent;
        match (by_consent, draft.demand.value) {
            (true, Demand::Nothing | Demand::ExplicitRequest) => {
                self.problems.at(&draft.demand.spot, Fault::ConsentNotDemanded {});
            }
            (false, Demand::Consent) => {
                self.problems.at(&draft.demand.spot, Fault::ConsentNotBasis { article: article_text() });
            }
            _ => {}
        }
        if draft.demand.value == Demand::ExplicitRequest && draft.direction == Direction::Push {
            self.problems.at(&draft.demand.spot, Fault::ExplicitRequestOnPush {});
        }
        let purpose = draft.purpose.value.to_string();
        match self.purposes.get(&draft.purpose.value) {
            None => self.problems.at(&draft.purpose.spot, Fault::PurposeUnknown { purpose }),
            Some(known) if by_consent && !known.consent => {
                self.problems.at(&draft.purpose.spot, Fault::ConsentPurposeMissing { purpose });
            }
            Some(known) if known.consent && !by_consent => {
                let fault = Fault::ConsentPurposeMisused { purpose, article: article_text() };
                self.problems.at(&draft.purpose.spot, fault);
            }
            Some(_) => {}
        }
    }

    fn fields(&self, draft: &AgreementDraft) {
        if draft.fields.is_empty() {
            self.problems.at(&draft.spot, Fault::FieldsMissing {});
        }
        if draft.fields.len() > AGREEMENT_FIELDS_MAX {
            let fault =
                Fault::FieldsTooMany { count: draft.fields.len().to_string(), max: AGREEMENT_FIELDS_MAX.to_string() };
            self.problems.at(&draft.spot, fault);
        }
        for field in &draft.fields {
            let others = draft.fields.iter().filter(|other| other.value != field.value);
            for by in others.filter(|other| other.value.covers(&field.value)) {
                let fault = Fault::FieldCovered { field: field.value.to_string(), by: by.value.to_string() };
                self.problems.at(&field.spot, fault);
            }
        }
        let record_type = &draft.record_type.value;
        // A record type that is unknown or has no schema at all is reported where it is named.
        let Some(versions) = self.schemas.get(record_type) else { return };
        let major = draft.schema_major.value;
        let Some((version, schema)) = versions.iter().rev().find(|(version, _)| version.major == major) else {
            let fault = Fault::SchemaMajorMissing { record_type: record_type.to_string(), major: major.to_string() };
            return self.problems.at(&draft.schema_major.spot, fault);
        };
        // A schema that broke a rule says so itself; its fields were not walked.
        let Some(fields) = &schema.fields else { return };
        let grounds = draft.basis.special_ground.as_ref().and_then(|ground| Grounds::parse(&ground.value));
        let grounds = grounds.unwrap_or_default();
        for field in &draft.fields {
            let name = field.value.to_string();
            let Some(selected) = fields.selected(&field.value) else {
                let fault = Fault::FieldNotInSchema { field: name, schema: format!("{record_type}/{version}") };
                self.problems.at(&field.spot, fault);
                continue;
            };
            if selected.contains(&Sensitivity::Special) && !grounds.special {
                self.problems.at(&field.spot, Fault::SpecialGroundMissing { field: name.clone() });
            }
            if selected.contains(&Sensitivity::Criminal) && !grounds.criminal {
                self.problems.at(&field.spot, Fault::CriminalGroundMissing { field: name });
            }
        }
    }

    /// An agreement that nobody can use is a mistake: a role or a party is missing.
    fn users(&self, draft: &AgreementDraft) {
        let systems = || self.agencies.values().flat_map(|agency| &agency.systems).map(|draft| &draft.system);
        let (giving, taking) = match draft.direction {
            Direction::Push => (Role::Submit, Role::Receive),
            Direction::Pull => (Role::Provide, Role::Request),
        };
        for (party, role) in [(&draft.source, giving), (&draft.recipient, taking)] {
            let known = self.agencies.contains_key(&party.value);
            if known && !systems().any(|system| system.has(role) && system.may_act_for(&party.value)) {
                let fault = Fault::NobodyCan { role: role_word(role), agency: party.value.to_string() };
                self.problems.at(&party.spot, fault);
            }
        }
        if draft.demand.value == Demand::Consent && !systems().any(|system| system.has(Role::CollectConsent)) {
            self.problems.at(&draft.demand.spot, Fault::NobodyCollects {});
        }
    }

    fn overlaps(&self) {
        for (index, later) in self.agreements.iter().enumerate() {
            for earlier in self.agreements[..index].iter().filter(|earlier| overlap(earlier, later)) {
                self.problems.at(&later.spot, Fault::AgreementOverlaps { other: earlier.id.to_string() });
            }
        }
    }
}

fn overlap(a: &AgreementDraft, b: &AgreementDraft) -> bool {
    let key = |draft: &AgreementDraft| {
        (
            draft.direction,
            draft.source.value.clone(),
            draft.recipient.value.clone(),
            draft.record_type.value.clone(),
            draft.schema_major.value,
            draft.purpose.value.clone(),
        )
    };
    key(a) == key(b)
        && a.until().is_none_or(|until| b.valid_from < until)
        && b.until().is_none_or(|until| a.valid_from < until)
}

/// The grounds that an agreement names beyond Art. 6.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Grounds {
    special: bool,
    explicit_consent: bool,
    criminal: bool,
}

impl Grounds {
    /// `9(2)(a)` to `9(2)(j)`, `10`, or both with a comma between.
    fn parse(text: &str) -> Option<Self> {
        let mut grounds = Self::default();
        for ground in text.split(',').map(str::trim) {
            match ground.strip_prefix("9(2)(").and_then(|rest| rest.strip_suffix(')')) {
                Some(letter) if letter.len() == 1 && ("a"..="j").contains(&letter) => {
                    grounds.special = true;
                    grounds.explicit_consent |= letter == "a";
                }
                None if ground == "10" => grounds.criminal = true,
                _ => return None,
            }
        }
        Some(grounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grounds_are_letters_of_article_9_or_article_10() {
        assert!(Grounds::parse("9(2)(b)").unwrap().special && !Grounds::parse("9(2)(b)").unwrap().criminal);
        assert!(Grounds::parse("9(2)(a)").unwrap().explicit_consent);
        let both = Grounds::parse("9(2)(g), 10").unwrap();
        assert!(both.special && both.criminal);
        for bad in ["", "9", "9(2)", "9(2)(k)", "9(2)(ab)", "11", "10,", "9(1)(a)"] {
            assert_eq!(Grounds::parse(bad), None, "{bad}");
        }
    }
}
