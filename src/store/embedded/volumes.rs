//! Volumes: files to which what is large and never changes is appended, once, and synced. The LSM's rows say where each
//! part lies, so what no row speaks of does not exist: a crash may leave it behind, and opening cuts it off. As there is
//! one writer, that is one block at most; more says that the LSM is older than the volumes, and nothing is touched.
//!
//! ```text
//! block   b"WBLK" · 0 u32 · length of the block u64 · its parts · zeros up to the next 4,096 bytes
//! ```
//!
//! An LSM writes everything twice, into its journal and into a table, each time through fresh pages of the page cache;
//! and while it syncs a table, the syncs of commits wait. What goes past the page cache (`O_DIRECT`, where the file system
//! has it) costs the processor a tenth of that, and waits for nobody.

use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{BufMut, Bytes};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    StoreError,
    codec::{Malformed, Reader},
    keyspaces::sync_folder,
};

/// A volume ends before it would become longer than this, in bytes; one block always fits.
pub(super) const VOLUME_BYTES_MAX: u64 = if cfg!(test) { 64 << 10 } else { 1 << 30 };
/// What goes past the page cache begins and ends at multiples of this, in memory and on disk: the largest sector of any
/// disk there is.
const ALIGN: usize = 4096;
/// Written at once, in bytes: the disk takes what comes from a commit in between while a chunk of the index is written.
const PIECE_BYTES: usize = 256 << 10;
/// What a block begins with, and how long that is with its length.
const MAGIC: [u8; 8] = *b"WBLK\0\0\0\0";
const HEAD_BYTES: usize = 16;
/// Of a block that is torn at its front, nothing says how long it was: this much may be left of it.
const TORN_BYTES_MAX: u64 = if cfg!(test) { 16 << 10 } else { 64 << 20 };
/// Volumes that are held open for reading.
const OPEN_MAX: usize = 64;
const EXTENSION: &str = "vol";
#[cfg(target_os = "linux")]
const PAST_CACHE: i32 = rustix::fs::OFlags::DIRECT.bits().cast_signed();
#[cfg(not(target_os = "linux"))]
const PAST_CACHE: i32 = 0;

/// Where a part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    volume: u32,
    offset: u64,
    bytes: u32,
    /// XXH3-64 of the part: tells damage, not malice.
    checksum: u64,
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
    volume: u32,
    offset: u64,
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

    /// Fills it up to its end.
    fn seal(&mut self) {
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
        let head = &mut self.bytes[self.start..self.start + HEAD_BYTES];
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..].copy_from_slice(&(length as u64).to_be_bytes());
    }

    fn body(&self) -> &[u8] {
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

/// Volumes in a folder of their own, with one writer.
pub(super) struct Volumes {
    reader: VolumeReader,
    end: Mutex<Writing>,
}

struct Writing {
    end: End,
    /// The volume of `end`, once something has been written to it.
    file: Option<File>,
}

/// Reads volumes.
#[derive(Clone)]
pub(super) struct VolumeReader {
    folder: Arc<PathBuf>,
    files: Arc<Cache<u32, Arc<File>>>,
}

/// A block's place, before it is written there.
pub(super) struct Planned {
    at: End,
    end: End,
}

impl Volumes {
    /// Makes the folder.
    pub(super) fn create(folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(folder)
    }

    /// Opens the volumes in `folder`, of which everything up to `end` is spoken of. What lies behind it was never shown,
    /// and goes.
    pub(super) fn open(folder: &Path, end: End) -> Result<Self, StoreError> {
        let failed = |e: io::Error| StoreError::Read(format!("the volumes cannot be opened: {e}"));
        let reader = VolumeReader::new(folder);
        reader.check(end)?;
        if let Some((path, length)) = reader.left_behind(end)? {
            if length == 0 { fs::remove_file(&path) } else { cut(&path, length) }.map_err(failed)?;
            sync_folder(folder).map_err(failed)?;
        }
        Ok(Self { reader, end: Mutex::new(Writing { end, file: None }) })
    }

    /// Where `block` will lie, and each of its parts. It must be written before anything else is planned.
    pub(super) fn plan(&self, block: &mut Block) -> Result<(Planned, Vec<Extent>), StoreError> {
        block.seal();
        let body = block.body();
        let length = body.len() as u64;
        let mut at = self.end.lock().end;
        if at.offset > 0 && at.offset + length > VOLUME_BYTES_MAX {
            let volume = at.volume.checked_add(1).ok_or(StoreError::Invalid("there are no more volumes"))?;
            at = End { volume, offset: 0 };
        }
        let extent = |part: &Range<usize>| {
            let bytes = u32::try_from(part.len()).map_err(|_| StoreError::Invalid("a part of a volume is too long"))?;
            let offset = at.offset + (part.start - block.start) as u64;
            Ok(Extent { volume: at.volume, offset, bytes, checksum: xxh3_64(&block.bytes[part.clone()]) })
        };
        let extents = block.parts.iter().map(extent).collect::<Result<_, StoreError>>()?;
        Ok((Planned { at, end: End { offset: at.offset + length, ..at } }, extents))
    }

    /// Writes a block where it was planned. When this returns, it is durable.
    pub(super) fn write(&self, planned: &Planned, block: &Block) -> Result<(), StoreError> {
        let mut writing = self.end.lock();
        self.append(&mut writing, planned, block.body())
            .map_err(|e| StoreError::Fatal(format!("a volume cannot be written: {e}")))?;
        writing.end = planned.end;
        Ok(())
    }

    fn append(&self, writing: &mut Writing, Planned { at, .. }: &Planned, body: &[u8]) -> io::Result<()> {
        let path = self.reader.path(at.volume);
        let mut file = match writing.file.take().filter(|_| at.volume == writing.end.volume) {
            Some(file) => file,
            None => {
                let file = open_past_cache(&path)?;
                if at.offset == 0 {
                    sync_folder(&self.reader.folder)?;
                }
                file
            }
        };
        match write_pieces(&file, at.offset, body) {
            // Some file systems take the flag and then no write.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                file = for_writing().open(&path)?;
                write_pieces(&file, at.offset, body)?;
            }
            written => written?,
        }
        file.sync_data()?;
        writing.file = Some(file);
        Ok(())
    }

    /// Reads what was written.
    pub(super) const fn reader(&self) -> &VolumeReader {
        &self.reader
    }
}

