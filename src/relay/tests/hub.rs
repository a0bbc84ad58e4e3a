//! A scripted hub: an outbox in memory with the store's rules, which can be told to fail.

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use crate::{
    desk::{CallError, Content, DeliveryContent, DeliveryRef, End, Ending, Opened, Replayed},
    domain::{
        agency::{AgencyId, AgencyKey},
        transfer::{DeliveryState, TransferId},
    },
    ledger::Kind,
    relay::outbox::Outbox,
    store::{Outgoing, Pending, PendingDelivery, Routing, StoredEntry},
};

pub(super) const RECIPIENT: &str = "tax";

#[derive(Debug, Clone)]
struct Entry {
    order: u64,
    state: DeliveryState,
    replayed: bool,
}

/// What a recorded end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub index: u64,
    pub how: Ending,
    pub attempts: u32,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    horizon: u64,
    recorded: Vec<Recorded>,
    commits_of_ends: usize,
    claims: Vec<u64>,
    gone: Vec<u64>,
    damaged: Vec<u64>,
    broken: bool,
    unread: bool,
}

pub(super) struct Hub {
    state: Mutex<State>,
    size: watch::Sender<u64>,
    replays: broadcast::Sender<Replayed>,
    claims_held_up: watch::Sender<bool>,
}

pub(super) fn recipient() -> AgencyId {
    AgencyId::new(RECIPIENT).unwrap()
}

pub(super) fn id(index: u64) -> TransferId {
    TransferId(Uuid::from_u128(u128::from(index) + 1))
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            size: watch::Sender::new(0),
            replays: broadcast::Sender::new(16),
            claims_held_up: watch::Sender::new(false),
        }
    }

    /// Commits a delivery of each order; says where the first lies.
    pub(super) fn commit(&self, orders: &[u64]) -> u64 {
        let mut state = self.state.lock();
        let first = state.entries.len() as u64;
        let new = orders.iter().map(|order| Entry { order: *order, state: DeliveryState::Due, replayed: false });
        state.entries.extend(new);
        self.size.send_replace(state.entries.len() as u64);
        first
    }

    /// Cancels a delivery, as a withdrawal does.
    pub(super) fn cancel(&self, index: u64) {
        self.state.lock().entries[index as usize].state = DeliveryState::Cancelled;
    }

    pub(super) fn replay(&self, index: u64) {
        let mut state = self.state.lock();
        let entry = &mut state.entries[index as usize];
        assert_eq!(entry.state, DeliveryState::DeadLettered, "only a dead letter is replayed");
        (entry.state, entry.replayed) = (DeliveryState::Due, true);
        drop(state);
        let _ = self.replays.send(Replayed { recipient: recipient().key(), index });
    }

    /// From now on the hub can neither claim nor record, or can again.
    pub(super) fn set_broken(&self, broken: bool) {
        self.state.lock().broken = broken;
    }

    /// From now on claims wait, or go on.
    pub(super) fn hold_claims_up(&self, held_up: bool) {
        self.claims_held_up.send_replace(held_up);
    }

    /// From now on it cannot be read whether a delivery is open, or can again.
    pub(super) fn set_unread(&self, unread: bool) {
        self.state.lock().unread = unread;
    }

    /// The keys of this delivery are erased.
    pub(super) fn erase(&self, index: u64) {
        self.state.lock().gone.push(index);
    }

    /// What is stored of this delivery is damaged: its end can never be recorded.
    pub(super) fn damage(&self, index: u64) {
        self.state.lock().damaged.push(index);
    }

    pub(super) fn state_of(&self, index: u64) -> DeliveryState {
        self.state.lock().entries[index as usize].state
    }

    pub(super) fn recorded(&self) -> Vec<Recorded> {
        self.state.lock().recorded.clone()
    }

    pub(super) fn commits_of_ends(&self) -> usize {
        self.state.lock().commits_of_ends
    }

    /// The horizon of each claim.
    pub(super) fn claims(&self) -> Vec<u64> {
        self.state.lock().claims.clone()
    }

    fn item(index: u64, entry: &Entry) -> PendingDelivery {
        let routing = Routing {
            kind: Kind::Transfer,
            id: id(index),
            terms: Vec::new(),
            secrets: Vec::new(),
            outgoing: Some(Outgoing { recipient: recipient().key(), order: entry.order }),
            payload: None,
        };
        let stored = StoredEntry { index, entry: Bytes::new(), routing, trail: Bytes::new() };
        PendingDelivery { entry: stored, payload: Bytes::new(), replayed: entry.replayed }
    }
}

