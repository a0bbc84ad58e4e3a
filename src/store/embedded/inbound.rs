//! What is consumed from logs: how far each partition is, and under which key each event was committed. Whether an
//! event's key is still in the window is not asked here.
//!
//! An event that is sent again arrives at another time, so its key differs; its row leads to the key that it had first,
//! and by that key it is found among the calls (`known.rs`).

use bytes::{BufMut, Bytes};
use fjall::OwnedWriteBatch;
use uuid::Uuid;

use super::{
    StoreError,
    codec::{Reader, corrupt},
    keyspaces::{Keyspaces, read},
};
use crate::{
    domain::idempotency::{EventTail, IdempotencyKey},
    store::{Known, PartitionKey, Position, SystemKey},
};

/// 0x01 · topic u64 · partition u32.
fn partition_row(partition: PartitionKey) -> [u8; 13] {
    let mut row = [1; 13];
    row[1..9].copy_from_slice(&partition.topic.to_be_bytes());
    row[9..].copy_from_slice(&partition.partition.to_be_bytes());
    row
}

/// 0x02 · system u64 · tail 10.
fn event_row(system: SystemKey, event: EventTail) -> [u8; 19] {
    let mut row = [2; 19];
    row[1..9].copy_from_slice(&system.0.to_be_bytes());
    row[9..].copy_from_slice(&event.0);
    row
}

impl Keyspaces {
    /// How far a partition is consumed.
    pub(super) fn position(&self, partition: PartitionKey) -> Result<Position, StoreError> {
        let Some(row) = self.inbound.get(partition_row(partition)).map_err(read)? else {
            return Ok(Position::default());
        };
        let mut reader = Reader::new(&row);
        let decoded = reader.u64().and_then(|epoch| Ok(Position { epoch, next: reader.u64()? }));
        decoded.map_err(corrupt("inbound"))
    }

    pub(super) fn write_positions(&self, batch: &mut OwnedWriteBatch, positions: &[(PartitionKey, Position)]) {
        for (partition, position) in positions {
            let mut row = Vec::with_capacity(16);
            row.put_u64(position.epoch);
            row.put_u64(position.next);
            batch.insert(&self.inbound, partition_row(*partition), Bytes::from(row));
        }
    }

    /// The key under which an event was committed last.
    pub(super) fn event(&self, system: SystemKey, event: EventTail) -> Result<Option<IdempotencyKey>, StoreError> {
        let Some(row) = self.inbound.get(event_row(system, event)).map_err(read)? else { return Ok(None) };
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&Reader::new(&row).array::<6>().map_err(corrupt("inbound"))?);
        bytes[6..].copy_from_slice(&event.0);
        let key = IdempotencyKey::from_stored(Uuid::from_bytes(bytes));
        key.map(Some).map_err(|_| StoreError::Corrupt("a row of inbound names no event".to_owned()))
    }

    pub(super) fn write_events(&self, batch: &mut OwnedWriteBatch, calls: &[(SystemKey, IdempotencyKey, Known)]) {
        for (system, key, _) in calls {
            if let Some(event) = key.event() {
                batch.insert(&self.inbound, event_row(*system, event), &key.as_bytes()[..6]);
            }
        }
    }

    pub(super) fn remove_event(&self, batch: &mut OwnedWriteBatch, system: SystemKey, event: EventTail) {
        batch.remove(&self.inbound, event_row(system, event));
    }
}
