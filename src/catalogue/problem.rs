//! What is wrong with a catalogue: a closed list of faults, each with its place and what to do. Not refusals: those
//! are the exchange's.

use std::{cell::RefCell, fmt, sync::Arc};

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole, or its absence.
    File,
    /// A line, from 1.
    Line(u32),
    /// A JSON Pointer into a schema.
    Pointer(String),
}

/// One fault and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as a person would open it.
    pub file: Arc<str>,
    /// Where in it.
    pub place: Place,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    /// `file:line: message`, then a line that says what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File => write!(f, "{}: ", self.file)?,
            Place::Line(line) => write!(f, "{}:{line}: ", self.file)?,
            Place::Pointer(pointer) => write!(f, "{}#{pointer}: ", self.file)?,
        }
        write!(f, "{}\n  help: {}", self.fault, self.fault.help())
    }
}

impl std::error::Error for Problem {}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),* }, $text:literal, $help:literal;)*) => {
        /// Everything that `waybill check` can find wrong with a catalogue.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum Fault {$(
            $(#[$doc])*
            #[doc = $text]
            #[error($text)]
            $name { $(#[doc = "Named in the message."] $field: String),* },
        )*}

        impl Fault {
            /// What to do about it.
            pub const fn help(&self) -> &'static str {
                match self { $(Self::$name { .. } => $help),* }
            }
        }
    };
}

