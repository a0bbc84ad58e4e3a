//! it
mod catalogue;
mod schemas;
mod smoke;
