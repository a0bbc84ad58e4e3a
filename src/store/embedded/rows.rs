//! The packed rows of a commit: one for its entries, sealed routing and trails, one for its sealed payloads; and the LSM's
//! row that says where both lie. A codec, no I/O.
//!
//! ```text
//! place row    time u64 · extent of the commit row · of the payload row, if there is one (`block.rs`)
//! commit row   0x01 · time u64 · count u32 · entry lengths u16 each · trail lengths u32 each · routing length u32
//!              · entries · routing (sealed under the rows key, AAD "commit" and the first index) · trails
//! payload row  0x01 · count u32 · lengths u32 each · payloads
//! ```

use bytes::{BufMut, Bytes};

use super::{
    block::{Block, Extent},
    codec::{Malformed, Reader},
    routing,
};
use crate::{
    domain::time::Moment,
    store::{NewEntry, Routing, StoredEntry},
    vault::{ROW_OVERHEAD_BYTES, SlotKey},
};

const VERSION: u8 = 1;

/// One commit's entries, read from its row. They borrow it, so that only what was sealed is copied.
#[derive(Debug)]
pub(super) struct Committed {
    /// The first entry's index.
    pub(super) first: u64,
    /// The entries, without their payloads.
    pub(super) entries: Vec<NewEntry>,
}

/// The rows of one commit, as they were written.
#[derive(Debug, Clone)]
pub(super) struct CommitRows {
    /// Its entries.
    pub(super) commit: Bytes,
    /// Their payloads, if any has one.
    pub(super) payloads: Option<Bytes>,
}

/// The LSM's row of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The commit's time.
    pub(super) time: Moment,
    /// Where the row of its entries lies.
    pub(super) commit: Extent,
    /// Where that of its payloads does, if there is one.
    pub(super) payloads: Option<Extent>,
}

impl Places {
    /// Of parts that were planned in this order.
    pub(super) fn encode(time: Moment, extents: &[Extent]) -> Vec<u8> {
        let mut row = Vec::with_capacity(8 + extents.len() * Extent::BYTES);
        row.put_u64(time.0);
        row.extend_from_slice(&Extent::row(extents));
        row
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let (time, commit) = (Moment(reader.u64()?), Extent::decode(&mut reader)?);
        let payloads = if reader.left() > 0 { Some(Extent::decode(&mut reader)?) } else { None };
        reader.end()?;
        Ok(Self { time, commit, payloads })
    }
}

impl CommitRows {
    /// The parts of a block, which were put there in this order.
    pub(super) fn of(block: Block) -> Self {
        let mut parts = block.into_parts().into_iter();
        Self { commit: parts.next().unwrap_or_default(), payloads: parts.next() }
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        Block::OVERHEAD_BYTES + self.commit.len() + self.payloads.as_ref().map_or(0, Bytes::len)
    }
}

