//! The walk of a view over a record, and what it leaves. Buffers are kept between records.

use std::{fmt, ops::Range};

use super::{Branch, Node};
use crate::domain::{
    canonical,
    refusal::RefusalCode,
    value::{Member, Value},
};

/// The most fields one transfer delivers: an entry commits to at most 500 items, 60 of which are kept for attributes.
pub const FIELDS_MAX: usize = 440;

/// What a view let through of one record. It is personal data, so it prints only its shape.
pub struct Projection {
    /// The delivered text.
    text: String,
    /// Paths of fields, then patterns of what is withheld, one after the other.
    names: String,
    fields: Vec<FieldRange>,
    withheld: Vec<Range<usize>>,
    /// The place of the walk, items by number.
    path: String,
    /// The same, items as `*`.
    pattern: String,
    /// For each object on the way: which member each agreed property is.
    found: Vec<usize>,
}

/// A delivered field's place in `names` and in `text`.
struct FieldRange {
    path: Range<usize>,
    value: Range<usize>,
}

/// A delivered field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'p> {
    /// Its concrete instance path, a JSON Pointer: `/names/0/given`.
    pub path: &'p str,
    /// Its value in canonical form (RFC 8785).
    pub value: &'p str,
}

/// With room for most records, so that buffers seldom grow.
impl Default for Projection {
    fn default() -> Self {
        Self {
            text: String::with_capacity(2048),
            names: String::with_capacity(2048),
            fields: Vec::with_capacity(32),
            withheld: Vec::with_capacity(32),
            path: String::with_capacity(128),
            pattern: String::with_capacity(128),
            found: Vec::with_capacity(32),
        }
    }
}

/// In `found`: the object does not have the property.
const ABSENT: usize = usize::MAX;

impl Projection {
    /// What the recipient gets: canonical JSON (RFC 8785).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The delivered fields, in the order of their paths' bytes.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        self.fields
            .iter()
            .map(|field| Field { path: &self.names[field.path.clone()], value: &self.text[field.value.clone()] })
    }

    /// What the record has and the recipient does not get: the topmost places, `*` for items, sorted, each once.
    pub fn withheld(&self) -> impl ExactSizeIterator<Item = &str> {
        self.withheld.iter().map(|pattern| &self.names[pattern.clone()])
    }

    pub(super) fn fill(&mut self, root: &Branch, record: &Value<'_>) -> Result<(), RefusalCode> {
        self.clear();
        match record {
            Value::Object(members) => {
                self.object(root, members);
            }
            _ => self.text.push_str("{}"),
        }
        if self.fields.len() > FIELDS_MAX {
            self.clear();
            return Err(RefusalCode::TooManyFields);
        }
        self.sort();
        Ok(())
    }

    fn clear(&mut self) {
        for buffer in [&mut self.text, &mut self.names, &mut self.path, &mut self.pattern] {
            buffer.clear();
        }
        self.fields.clear();
        self.withheld.clear();
        self.found.clear();
    }

    fn sort(&mut self) {
        let names = self.names.as_str();
        // The walk goes by UTF-16 code units and by number; the order of the commitments is by bytes.
        let in_order = self.fields.is_sorted_by(|a, b| names[a.path.clone()] <= names[b.path.clone()]);
        if !in_order {
            self.fields.sort_unstable_by(|a, b| names[a.path.clone()].cmp(&names[b.path.clone()]));
        }
        self.withheld.sort_unstable_by(|a, b| names[a.clone()].cmp(&names[b.clone()]));
        self.withheld.dedup_by(|a, b| names[a.clone()] == names[b.clone()]);
    }

    /// Writes what is agreed of a property's value; `false` if that is nothing, and then the value is withheld.
    fn property(&mut self, node: &Node, value: &Value<'_>) -> bool {
        let withheld = self.withheld.len();
        let delivered = match (node, value) {
            (Node::Whole, _) => {
                self.deliver(value);
                true
            }
            (Node::Part(branch), Value::Object(members)) => self.object(branch, members),
            (Node::Part(Branch { item: Some(item), .. }), Value::Array(items)) => self.array(item, items),
            (Node::Part(_), _) => false,
        };
        if !delivered {
            self.withheld.truncate(withheld);
            self.withhold(None);
        }
        delivered
    }

    /// Writes an array with every item in its place; whether any item has something agreed.
    fn array(&mut self, node: &Node, items: &[Value<'_>]) -> bool {
        let (path, pattern) = (self.path.len(), self.pattern.len());
        self.pattern.push_str("/*");
        self.text.push('[');
        let mut delivered = false;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.path.push('/');
            canonical::write_number(&mut self.path, index as u64);
            delivered |= self.item(node, item);
            self.path.truncate(path);
        }
        self.text.push(']');
        self.pattern.truncate(pattern);
        delivered
    }

    /// Writes what is agreed of an item, or a hole in its place; whether it has something agreed.
    fn item(&mut self, node: &Node, item: &Value<'_>) -> bool {
        let start = self.text.len();
        let (branch, delivered) = match (node, item) {
            (Node::Whole, _) => {
                self.deliver(item);
                return true;
            }
            (Node::Part(branch), Value::Object(members)) => (branch, self.object(branch, members)),
            (Node::Part(branch @ Branch { item: Some(inner), .. }), Value::Array(items)) => {
                (branch, self.array(inner, items))
            }
            (Node::Part(branch), _) => {
                self.withhold(None);
                (branch, false)
            }
        };
        if !delivered {
            self.text.truncate(start);
            self.text.push_str(branch.hole());
        }
        delivered
    }

    /// Writes the agreed properties of an object; whether there are any. The others are withheld.
    fn object(&mut self, branch: &Branch, members: &[Member<'_>]) -> bool {
        let frame = self.found.len();
        self.found.resize(frame + branch.properties.len(), ABSENT);
        for (index, (name, _)) in members.iter().enumerate() {
            match branch.find(name) {
                Some(place) => self.found[frame + place] = index,
                None => self.withhold(Some(name)),
            }
        }
        let (path, pattern) = (self.path.len(), self.pattern.len());
        self.text.push('{');
        let mut delivered = false;
        for (place, property) in branch.properties.iter().enumerate() {
            let index = self.found[frame + place];
            if index == ABSENT {
                continue;
            }
            let start = self.text.len();
            if delivered {
                self.text.push(',');
            }
            self.text.push_str(&property.text);
            self.path.push_str(&property.step);
            self.pattern.push_str(&property.step);
            if self.property(&property.node, &members[index].1) {
                delivered = true;
            } else {
                self.text.truncate(start);
            }
            self.path.truncate(path);
            self.pattern.truncate(pattern);
        }
        self.text.push('}');
        self.found.truncate(frame);
        delivered
    }

    fn deliver(&mut self, value: &Value<'_>) {
        let (name, start) = (self.names.len(), self.text.len());
        self.names.push_str(&self.path);
        canonical::write(&mut self.text, value);
        self.fields.push(FieldRange { path: name..self.names.len(), value: start..self.text.len() });
    }

    /// Notes that a property of this place is withheld, or the place itself.
    fn withhold(&mut self, property: Option<&str>) {
        let start = self.names.len();
        self.names.push_str(&self.pattern);
        if let Some(name) = property {
            canonical::write_pointer_step(&mut self.names, name);
        }
        self.withheld.push(start..self.names.len());
    }
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Projection({} fields, {} withheld)", self.fields.len(), self.withheld.len())
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Field(…)")
    }
}
