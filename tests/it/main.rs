//! The one integration crate: the real hub, over real mutual TLS where a client is involved.
#![allow(
    clippy::assigning_clones,
    clippy::cast_possible_wrap,
    clippy::comparison_to_empty,
    clippy::default_trait_access,
    clippy::duration_suboptimal_units,
    clippy::match_same_arms,
    clippy::manual_is_multiple_of,
    clippy::type_complexity,
    clippy::unnecessary_cast,
    clippy::unnecessary_wraps,
    reason = "a scene is read more often than it is run"
)]

mod catalogue;
mod cli;
mod crash;
mod deliveries;
mod grpc;
mod kafka;
mod offline;
mod retention;
mod rules;
mod scene;
mod schemas;
mod series;
