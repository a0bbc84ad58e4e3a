//! The end of the LSM's journal after a power cut: cuts off a batch that reached the disk in part. Only before opening.
//!
//! The LSM discards a last batch that ends too early, but refuses to open when one has a hole, and a disk may write the
//! pages of an unsynced batch in any order. Every batch is synced before the next is written, so only the last can be
//! torn: nothing of it was ever shown, and it goes as a whole. If a whole batch follows the damage, then what is damaged
//! was synced, the LSM would cut off what follows, and the store is refused.
//!
//! Format (fjall 3, integers little-endian): a batch is `1 · items u32 · sequence u64`, its items, `3 · XXH3-64 over the
//! items u64 · trailer`; an item is `2 · type u8 · compression u8 · keyspace u64 · key length u16 · value length u32 twice
//! · key · value`, or `4 · keyspace u64` where one was cleared.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3Default;

use super::{
    StoreError,
    codec::{Malformed, Reader},
};

const TRAILER: &[u8] = b"FJL\x03";
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;

/// Mends the newest journal in the database's folder. Older ones were synced when they were closed.
pub(super) fn mend(database: &Path) -> Result<(), StoreError> {
    let failed = |e: io::Error| StoreError::Read(format!("the journal cannot be mended: {e}"));
    let Some(path) = newest(database).map_err(failed)? else { return Ok(()) };
    let bytes = fs::read(&path).map_err(failed)?;
    let valid = valid_bytes(&bytes);
    let rest = &bytes[valid..];
    if rest.iter().all(|byte| *byte == 0) {
        // The journal is made longer than what is in it.
        return Ok(());
    }
    let starts = (1..rest.len()).filter(|at| rest[*at] == START);
    if starts.into_iter().any(|at| batch(&mut Reader::new(&rest[at..])).is_ok()) {
        return Err(StoreError::Corrupt("the journal is damaged before its end".to_owned()));
    }
    let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
    file.set_len(valid as u64).and_then(|()| file.sync_all()).map_err(failed)
}

fn newest(database: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for item in fs::read_dir(database)? {
        let path = item?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let (true, Some(number)) = (is_journal, number) {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// How many bytes of whole batches the journal begins with.
fn valid_bytes(bytes: &[u8]) -> usize {
    let mut reader = Reader::new(bytes);
    let mut valid = 0;
    while batch(&mut reader).is_ok() {
        valid = bytes.len() - reader.left();
    }
    valid
}

/// Steps over one whole batch.
fn batch(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    expect(reader.u8()?, START)?;
    let items = u32::from_le_bytes(reader.array()?);
    reader.bytes(8)?;
    let mut hasher = Xxh3Default::new();
    for _ in 0..items {
        hasher.update(item(reader)?);
    }
    expect(reader.u8()?, END)?;
    let checksum = u64::from_le_bytes(reader.array()?);
    let whole = checksum == hasher.digest() && reader.bytes(TRAILER.len())? == TRAILER;
    if whole { Ok(()) } else { Err(Malformed) }
}

/// Steps over one item, and returns its bytes.
fn item<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let mut ahead = reader.fork();
    let length = match ahead.u8()? {
        CLEAR => 9,
        tag => {
            expect(tag, ITEM)?;
            ahead.bytes(10)?;
            let key = u16::from_le_bytes(ahead.array()?);
            let value = u32::from_le_bytes(ahead.array()?);
            expect(value, u32::from_le_bytes(ahead.array()?))?;
            21 + usize::from(key) + value as usize
        }
    };
    reader.bytes(length)
}

fn expect<T: PartialEq + Copy>(found: T, wanted: T) -> Result<(), Malformed> {
    if found == wanted { Ok(()) } else { Err(Malformed) }
}
