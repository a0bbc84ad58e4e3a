//! The rules of a schema, place by place: only keywords that minimisation can walk, everything closed and bounded.

use std::sync::Arc;

use jsonschema::PatternOptions;
use serde_json::{Map, Value, json};

use super::{
    super::problem::{Fault, Place, Problems},
    fields::Sensitivity,
    references::{self, resolve},
};
use crate::domain::subject::Identifier;

/// The longest string that a schema may allow, in characters; the parser's bound on bytes holds beside it.
pub const STRING_CHARS_MAX: u64 = 65_536;
/// The most items that a schema may allow.
const ITEMS_MAX: u64 = 10_000;
/// The largest compiled pattern, in bytes of the linear engine.
pub const PATTERN_BYTES_MAX: usize = 1 << 18;
/// The integers that every JSON reader keeps: ±(2^53 - 1).
const INTEGER_MAX: i64 = 9_007_199_254_740_991;
/// The deepest nesting that the check follows.
const DEPTH_MAX: usize = 64;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const FOR_PEOPLE: [&str; 4] = ["title", "description", "$comment", "examples"];
const MARKS: [&str; 2] = ["x-waybill-sensitivity", "x-waybill-identifier"];

/// Reports every place of `schema` that breaks a rule.
pub(super) fn check(schema: &Value, file: &Arc<str>, problems: &Problems) {
    let rules = Rules { root: schema, file, problems };
    if schema.get("$schema").and_then(Value::as_str) != Some(DRAFT) {
        rules.report("/$schema", Fault::DraftOther {});
    }
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        let detail = "a record is an object".to_owned();
        rules.report("/type", Fault::TypeRefused { detail });
    }
    rules.place(schema, "", 0);
    if let Some(definitions) = schema.get("$defs").and_then(Value::as_object) {
        for (name, definition) in definitions {
            rules.place(definition, &step("/$defs", name), 1);
        }
    }
    references::check(schema, file, problems);
}

fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

struct Rules<'s> {
    root: &'s Value,
    file: &'s Arc<str>,
    problems: &'s Problems,
}

