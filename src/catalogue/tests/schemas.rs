//! Each way to get a schema wrong.

use serde_json::{Value, json};

use super::scene::{SCHEMA, Scene, schema};
use crate::catalogue::schema::{self, COST_MAX, SCHEMA_FIELDS_MAX};

/// The problems of the right catalogue with its schema changed.
fn with(change: impl FnOnce(&mut Value)) -> Vec<String> {
    Scene::new().schema(change).problems()
}

fn expect(pointer: &str, message: &str, change: impl FnOnce(&mut Value)) {
    assert_eq!(with(change), [format!("d/r/1.0.json#{pointer}: {message}")]);
}

#[test]
fn text_that_is_no_json_is_named_with_its_line() {
    assert_eq!(Scene::new().put(SCHEMA, "{\n\n,}").problems(), ["d/r/1.0.json:3: key must be a string"]);
    assert_eq!(
        Scene::new().put(SCHEMA, "{\"a\": 1,\n\"a\": 2}").problems(),
        ["d/r/1.0.json:2: the object has `a` twice"]
    );
}

#[test]
fn a_schema_lies_where_its_name_says() {
    let problems = Scene::new().put("d/r/one.json", "{}").problems();
    assert_eq!(
        problems,
        ["d/r/one.json: not the name of a schema: a schema version is written <major>.<minor>, e.g. 1.0"]
    );
}

#[test]
fn the_draft_is_2020_12() {
    expect("/$schema", "the schema does not say that it is of draft 2020-12", |schema| {
        schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    });
}

#[test]
fn keywords_that_cannot_be_walked_are_refused() {
    for keyword in
        ["patternProperties", "unevaluatedProperties", "$dynamicRef", "oneOf", "allOf", "not", "if", "dependentSchemas"]
    {
        expect(&format!("/{keyword}"), &format!("keyword `{keyword}` is not allowed here"), |schema| {
            schema[keyword] = json!({});
        });
    }
    expect("/properties/count/multipleOf", "keyword `multipleOf` is not allowed here", |schema| {
        schema["properties"]["count"]["multipleOf"] = json!(2);
    });
}

#[test]
fn objects_are_closed() {
    expect("/$defs/name", "the object is open", |schema| schema["$defs"]["name"]["additionalProperties"] = json!(true));
}

#[test]
fn every_value_has_one_type_and_no_number_has_a_fraction() {
    expect("/properties/count/type", "the type is `number`", |schema| {
        schema["properties"]["count"] = json!({"type": "number", "x-waybill-sensitivity": "ordinary"});
    });
    expect("/properties/count", "there is not exactly one type", |schema| {
        schema["properties"]["count"] = json!({"type": ["boolean", "string"], "x-waybill-sensitivity": "ordinary"});
    });
    expect("/properties/count", "a schema is an object here, not true or false", |schema| {
        schema["properties"]["count"] = json!(true);
    });
}

#[test]
fn strings_arrays_and_integers_are_bounded() {
    expect("/properties/health", "`maxLength` is missing", |schema| {
        schema["properties"]["health"] = json!({"type": "string", "x-waybill-sensitivity": "special"});
    });
    expect("/properties/names", "`maxItems` is missing", |schema| {
        schema["properties"]["names"].as_object_mut().unwrap().remove("maxItems");
    });
    expect("/properties/count", "`maximum` is missing", |schema| {
        schema["properties"]["count"].as_object_mut().unwrap().remove("maximum");
    });
    expect("/properties/count/maximum", "`maximum` is not an integer within ±(2^53-1)", |schema| {
        schema["properties"]["count"]["maximum"] = json!(9_007_199_254_740_992_u64);
    });
    expect("/properties/health/maxLength", "`maxLength` is over 65536", |schema| {
        schema["properties"]["health"]["maxLength"] = json!(65_537);
    });
    assert_eq!(with(|schema| schema["properties"]["health"]["maxLength"] = json!(65_536)), Vec::<String>::new());
}

