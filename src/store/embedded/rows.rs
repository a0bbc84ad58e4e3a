//! The packed rows of a commit: one for its entries, sealed routing and trails, one for its sealed payloads. A codec,
//! no I/O.
//!
//! ```text
//! commit row   0x01 · time u64 · count u32 · entry lengths u16 each · trail lengths u32 each · routing length u32
//!              · entries · routing (sealed under the rows key, AAD "commit" and the first index) · trails
//! payload row  0x01 · count u32 · lengths u32 each · payloads
//! ```

use bytes::{BufMut, Bytes};

use super::{
    codec::{Malformed, Reader},
    routing,
};
use crate::{
    domain::time::Moment,
    store::{NewEntry, Routing, StoredEntry},
    vault::SlotKey,
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

impl CommitRows {
    /// How long they are.
    pub(super) fn bytes(&self) -> usize {
        self.commit.len() + self.payloads.as_ref().map_or(0, Bytes::len)
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

    /// The entry at `index` as the store gives it out.
    pub(super) fn stored(&self, index: u64) -> Option<StoredEntry> {
        let NewEntry { entry, routing, trail, .. } = self.get(index)?;
        Some(StoredEntry { index, entry: entry.clone(), routing: routing.clone(), trail: trail.clone() })
    }
}

fn aad(first: u64) -> [u8; 14] {
    let mut aad = *b"commit\0\0\0\0\0\0\0\0";
    aad[6..].copy_from_slice(&first.to_be_bytes());
    aad
}

/// Packs a commit's row. `nonce` is random: an index that is used again after a crash must not bring its nonce back.
pub(super) fn encode_commit(first: u64, time: Moment, entries: &[NewEntry], key: &SlotKey, nonce: [u8; 12]) -> Bytes {
    let mut plain = Vec::with_capacity(entries.len() * 320);
    for entry in entries {
        routing::encode(&entry.routing, &mut plain);
    }
    let sealed = key.seal_row(&plain, nonce, &aad(first));

    let body: usize = entries.iter().map(|e| e.entry.len() + e.trail.len()).sum();
    let mut row = Vec::with_capacity(17 + 6 * entries.len() + body + sealed.len());
    row.put_u8(VERSION);
    row.put_u64(time.0);
    row.put_u32(entries.len() as u32);
    for e in entries {
        row.put_u16(e.entry.len() as u16);
    }
    for e in entries {
        row.put_u32(e.trail.len() as u32);
    }
    row.put_u32(sealed.len() as u32);
    for e in entries {
        row.put_slice(&e.entry);
    }
    row.put_slice(&sealed);
    for e in entries {
        row.put_slice(&e.trail);
    }
    row.into()
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

/// Packs the row of payloads; `None` when no entry has one.
pub(super) fn encode_payloads(entries: &[NewEntry]) -> Option<Bytes> {
    let body: usize = entries.iter().map(|e| e.payload.len()).sum();
    if body == 0 {
        return None;
    }
    let mut row = Vec::with_capacity(5 + 4 * entries.len() + body);
    row.put_u8(VERSION);
    row.put_u32(entries.len() as u32);
    for e in entries {
        row.put_u32(e.payload.len() as u32);
    }
    for e in entries {
        row.put_slice(&e.payload);
    }
    Some(row.into())
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
