//! A chunk of the index as rows: for each page of terms, and for each recipient, where they occur. A codec, no I/O.
//!
//! ```text
//! key     chunk u64 · 0x00 · page u8          the terms whose first byte is the page
//!         chunk u64 · 0x01 · recipient u64    the deliveries of a recipient
//! value   0x01 · terms u32 · each term u64, ascending · the end of each one's postings u32 · postings
//!         0x01 · postings
//! postings are offsets in the chunk, ascending, as varints of the gaps
//! ```
//! Keys rise with the chunk, so that the LSM never rewrites a table of the index.

use std::{collections::BTreeMap, sync::Arc};

use bytes::BufMut;

use super::segment::{SEGMENT_ENTRIES, Segment};
use crate::{
    domain::agency::AgencyKey,
    store::embedded::codec::{Malformed, Reader, ascending, put_ascending, put_varint},
    vault::Term,
};

/// Segments of a chunk.
pub(super) const CHUNK_SEGMENTS: usize = 16;
/// Entries of a chunk.
pub(in crate::store::embedded) const CHUNK_ENTRIES: u64 = SEGMENT_ENTRIES * CHUNK_SEGMENTS as u64;

const VERSION: u8 = 1;
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

/// All rows of a chunk, in the order of their keys. The same entries always make the same rows, so that a chunk of
/// which a crash left a part is simply written again.
pub(super) fn rows(chunk: u64, segments: &[Arc<Segment>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let base = chunk * CHUNK_ENTRIES;
    // By page first: each page is then small enough to be sorted in the processor's cache.
    let mut pages: Vec<Vec<(u64, u32)>> = vec![Vec::new(); 256];
    for (term, offset) in segments.iter().flat_map(|segment| segment.pairs(base)) {
        pages[usize::from(term.to_be_bytes()[0])].push((term, offset));
    }
    let mut rows = Vec::new();
    for pairs in pages.iter_mut().filter(|pairs| !pairs.is_empty()) {
        pairs.sort_unstable();
        pairs.dedup();
        rows.push((page_key(chunk, Term(pairs[0].0)).to_vec(), page(pairs)));
    }
    let mut recipients: BTreeMap<AgencyKey, Vec<u64>> = BTreeMap::new();
    for (recipient, index) in segments.iter().flat_map(|segment| segment.all_deliveries()) {
        recipients.entry(*recipient).or_default().push(index - base);
    }
    for (recipient, offsets) in recipients {
        let mut row = vec![VERSION];
        put_ascending(&mut row, offsets);
        rows.push((deliveries_key(chunk, recipient).to_vec(), row));
    }
    rows
}

/// One page from its pairs, sorted and without repeats.
fn page(pairs: &[(u64, u32)]) -> Vec<u8> {
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
    let mut row = Vec::with_capacity(5 + 12 * terms.len() + postings.len());
    row.put_u8(VERSION);
    row.put_u32(terms.len() as u32);
    for term in &terms {
        row.put_u64(*term);
    }
    for end in &ends {
        row.put_u32(*end);
    }
    row.put_slice(&postings);
    row
}

/// The indices of the chunk's entries with `term`, ascending, from the row of its page.
pub(super) fn term_postings(chunk: u64, term: Term, row: &[u8]) -> Result<Vec<u64>, Malformed> {
    let mut reader = Reader::new(row);
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

/// The indices of a recipient's deliveries in the chunk, ascending, from its row.
pub(super) fn delivery_postings(chunk: u64, row: &[u8]) -> Result<Vec<u64>, Malformed> {
    let (version, postings) = row.split_first().ok_or(Malformed)?;
    if *version != VERSION {
        return Err(Malformed);
    }
    ascending(postings, chunk * CHUNK_ENTRIES)
}
