//! The path of a record, one stage a file. Pure: no I/O, no clock.

pub mod parse;
