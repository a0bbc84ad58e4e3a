//! Volumes: what was written is read back, what nothing speaks of goes, and damage is seen.

use std::{fs, path::Path};

use bytes::Bytes;
use tempfile::TempDir;

use super::super::{
    block::{Block, End, Extent},
    volumes::{VOLUME_BYTES_MAX, VolumeReader, Volumes},
};
use crate::store::StoreError;

const SECTOR: u64 = 4096;
/// What a block takes beside its parts.
const HEAD: u64 = 24;

/// Volumes in a folder of their own.
fn new() -> (TempDir, Volumes) {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("volumes");
    Volumes::create(&folder).unwrap();
    let volumes = Volumes::open(&folder, End::default()).unwrap();
    (parent, volumes)
}

fn folder(parent: &TempDir) -> std::path::PathBuf {
    parent.path().join("volumes")
}

/// Writes a block of these parts, of which it was told the `capacity`.
fn write(volumes: &Volumes, parts: &[&[u8]], capacity: usize) -> Vec<Extent> {
    let mut block = Block::with_capacity(capacity);
    for part in parts {
        block.part(|bytes| bytes.extend_from_slice(part));
    }
    let (planned, extents) = volumes.plan(&mut block).unwrap();
    volumes.write(&planned, &block).unwrap();
    assert_eq!(block.into_parts(), parts.iter().map(|part| Bytes::copy_from_slice(part)).collect::<Vec<_>>());
    extents
}

fn one(volumes: &Volumes, byte: u8, length: u64) -> Extent {
    let part = vec![byte; usize::try_from(length).unwrap()];
    write(volumes, &[&part], part.len())[0]
}

fn names(folder: &Path) -> Vec<(String, u64)> {
    let item = |item: std::io::Result<fs::DirEntry>| {
        let item = item.unwrap();
        (item.file_name().into_string().unwrap(), item.metadata().unwrap().len())
    };
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(item).collect();
    names.sort();
    names
}

#[test]
fn parts_are_read_back_whatever_their_lengths_and_however_much_room_was_asked_for() {
    let (parent, volumes) = new();
    let long = vec![7; 9000];
    let blocks: [&[&[u8]]; 4] = [&[b"a"], &[&long, b"", b"b"], &[&long[..4096]], &[&long[..4095], &long[..4097]]];
    let mut written = Vec::new();
    for parts in blocks {
        let bytes = parts.iter().map(|part| part.len()).sum();
        for capacity in [0, bytes, 3 * bytes] {
            written.extend(write(&volumes, parts, capacity).into_iter().zip(parts));
        }
    }
    for (extent, part) in &written {
        assert_eq!(volumes.reader().read(extent).unwrap(), part);
        let row = Extent::row(&[*extent]);
        assert_eq!(row.len(), Extent::BYTES);
        let read = Extent::decode(&mut super::super::codec::Reader::new(&row)).ok();
        assert_eq!(read, Some(*extent));
    }
    let end = written.last().unwrap().0.end();
    drop(volumes);
    let volumes = Volumes::open(&folder(&parent), end).unwrap();
    let next = one(&volumes, 9, 10);
    for (extent, part) in &written {
        assert_eq!(volumes.reader().read(extent).unwrap(), part, "after another block");
    }
    assert_eq!(volumes.reader().read(&next).unwrap(), vec![9; 10]);
}

#[test]
fn a_volume_is_full_when_the_next_block_would_make_it_longer_than_the_limit() {
    let (parent, volumes) = new();
    one(&volumes, 1, VOLUME_BYTES_MAX - SECTOR - HEAD);
    one(&volumes, 2, SECTOR - HEAD);
    assert_eq!(names(&folder(&parent)), [("00000000.vol".into(), VOLUME_BYTES_MAX)], "just full");
    one(&volumes, 3, VOLUME_BYTES_MAX - SECTOR - HEAD);
    one(&volumes, 4, SECTOR - HEAD + 1);
    let two = [("00000001.vol".into(), VOLUME_BYTES_MAX - SECTOR), ("00000002.vol".into(), 2 * SECTOR)];
    assert_eq!(names(&folder(&parent))[1..], two, "a byte too much");
    let huge = one(&volumes, 5, 2 * VOLUME_BYTES_MAX);
    assert_eq!(volumes.reader().read(&huge).unwrap().len() as u64, 2 * VOLUME_BYTES_MAX, "and one always fits");
    assert_eq!(names(&folder(&parent)).len(), 4);
}

