//! Idempotency keys: which calls were committed, and what they did. Whether a key's time is in the window is not asked
//! here.
//!
//! A commit writes one sorted run for each second that its keys (UUIDv7) name: mostly one or two. Look-ups go through
//! whole seconds held in memory, so that a run is read back only when somebody comes with a key of a second gone cold.

use std::collections::BTreeMap;

use ahash::{HashMap, HashMapExt as _};
use bytes::{BufMut, Bytes};
use fjall::OwnedWriteBatch;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    StoreError,
    codec::{Malformed, Reader, corrupt},
    held::table_bytes,
    keyspaces::{Keyspaces, fatal, read},
};
use crate::{
    domain::{idempotency::IdempotencyKey, time::Moment},
    store::{Known, SystemKey},
    vault::ContentHash,
};

/// A key and whose it is.
pub(super) type Call = (SystemKey, IdempotencyKey);

/// Calls that left the window, before they are forgotten.
pub(super) struct OldCalls {
    /// The keys of their runs.
    runs: Vec<Vec<u8>>,
    pub(super) calls: Vec<Call>,
    /// They are from before this second.
    end: u64,
    /// Whether there are no others.
    is_all: bool,
}

/// What a second without calls costs in memory, counted in calls.
const BUCKET_KEYS: usize = 2;
const CALL_BYTES: usize = 8 + 16 + 16 + 8 + 4;

/// The calls of the window.
pub(super) struct KnownCalls {
    keyspaces: Keyspaces,
    keys_max: usize,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    seconds: HashMap<u64, Second>,
    keys: usize,
    /// Counts look-ups, so that the seconds not asked about for longest go first.
    tick: u64,
    /// Everything below this second has been forgotten.
    forgotten: u64,
}

struct Second {
    calls: HashMap<Call, Known>,
    touched: u64,
}

impl Second {
    fn weight(&self) -> usize {
        BUCKET_KEYS + self.calls.len()
    }
}

fn second(key: IdempotencyKey) -> u64 {
    key.moment().as_secs()
}

impl KnownCalls {
    pub(super) fn new(keyspaces: Keyspaces, keys_max: usize) -> Self {
        Self { keyspaces, keys_max, cache: Mutex::default() }
    }

    /// What each of `calls` did, in the order asked; `None` for those that were not committed.
    ///
    /// The lock is held while a cold second is read, so that a commit in flight either is in what was read, or finds
    /// the second here and adds to it: [`Self::publish`] waits for the same lock.
    pub(super) fn look_up(&self, calls: &[Call]) -> Result<Vec<Option<Known>>, StoreError> {
        let mut cache = self.cache.lock();
        cache.tick += 1;
        let tick = cache.tick;
        let mut found = Vec::with_capacity(calls.len());
        for call in calls {
            let when = second(call.1);
            if !cache.seconds.contains_key(&when) {
                let loaded = Second { calls: self.load(when)?, touched: tick };
                cache.keys += loaded.weight();
                cache.seconds.insert(when, loaded);
            }
            found.push(cache.seconds.get_mut(&when).and_then(|second| {
                second.touched = tick;
                second.calls.get(call).copied()
            }));
        }
        if cache.keys > self.keys_max {
            cache.evict(self.keys_max, tick);
        }
        Ok(found)
    }

    /// What the seconds in memory take.
    pub(super) fn held_bytes(&self) -> usize {
        let cache = self.cache.lock();
        let calls = cache.seconds.values().map(|second| table_bytes::<(Call, Known)>(second.calls.capacity()));
        table_bytes::<(u64, Second)>(cache.seconds.capacity()) + calls.sum::<usize>()
    }

    fn load(&self, when: u64) -> Result<HashMap<Call, Known>, StoreError> {
        let mut calls = HashMap::new();
        for row in self.keyspaces.known.prefix(when.to_be_bytes()) {
            let run = row.value().map_err(read)?;
            decode(&run, &mut calls).map_err(corrupt("known"))?;
        }
        Ok(calls)
    }

