//! The numbered kinds of entry: what can have happened. Not what may be said of it: that is `attribute.rs`.
use super::numbered::numbered;

numbered! {
    /// What an entry records. Every outcome has exactly one entry. Numbers are never reused.
    pub enum Kind {
        /// One record, one source, one recipient, one agreement. By a submission or an answer.
        Transfer = 1, "transfer";
        /// A submission was refused as a whole. By the hub.
        RefusalOfSubmission = 2, "refusal_of_submission";
        /// A submission was refused for one recipient. By the hub.
        RefusalOfRecipient = 3, "refusal_of_recipient";
        /// A question about a person, before its provider sees it. By a requester.
        RequestAsked = 4, "request_asked";
        /// An answer that holds no record. By a provider, or by the deadline's passing.
        AnswerWithoutRecord = 5, "answer_without_record";
        /// The recipient has the delivery, or the brokers have it and no answer was agreed. By either's word.
        DeliveryAcknowledged = 6, "delivery_acknowledged";
        /// The recipient turned the delivery down. By the recipient.
        DeliveryRejected = 7, "delivery_rejected";
        /// The hub gave up handing it over, and keeps it. By the relay.
        DeliveryDeadLettered = 8, "delivery_dead_lettered";
        /// A dead letter is handed over again. By an operator.
        DeliveryReplayed = 9, "delivery_replayed";
        /// A delivery that waited, was claimed or was a dead letter was ended. By a withdrawal.
        DeliveryCancelled = 10, "delivery_cancelled";
        /// A consent was given. By a system that collects consent.
        ConsentGranted = 11, "consent_granted";
        /// A consent was withdrawn. By any system that collects consent.
        ConsentWithdrawn = 12, "consent_withdrawn";
        /// Nothing in its scope moves from now on (GDPR Art. 18, 21). By an agency.
        RestrictionPlaced = 13, "restriction_placed";
        /// A restriction ended. By the agency that placed it.
        RestrictionLifted = 14, "restriction_lifted";
        /// A recipient's reason to be told about this person began. By the recipient.
        InterestPlaced = 15, "interest_placed";
        /// That reason ended. By the recipient.
        InterestEnded = 16, "interest_ended";
        /// An identifier was linked to a subject. By an authoritative record.
        Link = 17, "link";
        /// Two subjects were found to be one person. By an authoritative record.
        Merge = 18, "merge";
        /// Erasure and retention are stopped for a subject. By an agency.
        LegalHoldPlaced = 19, "legal_hold_placed";
        /// A legal hold ended. By the agency that placed it.
        LegalHoldLifted = 20, "legal_hold_lifted";
        /// Somebody looked at entries, or at a person's consents. By an auditor, or by a system that collects consent.
        AuditRead = 21, "audit_read";
        /// Keys of one class of a subject's data were destroyed. By the controller, or by the end of a term.
        Erasure = 22, "erasure";
        /// The hub decides under this catalogue from here on; about no person. By an operator.
        CataloguePublished = 23, "catalogue_published";
        /// Checkpoints are signed with another key from here on; about no person. By an operator.
        KeyRotated = 24, "key_rotated";
        /// The ledger continues from a backup; about no person. By an operator.
        Restored = 25, "restored";
        /// Any other call (request, consent, audit) was refused. By the hub.
        Refusal = 26, "refusal";
    }
    reserved {
        100, "split";
        101, "emergency_override";
    }
}
