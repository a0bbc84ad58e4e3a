//! The gRPC ingress over real mutual TLS, in front of a whole core on the embedded store.

mod answers;
mod scene;
mod streams;
mod submit;
