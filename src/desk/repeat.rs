//! Answers a repeated call from the entries that it made: the same entries and indices; proof and checkpoint may be
//! newer.

use super::{
    CallError, Desk, RecipientOutcome, Refused, SubmitOutcome,
    call::Stop,
    refuse::{audience, told},
};
use crate::{
    domain::refusal::{LiesIn, Refusal, RefusalCode, Violation},
    exchange::trail::Trail,
    ledger::{Attribute, Kind},
    store::{Known, StoredEntry},
    vault::ContentHash,
};

/// Schema keywords and bounds that a refusal can name, so that a repeat names the same static text.
fn keyword(text: &str) -> &'static str {
    const KEYWORDS: &[&str] = &[
        "additionalItems",
        "additionalProperties",
        "anyOf",
        "pattern",
        "const",
        "contains",
        "contentEncoding",
        "contentMediaType",
        "custom",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "false",
        "format",
        "maxItems",
        "maximum",
        "maxLength",
        "maxProperties",
        "minItems",
        "minimum",
        "minLength",
        "minProperties",
        "multipleOf",
        "not",
        "oneOf",
        "propertyNames",
        "required",
        "type",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
        "$ref",
    ];
    KEYWORDS.iter().copied().find(|known| *known == text).unwrap_or("invalid")
}

/// The refusal that an entry records.
pub(super) fn refusal_of(trail: &Trail) -> Option<Refusal> {
    let code = RefusalCode::from_code(&trail.text(Attribute::RefusalCode)?)?;
    let violation = |line: &String| {
        let (word, pointer) = line.split_once(' ')?;
        Some(Violation { pointer: pointer.into(), keyword: keyword(word) })
    };
    let violations = trail.list(Attribute::Violations).iter().filter_map(violation).collect();
    Some(Refusal { code, violations })
}

impl Desk {
    /// What a call under `known` did, if it is the same call.
    pub(super) fn check_same(known: Known, content: ContentHash) -> Result<(), Stop> {
        if bool::from(subtle::ConstantTimeEq::ct_eq(&known.content.0[..], &content.0[..])) {
            Ok(())
        } else {
            Err(RefusalCode::KeyReused.into())
        }
    }

    /// The entries of a call.
    pub(super) async fn entries_of(&self, known: Known) -> Result<Vec<StoredEntry>, CallError> {
        let entries = self.store.entries(known.first, known.count as usize).await?;
        if entries.len() == known.count as usize {
            Ok(entries)
        } else {
            Err(CallError::Fault(format!("entries from {} on are missing", known.first)))
        }
    }

    /// The refusal that a repeated call got, when its one entry is one.
    pub(super) async fn repeated_refusal(&self, stored: &StoredEntry) -> Result<CallError, CallError> {
        let opened = self.open_entry(stored).await?;
        let refusal = opened.and_then(|(_, trail)| refusal_of(&trail));
        let refusal = refusal.unwrap_or_else(|| RefusalCode::KeyTooOld.into());
        let receipt = self.stored_opened_receipt(stored, audience(&refusal)).await?;
        Ok(CallError::Refused(Box::new(Refused { refusal: told(refusal), receipt })))
    }

    /// The outcome of a repeated submission.
    pub(super) async fn repeated_submission(&self, known: Known) -> Result<SubmitOutcome, CallError> {
        let entries = self.entries_of(known).await?;
        if let [only] = entries.as_slice()
            && only.routing.kind == Kind::RefusalOfSubmission
        {
            return Err(self.repeated_refusal(only).await?);
        }
        let mut recipients = Vec::with_capacity(entries.len());
        for stored in entries.iter().filter(|stored| stored.routing.kind != Kind::Link) {
            let trail = self.open_entry(stored).await?.map(|(_, trail)| trail).unwrap_or_default();
            let refusal = refusal_of(&trail).filter(|refusal| refusal.code.lies_in() == LiesIn::Call);
            recipients.push(RecipientOutcome {
                recipient: trail.text(Attribute::Recipient).unwrap_or_default(),
                agreement: trail.text(Attribute::Agreement).unwrap_or_default(),
                id: stored.routing.id,
                receipt: self.stored_receipt(stored).await?,
                refusal,
            });
        }
        Ok(SubmitOutcome { recipients })
    }
}