#[test]
fn references_stay_in_the_file_resolve_and_end() {
    expect("/properties/count/$ref", "`$ref` to `https://example/x` leaves the file", |schema| {
        schema["properties"]["count"] = json!({"$ref": "https://example/x", "x-waybill-sensitivity": "ordinary"});
    });
    expect("/properties/count/$ref", "`$ref` to `#/$defs/x`, which is not there", |schema| {
        schema["properties"]["count"] = json!({"$ref": "#/$defs/x", "x-waybill-sensitivity": "ordinary"});
    });
    let found = with(|schema| {
        schema["$defs"]["name"]["properties"]["again"] = json!({"$ref": "#/$defs/more"});
        schema["$defs"]["more"] = json!({"type": "array", "maxItems": 1, "items": {"$ref": "#/$defs/name"}});
    });
    let circle = |name: &str| format!("d/r/1.0.json#/$defs/{name}: `#/$defs/{name}` refers back to itself");
    assert_eq!(found, [circle("more"), circle("name")]);
}

#[test]
fn definitions_refer_to_each_other_through_a_bounded_chain() {
    let chained = |length: usize| {
        with(|schema| {
            for level in 1..length {
                let next = format!("#/$defs/c{:02}", level + 1);
                schema["$defs"][format!("c{level:02}")] = json!({"$ref": next});
            }
            schema["$defs"][format!("c{length:02}")] = json!({"type": "boolean"});
            schema["properties"]["c"] = json!({"$ref": "#/$defs/c01", "x-waybill-sensitivity": "ordinary"});
        })
    };
    assert_eq!(chained(32), Vec::<String>::new());
    assert_eq!(chained(33), ["d/r/1.0.json#/$defs/c01: `$ref chain` is over 32"]);
    // Far more of them must end as an error, not as an end of the stack.
    assert!(!chained(900).is_empty());
    assert_eq!(chained(1_200)[0], "d/r/1.0.json#/$defs: `$defs` is over 1000");
}

#[test]
fn patterns_run_on_the_linear_engine() {
    for pattern in ["(?=a)b", "(a)\\1", "(", "(a{1000}){1000}"] {
        let found = with(|schema| schema["properties"]["health"]["pattern"] = json!(pattern));
        assert_eq!(found.len(), 1, "{pattern}");
        assert!(found[0].contains("#/properties/health/pattern: the pattern does not run"), "{found:?}");
    }
}

#[test]
fn what_is_required_is_a_property() {
    expect("/required", "`x` is required but is no property", |schema| schema["required"] = json!(["subject", "x"]));
    expect("/$defs/subject/anyOf/0/required", "`x` is required but is no property", |schema| {
        schema["$defs"]["subject"]["anyOf"][0] = json!({"required": ["x"]});
    });
    expect("/$defs/subject/anyOf/0/anyOf", "`anyOf` has a branch that holds more than `required`", |schema| {
        schema["$defs"]["subject"]["anyOf"][0] = json!({"properties": {}});
    });
}

#[test]
fn unique_items_are_plain_values() {
    expect("/properties/names/uniqueItems", "uniqueItems over objects or arrays", |schema| {
        schema["properties"]["names"]["uniqueItems"] = json!(true);
    });
}

#[test]
fn every_property_has_a_sensitivity() {
    expect("/$defs/name/properties/kind", "`x-waybill-sensitivity` is missing", |schema| {
        schema["$defs"]["name"]["properties"]["kind"].as_object_mut().unwrap().remove("x-waybill-sensitivity");
    });
    expect("/properties/count/x-waybill-sensitivity", "`\"high\"` is no sensitivity", |schema| {
        schema["properties"]["count"]["x-waybill-sensitivity"] = json!("high");
    });
}

#[test]
fn every_property_can_be_named() {
    for name in ["0", "*"] {
        let found =
            with(|schema| schema["properties"][name] = json!({"type": "boolean", "x-waybill-sensitivity": "ordinary"}));
        assert_eq!(found, [format!("d/r/1.0.json#/properties/{name}: no agreement can name the property `{name}`")]);
    }
}

#[test]
fn there_is_one_main_subject_in_one_place() {
    let number = |scheme: &str| {
        json!({
            "type": "string", "maxLength": 9, "x-waybill-sensitivity": "sensitive",
            "x-waybill-identifier": {"scheme": scheme, "role": "main"}
        })
    };
    expect("/subject/number", "`/subject/number` names a main subject, and so does `/again` elsewhere", |schema| {
        schema["properties"]["again"] = number("third");
        schema["$defs"]["subject"]["properties"]["other"] =
            json!({"type": "boolean", "x-waybill-sensitivity": "ordinary"});
    });
    let found = with(|schema| schema["$defs"]["name"]["properties"]["child"] = number("third"));
    assert_eq!(found.len(), 3, "{found:?}");
    expect(
        "/subject/other",
        "`/subject/other` has the scheme `number`, which another property of the main subject has",
        |schema| {
            schema["$defs"]["subject"]["properties"]["other"] = number("number");
        },
    );
    let found = with(|schema| {
        for name in ["number", "other"] {
            schema["$defs"]["subject"]["properties"][name].as_object_mut().unwrap().remove("x-waybill-identifier");
        }
    });
    assert_eq!(found, ["d/r/1.0.json: no property identifies the main subject"]);
}

