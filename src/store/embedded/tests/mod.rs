//! Tests of the embedded store. The scene they share is `scene.rs`; each other file holds one part of the contract.

mod calls_and_people;
mod deliveries;
mod epochs;
mod faults;
mod held;
mod index;
mod ledger;
mod model;
mod scene;
mod secrecy;
mod slots;
mod volumes;
mod whose;
