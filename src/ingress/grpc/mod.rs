//! gRPC in front of the desk, one file a service. Nothing is decided here.
//!
//! | question | file |
//! |---|---|
//! | how is it served, within which bounds | `server.rs`, `connection.rs`, `gathered.rs`, `limits.rs`, `health.rs` |
//! | who calls | `peer.rs` |
//! | which gRPC code | `status.rs` |
//! | what does a message mean | `read.rs`, what can be wrong with it `faults.rs`; answers are written by `write.rs` |
//! | which calls go on without their caller | `detached.rs` |
//! | push, ask, provide, receive | `exchange.rs`, `submit_stream.rs`, `provide.rs`, `receive.rs` |
//! | consent | `consent.rs` |
//! | proofs, audit | `ledger.rs` |
//! | dead letters, catalogue | `operator.rs` |

mod connection;
mod consent;
mod detached;
mod exchange;
mod faults;
mod gathered;
mod health;
mod ledger;
mod limits;
mod operator;
mod peer;
mod provide;
mod read;
mod receive;
mod server;
mod status;
mod submit_stream;
#[cfg(test)]
mod tests;
mod write;

pub use limits::GrpcLimits;
pub use server::{GrpcParts, GrpcServer};
