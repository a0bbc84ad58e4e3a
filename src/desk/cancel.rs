//! The entry that ends a delivery from this side, for those who keep its transfer's trail. Why it ends is the caller's
//! matter: a withdrawal's, so far.

use super::{CallError, Desk, sealing::About};
use crate::{
    domain::{agency::AgencyId, transfer::TransferId},
    exchange::{seal::Sealed, statement::Statement},
    ledger::{Attribute, Kind},
    store::{Owner, Slot, StoredEntry},
};

/// How a delivery is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// Nobody had claimed it: it never leaves.
    InTime,
    /// It may have been received: it is never sent again.
    MayHaveBeenReceived,
}

impl Cancelled {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InTime => "cancelled",
            Self::MayHaveBeenReceived => "may-have-been-received",
        }
    }
}

impl Desk {
    /// Seals the cancellation of a transfer's delivery for those who keep the transfer's trail.
    pub(super) async fn seal_cancellation(
        &self,
        transfer: &StoredEntry,
        how: Cancelled,
        cause: TransferId,
    ) -> Result<Sealed, CallError> {
        let id = self.new_id();
        let mut statement = Statement::of(Kind::DeliveryCancelled);
        statement.string(Attribute::Outcome, how.as_str());
        let mut parties = Vec::with_capacity(2);
        if let Some((_, trail)) = self.open_entry(transfer).await? {
            let party = |attribute| trail.text(attribute).and_then(|name| AgencyId::new(&name).ok());
            parties.extend([Attribute::Source, Attribute::Recipient].into_iter().filter_map(party));
            for attribute in [Attribute::Source, Attribute::Recipient, Attribute::Agreement] {
                if let Some(value) = trail.get(attribute) {
                    statement.canonical(attribute, value);
                }
            }
        }
        statement.list(Attribute::RefersTo, [&*transfer.routing.id.to_string(), &*cause.to_string()]);
        statement.string(Attribute::TransferId, &id.to_string());
        let mut keepers = Vec::with_capacity(transfer.routing.secrets.len());
        for wrapped in &transfer.routing.secrets {
            if let Some(key) = self.store.slot_key(wrapped.slot).await? {
                keepers.push(Slot { number: wrapped.slot, key });
            }
        }
        let ids = [transfer.routing.id, cause];
        let agencies: Vec<&AgencyId> = parties.iter().collect();
        let about = About {
            outcome: how.as_str(),
            agencies: &agencies,
            ids: &ids,
            ..About::new(Kind::DeliveryCancelled, id, Owner::Hub)
        };
        let mut sealed = self.seal_for(&about, &statement, &keepers, None)?;
        // Whom it is about is what the transfer's own first term says.
        if let Some(person) = transfer.routing.terms.first() {
            sealed.entry.routing.terms[0] = *person;
        }
        Ok(sealed)
    }
}
