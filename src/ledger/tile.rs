//! Tiles and entry bundles as C2SP tlog-tiles has them: ids, widths, paths, bytes. Not how a tree grows: `tree.rs`.
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use super::entry::MAX_ENTRY_BYTES;
use super::hash::{Hash, node_hash};

/// Levels of the tree that one tile spans.
pub const TILE_HEIGHT: u32 = 8;
/// Hashes in a full tile, and entries in a full bundle.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;
/// Length of a full tile, in bytes.
pub const TILE_BYTES: usize = TILE_WIDTH * Hash::LEN;
/// A tree has less than 2^64 leaves, so no tile stands above this level.
pub const MAX_TILE_LEVEL: u8 = 7;

/// Which tile: the `index`-th of its `level`, both from 0; at level 0 stand the leaf hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 to [`MAX_TILE_LEVEL`].
    pub level: u8,
    /// From 0.
    pub index: u64,
}

/// What a tile's path names: hashes of the tree, or entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TilePath {
    /// `tile/<L>/<N>[.p/<W>]`.
    Hashes {
        /// Which tile.
        id: TileId,
        /// How many hashes: 256 in a full tile.
        width: u16,
    },
    /// `tile/entries/<N>[.p/<W>]`.
    Entries {
        /// Which bundle.
        index: u64,
        /// How many entries: 256 in a full bundle.
        width: u16,
    },
}

/// Why a path, a tile or a bundle is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// The path is not of the form of C2SP tlog-tiles.
    #[error("not a tile's path")]
    Path,
    /// A full tile has 8192 bytes.
    #[error("a full tile cannot be {0} bytes long")]
    Length(usize),
    /// A bundle has 1 to 256 entries, each with its 16-bit length.
    #[error("the entry bundle is malformed")]
    Bundle,
}

/// How many hashes of tile level `level` a tree of `size` leaves has.
pub fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0)
}

/// How many hashes the partial tile at `level` has in a tree of `size` leaves; 0 where there is none.
pub fn partial_width(level: u8, size: u64) -> u16 {
    (hashes_at(level, size) % TILE_WIDTH as u64) as u16
}

/// How many full tiles `level` has in a tree of `size` leaves.
pub fn full_tiles(level: u8, size: u64) -> u64 {
    hashes_at(level, size) >> TILE_HEIGHT
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Hashes { id, width } => {
                write!(f, "tile/{}/", id.level)?;
                (id.index, *width)
            }
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (*index, *width)
            }
        };
        write_index(f, index)?;
        if usize::from(width) < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// Groups of three digits, all but the last with an `x` before them: 1234067 is `x001/x234/067`.
fn write_index(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let mut groups = 1;
    while 1000_u64.checked_pow(groups).is_some_and(|bound| index >= bound) {
        groups += 1;
    }
    for group in (1..groups).rev() {
        write!(f, "x{:03}/", index / 1000_u64.pow(group) % 1000)?;
    }
    write!(f, "{:03}", index % 1000)
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        let rest = text.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (level, rest) = rest.split_once('/').ok_or(TileError::Path)?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, decimal(width).filter(|width| (1..TILE_WIDTH as u64).contains(width))),
            None => (rest, Some(TILE_WIDTH as u64)),
        };
        let index = parse_index(index).ok_or(TileError::Path)?;
        let width = width.ok_or(TileError::Path)? as u16;
        if level == "entries" {
            return Ok(Self::Entries { index, width });
        }
        let level = decimal(level).filter(|level| *level <= u64::from(MAX_TILE_LEVEL)).ok_or(TileError::Path)? as u8;
        Ok(Self::Hashes { id: TileId { level, index }, width })
    }
}

fn parse_index(text: &str) -> Option<u64> {
    let mut groups = text.split('/').peekable();
    let mut index = 0_u64;
    let mut first = true;
    while let Some(group) = groups.next() {
        let last = groups.peek().is_none();
        let digits = if last { group } else { group.strip_prefix('x')? };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) || (first && !last && digits == "000")
        {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        first = false;
    }
    Some(index)
}

/// A number in plain decimal: no sign, no leading zero.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// The 256 hashes of a full tile, as stored and served. Cheap to clone; clones share what has been worked out.
#[derive(Clone)]
pub struct FullTile {
    bytes: Arc<[u8]>,
    /// The nodes above the hashes, height by height, once one was asked for: many proofs read the same tile.
    nodes: Arc<OnceLock<Vec<Hash>>>,
}

impl PartialEq for FullTile {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for FullTile {}

impl FullTile {
    /// Takes the 8192 bytes.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self, TileError> {
        let bytes = bytes.into();
        if bytes.len() == TILE_BYTES {
            Ok(Self { bytes, nodes: Arc::default() })
        } else {
            Err(TileError::Length(bytes.len()))
        }
    }

    /// The 8192 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash at `position`.
    pub fn hash(&self, position: u8) -> Hash {
        self.leaf(usize::from(position))
    }

    fn leaf(&self, position: usize) -> Hash {
        Hash::new(self.bytes.as_chunks().0[position])
    }

    /// The hash of the `index`-th complete subtree of `height` within the tile; `None` outside of it. The first costs
    /// 255 hashings, every other a look-up.
    pub fn subtree(&self, height: u32, index: u64) -> Option<Hash> {
        if height > TILE_HEIGHT || index >= 1 << (TILE_HEIGHT - height) {
            return None;
        }
        let index = index as usize;
        if height == 0 {
            return Some(self.leaf(index));
        }
        // Below a height stand 128 nodes of height 1, 64 of height 2, and so on.
        let below = TILE_WIDTH - (TILE_WIDTH >> (height - 1));
        self.nodes.get_or_init(|| self.inner_nodes()).get(below + index).copied()
    }

    fn inner_nodes(&self) -> Vec<Hash> {
        let mut nodes: Vec<Hash> = Vec::with_capacity(TILE_WIDTH - 1);
        nodes.extend((0..TILE_WIDTH / 2).map(|pair| node_hash(&self.leaf(2 * pair), &self.leaf(2 * pair + 1))));
        for first in (0..TILE_WIDTH - 2).step_by(2) {
            nodes.push(node_hash(&nodes[first], &nodes[first + 1]));
        }
        nodes
    }

    /// The hash of the whole tile, which stands in the level above.
    pub fn root(&self) -> Hash {
        self.subtree(TILE_HEIGHT, 0).expect("every tile has its own root")
    }
}

impl fmt::Debug for FullTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FullTile({})", self.root())
    }
}

/// An entry bundle: each entry after its u16 length. `None` if there are none or more than 256, or one is too long.
pub fn encode_bundle<B: AsRef<[u8]>>(entries: &[B]) -> Option<Vec<u8>> {
    if entries.is_empty() || entries.len() > TILE_WIDTH {
        return None;
    }
    let mut bytes = Vec::with_capacity(entries.iter().map(|entry| 2 + entry.as_ref().len()).sum());
    for entry in entries.iter().map(AsRef::as_ref) {
        if entry.len() > MAX_ENTRY_BYTES {
            return None;
        }
        bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(bytes)
}

/// The entries of a bundle that must hold exactly `width` of them.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    if width == 0 || usize::from(width) > TILE_WIDTH {
        return Err(TileError::Bundle);
    }
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    for _ in 0..width {
        let (length, tail) = rest.split_first_chunk::<2>().ok_or(TileError::Bundle)?;
        let (entry, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(TileError::Bundle)?;
        entries.push(entry);
        rest = tail;
    }
    if rest.is_empty() { Ok(entries) } else { Err(TileError::Bundle) }
}
