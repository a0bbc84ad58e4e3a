//! Loads, checks, digests and compiles agencies, schemas and agreements.

pub mod validator;
pub mod view_schema;
