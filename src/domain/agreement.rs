//! What two agencies agreed: the only thing that lets a record move. Parsed and checked by the catalogue.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    agency::AgencyId, context::ContextItem, field::FieldPath, record::RecordTypeId, slug::name_type, time::Moment,
};

name_type!(
    /// An agreement's name, e.g. `identity-address-to-tax`.
    AgreementId, parts: 1
);
name_type!(
    /// What data may be used for, e.g. `income-assessment`. One agreement has one.
    PurposeId, parts: 1
);

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The source sends when something changes.
    Push,
    /// The recipient asks.
    Pull,
}

/// A letter of GDPR Art. 6(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Article6 {
    /// (a) consent
    #[serde(rename = "6(1)(a)")]
    Consent,
    /// (b) contract
    #[serde(rename = "6(1)(b)")]
    Contract,
    /// (c) legal obligation
    #[serde(rename = "6(1)(c)")]
    LegalObligation,
    /// (d) vital interests
    #[serde(rename = "6(1)(d)")]
    VitalInterests,
    /// (e) public task
    #[serde(rename = "6(1)(e)")]
    PublicTask,
    /// (f) legitimate interests; not open to public authorities
    #[serde(rename = "6(1)(f)")]
    LegitimateInterests,
}

impl Article6 {
    /// As the Regulation writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "6(1)(a)",
            Self::Contract => "6(1)(b)",
            Self::LegalObligation => "6(1)(c)",
            Self::VitalInterests => "6(1)(d)",
            Self::PublicTask => "6(1)(e)",
            Self::LegitimateInterests => "6(1)(f)",
        }
    }
}

/// Why the transfer is lawful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalBasis {
    /// The letter of Art. 6(1).
    pub article: Article6,
    /// The law it rests on (Art. 6(3)); (c) and (e) cannot be without.
    pub law: Option<String>,
    /// The ground of Art. 9(2) or 10, e.g. `9(2)(b)`, where a field is of a special category.
    pub special_ground: Option<String>,
}

/// What the citizen must have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Nothing: the law suffices.
    Nothing,
    /// That this evidence be fetched. Not consent.
    ExplicitRequest,
    /// Consent, and it must not have been withdrawn.
    Consent,
}

/// About whom a recipient is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scope {
    /// Only people in whom it has registered an interest (Art. 5(1)(c)).
    RegisteredInterest,
    /// Everybody, for the reason given.
    All(String),
}

/// How long things are kept, each on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The longest that the payload may be in the hub after acknowledgement; `None` is [`Self::NONE_MEANS`]. The hub
    /// never keeps it longer than that.
    pub payload: Option<Duration>,
    /// The trail: the evidence of the transfer.
    pub trail: Duration,
    /// At the recipient, told with each delivery.
    pub at_recipient: Option<Duration>,
}

impl Retention {
    /// Within what a payload is gone from the hub when nothing may be kept; a shorter term would be an empty promise.
    pub const NONE_MEANS: Duration = Duration::from_hours(2);
}

/// An agreement, compiled from the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Its name.
    pub id: AgreementId,
    /// Its revision, from 1.
    pub revision: u32,
    /// The earliest revision whose consents still cover this one (no field added since).
    pub consent_since_revision: u32,
    /// Push or pull.
    pub direction: Direction,
    /// Whose record it is.
    pub source: AgencyId,
    /// Who gets it.
    pub recipient: AgencyId,
    /// What it is.
    pub record_type: RecordTypeId,
    /// Which major version.
    pub schema_major: u16,
    /// What for.
    pub purpose: PurposeId,
    /// Why it is lawful.
    pub basis: LegalBasis,
    /// What the citizen must have said.
    pub demand: Demand,
    /// About whom.
    pub scope: Scope,
    /// What may be seen; sorted, none covering another.
    pub fields: Vec<FieldPath>,
    /// Whether the recipient may pass copies on.
    pub onward: bool,
    /// What the context must have.
    pub context: Vec<ContextItem>,
    /// Whether only the recipient's own answer makes a delivery acknowledged (Kafka recipients).
    pub answer_required: bool,
    /// When it begins.
    pub valid_from: Moment,
    /// When it ends, if it does (exclusive).
    pub valid_until: Option<Moment>,
    /// How long things are kept.
    pub retention: Retention,
}

impl Agreement {
    /// Whether the agreement is in force.
    pub fn in_force(&self, at: Moment) -> bool {
        self.valid_from <= at && self.valid_until.is_none_or(|until| at < until)
    }
}
