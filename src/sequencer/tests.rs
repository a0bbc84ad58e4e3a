//! The sequencer on the embedded store: what a batch decides, who gets a turn, what a fault does, what a restart finds.

mod batches;
mod faults;
mod history;
mod lanes;
mod queue;
mod restart;
mod scene;
mod scripted;
mod tampered;
