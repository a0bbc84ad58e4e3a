//! Mutual TLS over loopback: one scene, and a file for each concern. The handshake's refusals are in
//! `acceptor/tests.rs`.

mod authority;
mod files;
mod grpc;
mod identity;
mod live;
pub(super) mod scene;
