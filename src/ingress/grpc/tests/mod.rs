//! Tests of the gRPC ingress.
