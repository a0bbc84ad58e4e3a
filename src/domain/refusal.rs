//! Why the business said no: a closed list with stable codes. What we failed to do is a fault, not a refusal.

use std::fmt;

/// The stage of the path at which a refusal was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Who calls, for whom, and may it.
    Authenticate,
    /// What it is about.
    Address,
    /// Whether the record is what it says.
    Validate,
    /// Whether it may move.
    Permit,
    /// Whether the agreed view of it can be made.
    Minimise,
    /// Looking something up that is not there, or not for the caller.
    Find,
}

impl Stage {
    /// The word used in entries and error details.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Address => "address",
            Self::Validate => "validate",
            Self::Permit => "permit",
            Self::Minimise => "minimise",
            Self::Find => "find",
        }
    }
}

/// Where the reason lies; it decides who may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LiesIn {
    /// In the caller's own call: the caller is told.
    Call,
    /// In what the person said: audit, and a requester whose agreement covers the request.
    Consent,
    /// In the person: audit only.
    Person,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal, $stage:ident, $lies:ident, $text:literal;)*) => {
        /// Every refusal. Numbers and codes never change and are never used again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum RefusalCode { $($(#[$doc])* #[doc = $text] $name = $number,)* }

        impl RefusalCode {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable code, e.g. `consent.withdrawn`.
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code),* } }
            /// The stage that decides it.
            pub const fn stage(self) -> Stage { match self { $(Self::$name => Stage::$stage),* } }
            /// Where the reason lies.
            pub const fn lies_in(self) -> LiesIn { match self { $(Self::$name => LiesIn::$lies),* } }
            /// What to tell a person, without any of the record's values.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text),* } }
        }
    };
}

refusals! {
    PeerUnknown = 1, "peer.unknown", Authenticate, Call, "the certificate names no system of the catalogue";
    NotActingFor = 2, "peer.not-acting-for", Authenticate, Call, "the system may not act for this agency";
    RoleMissing = 3, "peer.role-missing", Authenticate, Call, "the system lacks the role that this call needs";
    KeyInvalid = 10, "key.invalid", Authenticate, Call, "the idempotency key is not a UUIDv7";
    KeyTooOld = 11, "key.too-old", Authenticate, Call, "the idempotency key is older than the window";
    KeyTooNew = 12, "key.too-new", Authenticate, Call, "the idempotency key is ahead of the hub's clock";
    KeyReused = 13, "key.reused", Authenticate, Call, "the idempotency key was used with other content";
    CallMalformed = 20, "call.malformed", Address, Call, "a field of the call is missing or is not what it must be";
    RecordTypeUnknown = 21, "record-type.unknown", Address, Call, "no such record type in the catalogue";
    SchemaUnknown = 22, "schema.unknown", Address, Call, "no such version of the record type's schema";
    PurposeUnknown = 23, "purpose.unknown", Address, Call, "no such purpose in the catalogue";
    AgreementMissing = 24, "agreement.missing", Address, Call, "no agreement in force covers this";
    ContextMissing = 25, "context.missing", Address, Call, "the context lacks what the agreement or the call demands";
    RecordTooLarge = 30, "record.too-large", Validate, Call, "the record is over the size bound";
    RecordNotJson = 31, "record.not-json", Validate, Call, "the record is not JSON (RFC 8259, UTF-8)";
    RecordDuplicateKey = 32, "record.duplicate-key", Validate, Call, "an object of the record has a name twice";
    RecordTooDeep = 33, "record.too-deep", Validate, Call, "the record is nested too deep";
    RecordNumber = 34, "record.number", Validate, Call, "a number is not an integer within ±(2^53-1)";
    RecordStringTooLong = 35, "record.string-too-long", Validate, Call, "a string of the record is over the bound";
    RecordTooManyItems = 36, "record.too-many-items", Validate, Call, "the record has more values than the bound";
    RecordInvalid = 37, "record.invalid", Validate, Call, "the record breaks its schema";
    SubjectMissing = 38, "subject.missing", Validate, Call, "the record or call identifies no main subject";
    SubjectAmbiguous = 39, "subject.ambiguous", Validate, Call, "the identifiers do not belong together";
    // Reached by nothing yet: it comes with the order of revisions. Until then an older one is recorded like any other.
    RecordStale = 40, "record.stale", Validate, Call, "a later revision of the record has been recorded";
    NotAvailable = 50, "not-available", Permit, Person, "not available";
    InterestMissing = 51, "interest.missing", Permit, Person, "the recipient has no registered interest in this person";
    ConsentMissing = 52, "consent.missing", Permit, Consent, "the person has not consented";
    ConsentWithdrawn = 53, "consent.withdrawn", Permit, Consent, "the person has withdrawn the consent";
    ConsentExpired = 54, "consent.expired", Permit, Consent, "the consent has ended";
    FactsFull = 56, "subject.facts-full", Permit, Call, "the person has as many consents, restrictions and interests as can be kept";
    ExplicitRequestMissing = 55, "explicit-request.missing", Permit, Call, "the agreement demands the person's explicit request";
    TooManyFields = 60, "minimise.too-many-fields", Minimise, Call, "the agreed view has more fields than an entry can commit to";
    TransferUnknown = 70, "transfer.unknown", Find, Call, "no such transfer for this caller";
    EntryUnknown = 71, "entry.unknown", Find, Call, "no such entry for this caller";
    ConsentUnknown = 72, "consent.unknown", Find, Call, "no such consent for this caller";
    DeadLetterUnknown = 73, "dead-letter.unknown", Find, Call, "no such dead letter for this caller";
    RequestUnknown = 74, "request.unknown", Find, Call, "no such open request for this caller";
    CatalogueRefused = 75, "catalogue.refused", Find, Call, "the catalogue in the folder does not pass its checks, or changes a published schema; `waybill check` or the hub's log says why";
}

impl RefusalCode {
    /// What the caller of a call about one person is told: a reason that lies in the person looks like `not-available`.
    pub fn told_to_caller(self) -> Self {
        if self.lies_in() == LiesIn::Person { Self::NotAvailable } else { self }
    }

    /// The stable number in entries.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code with this text, if there is one.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.code() == code)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One fault in a record: where, and which keyword; never a value, and never a property name that the schema lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer into the record, unknown property names masked. Of a missing property: where it would stand.
    pub pointer: String,
    /// The schema keyword that failed.
    pub keyword: &'static str,
}

/// A refusal with what the caller needs in order to mend its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// Which faults, for refusals of the record or call; at most the configured number.
    pub violations: Vec<Violation>,
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self { code, violations: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_and_codes_are_unique() {
        let numbers: HashSet<_> = RefusalCode::ALL.iter().map(|code| code.number()).collect();
        let codes: HashSet<_> = RefusalCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!((numbers.len(), codes.len()), (RefusalCode::ALL.len(), RefusalCode::ALL.len()));
        assert!(RefusalCode::ALL.iter().all(|code| RefusalCode::from_code(code.code()) == Some(*code)));
    }
}