#[test]
fn the_block_that_nothing_speaks_of_is_cut_off_and_its_place_is_used_again() {
    let (parent, mut volumes) = new();
    let mut kept = one(&volumes, 1, 100);
    for (length, before) in [(5000, 1), (VOLUME_BYTES_MAX, 1), (50, 1)] {
        one(&volumes, 2, length);
        drop(volumes);
        volumes = Volumes::open(&folder(&parent), kept.end()).unwrap();
        assert_eq!(names(&folder(&parent)), [("00000000.vol".into(), before * SECTOR)], "{length} bytes");
        assert_eq!(volumes.reader().read(&kept).unwrap(), vec![1; 100]);
    }
    let again = one(&volumes, 4, 50);
    assert_eq!(names(&folder(&parent)), [("00000000.vol".into(), 2 * SECTOR)]);
    assert_eq!(volumes.reader().read(&again).unwrap(), vec![4; 50]);
    // Torn at its front, it says nothing of its length: it may be as long as it likes, if no other begins in it.
    kept = again;
    drop(volumes);
    let file = folder(&parent).join("00000000.vol");
    let whole = fs::read(&file).unwrap();
    let block = &whole[whole.len() - usize::try_from(SECTOR).unwrap()..];
    for torn in [1, SECTOR, 100 * SECTOR] {
        let torn = vec![0; usize::try_from(torn).unwrap()];
        fs::write(&file, [&whole, &torn[..]].concat()).unwrap();
        assert!(Volumes::open(&folder(&parent), kept.end()).is_ok(), "{} bytes", torn.len());
        assert_eq!(fs::read(&file).unwrap(), whole, "are cut off");
    }
    let another = [&whole, &vec![0; 100 * block.len()][..], block].concat();
    fs::write(&file, &another).unwrap();
    assert!(Volumes::open(&folder(&parent), kept.end()).is_err());
    assert_eq!(fs::read(&file).unwrap(), another);
}

#[test]
fn more_than_one_such_block_is_not_touched() {
    let (parent, volumes) = new();
    let kept = one(&volumes, 1, 100);
    one(&volumes, 2, 100);
    let second = one(&volumes, 3, 100);
    one(&volumes, 4, VOLUME_BYTES_MAX);
    drop(volumes);
    let left = names(&folder(&parent));
    for end in [kept.end(), End::default()] {
        let opened = Volumes::open(&folder(&parent), end).map(|_| ());
        assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{opened:?}");
        assert_eq!(names(&folder(&parent)), left);
    }
    Volumes::open(&folder(&parent), second.end()).unwrap();
    assert_eq!(names(&folder(&parent)).len(), 1, "the last alone goes");
}

#[test]
fn damage_is_seen() {
    let (parent, volumes) = new();
    let extent = one(&volumes, 1, 100);
    let later = one(&volumes, 2, 100);
    drop(volumes);
    let file = folder(&parent).join("00000000.vol");
    let whole = fs::read(&file).unwrap();
    let corrupt = |result: Result<Bytes, StoreError>| matches!(result, Err(StoreError::Corrupt(_)));
    let opened = || Volumes::open(&folder(&parent), later.end());
    for at in [0, 99] {
        let mut damaged = whole.clone();
        damaged[24 + at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        let volumes = opened().unwrap();
        assert!(corrupt(volumes.reader().read(&extent)), "byte {at}");
        assert!(!corrupt(volumes.reader().read(&later)), "the other part is whole");
    }
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(opened(), Err(StoreError::Corrupt(_))), "too short");
    assert_eq!(fs::metadata(&file).unwrap().len(), whole.len() as u64 - 1, "it is left as it is");
    fs::remove_file(&file).unwrap();
    assert!(matches!(opened(), Err(StoreError::Corrupt(_))), "missing");
    let read = VolumeReader::new(&folder(&parent)).read(&extent);
    assert!(matches!(read, Err(StoreError::Read(_))), "nothing is said of what is in it: {read:?}");
}
