//! The one integration crate: the real hub, over real mutual TLS where a client is involved.

mod catalogue;
mod crash;
mod deliveries;
mod grpc;
mod rules;
mod scene;
mod schemas;
mod smoke;
