//! Synthetic numbers with check digits. No country issues such: they begin with ZZ, which ISO 3166-1 assigns to none.

/// How many numbers of one kind there are; with more citizens than that they would repeat.
const SERIALS: u64 = 100_000_000;

/// A national number, such as `ZZN0000001089`.
pub(super) fn national(seed: u64, index: usize) -> String {
    with_check_digits(&format!("ZZN{:08}", serial(seed, index, 27_182_819)))
}

/// A tax number, such as `ZZT0000001086`. It can't be computed from the national number without the seed.
pub(super) fn tax(seed: u64, index: usize) -> String {
    with_check_digits(&format!("ZZT{:08}", serial(seed.rotate_left(32), index, 31_415_927)))
}

/// `step` has no factor in common with [`SERIALS`], so that two indices never meet.
fn serial(seed: u64, index: usize, step: u64) -> u64 {
    let start = fastrand::Rng::with_seed(seed).u64(0..SERIALS);
    (start + (index as u64 % SERIALS) * step) % SERIALS
}

/// ISO/IEC 7064 MOD 97-10, letters counted as 10 to 35.
fn with_check_digits(body: &str) -> String {
    format!("{body}{:02}", 98 - remainder(&format!("{body}00")))
}

/// 1 for a number whose check digits are right.
pub(super) fn remainder(number: &str) -> u32 {
    number.chars().filter_map(|c| c.to_digit(36)).fold(0, |rest, digit| {
        let shift = if digit < 10 { 10 } else { 100 };
        (rest * shift + digit) % 97
    })
}
