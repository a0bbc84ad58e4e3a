//! What a crash, a failing disk or a curious reader finds: the real binary, killed, traced and searched.
//!
//! `kill.rs` kills the hub five times. By hand, for longer: `WAYBILL_KILLS=200 cargo test --release --test it
//! crash::kill -- --nocapture`. `synced.rs` needs `strace`.

mod canary;
pub mod core;
mod faults;
mod kill;
mod load;
mod paths;
mod readonly;
pub mod scene;
mod synced;
mod told;
