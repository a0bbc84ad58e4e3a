//! Deliveries on the real store: from a durable transfer to its acknowledgement, as an entry.

mod ends;
mod over_grpc;
mod scene;
mod told;

pub use scene::Scene;