faults! {
    // Files
    Unreadable { detail },
        "it cannot be read: {detail}",
        "check the path and its permissions; every file is UTF-8 and at most 1 MiB";
    FileMissing {}, "the catalogue has no such file", "create it; src/catalogue/README.md shows the layout";
    FileUnexpected {},
        "a catalogue has no file of this name",
        "move it away, or correct its name: agencies/*.toml, agreements/*.toml, purposes.toml, record-types.toml";
    FileName { detail },
        "the file's name cannot be a name here: {detail}",
        "rename the file; agencies and agreements are called after their files";
    Syntax { detail }, "{detail}", "correct the syntax; nothing else is checked before every file can be read";
    FieldUnknown { name, known },
        "unknown field `{name}`; known here: {known}",
        "correct the spelling or remove it; nothing is ignored";
    FieldMissing { name }, "`{name}` is missing", "add it; nothing that matters has a default";
    FieldInvalid { name, detail }, "`{name}`: {detail}", "correct the value";
    ListedTwice { name, value }, "`{name}` lists {value} twice", "remove one";

    // Agencies and their systems
    AgencyUnknown { agency },
        "no agency `{agency}` in the catalogue",
        "add agencies/<agency>.toml, or correct the name";
    AgencyKeyShared { agency, other },
        "`{agency}` and `{other}` have the same key in stored rows",
        "rename one of them before anything is stored under it";
    SystemTwice { system }, "a second system `{system}`", "give it another name";
    SanNotUri { san },
        "`{san}` is not a URI that a certificate can carry",
        "write a scheme, a colon and visible ASCII, 255 bytes at most, e.g. urn:waybill:system:tax:registry";
    SanShared { san, other },
        "`{san}` already names {other}",
        "give each system a certificate of its own; one SAN names one system";
    PrincipalShared { name, other },
        "Kafka's brokers would know this system as `{name}`, and so they know {other}",
        "rename one of them: the CN of their certificates is <agency>.<system>, and rights on topics are given to that";
    RefusalsOverRate { refusals, rate },
        "{refusals} refusals a second of {rate} calls are more than a tenth",
        "lower refusals_per_s, or leave it out: nobody may fill the ledger with refusals";
    RolesMissing { system }, "`{system}` has no role, so it can do nothing", "give it a role, or remove it";

    // Kafka
    KafkaSystemUnknown { system },
        "no system `{system}` in the catalogue",
        "write <agency>/<system>, as agencies/<agency>.toml names it";
    KafkaNotActingFor { system, agency },
        "`{system}` may not act for `{agency}`, whose topics these are",
        "name a system that acts for the agency";
    KafkaRoleMissing { system, role },
        "`{system}` lacks the role `{role}`",
        "give it the role, or name a system that has it";
    KafkaSchemaMalformed { id, name },
        "`{id} = \"{name}\"` does not map a schema id to a schema",
        "write the registry's id and <domain>/<name>/<major>.<minor>, e.g. 17 = \"identity/address/1.0\"";
    KafkaSchemaUnknown { schema }, "no schema `{schema}`", "name a version that exists";

    // Purposes and record types
    PurposeTwice { purpose }, "a second purpose `{purpose}`", "remove one";
    PurposeUnknown { purpose }, "no purpose `{purpose}` in purposes.toml", "add it there, or correct the name";
    RecordTypeTwice { record_type }, "a second record type `{record_type}`", "remove one";
    RecordTypeUnknown { record_type },
        "no record type `{record_type}` in record-types.toml",
        "add it there with its authoritative agency, or correct the name";
    SchemaMissing { record_type },
        "no schema for `{record_type}`",
        "add <domain>/<name>/<major>.<minor>.json to the schemas, or remove the record type";
    SchemaMajorMissing { record_type, major },
        "`{record_type}` has no schema of major version {major}",
        "name a major version that exists";

    // Agreements
    AgreementWithSelf { agency },
        "source and recipient are both `{agency}`",
        "an agreement is between two agencies; inside one, none is needed";
    PayloadTermShort {},
        "a payload would have to go within less than two hours of its acknowledgement: the hub does not promise that",
        "write `none`, which means within two hours, or a longer term: it is the longest that is allowed";
    AgreementOverlaps { other },
        "it overlaps with agreement `{other}`: same direction, agencies, record type, major version and purpose \
         at the same time",
        "end one before the other begins, or give it another purpose: a transfer has exactly one agreement";
    SourceHoldsNone { agency, record_type, authority },
        "`{agency}` is not the authoritative agency of `{record_type}` (that is `{authority}`) and receives no \
         copies that it may pass on",
        "name the authoritative agency as source, or agree on onward passing first";
    RevisionInvalid { detail }, "{detail}", "revisions count from 1; consent_since_revision is at most the revision";
    RevisionChanged { revision, more },
        "revision {revision} was published before, and what it gives has changed: {more}",
        "raise the revision, once both agencies have agreed; a new property reaches nobody before, not even below an object \
         that is named";
    RevisionOld { revision, newest },
        "revision {revision} comes before revision {newest}, which was published",
        "raise the revision, also to go back to what an earlier one gave";
    ConsentRevisionChanged { revision, more },
        "revision {revision} was published before, and what it showed to those who consent has changed: {more}",
        "raise the revision";
    ConsentRevisionOld { revision, newest },
        "revision {revision} comes before revision {newest}, which was published, and what it showed is not known any more",
        "raise the revision";
    ConsentShowsMore { revision, more },
        "a consent to revision {revision} does not cover this one: {more}",
        "raise consent_since_revision, so that people are asked again, or show no more than that revision did";
    ConsentSinceUnknown { since },
        "what revision {since} showed is not known: it was not published here, or its consents had ended",
        "name a revision whose consents still hold, or leave consent_since_revision out";
    ValidityEmpty {}, "it ends before it begins", "set valid_until after valid_from, or leave it out";
    FieldsMissing {}, "it names no field", "name each field that the recipient may see";
    FieldsTooMany { count, max },
        "it names {count} fields, more than {max}",
        "name a whole object instead of each of its properties, where the recipient may see all of it";
    FieldNotInSchema { field, schema },
        "`{schema}` has no field `{field}`",
        "correct the pointer; an array's items are written `*`";
    FieldCovered { field, by },
        "`{field}` lies in `{by}`, which is named too",
        "remove one: a field that is named brings all that lies below it";
    ConsentNotDemanded {},
        "the basis is consent, Art. 6(1)(a), but it is not demanded",
        "set demand = \"consent\", or name the basis that it really rests on";
    ConsentNotBasis { article },
        "consent is demanded, but the basis is Art. {article}",
        "set article = \"6(1)(a)\"; or demand nothing, or an explicit request: an authority that could act \
         without consent cannot freely ask it (recital 43)";
    ConsentPurposeMissing { purpose },
        "`{purpose}` is not a purpose for consent",
        "set consent = true for it in purposes.toml, or choose a purpose that has it";
    ConsentPurposeMisused { purpose, article },
        "`{purpose}` is a purpose for consent, but the basis is Art. {article}",
        "choose another purpose: no other basis may stand in for a consent that is withdrawn";
    ExplicitRequestOnPush {},
        "an explicit request is demanded of a push",
        "a citizen asks that evidence be fetched: make it a pull, or demand nothing or consent";
    LawMissing { article },
        "Art. {article} needs the law that it rests on (Art. 6(3))",
        "set law = \"…\" with act and section";
    LegitimateInterests { agency },
        "Art. 6(1)(f) is not open to `{agency}`, a public authority",
        "name the legal obligation (c) or the public task (e), with its law";
    GroundInvalid { ground },
        "`{ground}` is no ground of Art. 9(2) or Art. 10",
        "write 9(2)(a) to 9(2)(j), or 10; both with a comma between";
    GroundNeedsConsent {},
        "the ground is explicit consent, Art. 9(2)(a), but consent is not demanded",
        "set demand = \"consent\" and article = \"6(1)(a)\", or name another ground";
    SpecialGroundMissing { field },
        "`{field}` is of a special category and needs a ground of Art. 9(2)",
        "set special_ground, or leave the field out";
    CriminalGroundMissing { field },
        "`{field}` is about convictions or offences and needs Art. 10 as its ground",
        "set special_ground = \"10\", or leave the field out";
    NobodyCan { role, agency },
        "no system has the role `{role}` and may act for `{agency}`, so it can never be used",
        "give the role to a system of the agency, or of one that acts for it";
    NobodyCollects {},
        "it demands consent, but no system has the role `collect-consent`",
        "give the role to a system";
    SignatureOfStranger { agency },
        "`{agency}` signs, but is neither source nor recipient",
        "only the two agencies sign";

    // Schemas
    SchemaFileName { detail },
        "not the name of a schema: {detail}",
        "schemas lie at <domain>/<name>/<major>.<minor>.json";
    DraftOther {},
        "the schema does not say that it is of draft 2020-12",
        "set $schema to https://json-schema.org/draft/2020-12/schema";
    KeywordRefused { keyword },
        "keyword `{keyword}` is not allowed here",
        "use only the keywords that minimisation can walk; src/catalogue/README.md lists them";
    KeywordInvalid { keyword, detail }, "`{keyword}` {detail}", "correct the keyword's value";
    TypeRefused { detail },
        "{detail}",
        "give each value exactly one type of object, array, string, integer, boolean; amounts are decimal strings";
    ObjectOpen {}, "the object is open", "set additionalProperties to false";
    BoundMissing { keyword },
        "`{keyword}` is missing",
        "bound it: strings have maxLength or enum, arrays maxItems, integers minimum and maximum";
    BoundTooLarge { keyword, max }, "`{keyword}` is over {max}", "lower it";
    UniqueItemsOfStructure {},
        "uniqueItems over objects or arrays",
        "leave it out: items that differ may be equal once they are cut to the agreed fields";
    RefOutside { target }, "`$ref` to `{target}` leaves the file", "refer to #/$defs/<name>; copy the definition";
    RefDangling { target }, "`$ref` to `{target}`, which is not there", "add the definition or correct the name";
    RefCircular { target },
        "`{target}` refers back to itself",
        "bound the nesting: write out the levels that are needed";
    PatternRefused { detail },
        "the pattern does not run on the linear engine: {detail}",
        "leave out look-around and back-references, and keep counted repetitions small";
    RequiredUnknown { name }, "`{name}` is required but is no property", "add the property or correct the name";
    NameNotAddressable { name },
        "no agreement can name the property `{name}`",
        "rename it: not a number, not `*`; paths have at most 16 steps and 512 bytes";
    SensitivityMissing {},
        "`x-waybill-sensitivity` is missing",
        "mark every property as ordinary, sensitive, special (Art. 9) or criminal (Art. 10)";
    SensitivityUnknown { value }, "`{value}` is no sensitivity", "write ordinary, sensitive, special or criminal";
    IdentifierInvalid { detail },
        "x-waybill-identifier: {detail}",
        "write { \"scheme\": \"…\", \"role\": \"main\" } on a property that is a string; other roles are words \
         such as spouse, child, guardian";
    MainSubjectMissing {},
        "no property identifies the main subject",
        "mark one with x-waybill-identifier and the role main";
    MainSubjectTwice { field, other },
        "`{field}` names a main subject, and so does `{other}` elsewhere",
        "a record has one main subject: its numbers lie side by side in one object, outside any array; other \
         people have other roles";
    MainSchemeTwice { field, scheme },
        "`{field}` has the scheme `{scheme}`, which another property of the main subject has",
        "give each scheme one property";
    FieldCountOver { max }, "the schema has more than {max} fields", "split the record type";
    CostOver { cost, max },
        "checking a record can cost {cost} units, more than {max}",
        "lower maxItems and maxLength where they multiply, and leave out uniqueItems; src/catalogue/README.md \
         has the sum";
    MinorChanges { previous, detail },
        "it is no minor version of {previous}: {detail}",
        "a minor version only adds optional properties; for all else publish a new major version";
    SchemaRepublished { name, published },
        "`{name}` was published with digest {published} and is not the same now",
        "put the published file back, and publish the change as a new version";
    PublicationTooLarge { bytes, max },
        "the digests of all schemas and agreements and what is shown to those who consent take {bytes} bytes, and the entry \
         of a publication holds {max}",
        "retire versions of schemas that nothing uses any more, raise consent_since_revision, or run a second hub for some \
         of the record types";
    Uncompilable { detail }, "it cannot be compiled: {detail}", "correct the schema";
}

/// Collects problems while all files are read.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds one.
    pub(super) fn add(&self, file: &Arc<str>, place: Place, fault: Fault) {
        self.0.borrow_mut().push(Problem { file: Arc::clone(file), place, fault });
    }

    /// Adds one at a spot of a TOML file.
    pub(super) fn at(&self, spot: &Spot, fault: Fault) {
        self.add(&spot.file, Place::Line(spot.line), fault);
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether a file could not be parsed or read at all.
    pub(super) fn has_syntax_errors(&self) -> bool {
        let unread = |problem: &Problem| {
            matches!(problem.fault, Fault::Syntax { .. } | Fault::Unreadable { .. } | Fault::FileMissing { .. })
        };
        self.0.borrow().iter().any(unread)
    }

    /// All of them by file and place, or nothing.
    pub(super) fn into_result(self) -> Result<(), Vec<Problem>> {
        let mut problems = self.0.into_inner();
        problems.sort_by(|a, b| (&a.file, &a.place).cmp(&(&b.file, &b.place)));
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: Arc<str>,
    pub(super) line: u32,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) spot: Spot,
    pub(super) value: T,
}
