//! The checker can fail: each rule is shown something to object to, and something not to.

use super::{contains_word, judge_panic, layers, leads_somewhere, markdown, source};

fn module(path: &str) -> Vec<String> {
    path.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

/// What is wrong with the names in a file at `path` with this text.
fn judged(path: &str, text: &str) -> Vec<String> {
    let name = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let source = source::read(text, &module(&name)).unwrap();
    let named = source.named.iter().filter(|named| !named.test);
    named.filter_map(|named| layers::judge(path, &named.path)).collect()
}

#[track_caller]
fn refused(path: &str, text: &str) {
    assert_eq!(judged(path, text).len(), 1, "{path}: {text}: {:?}", judged(path, text));
}

#[track_caller]
fn fine(path: &str, text: &str) {
    assert_eq!(judged(path, text), Vec::<String>::new(), "{path}: {text}");
}

#[test]
fn a_layer_that_reaches_up_is_found_however_it_writes_it() {
    for text in [
        "use crate::store::Store;",
        "use crate::{domain::time::Moment, store};",
        "use crate::store as s;",
        "use crate::store::*;",
        "use super::super::store::Store;",
        "fn f() { crate::store::open(); }",
        "fn f(x: crate::store::Store) {}",
        "fn f() { println!(\"{}\", crate::store::open()); }",
        "mod inner { use super::super::super::store::Store; }",
    ] {
        refused("src/ledger/tree.rs", text);
    }
    fine("src/ledger/tree.rs", "use crate::domain::time::Moment; use super::hash::Hash; use self::x::y;");
    fine("src/ledger/tree.rs", "#[cfg(test)] mod tests { use crate::store::Store; fn f() { crate::desk::g(); } }");
    fine("src/ledger/tree.rs", "#[test] fn f() { crate::desk::g(); }");
}

#[test]
fn only_the_composition_root_names_an_adapter() {
    refused("src/sequencer/mod.rs", "use crate::store::embedded::EmbeddedStore;");
    refused("src/sequencer/mod.rs", "use crate::store::{embedded};");
    assert_eq!(judged("src/desk/mod.rs", "use crate::store; fn f() { store::embedded::open(); }").len(), 1);
    refused("src/relay/mod.rs", "use crate::drivers::stream::StreamDriver;");
    refused("src/cli/serve.rs", "use crate::store::embedded::EmbeddedStore;");
    fine("src/relay/mod.rs", "use crate::drivers::Port;");
    fine("src/sequencer/mod.rs", "use crate::store::{Store, Guard};");
    fine("src/app/mod.rs", "use crate::{store::embedded::EmbeddedStore, drivers::stream::StreamDriver};");
    fine("src/store/mod.rs", "pub use self::embedded::x; use crate::store::embedded::y;");
}

#[test]
fn one_way_in_does_not_know_another() {
    refused("src/ingress/grpc/peer.rs", "use crate::ingress::kafka::Topic;");
    refused("src/ingress/grpc/peer.rs", "use super::super::kafka::Topic;");
    fine("src/ingress/grpc/peer.rs", "use crate::ingress::grpc::status; use crate::ingress::Listener;");
}

#[test]
fn of_the_store_the_exchange_knows_plain_data_only() {
    fine("src/exchange/seal.rs", "use crate::{sequencer::SealedEntry, store::{Routing, Slot}};");
    refused("src/exchange/seal.rs", "use crate::store::Store;");
    refused("src/exchange/seal.rs", "use crate::sequencer::Sequencer;");
    refused("src/exchange/seal.rs", "use crate::store;");
}

#[test]
fn what_is_pure_reads_no_clock_and_does_no_io() {
    for text in [
        "use std::fs;",
        "use std::{fmt, net::TcpStream};",
        "fn f() { std::thread::spawn(g); }",
        "fn f() { let id = uuid::Uuid::now_v7(); }",
        "use std::time::{Duration, Instant};",
        "use tokio::sync::Mutex;",
    ] {
        refused("src/exchange/seal.rs", text);
    }
    fine("src/exchange/seal.rs", "use std::time::Duration; use uuid::Uuid; fn f() { x.await; }");
    fine("src/domain/time.rs", "use std::time::SystemTime;");
    refused("src/domain/subject.rs", "use std::time::SystemTime;");
    fine("src/relay/mod.rs", "use tokio::sync::Mutex;");
}

#[test]
fn a_layer_that_the_table_lacks_is_found() {
    assert_eq!(
        judged("src/gadget.rs", "use crate::domain::time::Moment;"),
        ["there is no layer gadget: add it to the table"]
    );
    refused("src/ingress/grpc/mod.rs", "use crate::app::Core;");
    refused("src/domain/mod.rs", "use crate::app::Core;");
    fine("src/main.rs", "fn main() { waybill::cli::run() }");
    refused("src/main.rs", "fn main() { waybill::desk::run() }");
}

#[test]
fn panics_are_found_in_code_and_in_macros() {
    let text = r#"
        fn f() { a.unwrap(); b.expect("why"); key.unwrap(wrapped, aad); c.unwrap_or(0); }
        fn g() { assert!(x.unwrap(), "{}", y.expect("two words")); unreachable!(); format!("{}", todo!()); }
        #[cfg(test)] mod tests { fn h() { a.unwrap(); } }
        struct S; impl S { #[cfg(test)] fn i() { a.unwrap(); } }
    "#;
    let source = source::read(text, &[]).unwrap();
    let found: Vec<_> = source.panics.iter().map(|p| (p.what.as_str(), p.reason.as_deref(), p.test)).collect();
    let expected = [
        ("unwrap", None, false),
        ("expect", Some("why"), false),
        ("unwrap", None, false),
        ("expect", Some("two words"), false),
        ("unreachable!", None, false),
        ("todo!", None, false),
        ("unwrap", None, true),
        ("unwrap", None, true),
    ];
    assert_eq!(found, expected);
    assert!(judge_panic("unwrap", None, false).is_some() && judge_panic("unwrap", None, true).is_none());
    assert!(judge_panic("expect", Some("two words"), false).is_some());
    assert!(judge_panic("expect", None, false).is_some(), "a reason that is put together cannot be read");
    assert!(judge_panic("expect", Some("it was checked above"), false).is_none());
    assert!(judge_panic("unreachable!", None, false).is_some());
    assert!(judge_panic("dbg!", Some("three words here"), true).is_some());
}

#[test]
fn functions_and_children_are_read() {
    let text = "fn long(\n) {\n\n}\nimpl A { fn b() {} }\nmod a;\n#[cfg(test)]\nmod b;\nmod c { mod d; }\n\
                #[path = \"x/y.rs\"]\nmod e;\n";
    let source = source::read(text, &module("m")).unwrap();
    let functions: Vec<_> = source.functions.iter().map(|f| (f.line, f.name.as_str(), f.lines)).collect();
    assert_eq!(functions, [(1, "long", 4), (5, "b", 1)]);
    let children: Vec<_> =
        source.children.iter().map(|c| (c.module.join("::"), c.file.as_str(), c.path.as_deref(), c.test)).collect();
    let expected = [
        ("m::a".to_owned(), "a", None, false),
        ("m::b".to_owned(), "b", None, true),
        ("m::c::d".to_owned(), "c/d", None, false),
        ("m::e".to_owned(), "e", Some("x/y.rs"), false),
    ];
    assert_eq!(children, expected);
}

#[test]
fn links_and_anchors_are_read() {
    let text = "# A title: with `code`!\n[x](a.md) ![y](b.png) `[no](code)`\n```\n[no](fenced)\n# no\n```\n## A\n## A\n[n]: c.md\n";
    let links: Vec<_> = markdown::links(text).into_iter().map(|(line, target)| format!("{line} {target}")).collect();
    assert_eq!(links, ["2 a.md", "2 b.png", "9 c.md"]);
    assert_eq!(markdown::anchors(text), ["a-title-with-code", "a", "a-1"]);
    let page = std::path::Path::new("tests/page.md");
    assert!(leads_somewhere(page, text, "#a-1") && !leads_somewhere(page, text, "#b"));
    assert!(leads_somewhere(page, text, "tidy.rs") && !leads_somewhere(page, text, "nothing.rs"));
    assert!(leads_somewhere(page, text, "../Cargo.toml"));
    assert!(!leads_somewhere(page, text, "/etc/hostname"), "a link that only works on one machine");
}

#[test]
fn words_are_found_only_whole() {
    let word = ["TO", "DO"].concat();
    assert!(contains_word(&format!("// {word}: later"), &word));
    assert!(!contains_word(&format!("MUS{word}R"), &word));
    let path = ["/wo", "rk/"].concat();
    assert!(contains_word(&format!("cd {path}main"), &path));
}
