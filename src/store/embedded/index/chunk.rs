//! A chunk of the index as parts of a volume: for each page of terms, and for each recipient, where they occur. The LSM's
//! rows say where each part lies. A codec, no I/O.
//!
//! ```text
//! key     chunk u64 · 0x00 · page u8          the terms whose first byte is the page
//!         chunk u64 · 0x01 · recipient u64    the deliveries of a recipient
//! row     the extent of its part (`volumes.rs`)
//! part    0x01 · terms u32 · each term u64, ascending · the end of each one's postings u32 · postings
//!         0x01 · postings
//! postings are offsets in the chunk, ascending, as varints of the gaps
//! ```
//! Keys rise with the chunk, so that the LSM never rewrites a table of the index.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::BufMut;

use super::segment::{SEGMENT_ENTRIES, Segment};
use crate::{
    domain::agency::AgencyKey,
    store::embedded::{
        block::Block,
        codec::{Malformed, Reader, ascending, ascending_within, put_ascending, put_varint},
    },
    vault::Term,
};

/// Segments of a chunk.
pub(super) const CHUNK_SEGMENTS: usize = 16;
/// Entries of a chunk.
pub(in crate::store::embedded) const CHUNK_ENTRIES: u64 = SEGMENT_ENTRIES * CHUNK_SEGMENTS as u64;

const VERSION: u8 = 1;
/// A gap between two offsets in a chunk, as a varint.
const GAP_BYTES_MAX: usize = 3;
const _: () = assert!(CHUNK_ENTRIES <= 1 << 21, "seven bits in each byte of a varint");
const TAG_TERMS: u8 = 0;
const TAG_DELIVERIES: u8 = 1;

/// The row of the chunk that lists `term`.
pub(super) fn page_key(chunk: u64, term: Term) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&chunk.to_be_bytes());
    key[8] = TAG_TERMS;
    key[9] = term.0.to_be_bytes()[0];
    key
}

/// The row of the chunk that lists the recipient's deliveries.
pub(super) fn deliveries_key(chunk: u64, recipient: AgencyKey) -> [u8; 17] {
    let mut key = [0; 17];
    key[..8].copy_from_slice(&chunk.to_be_bytes());
    key[8] = TAG_DELIVERIES;
    key[9..].copy_from_slice(&recipient.0.to_be_bytes());
    key
}

/// Whose deliveries a row with such a key lists.
pub(super) fn recipient_of(key: &[u8]) -> Result<AgencyKey, Malformed> {
    let mut reader = Reader::new(key);
    reader.bytes(9)?;
    reader.u64().map(AgencyKey)
}

/// The keys of all rows of a chunk, in their order, and the block of their parts.
pub(super) fn parts(chunk: u64, segments: &[Arc<Segment>]) -> (Vec<Vec<u8>>, Block) {
    let base = chunk * CHUNK_ENTRIES;
    // By page first: each page is then small enough to be sorted in the processor's cache.
    let pairs = || segments.iter().flat_map(|segment| segment.pairs(base));
    let page_of = |term: u64| usize::from(term.to_be_bytes()[0]);
    let mut counts = [0; 256];
    pairs().for_each(|(term, _)| counts[page_of(term)] += 1);
    let mut pages = counts.map(Vec::with_capacity);
    pairs().for_each(|(term, offset)| pages[page_of(term)].push((term, offset)));
    let mut keys = Vec::new();
    let count: usize = counts.iter().sum();
    let deliveries: usize = segments.iter().map(|segment| segment.all_deliveries().len()).sum();
    let mut block = Block::with_capacity(256 * 5 + count * (12 + GAP_BYTES_MAX) + deliveries * (1 + GAP_BYTES_MAX));
    for pairs in pages.iter_mut().filter(|pairs| !pairs.is_empty()) {
        pairs.sort_unstable();
        pairs.dedup();
        keys.push(page_key(chunk, Term(pairs[0].0)).to_vec());
        block.part(|part| page(part, pairs));
    }
    let mut recipients: BTreeMap<AgencyKey, Vec<u64>> = BTreeMap::new();
    for (recipient, index) in segments.iter().flat_map(|segment| segment.all_deliveries()) {
        recipients.entry(*recipient).or_default().push(index - base);
    }
    for (recipient, offsets) in recipients {
        keys.push(deliveries_key(chunk, recipient).to_vec());
        block.part(|part| {
            part.put_u8(VERSION);
            put_ascending(part, offsets);
        });
    }
    (keys, block)
}

/// Appends one page from its pairs, sorted and without repeats.
fn page(part: &mut Vec<u8>, pairs: &[(u64, u32)]) {
    let mut terms = Vec::new();
    let mut ends = Vec::new();
    let mut postings = Vec::with_capacity(pairs.len() * 3);
    for run in pairs.chunk_by(|a, b| a.0 == b.0) {
        let mut before = 0;
        for (_, offset) in run {
            put_varint(&mut postings, u64::from(offset - before));
            before = *offset;
        }
        terms.push(run[0].0);
        ends.push(postings.len() as u32);
    }
    part.put_u8(VERSION);
    part.put_u32(terms.len() as u32);
    for term in &terms {
        part.put_u64(*term);
    }
    for end in &ends {
        part.put_u32(*end);
    }
    part.put_slice(&postings);
}

/// The indices of the chunk's entries with `term`, ascending, from the part that is its page.
pub(super) fn term_postings(chunk: u64, term: Term, part: &[u8]) -> Result<Vec<u64>, Malformed> {
    let mut reader = Reader::new(part);
    if reader.u8()? != VERSION {
        return Err(Malformed);
    }
    let count = reader.u32()? as usize;
    let terms = reader.bytes(count.checked_mul(8).ok_or(Malformed)?)?.as_chunks::<8>().0;
    let ends = reader.bytes(count.checked_mul(4).ok_or(Malformed)?)?.as_chunks::<4>().0;
    let Ok(at) = terms.binary_search(&term.0.to_be_bytes()) else { return Ok(Vec::new()) };
    let end = |at: usize| u32::from_be_bytes(ends[at]) as usize;
    let start = at.checked_sub(1).map_or(0, end);
    let postings = reader.bytes(reader.left())?.get(start..end(at)).ok_or(Malformed)?;
    ascending(postings, chunk * CHUNK_ENTRIES)
}

/// The indices of a recipient's deliveries in the chunk, ascending, from its part.
pub(super) fn delivery_postings(
    chunk: u64,
    part: &[u8],
    range: &Range<u64>,
    limit: usize,
) -> Result<Vec<u64>, Malformed> {
    let (version, postings) = part.split_first().ok_or(Malformed)?;
    if *version != VERSION {
        return Err(Malformed);
    }
    ascending_within(postings, chunk * CHUNK_ENTRIES, range, limit)
}
