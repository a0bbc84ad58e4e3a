//! Opening one commitment of an entry, so that one fact can be shown without the rest. Not the making of the list:
//! `commitment.rs`.
use std::fmt;

use super::commitment::{CommitmentError, Commitments, MAX_ITEMS, check_item, commit_one};
use super::name::Name;
use super::salts::{SALT_BYTES, Salts, Secret};

/// What is shown to open one commitment. It holds what was committed to, so it is personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Where the commitment stands in the list, from 0.
    pub position: u16,
    /// Attribute number in decimal, or field path.
    pub name: String,
    /// RFC 8785 JSON.
    pub value: String,
    /// The item's salt.
    pub salt: [u8; SALT_BYTES],
}

/// Neither name, value nor salt is shown.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({})", self.position)
    }
}

/// The opening of the item at `position`. It is not compared with any list.
pub fn open(secret: &Secret, position: usize, name: Name<'_>, value: &[u8]) -> Result<Opening, CommitmentError> {
    if position >= MAX_ITEMS {
        return Err(CommitmentError::Position(position));
    }
    opening(&Salts::derive(secret, position + 1)?, position, name, value)
}

/// The openings of all items of an entry, in order; of them one keeps what may be shown.
pub fn open_all<'a, I>(secret: &Secret, items: I) -> Result<Vec<Opening>, CommitmentError>
where
    I: IntoIterator<Item = (Name<'a>, &'a [u8])>,
{
    let salts = Salts::derive(secret, MAX_ITEMS)?;
    items.into_iter().enumerate().map(|(position, (name, value))| opening(&salts, position, name, value)).collect()
}

fn opening(salts: &Salts, position: usize, name: Name<'_>, value: &[u8]) -> Result<Opening, CommitmentError> {
    check_item(position, name, value)?;
    let salt = salts.get(position).ok_or(CommitmentError::TooMany(position + 1))?;
    let value = std::str::from_utf8(value).map_err(|_| CommitmentError::Value(position))?;
    // Fits: there are salts for MAX_ITEMS positions.
    Ok(Opening { position: position as u16, name: name.to_string(), value: value.to_owned(), salt })
}

/// Whether `opening` opens its commitment in `commitments`.
pub fn verify_opening(commitments: &Commitments, opening: &Opening) -> Result<(), CommitmentError> {
    let position = usize::from(opening.position);
    let commitment = commitments.get(position).ok_or(CommitmentError::Position(position))?;
    let name = Name::parse(&opening.name).ok_or(CommitmentError::Name(position))?;
    check_item(position, name, opening.value.as_bytes())?;
    let mut buffer = Vec::with_capacity(SALT_BYTES + 6 + opening.name.len() + opening.value.len());
    if commit_one(&mut buffer, &opening.salt, name, opening.value.as_bytes()) == commitment {
        Ok(())
    } else {
        Err(CommitmentError::Mismatch(position))
    }
}

/// Whether all `openings` open, and stand in the order of the list, so that no name is shown with two values.
pub fn verify_openings(commitments: &Commitments, openings: &[Opening]) -> Result<(), CommitmentError> {
    let mut previous: Option<&Opening> = None;
    for opening in openings {
        verify_opening(commitments, opening)?;
        if let Some(previous) = previous {
            let ascending =
                previous.position < opening.position && Name::parse(&previous.name) < Name::parse(&opening.name);
            if !ascending {
                return Err(CommitmentError::Order(usize::from(opening.position)));
            }
        }
        previous = Some(opening);
    }
    Ok(())
}
