//! The one integration crate: the real hub, over real mutual TLS where a client is involved.

mod catalogue;
mod deliveries;
mod grpc;
mod schemas;
mod series;
mod smoke;
