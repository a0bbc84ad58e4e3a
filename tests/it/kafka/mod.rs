//! Kafka at both ends: real brokers, the real binary, and clients as agencies have them. Each test brings its own brokers
//! up and down (`deploy/kafka/broker`), so they run one after the other.
//!
//! `faults.rs` kills the hub six times; for longer: `WAYBILL_KILLS=60`.

mod broker;
mod canary;
mod checked;
mod clients;
mod demo;
mod described;
mod fatal;
mod faults;
mod forms;
mod load;
mod metrics;
mod poison;
mod rebalance;
mod rights;
mod scene;
mod secured;
mod steps;
mod through;
mod window;
