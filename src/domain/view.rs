//! Minimisation: what of a record the agreed fields let through. Which fields are agreed is the agreement's matter.
//!
//! A [`View`] is a tree of the agreed paths; [`View::project`] walks it together with the record, once:
//! - What an agreed path selects is delivered whole. Everything else is withheld.
//! - The array items on the way to a field keep their places: an item with nothing agreed becomes `{}` (or `[]`, where
//!   the path goes on with `*`), whatever it was, so that its place is told and not its kind.
//! - A property on the way to a field that turns out to hold none (an object without it, an array of such, an empty
//!   container, another kind of value) is left out and withheld: its bare presence was not agreed either.
//! - The delivered text is built in the order of RFC 8785, so that it is canonical, and each field's canonical form is
//!   a range of it.

mod projection;

pub use projection::{FIELDS_MAX, Field, Projection};

use super::{
    canonical,
    field::{FieldPath, Step},
    refusal::RefusalCode,
    value::Value,
};

/// The agreed fields, ready to be applied to records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    root: Branch,
}

/// What is agreed of the value at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// All of it.
    Whole,
    /// Something in it.
    Part(Branch),
}

/// The agreed parts of a value. Both kinds can be there, for a value that may be an object or an array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Branch {
    /// In the order of RFC 8785.
    properties: Vec<Property>,
    /// What is agreed of each item.
    item: Option<Box<Node>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Property {
    /// The first bytes of the name, so that most names are told apart by one comparison.
    head: u64,
    name: Box<str>,
    /// `"name":`, as the canonical form writes it.
    text: Box<str>,
    /// `/name`, as a pointer writes it.
    step: Box<str>,
    node: Node,
}

impl View {
    /// The view of `fields`. One that another covers adds nothing.
    pub fn compile(fields: &[FieldPath]) -> Self {
        let mut root = Branch::default();
        for field in fields {
            root.add(field.steps());
        }
        Self { root }
    }

    /// Projects `record` into `out`, whose former content goes and whose memory is used again.
    pub fn project(&self, record: &Value<'_>, out: &mut Projection) -> Result<(), RefusalCode> {
        out.fill(&self.root, record)
    }
}

impl Branch {
    fn add(&mut self, steps: &[Step]) {
        let Some((first, rest)) = steps.split_first() else { return };
        let node = match first {
            Step::AnyItem => &mut **self.item.get_or_insert_with(|| Box::new(Node::Part(Self::default()))),
            Step::Property(name) => {
                let place = self.properties.binary_search_by(|known| canonical::utf16_order(&known.name, name));
                let place = place.unwrap_or_else(|place| {
                    self.properties.insert(place, Property::new(name));
                    place
                });
                &mut self.properties[place].node
            }
        };
        match node {
            Node::Part(_) if rest.is_empty() => *node = Node::Whole,
            Node::Part(branch) => branch.add(rest),
            Node::Whole => {}
        }
    }

    /// Where among the properties `name` is, if it is agreed.
    fn find(&self, name: &str) -> Option<usize> {
        let head = head(name);
        self.properties.iter().position(|known| known.head == head && *known.name == *name)
    }

    /// What stands for an item that has nothing of this.
    const fn hole(&self) -> &'static str {
        if self.properties.is_empty() && self.item.is_some() { "[]" } else { "{}" }
    }
}

impl Property {
    fn new(name: &str) -> Self {
        let (mut text, mut step) = (String::new(), String::new());
        canonical::write_string(&mut text, name);
        text.push(':');
        canonical::write_pointer_step(&mut step, name);
        Self {
            head: head(name),
            name: name.into(),
            text: text.into(),
            step: step.into(),
            node: Node::Part(Branch::default()),
        }
    }
}

/// The first eight bytes of a name, zeros behind a shorter one.
fn head(name: &str) -> u64 {
    match name.as_bytes().first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => name.bytes().rev().fold(0, |head, byte| head << 8 | u64::from(byte)),
    }
}

#[cfg(test)]
#[path = "view/tests.rs"]
mod tests;
