//! Copies: who passes on a record that another agency vouches for names the transfer that it has it by. That is looked up,
//! and whatever does not hold of it is told alike, so that nobody learns of transfers to others. What was received under
//! an earlier revision, or under an agreement that has ended, gives no leave any more: the agencies may have agreed, and
//! the person been shown, that it is not passed on.

use super::{CallError, Desk, call::Stop};
use crate::{
    catalogue::Catalogue,
    domain::{
        agency::AgencyId,
        agreement::AgreementId,
        record::{RecordAuthority, RecordIdentity, RecordTypeId},
        transfer::{DeliveryState, TransferId},
    },
    exchange::address::{COPY_OF, malformed},
    ledger::{Attribute, Kind},
    store::Owner,
};

/// A record that is passed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed<'a> {
    /// Who passes it on.
    pub by: &'a AgencyId,
    pub record_type: &'a RecordTypeId,
    pub record: &'a RecordIdentity,
    /// Whom it is about.
    pub about: Owner,
}

impl Desk {
    /// Refuses a copy of what its sender has not received: of such a record, about the same person, under the revision in
    /// force of an agreement that lets it be passed on. A transfer that its recipient may be at work on counts as received.
    pub(super) async fn check_copy(&self, catalogue: &Catalogue, passed: Passed<'_>) -> Result<(), Stop> {
        match passed.record.authority {
            RecordAuthority::Authoritative => Ok(()),
            RecordAuthority::CopyOf(transfer) => match self.was_received(catalogue, passed, transfer).await {
                Ok(true) => Ok(()),
                // What can't be read again proves nothing, today or later.
                Ok(false) | Err(CallError::Damaged(_)) => Err(malformed(COPY_OF, "const").into()),
                Err(error) => Err(error.into()),
            },
        }
    }

    async fn was_received(
        &self,
        catalogue: &Catalogue,
        passed: Passed<'_>,
        transfer: TransferId,
    ) -> Result<bool, CallError> {
        let stored = self.decision(transfer).await?.filter(|stored| {
            stored.routing.kind == Kind::Transfer
                && stored.routing.terms.first() == Some(&self.words.about(passed.about))
        });
        let Some(stored) = stored else { return Ok(false) };
        let Some((_, trail)) = self.open_entry(&stored).await? else { return Ok(false) };
        // An answer to a request goes with the call, and is no delivery.
        let arrived = match self.store.delivery(stored.index).await? {
            None => true,
            Some(delivery) => matches!(delivery.state, DeliveryState::Claimed | DeliveryState::Acknowledged),
        };
        let agreement = trail.text(Attribute::Agreement).and_then(|id| AgreementId::new(&id).ok());
        let agreed = agreement.and_then(|id| catalogue.agreement(&id)).map(|compiled| &compiled.agreement);
        let now = self.clock.now();
        Ok(arrived
            && trail.says(Attribute::Recipient, passed.by.as_str())
            && agreed.is_some_and(|agreed| {
                agreed.onward
                    && agreed.record_type == *passed.record_type
                    && agreed.in_force(now)
                    && trail.number(Attribute::AgreementRevision) == Some(u64::from(agreed.revision))
            }))
    }
}
