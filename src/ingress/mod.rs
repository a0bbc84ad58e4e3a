//! How calls come in. Each way in reads what it gets, asks the desk, and writes what the desk says; none decides.

pub mod grpc;
pub mod kafka;