impl Rules<'_> {
    fn report(&self, pointer: &str, fault: Fault) {
        self.problems.add(self.file, Place::Pointer(pointer.to_owned()), fault);
    }

    /// One schema: root (depth 0), definition, property or items.
    fn place(&self, schema: &Value, pointer: &str, depth: usize) {
        let Some(keywords) = schema.as_object() else {
            let detail = "a schema is an object here, not true or false".to_owned();
            return self.report(pointer, Fault::TypeRefused { detail });
        };
        if depth > DEPTH_MAX {
            return self
                .report(pointer, Fault::BoundTooLarge { keyword: "depth".to_owned(), max: DEPTH_MAX.to_string() });
        }
        let allowed = self.kind(keywords, pointer);
        for keyword in keywords.keys() {
            let name = keyword.as_str();
            let of_root = depth == 0 && matches!(name, "$schema" | "$id" | "$defs");
            if !(of_root || FOR_PEOPLE.contains(&name) || MARKS.contains(&name) || allowed.contains(&name)) {
                self.report(&step(pointer, keyword), Fault::KeywordRefused { keyword: keyword.clone() });
            }
        }
        self.bounds(keywords, pointer);
        self.marks(keywords, pointer);
        self.strings(keywords, pointer);
        self.object(keywords, pointer);
        for (name, property) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.place(property, &step(&step(pointer, "properties"), name), depth + 1);
        }
        if let Some(items) = keywords.get("items") {
            self.place(items, &step(pointer, "items"), depth + 1);
        }
    }

    /// The keywords that a place of its kind may have; a kind that is none is reported.
    fn kind(&self, keywords: &Map<String, Value>, pointer: &str) -> &'static [&'static str] {
        if let Some(target) = keywords.get("$ref") {
            self.reference(target, pointer);
            return &["$ref", "minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems"];
        }
        match keywords.get("type").and_then(Value::as_str) {
            Some("object") => &["type", "properties", "required", "additionalProperties", "anyOf"],
            Some("array") => &["type", "items", "minItems", "maxItems", "uniqueItems"],
            Some("string") => &["type", "enum", "const", "minLength", "maxLength", "pattern"],
            Some("integer") => &["type", "enum", "const", "minimum", "maximum"],
            Some("boolean") => &["type", "const"],
            Some(other) => {
                self.report(&step(pointer, "type"), Fault::TypeRefused { detail: format!("the type is `{other}`") });
                &["type"]
            }
            None => {
                let detail = "there is not exactly one type".to_owned();
                self.report(pointer, Fault::TypeRefused { detail });
                &["type"]
            }
        }
    }

    fn reference(&self, target: &Value, pointer: &str) {
        let text = target.as_str().unwrap_or_default().to_owned();
        let pointer = step(pointer, "$ref");
        if !text.starts_with("#/$defs/") {
            self.report(&pointer, Fault::RefOutside { target: text });
        } else if resolve(self.root, &text).is_none() {
            self.report(&pointer, Fault::RefDangling { target: text });
        }
    }

    fn bounds(&self, keywords: &Map<String, Value>, pointer: &str) {
        let needed: &[&str] = match keywords.get("type").and_then(Value::as_str) {
            Some("string") if !keywords.contains_key("enum") && !keywords.contains_key("const") => &["maxLength"],
            Some("integer") if !keywords.contains_key("enum") && !keywords.contains_key("const") => {
                &["minimum", "maximum"]
            }
            Some("array") => &["items", "maxItems"],
            _ => &[],
        };
        for keyword in needed.iter().filter(|keyword| !keywords.contains_key(**keyword)) {
            self.report(pointer, Fault::BoundMissing { keyword: (*keyword).to_owned() });
        }
        for (keyword, max) in [
            ("maxLength", STRING_CHARS_MAX),
            ("minLength", STRING_CHARS_MAX),
            ("maxItems", ITEMS_MAX),
            ("minItems", ITEMS_MAX),
        ] {
            match keywords.get(keyword).map(Value::as_u64) {
                None => {}
                Some(Some(bound)) if bound <= max => {}
                Some(Some(_)) => {
                    let fault = Fault::BoundTooLarge { keyword: keyword.to_owned(), max: max.to_string() };
                    self.report(&step(pointer, keyword), fault);
                }
                Some(None) => self.invalid(pointer, keyword, "is not a whole number"),
            }
        }
        for keyword in ["minimum", "maximum"] {
            let bound = keywords.get(keyword).map(Value::as_i64);
            if bound.is_some_and(|bound| bound.is_none_or(|bound| !(-INTEGER_MAX..=INTEGER_MAX).contains(&bound))) {
                self.invalid(pointer, keyword, "is not an integer within ±(2^53-1)");
            }
        }
        if keywords.get("uniqueItems").is_some_and(|unique| unique == &json!(true)) {
            self.unique_items(keywords, pointer);
        }
    }

    fn unique_items(&self, keywords: &Map<String, Value>, pointer: &str) {
        let mut items = keywords.get("items");
        let mut steps = 0;
        while let Some(target) = items.and_then(|items| items.get("$ref")).and_then(Value::as_str) {
            items = resolve(self.root, target).filter(|_| steps < DEPTH_MAX);
            steps += 1;
        }
        let kind = items.and_then(|items| items.get("type")).and_then(Value::as_str);
        if matches!(kind, Some("object" | "array")) {
            self.report(&step(pointer, "uniqueItems"), Fault::UniqueItemsOfStructure {});
        }
    }

    fn invalid(&self, pointer: &str, keyword: &str, detail: &str) {
        let fault = Fault::KeywordInvalid { keyword: keyword.to_owned(), detail: detail.to_owned() };
        self.report(&step(pointer, keyword), fault);
    }

    fn strings(&self, keywords: &Map<String, Value>, pointer: &str) {
        let Some(pattern) = keywords.get("pattern") else { return };
        let options = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
        let compiled = jsonschema::options().with_pattern_options(options).build(&json!({ "pattern": pattern }));
        if let Err(error) = compiled {
            self.report(&step(pointer, "pattern"), Fault::PatternRefused { detail: error.to_string() });
        }
    }

    fn object(&self, keywords: &Map<String, Value>, pointer: &str) {
        if keywords.get("type").and_then(Value::as_str) != Some("object") {
            return;
        }
        if keywords.get("additionalProperties") != Some(&json!(false)) {
            self.report(pointer, Fault::ObjectOpen {});
        }
        if keywords.get("properties").is_some_and(|properties| !properties.is_object()) {
            self.invalid(pointer, "properties", "is not an object");
        }
        let properties = keywords.get("properties").and_then(Value::as_object);
        let has = |name: &str| properties.is_some_and(|properties| properties.contains_key(name));
        self.required(keywords, pointer, &has);
        let Some(branches) = keywords.get("anyOf") else { return };
        let pointer = step(pointer, "anyOf");
        let Some(branches) = branches.as_array().filter(|branches| !branches.is_empty()) else {
            return self.report(
                &pointer,
                Fault::KeywordInvalid { keyword: "anyOf".to_owned(), detail: "is no list".to_owned() },
            );
        };
        for (index, branch) in branches.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            match branch.as_object() {
                Some(only) if only.len() == 1 && only.contains_key("required") => self.required(only, &pointer, &has),
                _ => self.invalid(&pointer, "anyOf", "has a branch that holds more than `required`"),
            }
        }
    }

    fn required(&self, keywords: &Map<String, Value>, pointer: &str, has: &dyn Fn(&str) -> bool) {
        let Some(required) = keywords.get("required") else { return };
        let Some(names) = required.as_array() else {
            return self.invalid(pointer, "required", "is no list");
        };
        for name in names {
            match name.as_str() {
                Some(name) if has(name) => {}
                Some(name) => {
                    self.report(&step(pointer, "required"), Fault::RequiredUnknown { name: name.to_owned() });
                }
                None => self.invalid(pointer, "required", "lists something that is no name"),
            }
        }
    }

    fn marks(&self, keywords: &Map<String, Value>, pointer: &str) {
        if let Some(mark) = keywords.get("x-waybill-sensitivity")
            && mark.as_str().and_then(Sensitivity::from_word).is_none()
        {
            let fault = Fault::SensitivityUnknown { value: mark.to_string() };
            self.report(&step(pointer, "x-waybill-sensitivity"), fault);
        }
        if let Some(mark) = keywords.get("x-waybill-identifier")
            && let Some(detail) = identifier_fault(mark)
        {
            let fault = Fault::IdentifierInvalid { detail: detail.to_owned() };
            self.report(&step(pointer, "x-waybill-identifier"), fault);
        }
    }
}

/// What is wrong with an identifier's mark.
fn identifier_fault(mark: &Value) -> Option<&'static str> {
    let Some(mark) = mark.as_object() else { return Some("it is no object") };
    if mark.keys().any(|key| key != "scheme" && key != "role") {
        return Some("it has something other than scheme and role");
    }
    // The scheme's syntax is the domain's; any value serves to ask for it.
    let scheme = mark.get("scheme").and_then(Value::as_str);
    if scheme.is_none_or(|scheme| Identifier::new(scheme, "x").is_err()) {
        return Some("the scheme is not 1 to 64 characters of a-z, 0-9 or '-'");
    }
    let role = mark.get("role").and_then(Value::as_str);
    let letter = |b: u8| b.is_ascii_lowercase() || b == b'-';
    if role.is_none_or(|role| role.is_empty() || role.len() > 64 || !role.bytes().all(letter)) {
        return Some("the role is not a word of a-z and '-'");
    }
    None
}
