//! Each bound of a schema is taken and one more is not. What a schema costs and how many fields it has: `schemas.rs`.

use serde_json::{Value, json};

use super::scene::{Scene, schema};
use crate::catalogue::schema::PATTERN_BYTES_MAX;

/// The problems of the right catalogue with its schema changed.
fn with(change: impl FnOnce(&mut Value)) -> Vec<String> {
    Scene::new().schema(change).problems()
}

#[test]
fn lengths_and_counts_are_bounded() {
    for (keyword, max) in [("maxLength", 65_536), ("minLength", 65_536), ("maxItems", 10_000), ("minItems", 10_000)] {
        let bounded = |bound: u64| {
            with(|schema| {
                let mut value = match keyword {
                    "maxItems" | "minItems" => json!({"type": "array", "maxItems": 9, "items": {"type": "boolean"}}),
                    _ => json!({"type": "string", "maxLength": 9}),
                };
                value["x-waybill-sensitivity"] = json!("ordinary");
                value[keyword] = json!(bound);
                schema["properties"]["more"] = value;
            })
        };
        assert_eq!(bounded(max), [""; 0], "{keyword}");
        let over = format!("d/r/1.0.json#/properties/more/{keyword}: `{keyword}` is over {max}");
        assert_eq!(bounded(max + 1), [over]);
    }
}

#[test]
fn integers_are_those_that_every_reader_keeps() {
    const MAX: i64 = 9_007_199_254_740_991;
    for (keyword, most, beyond) in [("maximum", MAX, MAX + 1), ("minimum", -MAX, -MAX - 1)] {
        let bounded = |bound: i64| with(|schema| schema["properties"]["count"][keyword] = json!(bound));
        assert_eq!(bounded(most), [""; 0], "{keyword}");
        let over = format!("d/r/1.0.json#/properties/count/{keyword}: `{keyword}` is not an integer within ±(2^53-1)");
        assert_eq!(bounded(beyond), [over]);
    }
}

#[test]
fn there_are_so_many_definitions() {
    let defined = |count: usize| {
        with(|schema| {
            let definitions = schema["$defs"].as_object_mut().unwrap();
            for number in definitions.len()..count {
                definitions.insert(format!("d{number}"), json!({"type": "boolean"}));
            }
            assert_eq!(definitions.len(), count);
        })
    };
    assert_eq!(defined(1000), [""; 0]);
    assert_eq!(defined(1001), ["d/r/1.0.json#/$defs: `$defs` is over 1000"]);
}

#[test]
fn places_lie_so_deep_in_each_other() {
    // The definition itself is one below the root.
    let nested = |depth: usize| {
        with(|schema| {
            let list = |items: Value| json!({"type": "array", "maxItems": 1, "items": items});
            schema["$defs"]["deep"] = (1..depth).fold(json!({"type": "boolean"}), |inner, _| list(inner));
        })
    };
    assert_eq!(nested(64), [""; 0]);
    let over = format!("d/r/1.0.json#/$defs/deep{}: `depth` is over 64", "/items".repeat(64));
    assert_eq!(nested(65), [over]);
}

#[test]
fn a_mark_s_words_are_so_long() {
    let marked =
        |mark: Value| with(|schema| schema["$defs"]["name"]["properties"]["child"]["x-waybill-identifier"] = mark);
    let (long, longer) = ("a".repeat(64), "a".repeat(65));
    for (good, bad, problem) in [
        (json!({"scheme": "number", "role": long}), json!({"scheme": "number", "role": longer}), "the role is not"),
        (json!({"scheme": long, "role": "child"}), json!({"scheme": longer, "role": "child"}), "the scheme is not"),
    ] {
        assert_eq!(marked(good), [""; 0]);
        let found = marked(bad);
        assert!(found.len() == 1 && found[0].contains(problem), "{found:?}");
    }
}

#[test]
fn a_pattern_is_so_large_for_the_engine_and_what_is_taken_compiles() {
    let mut changed = Scene::new();
    let mut taken = |count: usize| {
        changed.schema(|schema| schema["properties"]["health"]["pattern"] = json!(format!("a{{{count}}}")));
        let problems = changed.problems();
        assert!(problems.is_empty() || problems[0].contains("the pattern does not run"), "{problems:?}");
        problems.is_empty()
    };
    let (mut most, mut beyond) = (1, PATTERN_BYTES_MAX);
    assert!(taken(most) && !taken(beyond));
    while beyond - most > 1 {
        let middle = usize::midpoint(most, beyond);
        if taken(middle) {
            most = middle;
        } else {
            beyond = middle;
        }
    }
    // The engine keeps a state for each character.
    let bytes_of_state = PATTERN_BYTES_MAX / most;
    assert!((8..=256).contains(&bytes_of_state), "{most} characters");
    assert!(taken(most) && changed.load().is_ok() && schema()["properties"]["health"]["pattern"].is_null());
}
