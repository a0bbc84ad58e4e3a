//! One recipient's deliveries: which are due, claimed, ended. Pure; what surrounds it is in `deliveries.rs`.
//!
//! A delivery is a position in the ledger, and most of them need no row: below the horizon they are acknowledged unless
//! they are among the few that are open or have a row of their own; above it they are due unless they ended early.

use super::codec::{Malformed, Reader, put_varint};
use crate::domain::{time::Moment, transfer::DeliveryState};

/// A recipient's position. Cheap to clone: both lists are short while the recipient keeps up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outbox {
    /// Deliveries below this index have been claimed.
    pub(super) horizon: u64,
    /// Those of them that have not ended, and dead letters that are replayed; ascending.
    open: Vec<Open>,
    /// Deliveries at or above the horizon that have ended; ascending.
    ended_early: Vec<u64>,
}

/// A delivery that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    /// Of which entry.
    pub(super) index: u64,
    /// Whether it is a dead letter that is replayed.
    pub(super) replayed: bool,
    /// Replayed, and not claimed since.
    due: bool,
}

/// How a delivery ended, where that is not simply "acknowledged": a row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) state: DeliveryState,
    pub(super) attempts: u32,
    pub(super) since: Moment,
}

impl Outbox {
    /// Where the delivery stands; `None` when it has ended and a row of its own may say how.
    pub(super) fn state(&self, index: u64) -> Option<DeliveryState> {
        if let Some(open) = self.open_at(index) {
            return Some(if open.due { DeliveryState::Due } else { DeliveryState::Claimed });
        }
        let due = index >= self.horizon && self.ended_early.binary_search(&index).is_err();
        due.then_some(DeliveryState::Due)
    }

    /// The open delivery at `index`.
    pub(super) fn open_at(&self, index: u64) -> Option<Open> {
        self.open.binary_search_by_key(&index, |open| open.index).ok().map(|at| self.open[at])
    }

    /// Open deliveries from `from` on, ascending.
    pub(super) fn open_from(&self, from: u64) -> &[Open] {
        &self.open[self.open.partition_point(|open| open.index < from)..]
    }

    /// Whether the delivery at or above the horizon is due.
    pub(super) fn is_due(&self, index: u64) -> bool {
        self.state(index) == Some(DeliveryState::Due)
    }

    /// Claims what is due below `horizon`; `deliveries` are the recipient's between the old horizon and that.
    pub(super) fn claim(&mut self, horizon: u64, deliveries: &[u64]) {
        for open in self.open.iter_mut().filter(|open| open.index < horizon) {
            open.due = false;
        }
        if horizon <= self.horizon {
            return;
        }
        for index in deliveries {
            if self.is_due(*index) {
                self.insert(Open { index: *index, replayed: false, due: false });
            }
        }
        self.horizon = horizon;
        self.ended_early.retain(|index| *index >= horizon);
    }

    /// Ends a delivery.
    pub(super) fn end(&mut self, index: u64) {
        if let Ok(at) = self.open.binary_search_by_key(&index, |open| open.index) {
            self.open.remove(at);
        }
        if index >= self.horizon
            && let Err(at) = self.ended_early.binary_search(&index)
        {
            self.ended_early.insert(at, index);
        }
    }

    /// Makes a dead letter due again.
    pub(super) fn replay(&mut self, index: u64) {
        self.ended_early.retain(|ended| *ended != index);
        self.insert(Open { index, replayed: true, due: true });
    }

    fn insert(&mut self, open: Open) {
        match self.open.binary_search_by_key(&open.index, |open| open.index) {
            Ok(at) => self.open[at] = open,
            Err(at) => self.open.insert(at, open),
        }
    }

    /// Takes back in, on opening, a delivery that ended at or above the horizon.
    pub(super) fn restore_ended(&mut self, index: u64) {
        if index >= self.horizon && self.open_at(index).is_none() {
            self.end(index);
        }
    }

    /// The row: 0x01 · horizon u64 · open deliveries, each the gap to the one before and its two flags.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(9 + 3 * self.open.len());
        row.push(1);
        row.extend_from_slice(&self.horizon.to_be_bytes());
        let mut before = 0;
        for open in &self.open {
            put_varint(&mut row, open.index - before);
            row.push(u8::from(open.replayed) | u8::from(open.due) << 1);
            before = open.index;
        }
        row
    }

    /// Reads the row.
    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        if reader.u8()? != 1 {
            return Err(Malformed);
        }
        let mut outbox = Self { horizon: reader.u64()?, ..Self::default() };
        let mut index = 0_u64;
        while reader.left() > 0 {
            index = index.checked_add(reader.varint()?).ok_or(Malformed)?;
            let flags = reader.u8()?;
            outbox.open.push(Open { index, replayed: flags & 1 != 0, due: flags & 2 != 0 });
        }
        Ok(outbox)
    }
}

impl Ended {
    /// The row: state u8 · attempts u32 · since u64.
    pub(super) fn encode(self) -> [u8; 13] {
        let mut row = [0; 13];
        row[0] = match self.state {
            DeliveryState::Due | DeliveryState::Claimed | DeliveryState::Acknowledged => 1,
            DeliveryState::Rejected => 2,
            DeliveryState::DeadLettered => 3,
            DeliveryState::Cancelled => 4,
        };
        row[1..5].copy_from_slice(&self.attempts.to_be_bytes());
        row[5..].copy_from_slice(&self.since.0.to_be_bytes());
        row
    }

    /// Reads the row.
    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let state = match reader.u8()? {
            1 => DeliveryState::Acknowledged,
            2 => DeliveryState::Rejected,
            3 => DeliveryState::DeadLettered,
            4 => DeliveryState::Cancelled,
            _ => return Err(Malformed),
        };
        let ended = Self { state, attempts: reader.u32()?, since: Moment(reader.u64()?) };
        reader.end()?;
        Ok(ended)
    }
}
