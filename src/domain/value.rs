//! A parsed record.