impl VolumeReader {
    /// Of the volumes in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: Arc::new(folder.to_owned()), files: Arc::new(Cache::new(OPEN_MAX)) }
    }

    /// The part at `extent`.
    pub(super) fn read(&self, extent: &Extent) -> Result<Bytes, StoreError> {
        let file = self.file(extent.volume)?;
        let failed = |e: io::Error| StoreError::Read(format!("volume {} cannot be read: {e}", extent.volume));
        // Before memory is taken for what a damaged row may say.
        if file.metadata().map_err(failed)?.len() < extent.offset + u64::from(extent.bytes) {
            return Err(StoreError::Corrupt(format!("volume {} is too short", extent.volume)));
        }
        let mut bytes = vec![0; extent.bytes as usize];
        file.read_exact_at(&mut bytes, extent.offset).map_err(failed)?;
        if xxh3_64(&bytes) != extent.checksum {
            return Err(StoreError::Corrupt(format!("volume {} is damaged", extent.volume)));
        }
        Ok(bytes.into())
    }

    /// Writes other bytes in the place of those at `extent`; says how their place is described then. For exercises.
    pub(super) fn falsify(&self, extent: &Extent, bytes: &[u8]) -> Result<Extent, StoreError> {
        let failed = |e: io::Error| StoreError::Fatal(format!("a volume cannot be written: {e}"));
        let file = OpenOptions::new().write(true).open(self.path(extent.volume)).map_err(failed)?;
        file.write_all_at(bytes, extent.offset).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(Extent { checksum: xxh3_64(bytes), ..*extent })
    }

    /// Whether everything up to `end` can be there.
    pub(super) fn check(&self, end: End) -> Result<(), StoreError> {
        if end.offset == 0 {
            return Ok(());
        }
        let length = self.file(end.volume)?.metadata().map_err(|e| StoreError::Read(e.to_string()))?.len();
        if length < end.offset {
            return Err(StoreError::Corrupt(format!("volume {} is too short", end.volume)));
        }
        Ok(())
    }

    /// The volume that holds a block of which nothing speaks, and how long it was before. Refuses if there is more.
    fn left_behind(&self, end: End) -> Result<Option<(PathBuf, u64)>, StoreError> {
        let failed = |e: io::Error| StoreError::Read(format!("the volumes cannot be opened: {e}"));
        let mut found = None;
        for item in fs::read_dir(&*self.folder).map_err(failed)? {
            let path = item.map_err(failed)?.path();
            let Some(number) = number_of(&path).filter(|number| *number >= end.volume) else { continue };
            let before = if number == end.volume { end.offset } else { 0 };
            let file = File::open(&path).map_err(failed)?;
            let left = file.metadata().map_err(failed)?.len().saturating_sub(before);
            if left == 0 && before > 0 {
                continue;
            }
            let mut head = [0; HEAD_BYTES];
            let read = file.read_exact_at(&mut head, before).is_ok();
            let block = head.strip_prefix(&MAGIC).filter(|_| read).and_then(|length| length.try_into().ok());
            let next = number <= end.volume.saturating_add(1);
            if !next || left > block.map_or(TORN_BYTES_MAX, u64::from_be_bytes) || found.is_some() {
                return Err(StoreError::Corrupt(format!(
                    "volume {number} goes on where the database ends: the database is older than its volumes. Nothing was \
                     changed; bring db, commits, index and keys of one moment back"
                )));
            }
            found = Some((path, before));
        }
        Ok(found)
    }

    /// Where they are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is any volume.
    pub(super) fn is_empty(&self) -> bool {
        let items = fs::read_dir(&*self.folder).into_iter().flatten();
        !items.flatten().any(|item| number_of(&item.path()).is_some())
    }

    fn file(&self, volume: u32) -> Result<Arc<File>, StoreError> {
        self.files.get_or_insert_with(&volume, || match File::open(self.path(volume)) {
            Ok(file) => Ok(Arc::new(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Corrupt(format!("volume {volume} is missing")))
            }
            Err(e) => Err(StoreError::Read(format!("volume {volume} cannot be opened: {e}"))),
        })
    }

    fn path(&self, volume: u32) -> PathBuf {
        self.folder.join(format!("{volume:08}.{EXTENSION}"))
    }
}

fn number_of(path: &Path) -> Option<u32> {
    let is_volume = path.extension().is_some_and(|extension| extension == EXTENSION);
    path.file_stem()?.to_str()?.parse().ok().filter(|_| is_volume)
}

/// Takes off what lies behind `length`.
fn cut(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

fn write_pieces(file: &File, mut offset: u64, body: &[u8]) -> io::Result<()> {
    for piece in body.chunks(PIECE_BYTES) {
        file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

fn for_writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Opens a volume for writing, past the page cache where the file system lets one.
fn open_past_cache(path: &Path) -> io::Result<File> {
    match for_writing().custom_flags(PAST_CACHE).open(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => for_writing().open(path),
        opened => opened,
    }
}
