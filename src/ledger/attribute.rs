//! The numbered attributes of an entry: what each says and who states it. Not their values, which the exchange makes.
use super::numbered::numbered;

numbered! {
    /// What an entry can say. Numbers are never reused; a verifier passes over those it does not know.
    pub enum Attribute {
        /// What happened, as a number of [`Kind`](super::Kind). Stated by the hub.
        Kind = 1, "kind";
        /// How it ended, as a word: a refusal's code, an answer, a delivery's end. Stated by the hub.
        Outcome = 2, "outcome";
        /// The agency that the record comes from. From the agreement.
        Source = 3, "source";
        /// The agency that the record goes to. From the agreement.
        Recipient = 4, "recipient";
        /// The agreement under which it was decided. From the catalogue.
        Agreement = 5, "agreement";
        /// That agreement's revision. From the catalogue.
        AgreementRevision = 6, "agreement_revision";
        /// The one purpose. From the agreement.
        Purpose = 7, "purpose";
        /// The legal basis, with its law and ground (GDPR Art. 6(1), 9(2), 10). From the agreement.
        Basis = 8, "basis";
        /// The record type, `identity/address`. From the submission or request.
        RecordType = 9, "record_type";
        /// The schema's version, `1.2`. From the submission.
        SchemaVersion = 10, "schema_version";
        /// The source's own, opaque id of the record. From the submission.
        RecordId = 11, "record_id";
        /// The record's revision. From the submission; absent where the source has none.
        Revision = 12, "revision";
        /// The moment at which the record was true. From the submission.
        AsOf = 13, "as_of";
        /// New, changed, corrected, ended or recalled. From the submission.
        Change = 14, "change";
        /// The revision that this one corrects. From the submission.
        CorrectsRevision = 15, "corrects_revision";
        /// Whether the source is the authoritative agency. From the submission; of a push checked with the catalogue.
        Authoritative = 16, "authoritative";
        /// The transfer that the record is a copy of. From the submission; the source's word.
        CopyOf = 17, "copy_of";
        /// The digest of the catalogue under which it was decided. Stated by the hub.
        Catalogue = 18, "catalogue";
        /// The paths of the fields that the recipient did not get. Stated by the hub.
        Withheld = 19, "withheld";
        /// Ids of the transfers or entries that this one follows from. Stated by the hub.
        RefersTo = 20, "refers_to";
        /// The transfer's id. Stated by the hub.
        TransferId = 21, "transfer_id";
        /// The recipient's pseudonym of the subject, in transfers alone. Stated by the hub.
        Subject = 22, "subject";
        /// The acting system. From its certificate; on Kafka from the catalogue, which says whose word a topic is.
        System = 23, "system";
        /// The responsible agency that the system acts for. From the call's context.
        OnBehalfOf = 24, "on_behalf_of";
        /// Who acted, opaque to the hub. From the call's context.
        Actor = 25, "actor";
        /// The case it belongs to. From the call's context.
        Case = 26, "case";
        /// Why it was done. From the call's context.
        Reason = 27, "reason";
        /// The representative, with authority and end. From the call's context.
        ActingFor = 28, "acting_for";
        /// The stable code of a refusal, `consent.withdrawn`. Stated by the hub.
        RefusalCode = 29, "refusal_code";
        /// The stage that refused. Stated by the hub.
        RefusalStage = 30, "refusal_stage";
        /// That the citizen asked for this evidence to be fetched. From the request.
        ExplicitRequest = 31, "explicit_request";
        /// The request's id. Stated by the hub.
        RequestId = 32, "request_id";
        /// Until when an answer is awaited. From the request.
        Deadline = 33, "deadline";
        /// The consent's id. Stated by the hub.
        ConsentId = 34, "consent_id";
        /// Who gave a consent: the subject or a representative. From the grant.
        Grantor = 35, "grantor";
        /// From when something holds, or will be available. From the call or the answer.
        ValidFrom = 36, "valid_from";
        /// Until when something holds. From the call.
        ValidUntil = 37, "valid_until";
        /// The version and language of the notice that was shown. From the grant.
        Notice = 38, "notice";
        /// Media type of a consent's evidence, which is kept sealed, and a salted commitment to it. From the grant.
        Evidence = 39, "evidence";
        /// Which answer without a record was given. From the provider, or the hub's own word that there was none.
        Answer = 40, "answer";
        /// How many hand-overs were tried. Stated by the hub.
        Attempts = 41, "attempts";
        /// What an audit looked for and within which bounds. From the audit call.
        WhatWasSearched = 42, "what_was_searched";
        /// The id of a key. Stated by the hub.
        KeyId = 43, "key_id";
        /// A public key, as a verifier key. Stated by the hub.
        PublicKey = 44, "public_key";
        /// Demo, test or production. From the configuration.
        Environment = 45, "environment";
        /// Which faults a refused record or call has: keyword and pointer, never a value. Stated by the hub.
        Violations = 46, "violations";
        /// The published schemas by name, each with its digest. From the catalogue.
        Schemas = 47, "schemas";
        /// What the revisions of each agreement that demands consent showed to those who consent. From the catalogue.
        Shown = 48, "shown";
        /// Each agreement without consent: its newest revision and the digest of what that gives. From the catalogue.
        Given = 49, "given";
    }
    reserved {
        100, "preview";
        101, "emergency_override";
        102, "sealed_until";
        103, "unchanged_since";
        104, "attachments";
        105, "encrypted_to";
        106, "country";
        107, "assurance_level";
        108, "notice_to_citizen";
        109, "split";
    }
}
