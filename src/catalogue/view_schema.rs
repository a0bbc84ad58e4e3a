//! The schema of what a recipient sees.

/// The schema of the agreed fields.
pub fn view_schema(schema: &serde_json::Value, _fields: &[crate::domain::field::FieldPath]) -> serde_json::Value {
    schema.clone()
}
