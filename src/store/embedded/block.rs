//! A block of a volume, and where its parts lie. A codec, no I/O: `volumes.rs` writes and reads.
//!
//! ```text
//! block   b"WBLK" · 1 u32 · length of the block u64 · XXH3-64 of these u64 · its parts · zeros up to the next 4,096 bytes
//! ```

use std::ops::Range;

use bytes::{BufMut, Bytes};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    StoreError,
    codec::{Malformed, Reader},
};

/// What goes past the page cache begins and ends at multiples of this, in memory and on disk: the largest sector of any
/// disk there is.
pub(super) const ALIGN: usize = 4096;
/// What a block begins with, and how long that is with its length and their checksum.
const MAGIC: [u8; 8] = *b"WBLK\0\0\0\x01";
pub(super) const HEAD_BYTES: usize = 24;

/// Where a part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) volume: u32,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    /// XXH3-64 of the part: tells damage, not malice.
    pub(super) checksum: u64,
}

impl Extent {
    /// Length of its encoding.
    pub(super) const BYTES: usize = 24;

    /// The LSM's row of where parts lie, one after the other: volume u32 · offset u64 · bytes u32 · checksum u64.
    pub(super) fn row(extents: &[Self]) -> Vec<u8> {
        let mut row = Vec::with_capacity(extents.len() * Self::BYTES);
        for Self { volume, offset, bytes, checksum } in extents {
            row.put_u32(*volume);
            row.put_u64(*offset);
            row.put_u32(*bytes);
            row.put_u64(*checksum);
        }
        row
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let extent =
            Self { volume: reader.u32()?, offset: reader.u64()?, bytes: reader.u32()?, checksum: reader.u64()? };
        // No file is longer, so that nothing that is reckoned from it overflows.
        if extent.offset > i64::MAX as u64 { Err(Malformed) } else { Ok(extent) }
    }

    /// Where the block that ends with this part ends.
    pub(super) fn end(&self) -> End {
        End { volume: self.volume, offset: (self.offset + u64::from(self.bytes)).next_multiple_of(ALIGN as u64) }
    }
}

/// How far volumes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct End {
    pub(super) volume: u32,
    pub(super) offset: u64,
}

/// Parts that are written together.
pub(super) struct Block {
    /// Begins at `start`, which is aligned in memory.
    bytes: Vec<u8>,
    start: usize,
    parts: Vec<Range<usize>>,
}

impl Block {
    /// An empty block. `capacity` is what its parts will take, in bytes: with more it has to be copied.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(ALIGN + (HEAD_BYTES + capacity).next_multiple_of(ALIGN));
        let start = bytes.as_ptr().align_offset(ALIGN);
        bytes.resize(start + HEAD_BYTES, 0);
        Self { bytes, start, parts: Vec::with_capacity(2) }
    }

    /// Adds a part, which `write` appends.
    pub(super) fn part(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        write(&mut self.bytes);
        self.parts.push(begin..self.bytes.len());
    }

    /// Where its parts lie when it is written at `at`.
    pub(super) fn extents(&self, at: End) -> Result<Vec<Extent>, StoreError> {
        let extent = |part: &Range<usize>| {
            let bytes = u32::try_from(part.len()).map_err(|_| StoreError::Invalid("a part of a volume is too long"))?;
            let offset = at.offset + (part.start - self.start) as u64;
            Ok(Extent { volume: at.volume, offset, bytes, checksum: xxh3_64(&self.bytes[part.clone()]) })
        };
        self.parts.iter().map(extent).collect()
    }

    /// Fills it up to its end.
    pub(super) fn seal(&mut self) {
        let length = (self.bytes.len() - self.start).next_multiple_of(ALIGN);
        self.bytes.resize(self.start + length, 0);
        if self.bytes.as_ptr().align_offset(ALIGN) != self.start {
            let mut moved = Self::with_capacity(length);
            moved.bytes.truncate(moved.start);
            moved.bytes.extend_from_slice(&self.bytes[self.start..]);
            for part in &mut self.parts {
                *part = part.start - self.start + moved.start..part.end - self.start + moved.start;
            }
            (self.bytes, self.start) = (moved.bytes, moved.start);
        }
        self.bytes[self.start..][..HEAD_BYTES].copy_from_slice(&head(length as u64));
    }

    /// What is written.
    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The parts, which share the block's memory.
    pub(super) fn into_parts(self) -> Vec<Bytes> {
        let bytes = Bytes::from(self.bytes);
        self.parts.into_iter().map(|part| bytes.slice(part)).collect()
    }

    /// What a block takes in memory beside its parts, at most.
    pub(super) const OVERHEAD_BYTES: usize = HEAD_BYTES + 2 * ALIGN;
}

/// The head of a block of this length.
fn head(length: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let checked = HEAD_BYTES - 8;
    (&mut head[..]).put_slice(&MAGIC);
    (&mut head[MAGIC.len()..]).put_u64(length);
    let checksum = xxh3_64(&head[..checked]);
    (&mut head[checked..]).put_u64(checksum);
    head
}

/// How long the block is that begins so; `None` where none does.
pub(super) fn block_bytes(begins: [u8; HEAD_BYTES]) -> Option<u64> {
    let length = u64::from_be_bytes(*begins.strip_prefix(&MAGIC)?.first_chunk()?);
    (head(length) == begins).then_some(length)
}
