//! Whether a schema is a minor version of the one before it: it only adds optional properties.

use serde_json::{Map, Value};

use super::{
    super::problem::{Fault, Place, Problems},
    SchemaDraft,
};
use crate::domain::record::SchemaVersion;

/// Keywords that are for people: they may change.
const FOR_PEOPLE: [&str; 4] = ["title", "description", "$comment", "$id"];

/// Reports each place where `new` does more than add optional properties to `old`.
pub(super) fn check(previous: SchemaVersion, old: &SchemaDraft, new: &SchemaDraft, problems: &Problems) {
    let mut changes = Vec::new();
    compare(&old.json, &new.json, "", &mut changes);
    for (pointer, detail) in changes {
        let fault = Fault::MinorChanges { previous: previous.to_string(), detail };
        problems.add(&new.file, Place::Pointer(pointer), fault);
    }
}

type Changes = Vec<(String, String)>;

/// Compares two schemas at one place.
fn compare(old: &Value, new: &Value, pointer: &str, changes: &mut Changes) {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        if old != new {
            changes.push((pointer.to_owned(), "it is another schema".to_owned()));
        }
        return;
    };
    let mut keywords: Vec<&String> = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
    keywords.sort();
    for keyword in keywords.into_iter().filter(|name| !FOR_PEOPLE.contains(&name.as_str())) {
        let here = format!("{pointer}/{keyword}");
        match (keyword.as_str(), old.get(keyword), new.get(keyword)) {
            ("properties" | "$defs", Some(old), Some(new)) => named(old, new, &here, changes),
            // What did not exist was optional to begin with.
            ("properties" | "$defs", None, Some(_)) => {}
            ("items", Some(old), Some(new)) => compare(old, new, &here, changes),
            (_, old, new) if old == new => {}
            (_, None, _) => changes.push((here, format!("`{keyword}` is new"))),
            (_, _, None) => changes.push((here, format!("`{keyword}` is gone"))),
            _ => changes.push((here, format!("`{keyword}` is another"))),
        }
    }
}

/// Compares properties or definitions by name; new ones may come, none may go.
fn named(old: &Value, new: &Value, pointer: &str, changes: &mut Changes) {
    let empty = Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    for (name, before) in old {
        let here = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        match new.get(name) {
            Some(after) => compare(before, after, &here, changes),
            None => changes.push((here, format!("`{name}` is gone"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(old: &Value, new: &Value) -> Vec<String> {
        let mut changes = Changes::new();
        compare(old, new, "", &mut changes);
        changes.into_iter().map(|(pointer, detail)| format!("{pointer}: {detail}")).collect()
    }

    #[test]
    fn an_optional_property_and_other_words_may_come() {
        let old = json!({"title": "A", "properties": {"a": {"type": "object", "properties": {}}}, "required": ["a"]});
        let mut new = old.clone();
        new["title"] = json!("B");
        new["properties"]["b"] = json!({"type": "boolean"});
        new["properties"]["a"]["properties"]["c"] = json!({"$ref": "#/$defs/c"});
        new["$defs"] = json!({"c": {"type": "boolean"}});
        assert_eq!(changes(&old, &new), Vec::<String>::new());
    }

    #[test]
    fn nothing_else_may_change() {
        let old = json!({"properties": {"a": {"type": "string", "maxLength": 5}, "l": {"items": {"enum": ["x"]}}}});
        let mut new = old.clone();
        new["required"] = json!(["a"]);
        new["properties"]["a"]["maxLength"] = json!(6);
        new["properties"]["l"]["items"]["enum"] = json!(["x", "y"]);
        let found = [
            "/properties/a/maxLength: `maxLength` is another",
            "/properties/l/items/enum: `enum` is another",
            "/required: `required` is new",
        ];
        assert_eq!(changes(&old, &new), found);
        assert_eq!(changes(&old, &json!({"properties": {}})).len(), 2);
    }
}
