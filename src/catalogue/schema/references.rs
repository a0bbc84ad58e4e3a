//! Where references lead: into the file's own definitions, in no circle, and not through too many of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::super::problem::{Fault, Place, Problems};

/// The most definitions of one schema.
const DEFINITIONS_MAX: usize = 1_000;
/// The longest chain of definitions that refer to each other; the walks recurse along it.
const CHAIN_MAX: usize = 32;

/// By a definition's reference, the references in it.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The definition that `#/$defs/<name>` names.
pub(super) fn resolve<'s>(root: &'s Value, target: &str) -> Option<&'s Value> {
    let name = target.strip_prefix("#/$defs/").filter(|name| !name.contains('/'))?;
    root.get("$defs")?.get(name.replace("~1", "/").replace("~0", "~"))
}

/// Reports circles and chains that are too long.
pub(super) fn check(root: &Value, file: &Arc<str>, problems: &Problems) {
    let Some(definitions) = root.get("$defs").and_then(Value::as_object) else { return };
    let too_many = |pointer: &str, keyword: &str, max: usize| {
        let fault = Fault::BoundTooLarge { keyword: keyword.to_owned(), max: max.to_string() };
        problems.add(file, Place::Pointer(pointer.to_owned()), fault);
    };
    if definitions.len() > DEFINITIONS_MAX {
        return too_many("/$defs", "$defs", DEFINITIONS_MAX);
    }
    let mut graph = Graph::new();
    for (name, definition) in definitions {
        let mut targets = BTreeSet::new();
        collect(definition, &mut targets);
        graph.insert(format!("#/$defs/{}", name.replace('~', "~0").replace('/', "~1")), targets);
    }
    // Round by round, what refers to nothing that is left goes; the round is the length of its chain.
    for round in 1.. {
        let ends: Vec<String> = graph
            .iter()
            .filter(|(_, targets)| targets.iter().all(|target| !graph.contains_key(target)))
            .map(|(name, _)| name.clone())
            .collect();
        if ends.is_empty() {
            break;
        }
        for name in ends {
            graph.remove(&name);
            if round == CHAIN_MAX + 1 {
                too_many(name.trim_start_matches('#'), "$ref chain", CHAIN_MAX);
            }
        }
    }
    // What is left leads to a circle; without what nothing left refers to, it is in one, or between two.
    loop {
        let named: BTreeSet<String> = graph.values().flatten().cloned().collect();
        let before = graph.len();
        graph.retain(|name, _| named.contains(name));
        if graph.len() == before {
            break;
        }
    }
    for name in graph.into_keys() {
        let place = Place::Pointer(name.trim_start_matches('#').to_owned());
        problems.add(file, place, Fault::RefCircular { target: name });
    }
}

/// All references in a schema. What `enum`, `const` and `examples` hold is data.
fn collect(schema: &Value, targets: &mut BTreeSet<String>) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                match (keyword.as_str(), value) {
                    ("$ref", Value::String(target)) => drop(targets.insert(target.clone())),
                    ("enum" | "const" | "examples", _) => {}
                    _ => collect(value, targets),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, targets)),
        _ => {}
    }
}
