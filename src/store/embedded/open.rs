//! Creating and opening a store: whose it is, whether it is whole, and what memory is built from. Nothing is created by
//! opening, but a search index that is gone (`index/build.rs`).

use std::{fs, io, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

use bytes::Bytes;
use fjall::PersistMode;
use parking_lot::RwLock;

use super::{
    EmbeddedOptions, EmbeddedStore, Inner, StoreError,
    block::End,
    codec::{Malformed, Reader, corrupt},
    commit::HEAD,
    deliveries::{ALL_BEGAN, Deliveries},
    health::Health,
    history::{History, commit_places},
    index::{Flusher, Index},
    keyspaces::{Keyspaces, fatal, read, sync_folder},
    known::KnownCalls,
    people::People,
    random::random,
    resealed::Resealed,
    rows::commit_head,
    slot_file::SlotFile,
    slots::Slots,
    space::Space,
    volumes::{VolumeReader, Volumes},
};
use crate::{
    domain::time::Moment,
    ledger::{Checkpoint, Note},
    store::Head,
    vault::SlotKey,
};

pub(super) const DATABASE: &str = "db";
/// Where the volumes of commits lie.
pub(super) const COMMITS: &str = "commits";
/// And those of the index.
const INDEX: &str = "index";
const KEYS: &str = "keys";
const SLOTS: &str = "slots";
const INTERRUPTED: &str = "the store's creation was interrupted, and nothing is in it: remove its folders db, commits and \
                           index and the file keys/slots, and start again";
/// The row of `meta` that says whose store it is; the last thing written when a store is created.
const IDENTITY: &str = "identity";
const FORMAT: u8 = 3;
/// Sealed in the identity row: opens only under the same master key.
const KEY_CHECK: &[u8] = b"waybill";
/// So many of the newest commits are checked to follow one another.
const CHECKED_COMMITS: usize = 64;

impl EmbeddedStore {
    /// Whether the folder holds a store, or what is left of one.
    pub fn exists(path: &Path) -> bool {
        let left = [Path::new(DATABASE), Path::new(COMMITS), Path::new(INDEX), &Path::new(KEYS).join(SLOTS)];
        left.iter().any(|what| path.join(what).exists())
    }

    /// Creates a store in the folder, which may hold other things but no store. It is then opened with [`Self::open`].
    pub fn create(options: &EmbeddedOptions) -> Result<(), StoreError> {
        let (database, keys) = (options.path.join(DATABASE), options.path.join(KEYS));
        if Self::exists(&options.path) {
            return Err(StoreError::Foreign("the folder already holds a store".to_owned()));
        }
        let make = || -> io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys)?;
            SlotFile::create(&keys.join(SLOTS))?;
            fs::DirBuilder::new().mode(0o700).create(&database)?;
            sync_folder(&keys)?;
            Volumes::create(&options.path.join(COMMITS))?;
            Volumes::create(&options.path.join(INDEX))?;
            sync_folder(&options.path)
        };
        make().map_err(|e| StoreError::Fatal(format!("the store cannot be created: {e}")))?;
        let keyspaces = Keyspaces::open(&database, options.memory.block_bytes)?;
        // Last: if we crash before this, opening says that creation was interrupted, and nothing was stored.
        let mut batch = keyspaces.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&keyspaces.meta, IDENTITY, encode_identity(options));
        batch.insert(&keyspaces.meta, ALL_BEGAN, []);
        batch.commit().map_err(fatal)
    }

    /// Opens a store that was created.
    pub fn open(options: EmbeddedOptions) -> Result<Self, StoreError> {
        let database = options.path.join(DATABASE);
        // Without this marker the LSM would make a new database.
        if !database.join("version").exists() {
            return Err(if Self::exists(&options.path) {
                without_database(&options.path)
            } else {
                StoreError::Foreign("the folder holds no store: create one first".to_owned())
            });
        }
        let keyspaces = Keyspaces::open_again(&database, options.memory.block_bytes)?;
        check_identity(&keyspaces, &options)?;

        let slot_file = options.path.join(KEYS).join(SLOTS);
        let wrapping = options.master_key.slot_wrapping();
        let slots = Slots::open(keyspaces.clone(), &slot_file, wrapping, options.memory.slots)?;
        let head = read_head(&keyspaces)?;
        // Only what follows on is cut off behind its end: a store that is not whole stays as it is.
        let commits = options.path.join(COMMITS);
        let end = check_tail(&keyspaces, &VolumeReader::new(&commits), &head, &options.origin)?;
        let volumes = Volumes::open(&commits, end)?;

        let rows_key: Arc<SlotKey> = options.master_key.rows().into();
        let recent_bytes = options.memory.recent_bytes;
        let history = History::new(keyspaces.clone(), volumes.reader().clone(), Arc::clone(&rows_key), recent_bytes);
        let index = Arc::new(Index::build(&keyspaces, &options.path.join(INDEX), &history, &head)?);
        let deliveries = Deliveries::open(keyspaces.clone(), &index)?;
        let health = Arc::new(Health::default());
        let flusher = Flusher::start(Arc::clone(&index), Arc::clone(&health), Arc::clone(&options.hook))?;
        Ok(Self {
            inner: Arc::new(Inner {
                flusher,
                index,
                history,
                volumes,
                slots,
                resealed: Resealed::open(keyspaces.clone())?,
                health,
                known: KnownCalls::new(keyspaces.clone(), options.memory.known_keys),
                people: People::new(keyspaces.clone(), Arc::clone(&rows_key), options.memory.subjects),
                deliveries,
                space: Space::new(options.path, options.reserve_bytes, options.free_space, options.space_interval),
                hook: options.hook,
                origin: options.origin,
                head: RwLock::new(head),
                head_lock: tokio::sync::Mutex::new(()),
                rows_key,
                keyspaces,
            }),
        })
    }
}

