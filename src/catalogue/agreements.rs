//! Reads `agreements/<id>.toml` into drafts that remember where each part is written. Whether they may stand is
//! `agreement_rules`'.

use std::{fmt, time::Duration};

use crate::domain::{
    agency::AgencyId,
    agreement::{Agreement, AgreementId, Article6, Demand, Direction, LegalBasis, PurposeId, Retention, Scope},
    context::ContextItem,
    field::FieldPath,
    record::RecordTypeId,
    time::Moment,
};

use super::{
    agencies::file_name,
    files::SourceFile,
    humane::{Humane, HumaneOrNone, Text, When},
    problem::{At, Problems, Spot},
    reader::TableReader,
};

/// A detached signature of one of the two agencies: kept and shown, not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who signed.
    pub agency: AgencyId,
    /// With which key.
    pub key: String,
    /// The signature as the agency handed it over.
    pub value: String,
}

/// An agreement as written.
#[derive(Debug)]
pub(super) struct AgreementDraft {
    pub(super) spot: Spot,
    pub(super) id: AgreementId,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) revision: At<u32>,
    pub(super) consent_since_revision: Option<At<u32>>,
    pub(super) direction: Direction,
    pub(super) source: At<AgencyId>,
    pub(super) recipient: At<AgencyId>,
    pub(super) record_type: At<RecordTypeId>,
    pub(super) schema_major: At<u16>,
    pub(super) purpose: At<PurposeId>,
    pub(super) basis: BasisDraft,
    pub(super) demand: At<Demand>,
    pub(super) scope: Scope,
    pub(super) fields: Vec<At<FieldPath>>,
    pub(super) onward: bool,
    pub(super) context: Vec<ContextItem>,
    pub(super) answer_required: bool,
    pub(super) valid_from: Moment,
    pub(super) valid_until: Option<At<When>>,
    pub(super) retention: RetentionDraft,
    pub(super) signatures: Vec<At<Signature>>,
}

/// The table `[basis]`.
#[derive(Debug)]
pub(super) struct BasisDraft {
    pub(super) article: At<Article6>,
    pub(super) law: Option<String>,
    pub(super) special_ground: Option<At<String>>,
}

/// The table `[retention]`.
#[derive(Debug)]
pub(super) struct RetentionDraft {
    pub(super) payload: Option<At<Duration>>,
    trail: Duration,
    at_recipient: Option<Duration>,
}

pub(super) fn read(file: &SourceFile, problems: &Problems) -> Option<AgreementDraft> {
    let id = file_name(file, problems);
    let mut table = TableReader::parse(file, problems)?;
    let spot = table.spot().clone();
    let title = table.required::<Text>("title");
    let description = table.required::<Text>("description");
    let revision = table.required("revision");
    let consent_since_revision = table.optional("consent_since_revision");
    let direction = table.required("direction");
    let source = table.required("source");
    let recipient = table.required("recipient");
    let record_type = table.required("record_type");
    let schema_major = table.required("schema_major");
    let purpose = table.required("purpose");
    let demand = table.required("demand");
    let scope = table.required::<ScopeText>("scope");
    let fields = table.list::<FieldPath>("fields");
    let onward = table.optional("onward");
    let context = table.list::<ContextWord>("context");
    let answer_required = table.optional("answer_required");
    let valid_from = table.required::<When>("valid_from");
    let valid_until = table.optional("valid_until");
    let basis = table.table("basis").map(read_basis);
    let retention = table.table("retention").map(read_retention);
    let signatures = table.tables("signature").into_iter().filter_map(read_signature).collect();
    table.finish();
    Some(AgreementDraft {
        spot,
        id: id?,
        title: title?.value.0,
        description: description?.value.0,
        revision: revision?,
        consent_since_revision,
        direction: direction?.value,
        source: source?,
        recipient: recipient?,
        record_type: record_type?,
        schema_major: schema_major?,
        purpose: purpose?,
        basis: basis??,
        demand: demand?,
        scope: scope?.value.into(),
        fields,
        onward: onward.is_some_and(|found| found.value),
        context: context.into_iter().map(|item| item.value.0).collect(),
        answer_required: answer_required.is_some_and(|found| found.value),
        valid_from: valid_from?.value.0,
        valid_until,
        retention: retention??,
        signatures,
    })
}

fn read_basis(mut table: TableReader<'_>) -> Option<BasisDraft> {
    let article = table.required("article");
    let law = table.optional::<Text>("law");
    let special_ground = table.optional("special_ground");
    table.finish();
    Some(BasisDraft { article: article?, law: law.map(|law| law.value.0), special_ground })
}

fn read_retention(mut table: TableReader<'_>) -> Option<RetentionDraft> {
    let payload = table.optional::<HumaneOrNone>("payload");
    let trail = table.required::<Humane>("trail");
    let at_recipient = table.required::<HumaneOrNone>("at_recipient");
    table.finish();
    Some(RetentionDraft {
        payload: payload.and_then(|At { spot, value }| value.0.map(|value| At { spot, value })),
        trail: trail?.value.0,
        at_recipient: at_recipient?.value.0,
    })
}

fn read_signature(mut table: TableReader<'_>) -> Option<At<Signature>> {
    let spot = table.spot().clone();
    let agency = table.required::<AgencyId>("agency");
    let key = table.required::<Text>("key");
    let value = table.required::<Text>("value");
    table.finish();
    let value = Signature { agency: agency?.value, key: key?.value.0, value: value?.value.0 };
    Some(At { spot, value })
}

/// `scope = "registered-interest"`, or `scope = { all = "the reason" }`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ScopeText {
    RegisteredInterest,
    All(Text),
}

impl From<ScopeText> for Scope {
    fn from(scope: ScopeText) -> Self {
        match scope {
            ScopeText::RegisteredInterest => Self::RegisteredInterest,
            ScopeText::All(reason) => Self::All(reason.0),
        }
    }
}

/// A context item that prints as it is written.
#[derive(PartialEq, serde::Deserialize)]
#[serde(transparent)]
struct ContextWord(ContextItem);

impl fmt::Display for ContextWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AgreementDraft {
    /// When it ends, if it does.
    pub(super) fn until(&self) -> Option<Moment> {
        self.valid_until.as_ref().map(|until| until.value.0)
    }

    /// The agreement in the domain's words; lists in canonical order.
    pub(super) fn to_agreement(&self) -> Agreement {
        let mut fields: Vec<FieldPath> = self.fields.iter().map(|field| field.value.clone()).collect();
        fields.sort();
        let mut context = self.context.clone();
        context.sort();
        let revision = self.revision.value;
        Agreement {
            id: self.id.clone(),
            revision,
            consent_since_revision: self.consent_since_revision.as_ref().map_or(revision, |since| since.value),
            direction: self.direction,
            source: self.source.value.clone(),
            recipient: self.recipient.value.clone(),
            record_type: self.record_type.value.clone(),
            schema_major: self.schema_major.value,
            purpose: self.purpose.value.clone(),
            basis: LegalBasis {
                article: self.basis.article.value,
                law: self.basis.law.clone(),
                special_ground: self.basis.special_ground.as_ref().map(|ground| ground.value.clone()),
            },
            demand: self.demand.value,
            scope: self.scope.clone(),
            fields,
            onward: self.onward,
            context,
            answer_required: self.answer_required,
            valid_from: self.valid_from,
            valid_until: self.until(),
            retention: Retention {
                payload: self.retention.payload.as_ref().map(|found| found.value),
                trail: self.retention.trail,
                at_recipient: self.retention.at_recipient,
            },
        }
    }
}
