//! Volumes: files to which what is large and never changes is appended, once, and synced. The LSM's rows say where each
//! part lies, so what no row speaks of does not exist: a crash may leave it behind, and opening cuts it off. As there is
//! one writer, that is one block at most; more says that the LSM is older than the volumes, and nothing is touched.
//!
//! An LSM writes everything twice, into its journal and into a table, each time through fresh pages of the page cache;
//! and while it syncs a table, the syncs of commits wait. What goes past the page cache (`O_DIRECT`, where the file system
//! has it) costs the processor a tenth of that, and waits for nobody.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    StoreError,
    block::{ALIGN, Block, End, Extent, HEAD_BYTES, block_bytes},
    keyspaces::sync_folder,
};

/// A volume ends before it would become longer than this, in bytes; one block always fits.
pub(super) const VOLUME_BYTES_MAX: u64 = if cfg!(test) { 64 << 10 } else { 1 << 30 };
/// Written at once, in bytes: the disk takes what comes from a commit in between while a chunk of the index is written.
const PIECE_BYTES: usize = 256 << 10;
/// Volumes that are held open for reading.
const OPEN_MAX: usize = 64;
const EXTENSION: &str = "vol";
#[cfg(target_os = "linux")]
const PAST_CACHE: i32 = rustix::fs::OFlags::DIRECT.bits().cast_signed();
#[cfg(not(target_os = "linux"))]
const PAST_CACHE: i32 = 0;

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
        let extents = block.extents(at)?;
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
        // That the volume is not there says nothing of what is in it: it may come back.
        let file = self.file(extent.volume).map_err(|error| match error {
            StoreError::Corrupt(why) => StoreError::Read(why),
            other => other,
        })?;
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
            if before > 0 && file.metadata().map_err(failed)?.len() <= before {
                continue;
            }
            let next = number <= end.volume.saturating_add(1);
            if !next || found.is_some() || !is_one_block(&file, before).map_err(failed)? {
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

/// How long the block is that begins at `offset`; `None` where none does.
fn block_at(file: &File, offset: u64) -> io::Result<Option<u64>> {
    let mut begins = [0; HEAD_BYTES];
    match file.read_exact_at(&mut begins, offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| block_bytes(begins)),
    }
}

/// Whether what lies from `offset` on can be what a crash has left of one block: all of it, or a part without its front. How
/// long that one was nothing says, but no other begins in it.
fn is_one_block(file: &File, offset: u64) -> io::Result<bool> {
    let end = file.metadata()?.len();
    if let Some(length) = block_at(file, offset)? {
        return Ok(end - offset <= length);
    }
    for offset in (offset..end).step_by(ALIGN) {
        if block_at(file, offset)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
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
