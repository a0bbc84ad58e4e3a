//! What a recipient's worker has done beside it, as tasks of their own: claiming, opening, recording, looking up.

use std::sync::Arc;

use super::outbox::Outbox;
use crate::{
    desk::{CallError, DeliveryRef, End, Opened},
    domain::{
        agency::{AgencyKey, SystemId},
        transfer::TransferId,
    },
    drivers::Outcome,
    store::PendingDelivery,
};

/// Where to look for deliveries that are due.
#[derive(Debug)]
pub(super) enum Search {
    /// From this index on, at most so many.
    From(u64, usize),
    /// These dead letters, made due again.
    Replayed(Vec<u64>),
}

/// What was claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub items: Vec<PendingDelivery>,
    /// Where to go on; `None` after replays.
    pub next: Option<u64>,
}

/// What is to be opened.
#[derive(Debug)]
pub(super) enum ToOpen {
    /// As it was read when it was claimed.
    Fresh(Box<PendingDelivery>),
    /// To be read again.
    Again(u64),
}

/// What became of one that was to be opened.
#[derive(Debug)]
pub(super) enum OpenedOne {
    /// It was opened, or cannot be.
    Opened(Opened),
    /// It has ended.
    Ended(u64),
    /// It could not be read.
    Unread(u64),
}

/// An answer to a delivery that is not held in memory.
#[derive(Debug)]
pub(super) struct Stray {
    pub id: TransferId,
    pub outcome: Outcome,
    pub system: SystemId,
}

/// What a task brings back.
#[derive(Debug)]
pub(super) enum Done {
    Claimed(Search, Result<Claimed, CallError>),
    /// Those that were recorded, or were to be; of which some were set aside.
    Recorded(Vec<End>, Result<Vec<u64>, CallError>),
    Found(Vec<(Stray, DeliveryRef)>),
}

/// Reads what is due and claims it: from then on it may have been received. What a withdrawal cancels in between is
/// found out when it is about to leave.
pub(super) async fn claim(outbox: Arc<dyn Outbox>, recipient: AgencyKey, search: Search) -> Done {
    let claimed = match &search {
        Search::From(from, limit) => claim_from(&*outbox, recipient, *from, *limit).await,
        Search::Replayed(indices) => claim_replayed(&*outbox, recipient, indices).await,
    };
    Done::Claimed(search, claimed)
}

async fn claim_from(outbox: &dyn Outbox, recipient: AgencyKey, from: u64, limit: usize) -> Result<Claimed, CallError> {
    let pending = outbox.pending(recipient, from, limit).await?;
    if let Some(last) = pending.items.last() {
        let horizon = last.entry.index + 1;
        // What lies below the horizon has been claimed, but for dead letters that were replayed.
        if horizon > pending.horizon || pending.items.iter().any(|item| item.replayed) {
            outbox.claim(recipient, horizon).await?;
        }
    }
    Ok(Claimed { items: pending.items, next: Some(pending.next) })
}

async fn claim_replayed(outbox: &dyn Outbox, recipient: AgencyKey, indices: &[u64]) -> Result<Claimed, CallError> {
    let mut items = Vec::with_capacity(indices.len());
    for index in indices {
        items.extend(read(outbox, recipient, *index).await?);
    }
    if let Some(highest) = items.iter().map(|item| item.entry.index).max() {
        outbox.claim(recipient, highest + 1).await?;
    }
    Ok(Claimed { items, next: None })
}

/// The delivery at `index`, if it has not ended.
async fn read(outbox: &dyn Outbox, recipient: AgencyKey, index: u64) -> Result<Option<PendingDelivery>, CallError> {
    let pending = outbox.pending(recipient, index, 1).await?;
    Ok(pending.items.into_iter().next().filter(|item| item.entry.index == index))
}

/// Opens deliveries, in their order.
pub(super) async fn open(outbox: Arc<dyn Outbox>, recipient: AgencyKey, wanted: Vec<ToOpen>) -> Vec<OpenedOne> {
    let mut items = Vec::with_capacity(wanted.len());
    let mut others = Vec::new();
    for one in wanted {
        match one {
            ToOpen::Fresh(item) => items.push(*item),
            ToOpen::Again(index) => match read(&*outbox, recipient, index).await {
                Ok(Some(item)) => items.push(item),
                Ok(None) => others.push(OpenedOne::Ended(index)),
                Err(error) => {
                    tracing::error!(%error, index, "a delivery could not be read");
                    others.push(OpenedOne::Unread(index));
                }
            },
        }
    }
    let opened = outbox.open(&items).await;
    opened.into_iter().map(OpenedOne::Opened).chain(others).collect()
}

/// Records how deliveries ended.
pub(super) async fn record(outbox: Arc<dyn Outbox>, recipient: AgencyKey, ends: Vec<End>) -> Done {
    let recorded = outbox.record(recipient, &ends).await;
    Done::Recorded(ends, recorded)
}

/// Finds the deliveries that stray answers are about. One that cannot be read is answered again when it is delivered
/// again.
pub(super) async fn find(outbox: Arc<dyn Outbox>, recipient: AgencyKey, strays: Vec<Stray>) -> Done {
    let mut found = Vec::new();
    for stray in strays {
        match outbox.answerable(recipient, stray.id).await {
            Ok(Some(delivery)) => found.push((stray, delivery)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the delivery of a late answer could not be looked up"),
        }
    }
    Done::Found(found)
}
