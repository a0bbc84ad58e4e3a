//! it
mod schemas;
