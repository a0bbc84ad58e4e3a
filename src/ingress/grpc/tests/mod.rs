//! Tests of the gRPC ingress that need no hub: statuses, and what messages are read as.

mod reading;
mod statuses;
