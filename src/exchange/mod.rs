//! The path of a record: each stage is a pure function of what the stages before it made. A submission that was not
//! authenticated has no address, what was not validated cannot be minimised, what was not permitted neither. Facts come
//! in as snapshots, randomness and time as arguments; reading and writing is the desk's.
//!
//! ```text
//! Submission ─authenticate─▶ Authenticated ─address─▶ Addressed ─validate─▶ Valid ─permit─▶ Permitted
//!            ─minimise─▶ Minimised ─seal─▶ Sealed ─▶ (sequencer)
//! ```
//!
//! | stage | asks | file |
//! |---|---|---|
//! | authenticate | who calls, for whom, and may it | [`authenticate`] |
//! | address | which record type, version and agreements | [`address`] |
//! | validate | is the record what it says (bounds, schema, whom it is about) | [`validate`] |
//! | permit | may it move to this recipient, on what ground | [`permit`] |
//! | minimise | which of its fields | [`minimise`] |
//! | seal | commitments, ciphertext, the entry but for index and time | [`seal`] |

pub mod address;
pub mod authenticate;
pub mod minimise;
pub mod parse;
pub mod permit;
pub mod seal;
pub mod statement;
pub mod submission;
pub mod trail;
pub mod validate;
