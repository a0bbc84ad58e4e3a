//! Waybill: an interagency data-exchange hub. This file is the map of the library; `src/README.md` is the guide to it.
#![forbid(unsafe_code)]

pub mod domain;
pub mod ledger;
pub mod store;
pub mod vault;
