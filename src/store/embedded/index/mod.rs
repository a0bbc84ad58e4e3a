//! The index: where terms and recipients occur. Derived: the newest entries in memory, older ones flushed by chunk into
//! volumes. All of it follows from `commits`. What is searched stays a keyed hash.
//!
//! | question | file |
//! |---|---|
//! | how is the newest part searched? | `segment.rs` |
//! | what are the rows of the rest? | `chunk.rs` |
//! | who writes them, and when? | `flush.rs` |
//! | what is there when a store opens? | `build.rs` |

mod build;
mod chunk;
mod flush;
mod segment;

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::RwLock;

pub(super) use self::{
    chunk::CHUNK_ENTRIES,
    flush::{FLUSHED, Flusher},
};
use self::{
    chunk::{CHUNK_SEGMENTS, deliveries_key, delivery_postings, page_key, recipient_of, term_postings},
    segment::Segment,
};
use super::{
    StoreError,
    block::{End, Extent},
    codec::{Malformed, Reader, corrupt},
    keyspaces::{Keyspaces, read},
    volumes::{VolumeReader, Volumes},
};
use crate::{domain::agency::AgencyKey, store::NewEntry, vault::Term};

/// What its rows are called where they are not readable; `damaged` says whose they are.
const ITS_OWN: &str = "it";

/// The index.
pub(super) struct Index {
    keyspaces: Keyspaces,
    volumes: Volumes,
    tail: RwLock<Tail>,
}

/// What is not flushed yet.
struct Tail {
    /// How many chunks are flushed: the tail begins after them.
    flushed: u64,
    full: VecDeque<Arc<Segment>>,
    growing: Segment,
}

impl Tail {
    fn first(&self) -> u64 {
        self.flushed * CHUNK_ENTRIES
    }

    fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.full.iter().map(Arc::as_ref).chain(std::iter::once(&self.growing))
    }
}

/// What a search asks for.
pub(super) struct Range<'a> {
    /// All must match; at least one.
    pub(super) terms: &'a [Term],
    /// Not below this index.
    pub(super) from: u64,
    /// Below this index.
    pub(super) until: u64,
    /// At most this many.
    pub(super) limit: usize,
}

impl Index {
    /// An index of which `flushed` chunks are stored, in volumes in `folder`; the entries after them must be appended.
    fn open(keyspaces: Keyspaces, folder: &Path, flushed: u64) -> Result<Self, StoreError> {
        let mut end = End::default();
        let newest = flushed.saturating_sub(1)..flushed;
        for row in keyspaces.index.range(newest.start.to_be_bytes()..newest.end.to_be_bytes()) {
            end = end.max(extent(&row.value().map_err(read)?).map_err(damaged(folder))?.end());
        }
        if flushed > u64::MAX / CHUNK_ENTRIES || (flushed > 0 && end == End::default()) {
            return Err(damaged(folder)(StoreError::Corrupt("its newest chunk is missing".to_owned())));
        }
        VolumeReader::new(folder).check(end).map_err(damaged(folder))?;
        // Volumes that go on where the database ends say that the database is an old one, which is not the index's fault.
        let volumes = Volumes::open(folder, end)?;
        let growing = Segment::new(flushed * CHUNK_ENTRIES);
        Ok(Self { keyspaces, volumes, tail: RwLock::new(Tail { flushed, full: VecDeque::new(), growing }) })
    }

    /// The part under `key`.
    fn part(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(row) = self.keyspaces.index.get(key).map_err(read)? else { return Ok(None) };
        extent(&row).and_then(|extent| self.volumes.reader().read(&extent)).map(Some).map_err(damaged(self.folder()))
    }

    fn folder(&self) -> &Path {
        self.volumes.reader().folder()
    }

    /// The first entry that is not stored in a chunk.
    pub(super) fn tail_first(&self) -> u64 {
        self.tail.read().first()
    }

    /// Adds the entries that follow the newest; `true` when a chunk can be flushed.
    pub(super) fn append(&self, mut entries: &[NewEntry]) -> bool {
        let mut tail = self.tail.write();
        while !entries.is_empty() {
            entries = tail.growing.fill(entries);
            if tail.growing.is_full() {
                let next = Segment::new(tail.growing.end());
                let full = std::mem::replace(&mut tail.growing, next);
                tail.full.push_back(Arc::new(full));
            }
        }
        tail.full.len() >= CHUNK_SEGMENTS
    }

    /// How many chunks wait to be flushed.
    pub(super) fn waiting(&self) -> usize {
        self.tail.read().full.len() / CHUNK_SEGMENTS
    }

