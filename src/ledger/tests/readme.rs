//! The README's worked example and tables are made again here and compared, so that they stay true.
use std::fmt::Write;

use super::super::{Attribute, Kind, Salts, leaf_hash, open_all};
use super::scene::{ITEMS, Scene, items, secret, signer};

const README: &str = include_str!("../README.md");

fn example() -> String {
    let scene = Scene::new();
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<14}{value}").unwrap();
    line("secret", hex::encode(secret().expose()));
    let salts = Salts::derive(&secret(), ITEMS.len()).unwrap();
    for (position, (name, value)) in ITEMS.iter().enumerate() {
        line(&format!("item {position}"), format!("{name}  {value}"));
        line(&format!("salt {position}"), hex::encode(salts.get(position).unwrap()));
        line(&format!("commitment {position}"), scene.commitments.get(position).unwrap().to_string());
    }
    line("digest", scene.commitments.digest().to_string());
    for (index, entry) in scene.entries.iter().enumerate() {
        line(&format!("entry {index}"), hex::encode(entry));
        line(&format!("leaf {index}"), leaf_hash(entry).to_string());
    }
    line("root", scene.snapshot.root().to_string());
    line("seed", "03".repeat(32));
    line("verifier key", signer().verifier().to_string());
    text
}

#[test]
fn the_worked_example_is_what_the_code_does() {
    assert_eq!(open_all(&secret(), items()).unwrap().len(), ITEMS.len());
    for block in [example(), Scene::new().checkpoint, Scene::new().receipt().to_json()] {
        assert!(
            README.contains(&format!("```text\n{block}```")) || README.contains(&format!("```json\n{block}```")),
            "the README should say:\n{block}"
        );
    }
}

#[test]
fn the_tables_hold_every_number() {
    let row =
        |number: u16, name: &str| assert!(README.contains(&format!("| {number} | {name} |")), "| {number} | {name} |");
    for attribute in Attribute::ALL {
        row(attribute.number(), attribute.name());
    }
    for kind in Kind::ALL {
        row(kind.number(), kind.name());
    }
    for (number, name) in Attribute::RESERVED.iter().chain(Kind::RESERVED) {
        row(*number, name);
    }
}
