//! What became of a transfer: told to its source, as far as a source may know, and to its recipient.

use super::DeliveryRef;
use crate::{
    catalogue::Catalogue,
    desk::{Audience, CallError, Desk, Receipt, call::Stop, refuse::Trace},
    domain::{
        agency::{AgencyKey, Role},
        refusal::RefusalCode,
        transfer::{DeliveryState, TransferId},
    },
    exchange::{
        authenticate,
        submission::{CallContext, Peer},
    },
    ledger::{Attribute, Kind},
    store::StoredEntry,
};

/// A transfer as its reader may see it.
#[derive(Debug, Clone)]
pub struct TransferView {
    /// Its id.
    pub id: TransferId,
    /// Whose record it is.
    pub source: String,
    /// To whom.
    pub recipient: String,
    /// Under which agreement.
    pub agreement: String,
    /// Where it stands; `None` for its source, to whom a refused decision must look the same.
    pub state: Option<TransferState>,
    /// Its entry; opened for the recipient, not for the source.
    pub receipt: Receipt,
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferState {
    /// Its delivery.
    Delivery(DeliveryState),
    /// It was the answer to a request, in the call itself.
    Answered,
}

/// Roles of those who send or get records.
const ROLES: [Role; 4] = [Role::Submit, Role::Provide, Role::Request, Role::Receive];

impl Desk {
    /// What became of a transfer.
    pub async fn get_transfer(
        &self,
        peer: Peer<'_>,
        transfer: &str,
        context: CallContext,
    ) -> Result<TransferView, CallError> {
        self.called(peer, async |catalogue, trace| {
            self.try_get_transfer(catalogue, peer, transfer, context, trace).await
        })
        .await
    }

    async fn try_get_transfer(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        transfer: &str,
        context: CallContext,
        trace: &mut Trace,
    ) -> Result<TransferView, Stop> {
        trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
        let caller = authenticate::caller_with_any(catalogue, peer, &ROLES, context)?;
        trace.context = Some(caller.context.clone());
        let id: TransferId = transfer.parse().map_err(|_| RefusalCode::TransferUnknown)?;
        let stored = self.decision(id).await?.ok_or(RefusalCode::TransferUnknown)?;
        let Some((_, trail)) = self.open_entry(&stored).await? else { return Err(RefusalCode::TransferUnknown.into()) };
        let text = |attribute| trail.text(attribute).unwrap_or_default();
        let (source, recipient) = (text(Attribute::Source), text(Attribute::Recipient));
        let agency = caller.agency().as_str();
        let (receipt, state) = if source == agency {
            (self.stored_receipt(&stored).await?, None)
        } else if recipient == agency && stored.routing.kind == Kind::Transfer {
            let delivery = self.store.delivery(stored.index).await?;
            let state = delivery.map_or(TransferState::Answered, |delivery| TransferState::Delivery(delivery.state));
            (self.stored_opened_receipt(&stored, Audience::Recipient).await?, Some(state))
        } else {
            return Err(RefusalCode::TransferUnknown.into());
        };
        Ok(TransferView { id, source, recipient, agreement: text(Attribute::Agreement), state, receipt })
    }

    /// The entry of a decision about one recipient: the transfer, or the refusal that its source cannot tell from one.
    pub(in crate::desk) async fn decision(&self, id: TransferId) -> Result<Option<StoredEntry>, CallError> {
        let Some(index) = self.index_of(id).await? else { return Ok(None) };
        let stored = self.stored(index).await?;
        Ok(stored.filter(|stored| {
            stored.routing.id == id && matches!(stored.routing.kind, Kind::Transfer | Kind::RefusalOfRecipient)
        }))
    }

    /// A delivery of `recipient` that the relay does not hold, if an answer to it still says something new: one that is
    /// claimed, was cancelled when it may have been received, or was given up.
    pub async fn answerable(&self, recipient: AgencyKey, id: TransferId) -> Result<Option<DeliveryRef>, CallError> {
        let Some(stored) = self.decision(id).await? else { return Ok(None) };
        let Some(delivery) = self.store.delivery(stored.index).await? else { return Ok(None) };
        let open =
            matches!(delivery.state, DeliveryState::Claimed | DeliveryState::Cancelled | DeliveryState::DeadLettered);
        Ok(if open && delivery.recipient == recipient { DeliveryRef::of(&stored) } else { None })
    }
}
