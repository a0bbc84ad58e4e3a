//! it
mod catalogue;
mod deliveries;
mod schemas;
mod smoke;
