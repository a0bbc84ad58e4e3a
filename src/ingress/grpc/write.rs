//! Writes what the desk says as messages. Only shapes change here.

use bytes::{Bytes, BytesMut};
use prost_types::Timestamp;
use waybill_proto::v1;

use super::status;
use crate::{
    desk::{CallError, NumberedOutcome, Receipt, RecipientOutcome, SubmitOutcome},
    domain::{
        record::{Change, RecordAuthority, RecordIdentity},
        refusal::Refusal,
        subject::Identifier,
        time::Moment,
    },
    ledger::{Attribute, Commitments, Hash, Opening},
};

/// The count before a list of commitments, which the message's length says already.
const COMMITMENTS_COUNT_BYTES: usize = 2;

pub(super) fn timestamp(moment: Moment) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(moment.as_secs()).unwrap_or(i64::MAX),
        nanos: (moment.0 % 1000) as i32 * 1_000_000, // below a second
    }
}

/// Hashes as one buffer and slices of it: one allocation for a proof.
pub(super) fn hashes(hashes: &[Hash]) -> Vec<Bytes> {
    let mut all = BytesMut::with_capacity(hashes.len() * Hash::LEN);
    for hash in hashes {
        all.extend_from_slice(hash.as_bytes());
    }
    let all = all.freeze();
    (0..hashes.len()).map(|place| all.slice(place * Hash::LEN..(place + 1) * Hash::LEN)).collect()
}

pub(super) fn text(bytes: &Bytes) -> String {
    // A checkpoint is ASCII, for which this is the quick way.
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn commitments(list: &Commitments) -> Bytes {
    Bytes::copy_from_slice(&list.as_bytes()[COMMITMENTS_COUNT_BYTES..])
}

fn opening(opening: Opening) -> v1::Opening {
    v1::Opening {
        position: opening.position.into(),
        name: opening.name,
        value: opening.value.into(),
        salt: Bytes::copy_from_slice(&opening.salt),
    }
}

pub(super) fn receipt(receipt: Receipt) -> v1::Receipt {
    let (inclusion_proof, checkpoint) = match &receipt.proof {
        Some(proof) => (hashes(&proof.inclusion), text(&proof.checkpoint)),
        None => (Vec::new(), String::new()),
    };
    v1::Receipt {
        index: receipt.index,
        entry: receipt.entry,
        inclusion_proof,
        checkpoint,
        commitments: receipt.commitments.as_ref().map(commitments).unwrap_or_default(),
        openings: receipt.openings.into_iter().map(opening).collect(),
        environment: receipt.environment.as_str().to_owned(),
    }
}

pub(super) fn refusal(refusal: &Refusal, of: Option<Receipt>) -> v1::Refusal {
    let violation = |fault: &crate::domain::refusal::Violation| v1::Violation {
        pointer: fault.pointer.clone(),
        keyword: fault.keyword.to_owned(),
    };
    v1::Refusal {
        code: refusal.code.code().to_owned(),
        stage: refusal.code.stage().as_str().to_owned(),
        message: refusal.code.text().to_owned(),
        retryable: status::of_refusal(refusal.code).1,
        violations: refusal.violations.iter().map(violation).collect(),
        receipt: of.map(receipt).map(without_own_words),
    }
}

/// What travels in a status travels in a header of HTTP/2, where nothing personal may stand: what the caller itself said of
/// persons and cases is opened without its value, which the caller has.
pub(super) fn without_own_words(mut receipt: v1::Receipt) -> v1::Receipt {
    const PERSONAL: [Attribute; 6] = [
        Attribute::RecordId,
        Attribute::Actor,
        Attribute::Case,
        Attribute::Reason,
        Attribute::ActingFor,
        Attribute::ExplicitRequest,
    ];
    for opening in &mut receipt.openings {
        if PERSONAL.iter().any(|attribute| attribute.decimal() == opening.name) {
            opening.value = Bytes::new();
        }
    }
    receipt
}

fn recipient(outcome: RecipientOutcome) -> v1::RecipientOutcome {
    v1::RecipientOutcome {
        recipient: outcome.recipient,
        agreement: outcome.agreement,
        transfer_id: outcome.id.to_string(),
        receipt: Some(receipt(outcome.receipt)),
        refusal: outcome.refusal.map(|told| refusal(&told, None)),
    }
}

pub(super) fn outcome(outcome: SubmitOutcome) -> v1::Outcome {
    v1::Outcome { recipients: outcome.recipients.into_iter().map(recipient).collect() }
}

pub(super) fn numbered((number, result): NumberedOutcome) -> v1::NumberedOutcome {
    use v1::numbered_outcome::Result as Written;
    let result = match result {
        Ok(decided) => Written::Outcome(outcome(decided)),
        Err(CallError::Refused(refused)) => Written::Refusal(refusal(&refused.refusal, Some(refused.receipt))),
        Err(error) => Written::Busy(status::of_undecided(&error)),
    };
    v1::NumberedOutcome { number, result: Some(result) }
}

pub(super) fn record(record: RecordIdentity) -> v1::RecordIdentity {
    let change = match record.change {
        Change::New => v1::Change::New,
        Change::Changed => v1::Change::Changed,
        Change::Corrected => v1::Change::Corrected,
        Change::Ended => v1::Change::Ended,
        Change::Recalled => v1::Change::Recalled,
    };
    v1::RecordIdentity {
        record_id: record.record_id,
        revision: record.revision,
        as_of: record.as_of.map(timestamp),
        change: change.into(),
        corrects_revision: record.corrects_revision,
        copy_of_transfer_id: match record.authority {
            RecordAuthority::Authoritative => String::new(),
            RecordAuthority::CopyOf(transfer) => transfer.to_string(),
        },
    }
}

pub(super) fn identifier(identifier: &Identifier) -> v1::Identifier {
    v1::Identifier { scheme: identifier.scheme().to_owned(), value: identifier.value().to_owned() }
}
