//! Who is peculiar, and who belongs to whom: a layout that repeats in every block of a hundred indices.

use super::draws::{Draw, draws};

/// The cycle after which the peculiarities come again.
const BLOCK: usize = 100;
/// Where the peculiarities begin in each block; before it come ordinary adults, the first of whom the demo is about.
const FIRST_PECULIAR: usize = 3;
/// The guardian of a block's minor, as an index into the block: an ordinary adult.
pub(super) const GUARDIAN: usize = 1;

/// What makes a citizen one whom careless software fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peculiarity {
    /// The register's name is not in Latin script; transliterations stand beside it.
    SeveralScripts,
    /// One name is all there is.
    Mononym,
    /// A full name of exactly 200 characters.
    NameOf200Characters,
    /// Apostrophes, straight and curly, and hyphens.
    ApostropheAndHyphen,
    /// A given name and a patronymic, and no family name.
    NoFamilyName,
    /// Born in a known year; month and day are not known.
    BirthYearOnly,
    /// Born in a known month; the day is not known.
    BirthYearAndMonth,
    /// Three nationalities.
    SeveralNationalities,
    /// No nationality, and the register knows that.
    Stateless,
    /// Nowhere to write to but a day centre.
    NoFixedAddress,
    /// Lives in a country that has no postcodes.
    AbroadWithoutPostcode,
    /// A child, with a guardian who is another citizen of the population.
    Minor,
    /// Died last year.
    Deceased,
    /// Bears another name than before.
    ChangedName,
    /// One of two with the same name, birth date and home; comes in pairs of neighbouring indices.
    Twin,
    /// Known to the tax administration, and not yet to the population register.
    TaxNumberOnly,
}

/// What the indices from [`FIRST_PECULIAR`] on are, in each block.
const PECULIARITIES: [Peculiarity; 17] = [
    Peculiarity::SeveralScripts,
    Peculiarity::Mononym,
    Peculiarity::NameOf200Characters,
    Peculiarity::ApostropheAndHyphen,
    Peculiarity::NoFamilyName,
    Peculiarity::BirthYearOnly,
    Peculiarity::BirthYearAndMonth,
    Peculiarity::SeveralNationalities,
    Peculiarity::Stateless,
    Peculiarity::NoFixedAddress,
    Peculiarity::AbroadWithoutPostcode,
    Peculiarity::Minor,
    Peculiarity::Deceased,
    Peculiarity::ChangedName,
    Peculiarity::Twin,
    Peculiarity::Twin,
    Peculiarity::TaxNumberOnly,
];

/// The first index at which somebody has that peculiarity.
pub(super) fn first(peculiarity: Peculiarity) -> Option<usize> {
    PECULIARITIES.iter().position(|p| *p == peculiarity).map(|place| FIRST_PECULIAR + place)
}

/// The peculiarity of whoever is at that index.
pub(super) fn at(index: usize) -> Option<Peculiarity> {
    (index % BLOCK).checked_sub(FIRST_PECULIAR).and_then(|place| PECULIARITIES.get(place)).copied()
}

/// The index that the draws of a person come from: the elder twin's for both.
pub(super) fn twin_of(index: usize) -> usize {
    let younger = index > 0 && [index - 1, index].map(at) == [Some(Peculiarity::Twin); 2];
    if younger { index - 1 } else { index }
}

/// The index of the guardian of the block's minor.
pub(super) fn guardian_of(index: usize) -> usize {
    index - index % BLOCK + GUARDIAN
}

/// Two in five of the ordinary pairs (even, odd) of a block are married.
pub(super) fn spouse_of(seed: u64, index: usize) -> Option<usize> {
    let ordinary = index % BLOCK >= FIRST_PECULIAR + PECULIARITIES.len();
    let married = ordinary && draws(seed, index & !1, Draw::Marriage).u8(0..5) < 2;
    married.then_some(index ^ 1)
}

/// Whose home somebody lives in: the first spouse's, the elder twin's, the guardian's, one's own.
pub(super) fn home_of(seed: u64, index: usize) -> usize {
    if spouse_of(seed, index).is_some() {
        index & !1
    } else if at(index) == Some(Peculiarity::Minor) {
        guardian_of(index)
    } else {
        twin_of(index)
    }
}