impl Committed {
    /// The index after the last entry.
    pub(super) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The entry at `index`, if this commit has it.
    pub(super) fn get(&self, index: u64) -> Option<&NewEntry> {
        self.entries.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// The entry at `index` as the store gives it out: by itself, so that whoever keeps it does not keep its whole commit in
    /// memory.
    pub(super) fn stored(&self, index: u64) -> Option<StoredEntry> {
        let NewEntry { entry, routing, trail, .. } = self.get(index)?;
        let own = |part: &Bytes| Bytes::copy_from_slice(part);
        Some(StoredEntry { index, entry: own(entry), routing: routing.clone(), trail: own(trail) })
    }
}

fn aad(first: u64) -> [u8; 14] {
    let mut aad = *b"commit\0\0\0\0\0\0\0\0";
    aad[6..].copy_from_slice(&first.to_be_bytes());
    aad
}

/// Packs a commit's row at the end of `row`. `nonce` is random: an index that is used again after a crash must not bring
/// its nonce back.
pub(super) fn encode_commit(
    row: &mut Vec<u8>,
    (first, time): (u64, Moment),
    entries: &[NewEntry],
    key: &SlotKey,
    nonce: [u8; 12],
) {
    row.put_u8(VERSION);
    row.put_u64(time.0);
    row.put_u32(entries.len() as u32);
    for e in entries {
        row.put_u16(e.entry.len() as u16);
    }
    for e in entries {
        row.put_u32(e.trail.len() as u32);
    }
    let length_at = row.len();
    row.put_u32(0);
    for e in entries {
        row.put_slice(&e.entry);
    }
    let sealed_at = row.len();
    key.append_row(row, nonce, &aad(first), |plain| {
        for e in entries {
            routing::encode(&e.routing, plain);
        }
    });
    let sealed = (row.len() - sealed_at) as u32;
    row[length_at..length_at + 4].copy_from_slice(&sealed.to_be_bytes());
    for e in entries {
        row.put_slice(&e.trail);
    }
}

/// How long both rows of these entries are at most, in bytes.
pub(super) fn capacity(entries: &[NewEntry]) -> usize {
    // Version, time, count, and the length of what is sealed; version and count again.
    const FIXED: usize = 1 + 8 + 4 + 4 + ROW_OVERHEAD_BYTES + 1 + 4;
    // Lengths of entry, trail and payload beside them.
    let own = |e: &NewEntry| 10 + e.entry.len() + e.trail.len() + e.payload.len() + routing::capacity(&e.routing);
    FIXED + entries.iter().map(own).sum::<usize>()
}

/// The clear front of a commit's row: when, and how many entries.
pub(super) fn commit_head(row: &[u8]) -> Result<(Moment, u32), Malformed> {
    let mut reader = Reader::new(row);
    if reader.u8()? != VERSION {
        return Err(Malformed);
    }
    Ok((Moment(reader.u64()?), reader.u32()?))
}

/// The entries of a commit's row, which are in the clear.
pub(super) fn entries_of(row: &Bytes) -> Result<Vec<Bytes>, Malformed> {
    let (_, count) = commit_head(row)?;
    let count = usize::try_from(count).map_err(|_| Malformed)?;
    let mut reader = Reader::new(row);
    reader.bytes(13)?;
    let lengths = reader.bytes(count.checked_mul(2).ok_or(Malformed)?)?.as_chunks::<2>().0;
    reader.bytes(count.checked_mul(4).ok_or(Malformed)?)?;
    reader.u32()?;
    let mut at = row.len() - reader.left();
    let mut take = |length: usize| {
        let end = at.checked_add(length).filter(|end| *end <= row.len()).ok_or(Malformed)?;
        let part = row.slice(at..end);
        at = end;
        Ok(part)
    };
    lengths.iter().map(|length| take(u16::from_be_bytes(*length).into())).collect()
}

/// Reads a commit's row, without payloads.
pub(super) fn decode_commit(first: u64, row: &Bytes, key: &SlotKey) -> Result<Committed, Malformed> {
    let (_, count) = commit_head(row)?;
    let count = usize::try_from(count).map_err(|_| Malformed)?;
    let mut reader = Reader::new(row);
    reader.bytes(13)?;
    let entry_lengths = reader.bytes(count.checked_mul(2).ok_or(Malformed)?)?.as_chunks::<2>().0;
    let trail_lengths = reader.bytes(count.checked_mul(4).ok_or(Malformed)?)?.as_chunks::<4>().0;
    let sealed = reader.u32()? as usize;

    let mut at = row.len() - reader.left();
    let mut take = |length: usize| {
        let end = at.checked_add(length).filter(|end| *end <= row.len()).ok_or(Malformed)?;
        let part = row.slice(at..end);
        at = end;
        Ok(part)
    };
    let leaves = entry_lengths.iter().map(|l| take(u16::from_be_bytes(*l).into())).collect::<Result<Vec<_>, _>>()?;
    let plain = key.open_row(&take(sealed)?, &aad(first)).map_err(|_| Malformed)?;
    let trails = trail_lengths.iter().map(|l| take(u32::from_be_bytes(*l) as usize)).collect::<Result<Vec<_>, _>>()?;

    let mut routings = Reader::new(&plain);
    let entries = leaves
        .into_iter()
        .zip(trails)
        .map(|(entry, trail)| {
            let routing: Routing = routing::decode(&mut routings)?;
            Ok(NewEntry { entry, routing, trail, payload: Bytes::new() })
        })
        .collect::<Result<Vec<_>, Malformed>>()?;
    routings.end()?;
    Ok(Committed { first, entries })
}

/// Whether any of the entries has a payload.
pub(super) fn has_payloads(entries: &[NewEntry]) -> bool {
    entries.iter().any(|e| !e.payload.is_empty())
}

/// Packs the row of payloads at the end of `row`.
pub(super) fn encode_payloads(row: &mut Vec<u8>, entries: &[NewEntry]) {
    row.put_u8(VERSION);
    row.put_u32(entries.len() as u32);
    for e in entries {
        row.put_u32(e.payload.len() as u32);
    }
    for e in entries {
        row.put_slice(&e.payload);
    }
}

/// The payload at `position` in a row of payloads; `None` where the entry has none.
pub(super) fn payload_at(row: &Bytes, position: usize) -> Result<Option<Bytes>, Malformed> {
    let mut reader = Reader::new(row);
    if reader.u8()? != VERSION {
        return Err(Malformed);
    }
    let count = reader.u32()? as usize;
    let lengths = reader.bytes(count.checked_mul(4).ok_or(Malformed)?)?.as_chunks::<4>().0;
    let length = |l: &[u8; 4]| u32::from_be_bytes(*l) as usize;
    let own = length(lengths.get(position).ok_or(Malformed)?);
    let start = row.len() - reader.left() + lengths[..position].iter().map(length).sum::<usize>();
    let end = start.checked_add(own).filter(|end| *end <= row.len()).ok_or(Malformed)?;
    Ok((own > 0).then(|| row.slice(start..end)))
}
