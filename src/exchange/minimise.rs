//! Which of the record's fields the recipient gets. The walk itself is [`crate::domain::view`].

use std::sync::Arc;

use super::{permit::Permitted, validate::Valid};
use crate::{
    catalogue::CompiledAgreement,
    domain::{facts::Ground, refusal::RefusalCode, value::Value, view::Projection},
};

/// What one recipient may see of a record, or why it sees nothing.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is granted: a box would only cost an allocation")]
pub enum Minimised<'c> {
    /// It gets this.
    Granted {
        /// The agreement.
        compiled: &'c Arc<CompiledAgreement>,
        /// On what ground.
        ground: Ground,
        /// The delivered text, its fields, what was withheld.
        projection: Projection,
    },
    /// It gets nothing.
    Refused {
        /// The agreement.
        compiled: &'c Arc<CompiledAgreement>,
        /// Why.
        code: RefusalCode,
    },
}

/// Stage 5: cuts the record down to what each recipient's agreement names.
pub fn minimise<'c>(valid: &Valid<'_, '_>, permitted: Vec<Permitted<'c>>) -> Vec<Minimised<'c>> {
    permitted.into_iter().map(|one| minimise_one(&valid.value, one)).collect()
}

/// What lies in the record comes first: it is told, and must not tell by its absence what lies in the person.
fn minimise_one<'c>(value: &Value<'_>, Permitted { compiled, decision }: Permitted<'c>) -> Minimised<'c> {
    let mut projection = Projection::default();
    match compiled.view.project(value, &mut projection).and(decision) {
        Ok(ground) => Minimised::Granted { compiled, ground, projection },
        Err(code) => Minimised::Refused { compiled, code },
    }
}
