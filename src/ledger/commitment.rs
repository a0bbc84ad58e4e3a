//! Salted commitments: how an entry holds what it says without showing it. Not what is opened later: `opening.rs`.
//!
//! This is on the path of every record, so nothing here allocates per item: [`Committer`] keeps its buffers, and one
//! HKDF-Expand makes all salts.
use std::fmt;

use zeroize::Zeroizing;

use super::hash::{Hash, sha256};
use super::name::Name;
use super::salts::{SALT_BYTES, Salts, Secret};

/// The most items that one entry commits to. HKDF-Expand-SHA256 ends at 255 * 32 bytes, which is 510 salts.
pub const MAX_ITEMS: usize = 500;
/// Length of the count before the list, in bytes.
const COUNT_BYTES: usize = 2;

/// Why a list of commitments cannot be made, read or opened. No message says a name or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitmentError {
    /// More than [`MAX_ITEMS`].
    #[error("{0} items, more than {MAX_ITEMS}")]
    TooMany(usize),
    /// Items stand in one order: attributes ascending by number, then fields ascending by path, none twice.
    #[error("the item at position {0} is out of order")]
    Order(usize),
    /// A name is neither an attribute number nor a path that starts with '/', or is longer than 65535 bytes.
    #[error("the name at position {0} is neither an attribute number nor a field path")]
    Name(usize),
    /// A value is longer than its 32-bit length can say, or, in an opening, not UTF-8.
    #[error("the value at position {0} is too long or not text")]
    Value(usize),
    /// The bytes of a list are not a count and as many hashes.
    #[error("the list of commitments is malformed")]
    Malformed,
    /// A position lies outside of the list.
    #[error("there is no commitment at position {0}")]
    Position(usize),
    /// Name, value and salt do not give the commitment.
    #[error("the opening at position {0} does not match its commitment")]
    Mismatch(usize),
}

/// One commitment: SHA-256(salt || u16 length || name || u32 length || value). `buffer` is scratch, and is left filled.
/// Name and value must have been checked to fit their lengths.
pub(super) fn commit_one(buffer: &mut Vec<u8>, salt: &[u8; SALT_BYTES], name: Name<'_>, value: &[u8]) -> Hash {
    buffer.clear();
    buffer.extend_from_slice(salt);
    name.put(buffer);
    buffer.extend_from_slice(&(value.len() as u32).to_be_bytes());
    buffer.extend_from_slice(value);
    sha256(buffer)
}

/// The commitment of one item whose salt is known.
pub fn commit_value(salt: &[u8; SALT_BYTES], name: Name<'_>, value: &[u8]) -> Hash {
    let mut buffer = Zeroizing::new(Vec::with_capacity(SALT_BYTES + 64 + value.len()));
    commit_one(&mut buffer, salt, name, value)
}

pub(super) fn check_item(position: usize, name: Name<'_>, value: &[u8]) -> Result<(), CommitmentError> {
    if !name.is_valid() {
        return Err(CommitmentError::Name(position));
    }
    if u32::try_from(value.len()).is_err() {
        return Err(CommitmentError::Value(position));
    }
    Ok(())
}

/// The list of an entry's commitments, held as the bytes that the entry's digest is over: u16 count || commitments.
#[derive(Clone, PartialEq, Eq)]
pub struct Commitments(Vec<u8>);

impl Commitments {
    /// Reads the bytes of a list.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, CommitmentError> {
        let bytes = bytes.into();
        let (count, hashes) = bytes.split_first_chunk::<COUNT_BYTES>().ok_or(CommitmentError::Malformed)?;
        let count = usize::from(u16::from_be_bytes(*count));
        if count > MAX_ITEMS {
            return Err(CommitmentError::TooMany(count));
        }
        if hashes.len() != count * Hash::LEN {
            return Err(CommitmentError::Malformed);
        }
        Ok(Self(bytes))
    }

    /// The bytes of the list: u16 count || commitments.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many commitments there are.
    pub fn len(&self) -> usize {
        (self.0.len() - COUNT_BYTES) / Hash::LEN
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The commitment at `position`.
    pub fn get(&self, position: usize) -> Option<Hash> {
        self.0[COUNT_BYTES..].as_chunks().0.get(position).copied().map(Hash::new)
    }

    /// The digest that the entry holds: SHA-256 over the bytes of the list.
    pub fn digest(&self) -> Hash {
        sha256(&self.0)
    }
}

impl fmt::Debug for Commitments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitments({})", self.len())
    }
}

/// Makes the commitments of one entry after another in buffers of its own, which are wiped when it goes.
pub struct Committer {
    salts: Salts,
    item: Zeroizing<Vec<u8>>,
    list: Commitments,
}

impl Default for Committer {
    fn default() -> Self {
        Self { salts: Salts::empty(), item: Zeroizing::default(), list: Commitments(vec![0; COUNT_BYTES]) }
    }
}

impl Committer {
    /// With empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits to `items`, which must be in the order of the list; their values are RFC 8785 JSON. The digest goes into
    /// the entry; the list is at [`Committer::commitments`] until the next call.
    pub fn commit<'a, I>(&mut self, secret: &Secret, items: I) -> Result<Hash, CommitmentError>
    where
        I: IntoIterator<Item = (Name<'a>, &'a [u8])>,
        I::IntoIter: Clone,
    {
        let made = self.make_list(secret, items.into_iter());
        if made.is_err() {
            self.list.0.truncate(COUNT_BYTES);
            self.list.0.fill(0);
        }
        made.map(|()| self.list.digest())
    }

    fn make_list<'a>(
        &mut self,
        secret: &Secret,
        items: impl Iterator<Item = (Name<'a>, &'a [u8])> + Clone,
    ) -> Result<(), CommitmentError> {
        let count = items.clone().count();
        self.salts.fill(secret, count)?;
        let list = &mut self.list.0;
        list.clear();
        // Fits: `fill` has bounded the count by MAX_ITEMS.
        list.extend_from_slice(&(count as u16).to_be_bytes());
        let mut previous = None;
        for ((position, (name, value)), salt) in items.enumerate().zip(self.salts.all()) {
            check_item(position, name, value)?;
            if previous.is_some_and(|previous| previous >= name) {
                return Err(CommitmentError::Order(position));
            }
            previous = Some(name);
            let commitment = commit_one(&mut self.item, salt, name, value);
            list.extend_from_slice(commitment.as_bytes());
        }
        Ok(())
    }

    /// The list of the last entry that was committed to; empty before the first and after an error.
    pub const fn commitments(&self) -> &Commitments {
        &self.list
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Committer(..)")
    }
}

/// Commits to the items of one entry: [`Committer`] for once.
pub fn commit<'a, I>(secret: &Secret, items: I) -> Result<(Commitments, Hash), CommitmentError>
where
    I: IntoIterator<Item = (Name<'a>, &'a [u8])>,
    I::IntoIter: Clone,
{
    let mut committer = Committer::new();
    let digest = committer.commit(secret, items)?;
    Ok((committer.list, digest))
}