fn unavailable() -> CallError {
    CallError::Unavailable("out of space".into())
}

#[async_trait]
impl Outbox for Hub {
    fn size(&self) -> u64 {
        *self.size.borrow()
    }

    async fn grown(&self, beyond: u64) -> bool {
        self.size.subscribe().wait_for(|size| *size > beyond).await.is_ok()
    }

    fn replays(&self) -> broadcast::Receiver<Replayed> {
        self.replays.subscribe()
    }

    fn agencies(&self) -> Vec<AgencyId> {
        vec![recipient()]
    }

    async fn pending(&self, of: AgencyKey, from: u64, limit: usize) -> Result<Pending, CallError> {
        assert_eq!(of, recipient().key());
        let state = self.state.lock();
        let open = |entry: &Entry| matches!(entry.state, DeliveryState::Due | DeliveryState::Claimed);
        let all = (0..).zip(&state.entries).skip(from as usize);
        let items: Vec<_> =
            all.filter(|(_, entry)| open(entry)).take(limit).map(|(at, entry)| Self::item(at, entry)).collect();
        let size = state.entries.len() as u64;
        let next = if items.len() < limit { size } else { items.last().map_or(from, |last| last.entry.index + 1) };
        Ok(Pending { items, next, horizon: state.horizon })
    }

    async fn claim(&self, _: AgencyKey, horizon: u64) -> Result<(), CallError> {
        let _ = self.claims_held_up.subscribe().wait_for(|held_up| !held_up).await;
        let mut state = self.state.lock();
        if state.broken {
            return Err(unavailable());
        }
        state.claims.push(horizon);
        for entry in &mut state.entries[..horizon as usize] {
            if entry.state == DeliveryState::Due {
                entry.state = DeliveryState::Claimed;
            }
        }
        state.horizon = state.horizon.max(horizon);
        Ok(())
    }

    async fn is_open(&self, index: u64) -> Result<bool, CallError> {
        if self.state.lock().unread {
            return Err(unavailable());
        }
        Ok(self.state_of(index) == DeliveryState::Claimed)
    }

    async fn open(&self, items: &[PendingDelivery]) -> Vec<Opened> {
        let gone = self.state.lock().gone.clone();
        let open = |item: &PendingDelivery| Opened {
            delivery: DeliveryRef::of(&item.entry).unwrap(),
            content: if gone.contains(&item.entry.index) { Content::Gone } else { Content::Ready(content(item)) },
        };
        items.iter().map(open).collect()
    }

    async fn record(&self, _: AgencyKey, ends: &[End]) -> Result<Vec<u64>, CallError> {
        let mut state = self.state.lock();
        if state.broken {
            return Err(unavailable());
        }
        state.commits_of_ends += 1;
        let mut aside = Vec::new();
        for End { delivery, how, attempts } in ends {
            if state.damaged.contains(&delivery.index) {
                aside.push(delivery.index);
                continue;
            }
            let entry = &mut state.entries[delivery.index as usize];
            let given_up = matches!(how, Ending::DeadLettered | Ending::Unopenable);
            if given_up && entry.state != DeliveryState::Claimed {
                continue;
            }
            entry.state = match how {
                Ending::Acknowledged(_) => DeliveryState::Acknowledged,
                Ending::Rejected(_) => DeliveryState::Rejected,
                Ending::DeadLettered | Ending::Unopenable => DeliveryState::DeadLettered,
            };
            state.recorded.push(Recorded { index: delivery.index, how: how.clone(), attempts: *attempts });
        }
        Ok(aside)
    }

    async fn answerable(&self, _: AgencyKey, transfer: TransferId) -> Result<Option<DeliveryRef>, CallError> {
        let state = self.state.lock();
        let found = (0..).zip(&state.entries).find(|(index, _)| id(*index) == transfer);
        let open = [DeliveryState::Claimed, DeliveryState::Cancelled, DeliveryState::DeadLettered];
        let found = found.filter(|(_, entry)| open.contains(&entry.state));
        Ok(found.and_then(|(index, entry)| DeliveryRef::of(&Self::item(index, entry).entry)))
    }
}

fn content(item: &PendingDelivery) -> Box<DeliveryContent> {
    let index = item.entry.index;
    Box::new(DeliveryContent { replayed: item.replayed, ..DeliveryContent::example(id(index), index) })
}
