//! The LSM's keyspaces and how each is tuned. What their rows hold is written in the file that reads and writes them.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    config::{BlockSizePolicy, CompressionPolicy, FilterPolicy, RestartIntervalPolicy},
};

use super::{StoreError, journal, options::JOURNAL_BYTES_MAX};

/// The database and its keyspaces. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keyspaces {
    pub(super) db: Database,
    /// Who the store belongs to, the head, the index's position, how many key slots there are. `open.rs`
    pub(super) meta: Keyspace,
    /// First index -> where the commit's rows lie. `rows.rs`, `volumes.rs`
    pub(super) commits: Keyspace,
    /// Index -> payload that was sealed again. `resealed.rs`
    pub(super) resealed: Keyspace,
    /// (Size at which it became full, level) -> tile. `history.rs`
    pub(super) tiles: Keyspace,
    /// (UUIDv7's second, first index) -> sorted run of idempotency keys. `known.rs`
    pub(super) known: Keyspace,
    /// Subject -> sealed facts. `people.rs`
    pub(super) subjects: Keyspace,
    /// Identifier's keyed hash -> subject. `people.rs`
    pub(super) identifiers: Keyspace,
    /// Owner -> its slots' numbers. `slots.rs`
    pub(super) slots: Keyspace,
    /// Recipients' positions, ended deliveries, dead letters. `outbox.rs`
    pub(super) outbox: Keyspace,
    /// Partition -> how far it is consumed; event -> when it arrived first. `inbound.rs`
    pub(super) inbound: Keyspace,
    /// (Chunk, page or recipient) -> where its postings lie. `index/`, `volumes.rs`
    pub(super) index: Keyspace,
}

const MIB: u64 = 1 << 20;

/// Threads that flush and compact. With two, one spins while the other flushes: it hands on compactions without end.
const WORKERS: usize = 3;
/// How far those threads stand back for calls (nice(2)): a flush then takes a third of the share of a thread that
/// answers calls.
const BACKGROUND_NICE: i32 = 5;

/// Rows that are written once, in the order of their keys: tables never overlap, so compaction moves them without
/// rewriting. Look-ups are for keys that exist, so no filters.
fn appended(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes)
        .data_block_compression_policy(CompressionPolicy::disabled())
        .data_block_size_policy(BlockSizePolicy::all(16 << 10))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(1))
        .filter_policy(FilterPolicy::disabled())
        .expect_point_read_hits(true)
}

/// Small rows at random keys, often asked for in vain: filters matter, blocks are small.
fn random(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes)
        .data_block_compression_policy(CompressionPolicy::disabled())
}

impl Keyspaces {
    /// Opens a database that was open before, and perhaps did not end well.
    pub(super) fn open_again(folder: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let lock = lock(folder)?;
        journal::mend(folder)?;
        // Not only closed: a process that is just being started may have a copy of it for a moment.
        lock.unlock().map_err(|e| StoreError::Read(format!("the store's lock cannot be given back: {e}")))?;
        Self::open(folder, cache_bytes)
    }

    /// Opens the database in `folder`, which takes its lock: a second process, or a second store in this one, gets
    /// [`fjall::Error::Locked`]. Makes what is not there; whether that is wanted was decided before.
    pub(super) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let builder = Database::builder(folder).cache_size(cache_bytes).worker_threads(WORKERS);
        let builder = builder.max_journaling_size(JOURNAL_BYTES_MAX);
        let opened = in_background(move || builder.open())?;
        let db = opened.map_err(|e| match e {
            fjall::Error::Locked => in_use(),
            e => read(e),
        })?;
        let keyspace = |name, options: fn() -> KeyspaceCreateOptions| db.keyspace(name, options).map_err(read);
        let opened = Self {
            meta: keyspace("meta", || random(MIB))?,
            commits: keyspace("commits", || appended(MIB))?,
            resealed: keyspace("resealed", || random(16 * MIB))?,
            tiles: keyspace("tiles", || appended(4 * MIB))?,
            known: keyspace("known", || appended(8 * MIB))?,
            subjects: keyspace("subjects", || random(16 * MIB))?,
            identifiers: keyspace("identifiers", || random(16 * MIB))?,
            slots: keyspace("slots", || random(16 * MIB))?,
            outbox: keyspace("outbox", || random(8 * MIB))?,
            inbound: keyspace("inbound", || random(16 * MIB))?,
            index: keyspace("index", || appended(MIB))?,
            db,
        };
        // The LSM syncs what is in the folder of a new keyspace, and not the name under which it lies.
        sync_folder(&folder.join("keyspaces"))
            .map_err(|e| StoreError::Fatal(format!("the store's folders cannot be synced: {e}")))?;
        Ok(opened)
    }
}

impl Keyspaces {
    /// An empty batch. Synced, as each is: only a journal's last may be torn by a crash (`journal.rs`).
    pub(super) fn synced_batch(&self, capacity: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.db.clone(), capacity).durability(Some(PersistMode::SyncData))
    }
}

/// Lowers the priority of the calling thread, and of those that it starts.
pub(super) fn stand_back() {
    // Linux keeps a priority for each thread; elsewhere it would be the whole process's.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::setpriority_process(None, BACKGROUND_NICE)
    {
        tracing::warn!(%error, "flushes and compactions have the priority of calls");
    }
}

/// Calls `work` on a thread of lower priority, which the threads that it starts inherit.
fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, StoreError> {
    let lowered = || {
        stand_back();
        work()
    };
    let opened = std::thread::scope(|scope| scope.spawn(lowered).join());
    opened.map_err(|_| StoreError::Fatal("the thread that opens the database has failed".to_owned()))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Takes the LSM's own lock, so that nobody's journal is mended while it is being written.
fn lock(database: &Path) -> Result<File, StoreError> {
    let failed = |e: io::Error| StoreError::Read(format!("the store's lock cannot be taken: {e}"));
    let file = File::options().read(true).write(true).open(database.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use()),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// Somebody else has it open.
fn in_use() -> StoreError {
    StoreError::Foreign(
        "the store is in use, here or by another process: stop that, or take a copy of the folder".to_owned(),
    )
}

/// A failed read.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn read(error: fjall::Error) -> StoreError {
    StoreError::Read(error.to_string())
}

/// A failed write or sync: what is durable is unknown.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn fatal(error: fjall::Error) -> StoreError {
    StoreError::Fatal(error.to_string())
}