#[test]
fn an_identifier_has_scheme_and_role_and_is_a_string() {
    let mark = "/$defs/name/properties/child/x-waybill-identifier";
    for (value, detail) in [
        (json!("x"), "it is no object"),
        (json!({"scheme": "S", "role": "child"}), "the scheme is not 1 to 64 characters of a-z, 0-9 or '-'"),
        (json!({"scheme": "s"}), "the role is not a word of a-z and '-'"),
        (json!({"scheme": "s", "role": "child", "x": 1}), "it has something other than scheme and role"),
    ] {
        expect(mark, &format!("x-waybill-identifier: {detail}"), |schema| {
            schema["$defs"]["name"]["properties"]["child"]["x-waybill-identifier"] = value;
        });
    }
    expect("/properties/count", "x-waybill-identifier: it is on something other than a string", |schema| {
        schema["properties"]["count"]["x-waybill-identifier"] = json!({"scheme": "s", "role": "child"});
    });
}

#[test]
fn a_schema_may_cost_the_bound_and_not_one_unit_more() {
    // 1 for the list, 999,000 for its items as it grows, and the rest of the schema beside it.
    let listed = |pad: u64| {
        let mut scene = Scene::new();
        scene.schema(|schema| {
            let entries: Vec<String> = (0..pad).map(|index| index.to_string()).collect();
            let inner = json!({"type": "array", "maxItems": 996, "items": {"type": "boolean"}});
            schema["properties"]["list"] =
                json!({"type": "array", "maxItems": 1000, "items": inner, "x-waybill-sensitivity": "ordinary"});
            schema["properties"]["pad"] =
                json!({"type": "string", "enum": entries, "x-waybill-sensitivity": "ordinary"});
        });
        scene
    };
    let cost = |scene: &Scene| {
        let catalogue = scene.load().unwrap();
        schema::cost(&catalogue.record_type("d/r").unwrap().versions().next().unwrap().schema)
    };
    let room = COST_MAX - cost(&listed(1));
    assert_eq!(cost(&listed(1 + room)), COST_MAX);
    assert_eq!(
        listed(2 + room).problems(),
        [format!("d/r/1.0.json: checking a record can cost {} units, more than {COST_MAX}", COST_MAX + 1)]
    );
}

#[test]
fn a_schema_has_a_bounded_number_of_fields() {
    let present = 11;
    let grown = |count: usize| {
        with(|schema| {
            for index in 0..count {
                schema["properties"][format!("p{index}")] =
                    json!({"type": "boolean", "x-waybill-sensitivity": "ordinary"});
            }
        })
    };
    assert_eq!(grown(SCHEMA_FIELDS_MAX - present), Vec::<String>::new());
    let over = format!("d/r/1.0.json: the schema has more than {SCHEMA_FIELDS_MAX} fields");
    assert_eq!(grown(SCHEMA_FIELDS_MAX - present + 1), [over]);
}

#[test]
fn a_minor_version_only_adds_optional_properties() {
    let mut next = schema();
    next["properties"]["more"] = json!({"type": "boolean", "x-waybill-sensitivity": "ordinary"});
    let mut scene = Scene::new();
    assert_eq!(scene.put("d/r/1.1.json", &next.to_string()).problems(), Vec::<String>::new());
    next["required"] = json!(["subject", "more"]);
    assert_eq!(
        scene.put("d/r/1.1.json", &next.to_string()).problems(),
        ["d/r/1.1.json#/required: it is no minor version of 1.0: `required` is another"]
    );
    scene.remove("d/r/1.1.json");
    assert_eq!(scene.put("d/r/2.0.json", &next.to_string()).problems(), Vec::<String>::new());
}

#[test]
fn what_breaks_the_draft_itself_is_found_when_it_is_compiled() {
    let found = with(|schema| schema["properties"]["count"]["title"] = json!(5));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("d/r/1.0.json#/properties/count/title: it cannot be compiled: "), "{found:?}");
}
