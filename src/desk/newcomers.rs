//! People about whom calls are under way and who are no subjects yet: such calls agree on the id that the person will
//! get, so that a person's first records need not wait for each other. Only a hint: the commit checks what it rests on.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::domain::subject::{IdentifierHash, SubjectId};

/// The ids that are spoken for, and by how many calls.
#[derive(Debug, Default)]
pub(super) struct Newcomers(Mutex<HashMap<IdentifierHash, (SubjectId, usize)>>);

/// A call's hold on an id; given back when it is dropped, so that an id is forgotten with the last call about it.
#[derive(Debug)]
pub(super) struct Reserved {
    newcomers: Arc<Newcomers>,
    subject: SubjectId,
    identifiers: Vec<IdentifierHash>,
}

impl Newcomers {
    /// The id that the person will get; `new` makes one if no other call has.
    pub(super) fn reserve(
        self: &Arc<Self>,
        identifiers: &[IdentifierHash],
        new: impl FnOnce() -> SubjectId,
    ) -> Reserved {
        let mut table = self.0.lock();
        let known = identifiers.iter().find_map(|identifier| table.get(identifier).map(|(subject, _)| *subject));
        let subject = known.unwrap_or_else(new);
        let mut held = Vec::with_capacity(identifiers.len());
        for identifier in identifiers {
            let (of, calls) = table.entry(*identifier).or_insert((subject, 0));
            // Identifiers that were spoken for separately are told apart, or joined, by whichever commits first.
            if *of == subject {
                *calls += 1;
                held.push(*identifier);
            }
        }
        Reserved { newcomers: Arc::clone(self), subject, identifiers: held }
    }
}

impl Reserved {
    /// The id.
    pub(super) const fn subject(&self) -> SubjectId {
        self.subject
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut table = self.newcomers.0.lock();
        for identifier in &self.identifiers {
            if let Some((_, calls)) = table.get_mut(identifier) {
                *calls -= 1;
                if *calls == 0 {
                    table.remove(identifier);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IdentifierHash = IdentifierHash([1; 16]);
    const TWO: IdentifierHash = IdentifierHash([2; 16]);

    fn reserve(newcomers: &Arc<Newcomers>, identifiers: &[IdentifierHash], id: u8) -> Reserved {
        newcomers.reserve(identifiers, || SubjectId([id; 16]))
    }

    #[test]
    fn calls_about_one_newcomer_agree_on_the_id_while_any_of_them_is_under_way() {
        let newcomers = Arc::new(Newcomers::default());
        let first = reserve(&newcomers, &[ONE], 1);
        let second = reserve(&newcomers, &[ONE, TWO], 2);
        assert_eq!(second.subject(), first.subject());
        drop(first);
        assert_eq!(reserve(&newcomers, &[TWO], 3).subject(), second.subject());
        drop(second);
        assert_eq!(reserve(&newcomers, &[ONE], 4).subject(), SubjectId([4; 16]));
        assert!(newcomers.0.lock().is_empty());
    }

    #[test]
    fn two_newcomers_that_turn_out_to_share_identifiers_leave_nothing_behind() {
        let newcomers = Arc::new(Newcomers::default());
        let (first, second) = (reserve(&newcomers, &[ONE], 1), reserve(&newcomers, &[TWO], 2));
        let both = reserve(&newcomers, &[ONE, TWO], 3);
        assert_eq!(both.subject(), first.subject());
        drop((both, first, second));
        assert!(newcomers.0.lock().is_empty());
    }
}
