//! The vocabulary of the hub: pure types and the rules that need nothing but them. No I/O, no clock, no randomness.
//!
//! | question | file |
//! |---|---|
//! | who? | [`agency`], [`subject`], [`context`] |
//! | what? | [`record`], [`field`], [`value`], [`canonical`] |
//! | how much of it? | [`view`] |
//! | may it? | [`agreement`], [`facts`], [`refusal`] |
//! | what became of it? | [`transfer`] |
//! | how often? | [`quota`] |
//! | when? | [`time`] |

pub mod agency;
pub mod agreement;
pub mod canonical;
pub mod context;
pub mod environment;
pub mod facts;
pub mod field;
pub mod idempotency;
pub mod quota;
pub mod record;
pub mod refusal;
pub mod subject;
pub mod time;
pub mod transfer;
pub mod value;
pub mod view;

mod slug;

#[cfg(test)]
pub(crate) mod arbitrary;
