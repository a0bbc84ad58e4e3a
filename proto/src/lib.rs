//! The public contract of Waybill, generated from `waybill/v1/*.proto`.
//!
//! Agency systems need nothing else to talk to a hub: see the comments in the `.proto` files for units, bounds and
//! errors.
#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated; the .proto files carry the documentation")]

pub mod codec;

/// Package `waybill.v1`.
pub mod v1 {
    tonic::include_proto!("waybill.v1");
}

/// The compiled `FileDescriptorSet` of the package, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/waybill.binpb"));
