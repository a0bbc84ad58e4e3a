//! What the relay needs of the hub, as one trait: the desk with store and sequencer behind it, a script in tests.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    desk::{CallError, DeliveryRef, Desk, End, Opened, Replayed},
    domain::{
        agency::{AgencyId, AgencyKey},
        transfer::{DeliveryState, TransferId},
    },
    drivers::{Gate, GateFault},
    sequencer::Proposal,
    store::{DeliveryChange, Pending, PendingDelivery},
};

/// The hub as the relay sees it.
#[async_trait]
pub(crate) trait Outbox: Send + Sync + 'static {
    /// How many entries there are.
    fn size(&self) -> u64;

    /// Waits until there are more than that; false when there will never be.
    async fn grown(&self, beyond: u64) -> bool;

    /// Tells of dead letters that are made due again.
    fn replays(&self) -> broadcast::Receiver<Replayed>;

    /// Agencies that may be recipients.
    fn agencies(&self) -> Vec<AgencyId>;

    /// See [`crate::store::Store::pending`].
    async fn pending(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Pending, CallError>;

    /// Claims every due delivery of `recipient` below `horizon`, durably.
    async fn claim(&self, recipient: AgencyKey, horizon: u64) -> Result<(), CallError>;

    /// Whether the delivery of this entry is claimed and has not ended.
    async fn is_open(&self, index: u64) -> Result<bool, CallError>;

    /// Opens deliveries for their recipient.
    async fn open(&self, items: &[PendingDelivery]) -> Vec<Opened>;

    /// Records how deliveries ended, durably; says which it had to set aside, since they can never be recorded.
    async fn record(&self, recipient: AgencyKey, ends: &[End]) -> Result<Vec<u64>, CallError>;

    /// A delivery that is not held in memory, if an answer to it still says something new.
    async fn answerable(&self, recipient: AgencyKey, id: TransferId) -> Result<Option<DeliveryRef>, CallError>;
}

#[async_trait]
impl Outbox for Desk {
    fn size(&self) -> u64 {
        self.sequencer().newest().snapshot.size()
    }

    async fn grown(&self, beyond: u64) -> bool {
        let mut commits = self.sequencer().commits();
        commits.wait_for(|commit| commit.snapshot.size() > beyond).await.is_ok()
    }

    fn replays(&self) -> broadcast::Receiver<Replayed> {
        Self::replays(self)
    }

    fn agencies(&self) -> Vec<AgencyId> {
        self.catalogue().agencies().map(|agency| agency.id.clone()).collect()
    }

    async fn pending(&self, recipient: AgencyKey, from: u64, limit: usize) -> Result<Pending, CallError> {
        Ok(self.store().pending(recipient, from, limit).await?)
    }

    async fn claim(&self, recipient: AgencyKey, horizon: u64) -> Result<(), CallError> {
        let deliveries = vec![DeliveryChange::Claim { recipient, horizon }];
        self.sequencer().propose(Proposal { deliveries, ..Proposal::default() }).await?;
        Ok(())
    }

    async fn is_open(&self, index: u64) -> Result<bool, CallError> {
        let delivery = self.store().delivery(index).await?;
        Ok(delivery.is_some_and(|delivery| delivery.state == DeliveryState::Claimed))
    }

    async fn open(&self, items: &[PendingDelivery]) -> Vec<Opened> {
        self.open_deliveries(items).await
    }

    async fn record(&self, recipient: AgencyKey, ends: &[End]) -> Result<Vec<u64>, CallError> {
        self.record_ends(recipient, ends).await
    }

    async fn answerable(&self, recipient: AgencyKey, id: TransferId) -> Result<Option<DeliveryRef>, CallError> {
        Self::answerable(self, recipient, id).await
    }
}

/// Asks the hub just before deliveries leave: one that was cancelled after it was claimed does not.
pub(super) struct OutboxGate(pub(super) Arc<dyn Outbox>);

#[async_trait]
impl Gate for OutboxGate {
    async fn pass(&self, indices: &[u64]) -> Result<Vec<bool>, GateFault> {
        let mut passes = Vec::with_capacity(indices.len());
        for index in indices {
            passes.push(self.0.is_open(*index).await.map_err(|error| {
                tracing::error!(%error, "it cannot be read whether deliveries may leave: closing the link");
                GateFault
            })?);
        }
        Ok(passes)
    }
}
