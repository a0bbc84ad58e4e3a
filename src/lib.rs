//! Waybill: an interagency data-exchange hub. This file is the map of the library; `src/README.md` is the guide to it.
#![forbid(unsafe_code)]

pub mod app;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod desk;
pub mod domain;
pub mod drivers;
pub mod exchange;
pub mod ingress;
pub mod kafka;
pub mod ledger;
pub mod relay;
pub mod sequencer;
pub mod store;
pub mod tls;
pub mod vault;

/// Each record's path crosses threads: it is made on one and freed on another, which the system's allocator does under
/// a lock. So do Kafka's messages and each of their headers in the C library, which uses this allocator, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
