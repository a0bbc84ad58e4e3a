//! `waybill demo`: the main job, told as it happens.

pub mod population;
mod setup;
mod systems;