    /// Indices of the entries that match, newest first.
    pub(super) fn search(&self, range: &Range<'_>) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        let (full, flushed) = {
            let tail = self.tail.read();
            // The growing segment is searched under the lock, being small; the full ones never change.
            tail.growing.search(range.terms, range.from, range.until, range.limit, &mut found);
            (tail.full.clone(), tail.flushed)
        };
        for segment in full.iter().rev().take_while(|segment| segment.end() > range.from) {
            segment.search(range.terms, range.from, range.until, range.limit, &mut found);
        }
        let newest = flushed.min(range.until.div_ceil(CHUNK_ENTRIES));
        for chunk in (range.from / CHUNK_ENTRIES..newest).rev() {
            if found.len() >= range.limit {
                break;
            }
            let matches = self.in_chunk(chunk, range.terms)?;
            let within = matches.into_iter().rev().filter(|index| (range.from..range.until).contains(index));
            found.extend(within.take(range.limit - found.len()));
        }
        Ok(found)
    }

    /// The entries of a chunk that have all of `terms`, ascending.
    fn in_chunk(&self, chunk: u64, terms: &[Term]) -> Result<Vec<u64>, StoreError> {
        let mut matches: Option<Vec<u64>> = None;
        for term in terms {
            let Some(page) = self.part(&page_key(chunk, *term))? else { return Ok(Vec::new()) };
            let postings = term_postings(chunk, *term, &page).map_err(malformed(self.folder()))?;
            let left = match matches {
                None => postings,
                Some(before) => before.into_iter().filter(|index| postings.binary_search(index).is_ok()).collect(),
            };
            if left.is_empty() {
                return Ok(left);
            }
            matches = Some(left);
        }
        Ok(matches.unwrap_or_default())
    }

    /// Whether no entry at or after `since` has `term`.
    pub(super) fn is_quiet(&self, term: Term, since: u64) -> Result<bool, StoreError> {
        let flushed = {
            let tail = self.tail.read();
            if tail.segments().rev().take_while(|s| s.end() > since).any(|segment| segment.has_since(term, since)) {
                return Ok(false);
            }
            tail.flushed
        };
        for chunk in since / CHUNK_ENTRIES..flushed {
            if self.in_chunk(chunk, &[term])?.last().is_some_and(|newest| *newest >= since) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The recipient's deliveries in `from..until`, oldest first, at most `limit`.
    pub(super) fn deliveries(
        &self,
        recipient: AgencyKey,
        from: u64,
        until: u64,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        // What lies in the tail now, before the chunks before it: a chunk that is flushed meanwhile is in both, not in
        // none.
        let mut newest = Vec::new();
        let tail_first = {
            let tail = self.tail.read();
            for segment in tail.segments().skip_while(|segment| segment.end() <= from) {
                segment.deliveries(recipient, from, until, limit, &mut newest);
            }
            tail.first()
        };
        let mut chunk = from / CHUNK_ENTRIES;
        while chunk * CHUNK_ENTRIES < tail_first.min(until) && found.len() < limit {
            if let Some(part) = self.part(&deliveries_key(chunk, recipient))? {
                let postings = delivery_postings(chunk, &part, &(from..until), limit - found.len());
                found.extend(postings.map_err(malformed(self.folder()))?);
            }
            chunk += 1;
        }
        newest.truncate(limit - found.len());
        found.append(&mut newest);
        Ok(found)
    }

    /// Everybody to whom anything is addressed. Looks at every chunk.
    pub(super) fn recipients(&self) -> Result<BTreeSet<AgencyKey>, StoreError> {
        let (mut recipients, flushed): (BTreeSet<AgencyKey>, u64) = {
            let tail = self.tail.read();
            let deliveries = tail.segments().flat_map(Segment::all_deliveries);
            (deliveries.map(|(recipient, _)| *recipient).collect(), tail.flushed)
        };
        for chunk in 0..flushed {
            let [first, last] = [0, u64::MAX].map(|recipient| deliveries_key(chunk, AgencyKey(recipient)));
            for row in self.keyspaces.index.range(first..=last) {
                let key = row.key().map_err(read)?;
                recipients.insert(recipient_of(&key).map_err(malformed(self.folder()))?);
            }
        }
        Ok(recipients)
    }
}

fn extent(row: &[u8]) -> Result<Extent, StoreError> {
    Extent::decode(&mut Reader::new(row)).map_err(corrupt(ITS_OWN))
}

/// Says of damage that it is the index's in `folder`, and what to do: nothing is lost with it.
fn damaged(folder: &Path) -> impl Fn(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!(
            "the search index: {why}. All of it follows from the commits: stop the hub, remove the folder {} and nothing \
             else, and start the hub, which builds it again",
            folder.display()
        )),
        other => other,
    }
}

fn malformed(folder: &Path) -> impl Fn(Malformed) -> StoreError {
    move |what| damaged(folder)(corrupt(ITS_OWN)(what))
}
