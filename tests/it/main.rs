//! it
mod catalogue;
mod grpc;
mod schemas;
mod smoke;
