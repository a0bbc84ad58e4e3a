//! What a crash, a failing disk or a curious reader finds: the real binary, killed, traced and searched.
//!
//! `kill.rs` kills the hub five times, and takes its power five times. By hand, for longer: `WAYBILL_KILLS=200 cargo test
//! --release --test it crash::kill -- --nocapture`. `synced.rs` needs `strace`; `disk.rs` compiles C and is Linux's alone.

mod asking;
pub mod canary;
pub mod core;
mod creation;
mod disk;
mod faults;
mod hour;
mod kill;
mod load;
mod paths;
mod readonly;
pub mod scene;
mod story;
mod synced;
mod told;
