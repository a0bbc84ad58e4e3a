//! A small catalogue that is right, held in memory, and ways to change it. Not for production.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalogue::{Catalogue, Problem, SourceFile, Sources};

pub(super) const A: &str = "agencies/a.toml";
pub(super) const B: &str = "agencies/b.toml";
pub(super) const PURPOSES: &str = "purposes.toml";
pub(super) const RECORD_TYPES: &str = "record-types.toml";
pub(super) const PUSH: &str = "agreements/push.toml";
pub(super) const PULL: &str = "agreements/pull.toml";
pub(super) const SCHEMA: &str = "d/r/1.0.json";

const A_TEXT: &str = r#"title = "A"
public_authority = true
refusal_trail = "2y"
[[system]]
name = "main"
san = "urn:a:main"
roles = ["submit", "provide", "collect-consent"]
"#;

const B_TEXT: &str = r#"title = "B"
public_authority = true
refusal_trail = "2y"
[[system]]
name = "main"
san = "urn:b:main"
acts_for = ["b", "a"]
roles = ["request", "receive"]
"#;

const PURPOSES_TEXT: &str = r#"[[purpose]]
id = "work"
title = "Work"
[[purpose]]
id = "wish"
title = "Wish"
consent = true
"#;

const RECORD_TYPES_TEXT: &str = r#"[[record_type]]
id = "d/r"
authority = "a"
links = true
"#;

const PUSH_TEXT: &str = r#"title = "Push"
description = "What a sends to b"
revision = 2
direction = "push"
source = "a"
recipient = "b"
record_type = "d/r"
schema_major = 1
purpose = "work"
demand = "nothing"
scope = { all = "everybody" }
fields = ["/subject/number", "/names/*/given"]
valid_from = 2026-01-01
[basis]
article = "6(1)(e)"
law = "Act, s. 1"
[retention]
payload = "none"
trail = "10y"
at_recipient = "5y"
"#;

const PULL_TEXT: &str = r#"title = "Pull"
description = "What b asks a"
revision = 1
direction = "pull"
source = "a"
recipient = "b"
record_type = "d/r"
schema_major = 1
purpose = "wish"
demand = "consent"
scope = "registered-interest"
fields = ["/subject", "/count"]
context = ["case"]
valid_from = 2026-01-01
valid_until = 2030-01-01
[basis]
article = "6(1)(a)"
[retention]
trail = "10y"
at_recipient = "none"
"#;

/// A schema with each kind of value that is allowed.
pub(super) fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "subject": {"$ref": "#/$defs/subject", "x-waybill-sensitivity": "sensitive"},
            "names": {"type": "array", "maxItems": 4, "items": {"$ref": "#/$defs/name"}, "x-waybill-sensitivity": "ordinary"},
            "count": {"type": "integer", "minimum": 0, "maximum": 9, "x-waybill-sensitivity": "ordinary"},
            "health": {"type": "string", "maxLength": 9, "x-waybill-sensitivity": "special"},
            "offence": {"type": "string", "maxLength": 9, "x-waybill-sensitivity": "criminal"}
        },
        "required": ["subject"],
        "additionalProperties": false,
        "$defs": {
            "subject": {
                "type": "object",
                "properties": {
                    "number": {
                        "type": "string", "maxLength": 9, "x-waybill-sensitivity": "sensitive",
                        "x-waybill-identifier": {"scheme": "number", "role": "main"}
                    },
                    "other": {
                        "type": "string", "maxLength": 9, "x-waybill-sensitivity": "sensitive",
                        "x-waybill-identifier": {"scheme": "other", "role": "main"}
                    }
                },
                "anyOf": [{"required": ["number"]}, {"required": ["other"]}],
                "additionalProperties": false
            },
            "name": {
                "type": "object",
                "properties": {
                    "given": {"type": "string", "maxLength": 9, "pattern": "^[a-z]*$", "x-waybill-sensitivity": "ordinary"},
                    "kind": {"type": "string", "enum": ["birth", "now"], "x-waybill-sensitivity": "ordinary"},
                    "child": {
                        "type": "string", "maxLength": 9, "x-waybill-sensitivity": "sensitive",
                        "x-waybill-identifier": {"scheme": "number", "role": "child"}
                    }
                },
                "additionalProperties": false
            }
        }
    })
}

/// The texts of a catalogue, to be changed and then loaded.
#[derive(Clone)]
pub(super) struct Scene(pub(super) Sources);

impl Scene {
    /// The catalogue that is right.
    pub(super) fn new() -> Self {
        let mut scene = Self(Sources::default());
        let texts = [
            (A, A_TEXT),
            (B, B_TEXT),
            (PURPOSES, PURPOSES_TEXT),
            (RECORD_TYPES, RECORD_TYPES_TEXT),
            (PUSH, PUSH_TEXT),
            (PULL, PULL_TEXT),
        ];
        for (path, text) in texts {
            scene.put(path, text);
        }
        scene.put(SCHEMA, &schema().to_string());
        scene
    }

    fn files(&mut self, path: &str) -> &mut Vec<SourceFile> {
        if path.starts_with("d/") || path.starts_with("x/") { &mut self.0.schemas } else { &mut self.0.catalogue }
    }

    /// Adds a file or takes its place.
    pub(super) fn put(&mut self, path: &str, text: &str) -> &mut Self {
        let shown: Arc<str> = path.into();
        self.remove(path);
        self.files(path).push(SourceFile { path: path.to_owned(), shown, text: text.to_owned() });
        self
    }

    pub(super) fn remove(&mut self, path: &str) -> &mut Self {
        self.files(path).retain(|file| file.path != path);
        self
    }

    pub(super) fn text(&mut self, path: &str) -> String {
        self.files(path).iter().find(|file| file.path == path).expect("the scene has the file").text.clone()
    }

    /// Replaces a text that is there exactly once.
    pub(super) fn edit(&mut self, path: &str, from: &str, to: &str) -> &mut Self {
        let text = self.text(path);
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {path}");
        self.put(path, &text.replace(from, to))
    }

    /// Replaces the schema with what `change` makes of it.
    pub(super) fn schema(&mut self, change: impl FnOnce(&mut Value)) -> &mut Self {
        let mut schema = schema();
        change(&mut schema);
        self.put(SCHEMA, &schema.to_string())
    }

    pub(super) fn load(&self) -> Result<Catalogue, Vec<Problem>> {
        Catalogue::from_sources(&self.0)
    }

    /// The first line of each problem.
    pub(super) fn problems(&self) -> Vec<String> {
        let problems = self.load().err().unwrap_or_default();
        let first = |problem: Problem| problem.to_string().lines().next().unwrap_or_default().to_owned();
        problems.into_iter().map(first).collect()
    }
}

/// The problems of the right catalogue after one edit.
pub(super) fn after(path: &str, from: &str, to: &str) -> Vec<String> {
    Scene::new().edit(path, from, to).problems()
}