    /// Adds the runs of a commit whose first entry is `first` to its batch.
    pub(super) fn write(&self, batch: &mut OwnedWriteBatch, first: u64, calls: &[(SystemKey, IdempotencyKey, Known)]) {
        let mut runs: BTreeMap<u64, Vec<&(SystemKey, IdempotencyKey, Known)>> = BTreeMap::new();
        for call in calls {
            runs.entry(second(call.1)).or_default().push(call);
        }
        self.keyspaces.write_events(batch, calls);
        for (when, mut run) in runs {
            run.sort_unstable_by_key(|(system, key, _)| (*system, *key));
            let mut row_key = [0; 16];
            row_key[..8].copy_from_slice(&when.to_be_bytes());
            row_key[8..].copy_from_slice(&first.to_be_bytes());
            batch.insert(&self.keyspaces.known, row_key, encode(&run));
        }
    }

    /// Makes a commit's calls known, once it is durable.
    pub(super) fn publish(&self, calls: &[(SystemKey, IdempotencyKey, Known)]) {
        let mut cache = self.cache.lock();
        for (system, key, known) in calls {
            let Some(second) = cache.seconds.get_mut(&second(*key)) else { continue };
            let is_new = second.calls.insert((*system, *key), *known).is_none();
            cache.keys += usize::from(is_new);
        }
    }

    /// Up to `limit` runs of keys from before `moment`; `None` if they have been looked for before.
    pub(super) fn before(&self, moment: Moment, limit: usize) -> Result<Option<OldCalls>, StoreError> {
        let end = moment.as_secs();
        let start = self.cache.lock().forgotten;
        if start >= end {
            return Ok(None);
        }
        let mut old = OldCalls { runs: Vec::new(), calls: Vec::new(), end, is_all: false };
        for row in self.keyspaces.known.range(start.to_be_bytes()..end.to_be_bytes()).take(limit) {
            let (key, run) = row.into_inner().map_err(read)?;
            let mut calls = HashMap::new();
            decode(&run, &mut calls).map_err(corrupt("known"))?;
            old.calls.extend(calls.into_keys());
            old.runs.push(key.to_vec());
        }
        old.is_all = old.runs.len() < limit;
        Ok(Some(old))
    }

    /// Removes these runs; says how many there were.
    pub(super) fn forget(&self, old: OldCalls) -> Result<usize, StoreError> {
        let removed = old.runs.len();
        let mut batch = self.keyspaces.synced_batch(removed);
        for run in old.runs {
            batch.remove(&self.keyspaces.known, run);
        }
        batch.commit().map_err(fatal)?;
        let mut cache = self.cache.lock();
        if old.is_all {
            // So that the next call need not step over what this one and those before it have removed.
            cache.forgotten = old.end;
        }
        let gone: Vec<u64> = cache.seconds.keys().copied().filter(|when| *when < cache.forgotten).collect();
        for when in gone {
            cache.remove(when);
        }
        Ok(removed)
    }
}

impl Cache {
    /// Drops the seconds not asked about for longest, to three quarters of the bound, so that this is rare.
    fn evict(&mut self, keys_max: usize, tick: u64) {
        let mut cold: Vec<(u64, u64)> =
            self.seconds.iter().filter(|(_, s)| s.touched < tick).map(|(when, s)| (s.touched, *when)).collect();
        cold.sort_unstable();
        for (_, when) in cold {
            if self.keys <= keys_max / 4 * 3 {
                break;
            }
            self.remove(when);
        }
    }

    fn remove(&mut self, when: u64) {
        if let Some(second) = self.seconds.remove(&when) {
            self.keys -= second.weight();
        }
    }
}

/// A run: system u64 · key 16 · content 16 · first u64 · count u32, for each call.
fn encode(run: &[&(SystemKey, IdempotencyKey, Known)]) -> Bytes {
    let mut row = Vec::with_capacity(run.len() * CALL_BYTES);
    for (system, key, known) in run {
        row.put_u64(system.0);
        row.put_slice(key.as_bytes());
        row.put_slice(&known.content.0);
        row.put_u64(known.first);
        row.put_u32(known.count);
    }
    row.into()
}

fn decode(run: &[u8], calls: &mut HashMap<Call, Known>) -> Result<(), Malformed> {
    let mut reader = Reader::new(run);
    while reader.left() > 0 {
        let system = SystemKey(reader.u64()?);
        let key = IdempotencyKey::from_stored(Uuid::from_bytes(reader.array()?)).map_err(|_| Malformed)?;
        let known = Known { content: ContentHash(reader.array()?), first: reader.u64()?, count: reader.u32()? };
        calls.insert((system, key), known);
    }
    Ok(())
}
