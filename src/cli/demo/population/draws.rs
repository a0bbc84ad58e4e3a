//! Where the population's chance comes from: one stream for each citizen and purpose, all from one seed.

use fastrand::Rng;

/// What a stream of draws is for; each has its own, so that a change to one record leaves the others as they were.
#[derive(Clone, Copy)]
pub(super) enum Draw {
    Person,
    Marriage,
    /// Which move.
    Address(u32),
    Contact,
    Income,
    Claim,
    /// Which record type.
    RecordId(u32),
}

/// The stream for that purpose of whoever is at that index.
pub(super) fn draws(seed: u64, index: usize, purpose: Draw) -> Rng {
    let (kind, number) = match purpose {
        Draw::Person => (1, 0),
        Draw::Marriage => (2, 0),
        Draw::Address(n) => (3, n),
        Draw::Contact => (4, 0),
        Draw::Income => (5, 0),
        Draw::Claim => (6, 0),
        Draw::RecordId(n) => (7, n),
    };
    // Two odd constants spread neighbouring indices and purposes over the whole seed.
    let place = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let purpose = ((kind << 32) | u64::from(number)).wrapping_mul(0xD1B5_4A32_D192_ED03);
    Rng::with_seed(Rng::with_seed(seed ^ place).u64(..) ^ purpose)
}
