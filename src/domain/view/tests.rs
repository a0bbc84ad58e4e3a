//! Tests of minimisation: what is told in words, and agreement with a naive reference that works on serde_json.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::domain::arbitrary;

fn view(fields: &[&str]) -> View {
    View::compile(&fields.iter().map(|field| FieldPath::parse(field).unwrap()).collect::<Vec<_>>())
}

fn projected(fields: &[&str], record: &Json) -> Projection {
    let mut out = Projection::default();
    view(fields).project(&arbitrary::value(record), &mut out).unwrap();
    out
}

fn delivered(out: &Projection) -> Vec<(&str, &str)> {
    out.fields().map(|field| (field.path, field.value)).collect()
}

#[test]
fn a_recipient_gets_the_agreed_fields_and_the_rest_is_named_as_withheld() {
    let record =
        json!({"names": [{"given": "Ada", "family": "M"}, {"given": "Bo"}], "tax": {"number": 7, "office": "N"}});
    let out = projected(&["/names/*/given", "/tax/number"], &record);
    assert_eq!(out.text(), r#"{"names":[{"given":"Ada"},{"given":"Bo"}],"tax":{"number":7}}"#);
    assert_eq!(delivered(&out), [("/names/0/given", r#""Ada""#), ("/names/1/given", r#""Bo""#), ("/tax/number", "7")]);
    assert_eq!(out.withheld().collect::<Vec<_>>(), ["/names/*/family", "/tax/office"]);
}

#[test]
fn items_keep_their_places_and_tell_nothing_else() {
    let record = json!({"a": [{"y": 1}, "text", null, {"x": 1}, [], {}]});
    let out = projected(&["/a/*/x"], &record);
    assert_eq!(out.text(), r#"{"a":[{},{},{},{"x":1},{},{}]}"#);
    assert_eq!(delivered(&out), [("/a/3/x", "1")]);
    assert_eq!(out.withheld().collect::<Vec<_>>(), ["/a/*", "/a/*/y"]);
    let out = projected(&["/a/*/*"], &json!({"a": [[1, 2], "text", {"x": 1}, []]}));
    assert_eq!(out.text(), r#"{"a":[[1,2],[],[],[]]}"#);
}

#[test]
fn a_place_with_nothing_agreed_in_it_is_left_out_and_withheld_as_a_whole() {
    for nothing in [json!({}), json!({"y": 1, "z": 2}), json!([]), json!([{"x": 1}]), json!("text"), json!(null)] {
        let out = projected(&["/a/x", "/b"], &json!({"a": nothing, "b": 1}));
        assert_eq!(out.text(), r#"{"b":1}"#);
        assert_eq!(out.withheld().collect::<Vec<_>>(), ["/a"]);
    }
    for nothing in [json!([]), json!([{}, {"y": 1}]), json!({"x": 1})] {
        let out = projected(&["/a/*/x", "/b"], &json!({"a": nothing, "b": 1}));
        assert_eq!((out.text(), out.withheld().collect::<Vec<_>>()), (r#"{"b":1}"#, vec!["/a"]));
    }
}

#[test]
fn a_field_is_delivered_whole_and_in_canonical_form() {
    let out = projected(&["/b"], &json!({"b": {"z": [1, {"y": "\n"}], "a": null}}));
    assert_eq!(out.text(), r#"{"b":{"a":null,"z":[1,{"y":"\n"}]}}"#);
    assert_eq!(delivered(&out), [("/b", r#"{"a":null,"z":[1,{"y":"\n"}]}"#)]);
    assert_eq!(out.withheld().len(), 0);
}

#[test]
fn fields_are_in_the_order_of_their_paths_bytes() {
    let items: Vec<_> = (0..11).map(|n| json!({"x": n})).collect();
    let out = projected(&["/a/*/x"], &json!({"a": items}));
    let paths: Vec<_> = out.fields().map(|field| field.path).collect();
    assert_eq!(paths[..4], ["/a/0/x", "/a/1/x", "/a/10/x", "/a/2/x"]);
}

#[test]
fn a_name_is_escaped_in_pointers_and_in_the_text() {
    let out = projected(&["/a~1b", "/\"q\"", "/"], &json!({"a/b": 1, "\"q\"": 2, "": 3, "m~n": 4}));
    assert_eq!(out.text(), r#"{"":3,"\"q\"":2,"a/b":1}"#);
    assert_eq!(out.fields().map(|field| field.path).collect::<Vec<_>>(), ["/", "/\"q\"", "/a~1b"]);
    assert_eq!(out.withheld().collect::<Vec<_>>(), ["/m~0n"]);
}

#[test]
fn a_record_that_is_no_object_has_nothing_to_deliver() {
    for record in [json!([1]), json!("text"), json!(null)] {
        let out = projected(&["/a"], &record);
        assert_eq!((out.text(), out.fields().len(), out.withheld().len()), ("{}", 0, 0));
    }
}

#[test]
fn as_many_fields_are_delivered_as_an_entry_commits_to_and_not_one_more() {
    let record = |items: usize| arbitrary::value(&json!({"a": vec![1; items]}));
    let mut out = Projection::default();
    assert_eq!(view(&["/a/*"]).project(&record(FIELDS_MAX), &mut out), Ok(()));
    assert_eq!(out.fields().len(), FIELDS_MAX);
    assert_eq!(view(&["/a/*"]).project(&record(FIELDS_MAX + 1), &mut out), Err(RefusalCode::TooManyFields));
    assert_eq!((out.text(), out.fields().len(), out.withheld().len()), ("", 0, 0));
}

#[test]
fn a_projection_prints_its_shape_and_nothing_else() {
    let out = projected(&["/a"], &json!({"a": "Ada", "b": 1}));
    assert_eq!(format!("{out:?} {:?}", out.fields().next().unwrap()), "Projection(1 fields, 1 withheld) Field(…)");
}

/// Every place of a record that an agreed path selects, found by looking at all places, one path at a time.
fn selected(record: &Json, fields: &[FieldPath]) -> BTreeSet<String> {
    fn places(json: &Json, steps: &[Step], at: &str, found: &mut BTreeSet<String>) {
        match (steps.split_first(), json) {
            (None, _) => drop(found.insert(at.to_owned())),
            (Some((Step::Property(name), rest)), Json::Object(members)) => {
                if let Some(value) = members.get(&**name) {
                    let step = name.replace('~', "~0").replace('/', "~1");
                    places(value, rest, &format!("{at}/{step}"), found);
                }
            }
            (Some((Step::AnyItem, rest)), Json::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    places(item, rest, &format!("{at}/{index}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    if record.is_object() {
        for field in fields {
            places(record, field.steps(), "", &mut found);
        }
    }
    let all = found.clone();
    found.retain(|place| !all.iter().any(|outer| place.starts_with(&format!("{outer}/"))));
    found
}

/// The record without what is not selected: the naive reference. `None` where nothing is left.
fn cut(json: &Json, at: &str, selected: &BTreeSet<String>, fields: &[FieldPath]) -> Option<Json> {
    if selected.contains(at) {
        return Some(json.clone());
    }
    let is_within = |place: &str| selected.iter().any(|found| found.starts_with(&format!("{place}/")));
    if !is_within(at) {
        return None;
    }
    Some(match json {
        Json::Object(members) => {
            let kept = members.iter().filter_map(|(name, value)| {
                let step = name.replace('~', "~0").replace('/', "~1");
                Some((name.clone(), cut(value, &format!("{at}/{step}"), selected, fields)?))
            });
            Json::Object(kept.collect::<Map<_, _>>())
        }
        Json::Array(items) => {
            let kept = items.iter().enumerate().map(|(index, item)| {
                let place = format!("{at}/{index}");
                cut(item, &place, selected, fields).unwrap_or_else(|| hole(&place, fields))
            });
            Json::Array(kept.collect())
        }
        scalar => panic!("a scalar has nothing below it: {scalar}"),
    })
}

/// `[]` where every path that leads through this item goes on with `*`, else `{}`.
fn hole(place: &str, fields: &[FieldPath]) -> Json {
    let steps: Vec<&str> = place.split('/').skip(1).collect();
    let leads = |field: &&FieldPath| {
        field.steps().len() > steps.len()
            && field.steps().iter().zip(&steps).all(|(step, place)| match step {
                Step::AnyItem => place.bytes().all(|byte| byte.is_ascii_digit()) && !place.is_empty(),
                Step::Property(name) => name.replace('~', "~0").replace('/', "~1") == **place,
            })
    };
    let mut next = fields.iter().filter(leads).map(|field| &field.steps()[steps.len()]);
    if next.all(|step| *step == Step::AnyItem) { json!([]) } else { json!({}) }
}

/// Each scalar and empty container of a record, by its place; with `*` for items if `starred`.
fn leaves(json: &Json, at: &str, starred: bool, found: &mut Vec<(String, Json)>) {
    match json {
        Json::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let step = name.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{at}/{step}"), starred, found);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let step = if starred { "*".to_owned() } else { index.to_string() };
                leaves(item, &format!("{at}/{step}"), starred, found);
            }
        }
        leaf => found.push((at.to_owned(), leaf.clone())),
    }
}

fn covers(outer: &str, place: &str) -> bool {
    place == outer || place.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Paths that meet the records of [`arbitrary::json`] now and then.
fn field() -> impl Strategy<Value = FieldPath> {
    prop::collection::vec(prop_oneof![2 => Just("*".to_owned()), 3 => arbitrary::name()], 1..5).prop_filter_map(
        "names that are all digits are no steps",
        |steps| {
            let step = |name: &String| name.replace('~', "~0").replace('/', "~1");
            let text = steps.iter().map(step).collect::<Vec<_>>().join("/");
            FieldPath::parse(&format!("/{text}")).ok()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_delivered_is_the_naive_cut_and_nothing_that_is_not_agreed(
        record in arbitrary::json(),
        fields in prop::collection::vec(field(), 0..8),
    ) {
        let mut out = Projection::default();
        View::compile(&fields).project(&arbitrary::value(&record), &mut out).unwrap();
        let selected = selected(&record, &fields);
        let expected = cut(&record, "", &selected, &fields).unwrap_or_else(|| json!({}));
        prop_assert_eq!(out.text(), serde_json_canonicalizer::to_string(&expected).unwrap());
        let paths: Vec<String> = out.fields().map(|field| field.path.to_owned()).collect();
        prop_assert_eq!(paths, selected.into_iter().collect::<Vec<_>>());
        for field in out.fields() {
            let value = record.pointer(field.path).unwrap();
            prop_assert_eq!(field.value, serde_json_canonicalizer::to_string(value).unwrap());
        }
    }

    #[test]
    fn whatever_is_not_delivered_is_named_as_withheld(
        record in arbitrary::json().prop_filter("records are objects", Json::is_object),
        fields in prop::collection::vec(field(), 0..8),
    ) {
        let mut out = Projection::default();
        View::compile(&fields).project(&arbitrary::value(&record), &mut out).unwrap();
        let (mut concrete, mut starred) = (Vec::new(), Vec::new());
        leaves(&record, "", false, &mut concrete);
        leaves(&record, "", true, &mut starred);
        for ((place, leaf), (pattern, _)) in concrete.iter().zip(&starred) {
            let delivered = out.fields().any(|field| covers(field.path, place));
            let withheld = out.withheld().any(|outer| covers(outer, pattern));
            // An item `{}` or `[]` may be its own hole, and the empty record is the empty view.
            let nothing = *leaf == json!({}) || *leaf == json!([]);
            prop_assert!(delivered || withheld || nothing, "{place}");
        }
        let patterns: Vec<&str> = out.withheld().collect();
        prop_assert!(patterns.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_used_projection_is_like_a_new_one(
        records in prop::collection::vec(arbitrary::json(), 2),
        fields in prop::collection::vec(field(), 0..8),
    ) {
        let (view, mut used, mut new) = (View::compile(&fields), Projection::default(), Projection::default());
        for record in &records {
            view.project(&arbitrary::value(record), &mut used).unwrap();
        }
        view.project(&arbitrary::value(&records[1]), &mut new).unwrap();
        prop_assert_eq!((used.text(), delivered(&used)), (new.text(), delivered(&new)));
        prop_assert!(used.withheld().eq(new.withheld()));
    }
}
