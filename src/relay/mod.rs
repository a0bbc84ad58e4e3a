//! The outbox worker: from a durable transfer to its acknowledgement, at least once. It decides when something is handed
//! over, never what or to whom.
//!
//! ```text
//! commits ─▶ claim (durable) ─▶ open ─▶ hand over under credit ─▶ still open? ─▶ driver ─▶ report ─▶ entry (durable)
//!                                  ▲                                                          │
//!                                  └──────── rests, doubling ◀── time-out, lost link, failed ──┘──▶ dead letter
//! ```
//!
//! Each recipient agency has one worker, whatever the number of its links. Promises:
//! - Nothing leaves before its claim is durable; a claim is no larger than what the links can take, so that a withdrawal
//!   cancels as much as possible. What was cancelled after the claim does not leave any more: it is asked for each
//!   delivery as it leaves.
//! - Deliveries of one subject go one after the other (`book.rs`); others pass.
//! - A delivery ends by the recipient's word, or by the hub's after the bounded number of attempts. Each end is an entry,
//!   written once. Answers that come together are recorded together; one that can never be, since what it is about is
//!   damaged, is set aside until the next start.
//! - What is claimed and has not ended is handed over again after a restart. Attempts are counted since the start. What
//!   a lost link's driver had not taken was not attempted.
//!
//! | question | file |
//! |---|---|
//! | which goes next, which waits? | `book.rs` |
//! | when is it tried again? | `backoff.rs` |
//! | to which link? | `links.rs` |
//! | what happens when? | `worker.rs`, beside it `jobs.rs` |
//! | how does a link get in? | `registry.rs` |
//! | what does it need of the hub? | `outbox.rs` |

mod backoff;
mod book;
mod jobs;
mod links;
mod meters;
mod outbox;
mod registry;
#[cfg(test)]
mod tests;
mod worker;

use std::time::Duration;

pub use backoff::Backoff;
pub use registry::{Registry, Stopping};

/// Bounds of the relay; defaults and documentation are in the table of limits.
#[derive(Debug, Clone, Copy)]
pub struct RelayLimits {
    /// The most credit that a stream is given.
    pub credit_max: usize,
    /// How long a recipient may take to answer a delivery.
    pub report_within: Duration,
    /// How often a delivery is handed over before it is given up.
    pub attempts_max: u32,
    /// The wait between two attempts.
    pub backoff: Backoff,
    /// Deliveries of one recipient that are claimed and have not ended, or whose end is not recorded; beyond it no more are
    /// claimed. At least the credit of its links, or they are not filled.
    pub held_max: usize,
}