/// There is no database, or nothing in it. A creation makes no volume; so where there is one, there was a ledger.
fn without_database(folder: &Path) -> StoreError {
    if [COMMITS, INDEX].iter().all(|volumes| VolumeReader::new(&folder.join(volumes)).is_empty()) {
        StoreError::Foreign(INTERRUPTED.to_owned())
    } else {
        StoreError::Corrupt("the database is missing, but there are volumes: bring it back, and remove nothing".into())
    }
}

/// Format u8 · environment and origin, each with its length u16 · the sealed check of the key.
fn encode_identity(options: &EmbeddedOptions) -> Vec<u8> {
    let mut row = vec![FORMAT];
    for text in [options.environment.as_str(), &options.origin] {
        row.extend_from_slice(&(text.len() as u16).to_be_bytes());
        row.extend_from_slice(text.as_bytes());
    }
    let sealed = options.master_key.rows().seal_row(KEY_CHECK, random(), IDENTITY.as_bytes());
    row.extend_from_slice(&sealed);
    row
}

/// Whether this version reads what is in the store; needs no key.
pub(super) fn check_version(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    let row = keyspaces.meta.get(IDENTITY).map_err(read)?;
    let row = row.ok_or_else(|| StoreError::Foreign("the folder holds no store".to_owned()))?;
    check_format(&mut Reader::new(&row))
}

fn check_format(identity: &mut Reader<'_>) -> Result<(), StoreError> {
    if identity.u8().map_err(corrupt("meta"))? == FORMAT {
        Ok(())
    } else {
        Err(StoreError::Foreign("the store was written by another version of the program".to_owned()))
    }
}

fn check_identity(keyspaces: &Keyspaces, options: &EmbeddedOptions) -> Result<(), StoreError> {
    let foreign = |why: &str| Err(StoreError::Foreign(why.to_owned()));
    let Some(row) = keyspaces.meta.get(IDENTITY).map_err(read)? else {
        return Err(without_database(&options.path));
    };
    let mut reader = Reader::new(&row);
    check_format(&mut reader)?;
    let mut text = || {
        let length = reader.u16()?;
        reader.bytes(length.into())
    };
    let environment = text().map_err(corrupt("meta"))?;
    let origin = text().map_err(corrupt("meta"))?;
    let sealed = reader.bytes(reader.left()).map_err(corrupt("meta"))?;
    if environment != options.environment.as_str().as_bytes() {
        return foreign("the store belongs to another environment");
    }
    if origin != options.origin.as_bytes() {
        return foreign("the store belongs to another ledger");
    }
    let opened = options.master_key.rows().open_row(sealed, IDENTITY.as_bytes());
    if opened.is_ok_and(|plain| *plain == KEY_CHECK) {
        Ok(())
    } else {
        foreign("the store was written under another master key")
    }
}

pub(super) fn read_head(keyspaces: &Keyspaces) -> Result<Head, StoreError> {
    let Some(row) = keyspaces.meta.get(HEAD).map_err(read)? else { return Ok(Head::default()) };
    let row = Bytes::from(row);
    let mut reader = Reader::new(&row);
    let mut fields = || -> Result<Head, Malformed> {
        if reader.u8()? != 1 {
            return Err(Malformed);
        }
        Ok(Head { size: reader.u64()?, time: Moment(reader.u64()?), checkpoint: row.slice(17..) })
    };
    fields().map_err(corrupt("meta"))
}

/// Checks that a checkpoint is this ledger's, of this size. Whether its root is the tree's, and its signature good, is
/// checked by the sequencer, which has the keys.
pub(super) fn check_checkpoint(checkpoint: &[u8], origin: &str, size: u64) -> Result<(), StoreError> {
    let text = std::str::from_utf8(checkpoint).ok();
    let parsed = text.and_then(|text| Note::parse(text).ok()).and_then(|note| Checkpoint::parse(note.text()).ok());
    match parsed {
        Some(parsed) if parsed.origin.as_str() == origin && parsed.size == size => Ok(()),
        _ => Err(StoreError::Corrupt("the newest checkpoint is not that of the newest entry".to_owned())),
    }
}

/// Checks that the newest commits follow one another up to the head, and that its checkpoint is theirs.
fn check_tail(keyspaces: &Keyspaces, volumes: &VolumeReader, head: &Head, origin: &str) -> Result<End, StoreError> {
    let gap = || StoreError::Corrupt("the newest commits do not follow one another".to_owned());
    let mut end = head.size;
    let mut time = head.time;
    let mut written = End::default();
    for (checked, row) in keyspaces.commits.iter().rev().take(CHECKED_COMMITS).enumerate() {
        let (first, places) = commit_places(row)?;
        written = written.max(places.payloads.unwrap_or(places.commit).end());
        let (at, count) = commit_head(&volumes.read(&places.commit)?).map_err(corrupt("commits"))?;
        if at != places.time
            || first.checked_add(count.into()) != Some(end)
            || at > time
            || (checked == 0 && at != time)
        {
            return Err(gap());
        }
        (end, time) = (first, at);
    }
    if head.size == 0 {
        return Ok(written);
    }
    if end == head.size {
        return Err(gap());
    }
    check_checkpoint(&head.checkpoint, origin, head.size)?;
    Ok(written)
}
