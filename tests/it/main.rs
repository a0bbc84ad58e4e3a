//! it
mod catalogue;
mod schemas;
