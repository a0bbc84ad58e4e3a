//! Sequencer tests.
