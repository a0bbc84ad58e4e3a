//! People about whom calls are under way and who are no subjects yet: such calls agree on the id that the person will
//! get, so that a person's first records need not wait for each other. Only a hint: the commit checks what it rests on.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::domain::subject::{IdentifierHash, SubjectId};

/// By all the identifiers of a person that a call names: the id, and how many calls speak for it.
type Spoken = HashMap<BTreeSet<IdentifierHash>, (SubjectId, usize)>;

/// The ids that are spoken for.
#[derive(Debug, Default)]
pub(super) struct Newcomers(Mutex<Spoken>);

/// A call's hold on an id; given back when it is dropped, so that an id is forgotten with the last call about it.
#[derive(Debug)]
pub(super) struct Reserved {
    newcomers: Arc<Newcomers>,
    subject: SubjectId,
    identifiers: BTreeSet<IdentifierHash>,
}

impl Newcomers {
    /// The id that the person will get; `new` makes one if no other call has. Only of calls that name the same identifiers
    /// is it known that they mean the same person: of others it is told by whichever commits first.
    pub(super) fn reserve(
        self: &Arc<Self>,
        identifiers: &[IdentifierHash],
        new: impl FnOnce() -> SubjectId,
    ) -> Reserved {
        let identifiers: BTreeSet<IdentifierHash> = identifiers.iter().copied().collect();
        let mut table = self.0.lock();
        let (subject, calls) = table.entry(identifiers.clone()).or_insert_with(|| (new(), 0));
        *calls += 1;
        Reserved { newcomers: Arc::clone(self), subject: *subject, identifiers }
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
        if let Some((_, calls)) = table.get_mut(&self.identifiers) {
            *calls -= 1;
            if *calls == 0 {
                table.remove(&self.identifiers);
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
    fn calls_that_name_the_same_agree_on_the_id_while_any_of_them_is_under_way() {
        let newcomers = Arc::new(Newcomers::default());
        let first = reserve(&newcomers, &[ONE, TWO], 1);
        let second = reserve(&newcomers, &[TWO, ONE, ONE], 2);
        assert_eq!(second.subject(), first.subject());
        drop(first);
        assert_eq!(reserve(&newcomers, &[ONE, TWO], 3).subject(), second.subject());
        drop(second);
        assert_eq!(reserve(&newcomers, &[ONE, TWO], 4).subject(), SubjectId([4; 16]));
        assert!(newcomers.0.lock().is_empty());
    }

    #[test]
    fn a_call_that_names_two_does_not_make_one_person_of_those_who_are_named_alone() {
        let newcomers = Arc::new(Newcomers::default());
        let both = reserve(&newcomers, &[ONE, TWO], 1);
        let (one, two) = (reserve(&newcomers, &[ONE], 2), reserve(&newcomers, &[TWO], 3));
        assert_eq!([&both, &one, &two].map(|reserved| reserved.subject().0[0]), [1, 2, 3]);
        drop((both, one, two));
        assert!(newcomers.0.lock().is_empty());
    }
}
