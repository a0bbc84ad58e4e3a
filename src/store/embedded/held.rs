//! How much memory the store holds, by part, so that what may grow to a bound can be told from what must not grow. The LSM
//! counts its own; of the rest, tables are counted as they are allocated, and what they point to by its size.

use quick_cache::{Weighter, sync::Cache};

use super::EmbeddedStore;

/// What the store holds in memory now, in bytes; [`Memory`](super::Memory) has the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Blocks of the LSM's tables.
    pub blocks: u64,
    /// What was written to the LSM and is not in its tables yet. This is no cache: without it, nothing is found.
    pub write_buffers: u64,
    /// The newest commits.
    pub recent: u64,
    /// Idempotency keys.
    pub known_keys: u64,
    /// People and their identifiers, without what is recorded of them.
    pub people: u64,
    /// Opened key slots, whose they are, and those that wait for a commit.
    pub slots: u64,
}

impl Held {
    /// Each part with its name.
    pub const fn parts(self) -> [(&'static str, u64); 6] {
        let Self { blocks, write_buffers, recent, known_keys, people, slots } = self;
        [
            ("blocks", blocks),
            ("write_buffers", write_buffers),
            ("recent", recent),
            ("known_keys", known_keys),
            ("people", people),
            ("slots", slots),
        ]
    }
}

impl EmbeddedStore {
    /// What it holds in memory. Looks through the seconds of which it knows the calls: not to be asked all the time.
    pub fn held(&self) -> Held {
        let inner = &self.inner;
        Held {
            blocks: inner.keyspaces.db.cache_size(),
            write_buffers: inner.keyspaces.db.write_buffer_size(),
            recent: inner.history.held_bytes() as u64,
            known_keys: inner.known.held_bytes() as u64,
            people: inner.people.held_bytes() as u64,
            slots: inner.slots.held_bytes() as u64,
        }
    }
}

/// What a hash table of this capacity takes: buckets by powers of two, seven eighths of which may be used, and a byte beside
/// each.
pub(super) const fn table_bytes<T>(capacity: usize) -> usize {
    if capacity == 0 { 0 } else { (capacity * 8 / 7).next_power_of_two() * (size_of::<T>() + 1) }
}

/// What the tables of a cache take.
pub(super) fn cache_bytes<K, V, W>(cache: &Cache<K, V, W>) -> usize
where
    K: Eq + std::hash::Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let used = cache.memory_used();
    used.entries + used.map
}

/// What `count` shared values take.
pub(super) const fn shared_bytes<T>(count: usize) -> usize {
    count * (size_of::<T>() + 2 * size_of::<usize>())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_table_is_counted_with_the_buckets_that_are_free() {
        assert_eq!(table_bytes::<u64>(HashSet::<u64>::new().capacity()), 0);
        for (count, buckets) in [(1, 4), (3, 4), (4, 8), (7, 8), (8, 16), (14, 16), (1_000, 2_048)] {
            let table: HashSet<u64> = (0..count).collect();
            assert_eq!(table_bytes::<u64>(table.capacity()), buckets * 9, "{count}");
        }
    }
}
