//! Salted commitments: how an entry holds what it says without showing it. Not what is opened later: `opening.rs`.
//!
//! This is on the path of every record, so nothing here allocates per item: [`Committer`] keeps its buffers, and one
//! HKDF-Expand makes all salts.
use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use zeroize::Zeroizing;

use super::attribute::Attribute;
use super::entry::parse_number;
use super::hash::{Hash, sha256};

/// The most items that one entry commits to. HKDF-Expand-SHA256 ends at 255 * 32 bytes, which is 510 salts.
pub const MAX_ITEMS: usize = 500;
/// Length of a salt, in bytes.
pub const SALT_BYTES: usize = 16;
/// Length of the count before the list, in bytes.
const COUNT_BYTES: usize = 2;
const INFO: &[u8] = b"waybill/v1/salts";

/// The random 32 bytes from which all salts of one entry come. Whoever has it can open everything; without it, and
/// without the salts, the entry says nothing.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be wrapped and stored.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

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
    /// A value is longer than its 32-bit length can say.
    #[error("the value at position {0} is too long")]
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

/// What an item is called. Ordered as the list is: attributes by number, then fields by the bytes of their path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name<'a> {
    /// An attribute's number, 1 or more. One that this version does not know is still a name.
    Attribute(u16),
    /// A field's concrete instance path, a JSON Pointer that starts with '/'.
    Field(&'a str),
}

impl<'a> Name<'a> {
    /// Reads a name as it is committed to.
    pub fn parse(text: &'a str) -> Option<Self> {
        let name = if text.starts_with('/') { Self::Field(text) } else { Self::Attribute(parse_number(text)?) };
        name.is_valid().then_some(name)
    }

    fn is_valid(&self) -> bool {
        match self {
            Self::Attribute(number) => *number > 0,
            Self::Field(path) => path.starts_with('/') && u16::try_from(path.len()).is_ok(),
        }
    }
}

impl From<Attribute> for Name<'_> {
    fn from(attribute: Attribute) -> Self {
        Self::Attribute(attribute.number())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(number) => write!(f, "{number}"),
            Self::Field(path) => f.write_str(path),
        }
    }
}

/// The path of a field can hold personal data (a map's key), so only the sort of name is shown.
impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(number) => write!(f, "Attribute({number})"),
            Self::Field(_) => f.write_str("Field(..)"),
        }
    }
}

/// All salts of one entry.
pub struct Salts(Zeroizing<Vec<u8>>);

/// The length asked of HKDF-Expand, in bytes.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Salts {
    /// The salts of the first `count` items. (HKDF-Expand makes a prefix alike for any count.)
    pub fn derive(secret: &Secret, count: usize) -> Result<Self, CommitmentError> {
        let mut salts = Self(Zeroizing::new(Vec::new()));
        salts.fill(secret, count)?;
        Ok(salts)
    }

    fn fill(&mut self, secret: &Secret, count: usize) -> Result<(), CommitmentError> {
        if count > MAX_ITEMS {
            return Err(CommitmentError::TooMany(count));
        }
        let length = count * SALT_BYTES;
        self.0.resize(length, 0);
        if count > 0 {
            Prk::new_less_safe(HKDF_SHA256, secret.expose())
                .expand(&[INFO], Length(length))
                .and_then(|okm| okm.fill(&mut self.0))
                .map_err(|_| CommitmentError::TooMany(count))?;
        }
        Ok(())
    }

    /// The salt of the item at `position`.
    pub fn get(&self, position: usize) -> Option<[u8; SALT_BYTES]> {
        self.0.as_chunks().0.get(position).copied()
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salts(..)")
    }
}

/// One commitment: SHA-256(salt || u16 length || name || u32 length || value). `buffer` is scratch, and is left filled.
/// Name and value must have been checked to fit their lengths.
pub(super) fn commit_one(buffer: &mut Vec<u8>, salt: &[u8; SALT_BYTES], name: Name<'_>, value: &[u8]) -> Hash {
    buffer.clear();
    buffer.extend_from_slice(salt);
    match name {
        Name::Attribute(number) => put_attribute(buffer, number),
        Name::Field(path) => put_name(buffer, path.as_bytes()),
    }
    buffer.extend_from_slice(&(value.len() as u32).to_be_bytes());
    buffer.extend_from_slice(value);
    sha256(buffer)
}

fn put_name(buffer: &mut Vec<u8>, name: &[u8]) {
    buffer.extend_from_slice(&(name.len() as u16).to_be_bytes());
    buffer.extend_from_slice(name);
}

fn put_attribute(buffer: &mut Vec<u8>, number: u16) {
    let mut digits = [0; 5]; // u16::MAX has five
    let mut start = digits.len();
    let mut rest = number;
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    put_name(buffer, &digits[start..]);
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
#[derive(Default)]
pub struct Committer {
    salts: Option<Salts>,
    item: Zeroizing<Vec<u8>>,
    list: Vec<u8>,
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
        let items = items.into_iter();
        let count = items.clone().count();
        self.list.clear();
        self.list.extend_from_slice(&[0; COUNT_BYTES]);
        let salts = self.salts.get_or_insert_with(|| Salts(Zeroizing::new(Vec::new())));
        salts.fill(secret, count)?;
        let mut previous = None;
        for ((position, (name, value)), salt) in items.enumerate().zip(salts.0.as_chunks().0) {
            check_item(position, name, value)?;
            if previous.is_some_and(|previous| previous >= name) {
                return Err(CommitmentError::Order(position));
            }
            previous = Some(name);
            let commitment = commit_one(&mut self.item, salt, name, value);
            self.list.extend_from_slice(commitment.as_bytes());
        }
        // Fits: `fill` has bounded the count by MAX_ITEMS.
        self.list[..COUNT_BYTES].copy_from_slice(&(count as u16).to_be_bytes());
        Ok(sha256(&self.list))
    }

    /// The list of the last entry that was committed to; empty before the first and after an error.
    pub fn commitments(&self) -> Commitments {
        let bytes =
            if Commitments::from_bytes(self.list.as_slice()).is_ok() { &self.list[..] } else { &[0; COUNT_BYTES] };
        Commitments(bytes.to_vec())
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
    Ok((Commitments(std::mem::take(&mut committer.list)), digest))
}
