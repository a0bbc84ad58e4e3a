//! The file of key slots: fixed records outside the LSM, overwritten in place, so that what is erased is gone. Whose
//! slot is whose: `slots.rs`.
//!
//! ```text
//! record, 64 bytes   state u8 · wrapped key 60 (nonce 12, key 32, tag 16; AAD "slot" and the number) · 3 zero bytes
//! state              0 never written, 1 a key, 2 erased
//! ```
//! The tag is the checksum: a torn record does not open, and none is referred to before it was synced.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use super::{StoreError, random::random};
use crate::{
    store::SlotNumber,
    vault::{SlotKey, WRAPPED_BYTES},
};

const RECORD_BYTES: usize = 64;
const STATE_KEY: u8 = 1;
const STATE_ERASED: u8 = 2;
/// New records wait in memory for the next commit, up to this many bytes; beyond it they are written, not yet synced.
const TAIL_BYTES_MAX: usize = 1 << 20;
/// Its numbers would be given out again, and two people could get one key.
const SHORTER: &str = "the file keys/slots ends before slots that the database speaks of: it is older than the database, or was \
                       cut off. Nothing was changed; bring db, commits, index and keys of one moment back";

/// The slot file and its end that is not yet written.
pub(super) struct SlotFile {
    file: Arc<File>,
    wrapping: SlotKey,
    /// How many records the file has.
    written: u64,
    /// Records after those.
    tail: Vec<u8>,
    /// Whether records were written and not synced.
    unsynced: bool,
}

impl SlotFile {
    /// Makes the file, which must not exist.
    pub(super) fn create(path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(path)?.sync_all()
    }

    /// Opens the file, of which `spoken_of` records were durable before anything said so. A record that a crash cut short
    /// was never referred to, and is left behind.
    pub(super) fn open(path: &Path, wrapping: SlotKey, spoken_of: u64) -> Result<Self, StoreError> {
        let failed = |e: io::Error| StoreError::Corrupt(format!("the key slots cannot be opened: {e}"));
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes / (RECORD_BYTES as u64) < spoken_of {
            return Err(StoreError::Corrupt(SHORTER.to_owned()));
        }
        let written = bytes.div_ceil(RECORD_BYTES as u64);
        Ok(Self { file: Arc::new(file), wrapping, written, tail: Vec::new(), unsynced: false })
    }

    /// How many slots were handed out.
    pub(super) fn count(&self) -> u64 {
        self.written + (self.tail.len() / RECORD_BYTES) as u64
    }

    /// Makes a new slot. It is durable when the next [`Self::flush`] is synced.
    pub(super) fn allocate(&mut self) -> Result<(SlotNumber, Arc<SlotKey>), StoreError> {
        if self.tail.len() >= TAIL_BYTES_MAX {
            self.write_tail().map_err(fatal)?;
        }
        let number = SlotNumber(self.count());
        let secret = zeroize::Zeroizing::new(random::<32>());
        self.tail.push(STATE_KEY);
        self.tail.extend_from_slice(&self.wrapping.wrap(&secret, random(), &aad(number)));
        self.tail.resize(self.tail.len().next_multiple_of(RECORD_BYTES), 0);
        Ok((number, Arc::new(SlotKey::new(&secret))))
    }

    /// The key in a slot; `None` once it is erased.
    pub(super) fn key(&self, number: SlotNumber) -> Result<Option<Arc<SlotKey>>, StoreError> {
        let record = self.record(number)?;
        let (state, rest) = record.split_first().expect("a record has 64 bytes");
        match *state {
            STATE_KEY => {}
            STATE_ERASED => return Ok(None),
            _ => return Err(damaged(number)),
        }
        let wrapped = rest.first_chunk::<WRAPPED_BYTES>().expect("63 bytes are more than a wrapped key has");
        let secret = self.wrapping.unwrap(wrapped, &aad(number)).map_err(|_| damaged(number))?;
        Ok(Some(Arc::new(SlotKey::new(&secret))))
    }

    fn record(&self, number: SlotNumber) -> Result<[u8; RECORD_BYTES], StoreError> {
        let mut record = [0; RECORD_BYTES];
        if let Some(behind) = number.0.checked_sub(self.written) {
            let start = usize::try_from(behind).ok().and_then(|behind| behind.checked_mul(RECORD_BYTES));
            let bytes = start.and_then(|start| self.tail.get(start..start + RECORD_BYTES));
            record.copy_from_slice(bytes.ok_or_else(|| damaged(number))?);
        } else {
            let read = self.file.read_exact_at(&mut record, number.0 * RECORD_BYTES as u64);
            read.map_err(|e| StoreError::Read(format!("key slot {}: {e}", number.0)))?;
        }
        Ok(record)
    }

    /// Overwrites a slot's key, and returns when nothing can bring it back from this file.
    pub(super) fn erase(&mut self, number: SlotNumber) -> Result<(), StoreError> {
        let mut erased = [0; RECORD_BYTES];
        erased[0] = STATE_ERASED;
        self.write_tail().map_err(fatal)?;
        if number.0 >= self.written {
            return Err(damaged(number));
        }
        self.file.write_all_at(&erased, number.0 * RECORD_BYTES as u64).map_err(fatal)?;
        self.file.sync_data().map_err(fatal)
    }

    /// Writes every slot that was handed out. The file is returned if it must be synced, which the caller does without
    /// holding up those who read.
    pub(super) fn flush(&mut self) -> Result<Option<Arc<File>>, StoreError> {
        self.write_tail().map_err(fatal)?;
        Ok(std::mem::take(&mut self.unsynced).then(|| Arc::clone(&self.file)))
    }

    fn write_tail(&mut self) -> io::Result<()> {
        if !self.tail.is_empty() {
            self.file.write_all_at(&self.tail, self.written * RECORD_BYTES as u64)?;
            self.written += (self.tail.len() / RECORD_BYTES) as u64;
            self.tail.clear();
            self.unsynced = true;
        }
        Ok(())
    }
}

fn aad(number: SlotNumber) -> [u8; 12] {
    let mut aad = *b"slot\0\0\0\0\0\0\0\0";
    aad[4..].copy_from_slice(&number.0.to_be_bytes());
    aad
}

fn damaged(number: SlotNumber) -> StoreError {
    StoreError::Corrupt(format!("key slot {} is not readable", number.0))
}

/// A failed write or sync of the file.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn fatal(error: io::Error) -> StoreError {
    StoreError::Fatal(format!("key slots: {error}"))
}
