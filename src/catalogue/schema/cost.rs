//! What checking one record against a schema can cost at most: a number, so that no schema can hold up the hub.
//!
//! The cost of a schema, in units of about a nanosecond to ten, is
//!
//! - 1 for each value, and 1 for each `enum` entry it is compared with;
//! - for a `pattern`: maxLength x the pattern's bytes / 64 (the linear engine visits a state set for each character);
//! - for an object: its properties' costs and one for each, one for each name in `required`;
//! - for an array: maxItems x its items' cost; with `uniqueItems` maxItems^2 more (each is compared with each);
//! - for `anyOf`: twice the names in its branches (once for the verdict, once for the errors);
//! - for `$ref`: the cost of what it names, each time that it is named.
//!
//! So nested arrays multiply, and so do references in them.

use std::collections::HashMap;

use serde_json::Value;

/// The highest cost of a schema. A few milliseconds on one core, for a record made to be slow.
pub const COST_MAX: u64 = 1_000_000;

/// A pattern's share: characters x bytes of the pattern, divided by this.
pub const PATTERN_COST_DIVISOR: u64 = 64;

/// The cost of `schema`, which has passed the rules.
pub(in crate::catalogue) fn cost(schema: &Value) -> u64 {
    let mut sums = Sums { root: schema, known: HashMap::new() };
    sums.of(schema, None)
}

struct Sums<'s> {
    root: &'s Value,
    /// By definition and tightened length: without it, definitions that name each other twice would take forever.
    known: HashMap<(&'s str, Option<u64>), u64>,
}

impl<'s> Sums<'s> {
    /// The cost of a value under `schema`; `length_max` is the bound that the place of a `$ref` sets.
    fn of(&mut self, schema: &'s Value, length_max: Option<u64>) -> u64 {
        let number = |name: &str| schema.get(name).and_then(Value::as_u64);
        let count = |name: &str| schema.get(name).and_then(Value::as_array).map_or(0, |list| list.len() as u64);
        let length = [number("maxLength"), length_max].into_iter().flatten().min();
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            return self.of_definition(target, length).saturating_add(pattern_cost(schema, length));
        }
        let mut cost = 1 + count("enum") + count("required");
        cost = cost.saturating_add(pattern_cost(schema, length));
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for property in properties.values() {
                cost = cost.saturating_add(1).saturating_add(self.of(property, None));
            }
        }
        if let Some(items) = schema.get("items") {
            let items_max = number("maxItems").unwrap_or(u64::MAX);
            cost = cost.saturating_add(items_max.saturating_mul(self.of(items, None)));
            if schema.get("uniqueItems").and_then(Value::as_bool) == Some(true) {
                cost = cost.saturating_add(items_max.saturating_mul(items_max));
            }
        }
        for branch in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            let names = branch.get("required").and_then(Value::as_array).map_or(0, Vec::len) as u64;
            cost = cost.saturating_add(2 * names);
        }
        cost
    }

    fn of_definition(&mut self, target: &'s str, length_max: Option<u64>) -> u64 {
        if let Some(known) = self.known.get(&(target, length_max)) {
            return *known;
        }
        let root = self.root;
        let cost = super::references::resolve(root, target).map_or(0, |definition| self.of(definition, length_max));
        self.known.insert((target, length_max), cost);
        cost
    }
}

fn pattern_cost(schema: &Value, length_max: Option<u64>) -> u64 {
    let bytes = schema.get("pattern").and_then(Value::as_str).map_or(0, |pattern| pattern.len() as u64);
    length_max.unwrap_or(0).saturating_mul(bytes).div_ceil(PATTERN_COST_DIVISOR)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_arrays_multiply() {
        let inner = json!({"type": "array", "maxItems": 10, "items": {"type": "boolean"}});
        assert_eq!(cost(&inner), 11);
        assert_eq!(cost(&json!({"type": "array", "maxItems": 10, "items": inner})), 1 + 10 * 11);
    }

    #[test]
    fn unique_items_count_each_pair() {
        let schema = json!({"type": "array", "maxItems": 100, "uniqueItems": true, "items": {"type": "boolean"}});
        assert_eq!(cost(&schema), 1 + 100 + 10_000);
    }

    #[test]
    fn a_pattern_costs_its_length_for_each_character() {
        let schema = json!({"type": "string", "maxLength": 640, "pattern": "^[a-z]{2}$"});
        assert_eq!(cost(&schema), 1 + 640 * 10 / 64);
    }

    #[test]
    fn a_reference_costs_what_it_names_within_the_bound_of_its_place() {
        let schema = json!({
            "properties": {"a": {"$ref": "#/$defs/text"}, "b": {"$ref": "#/$defs/text", "maxLength": 64}},
            "$defs": {"text": {"type": "string", "maxLength": 640, "pattern": "^[a-z]{2}$"}}
        });
        assert_eq!(cost(&schema), 1 + (1 + 101) + (1 + 11));
    }

    #[test]
    fn definitions_that_double_sixty_times_are_summed_at_once_and_saturate_nothing_else() {
        let mut definitions = serde_json::Map::new();
        for level in 0..60 {
            let next = format!("#/$defs/d{}", level + 1);
            let both = json!({"properties": {"a": {"$ref": next}, "b": {"$ref": next}}});
            definitions.insert(format!("d{level}"), both);
        }
        definitions.insert("d60".to_owned(), json!({"type": "boolean"}));
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": definitions});
        assert!(cost(&schema) > COST_MAX);
    }
}
