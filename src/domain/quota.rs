//! How much one system may have at most. The table of limits and the catalogue's quotas go up to the same.

/// Calls a second.
pub const RATE_PER_S_MAX: u64 = 10_000_000;
/// Calls at once above the rate.
pub const RATE_BURST_MAX: u64 = 10_000_000;
/// Refusals a second.
pub const REFUSALS_PER_S_MAX: u64 = 100_000;
/// Refusals at once above that.
pub const REFUSALS_BURST_MAX: u64 = 1_000_000;
/// Calls accepted and not yet answered.
pub const IN_FLIGHT_MAX: u64 = 1_000_000;

/// The most refusals a second of who may make so many calls: a tenth, so that nobody can fill the ledger with them, and one
/// where that is none.
pub const fn refusals_of(rate_per_s: u32) -> u32 {
    match rate_per_s / 10 {
        0 => 1,
        tenth => tenth,
    }
}
