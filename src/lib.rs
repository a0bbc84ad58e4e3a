//! Waybill: an interagency data-exchange hub. This file is the map of the library; `src/README.md` is the guide to it.
#![forbid(unsafe_code)]

pub mod catalogue;
/// The command line.
pub mod cli {
    /// The main job, shown.
    pub mod demo {
        pub mod population;
    }
}
pub mod config;
pub mod domain;
pub mod exchange;
