//! May the record move to this recipient, on what ground. Agreement and basis are settled; now the subject's facts.

use std::sync::Arc;

use crate::{
    catalogue::CompiledAgreement,
    domain::{
        facts::{Facts, Ground},
        refusal::RefusalCode,
        time::Moment,
    },
};

/// What was decided for one recipient.
#[derive(Debug, Clone)]
pub struct Permitted<'c> {
    /// The agreement.
    pub compiled: &'c Arc<CompiledAgreement>,
    /// On what ground, or why not.
    pub decision: Result<Ground, RefusalCode>,
}

/// Stage 4: decides for each recipient, on one snapshot of the subject's facts.
pub fn permit<'c>(agreements: &[&'c Arc<CompiledAgreement>], facts: &Facts, at: Moment) -> Vec<Permitted<'c>> {
    let decide =
        |compiled: &&'c Arc<CompiledAgreement>| Permitted { compiled, decision: facts.permit(&compiled.agreement, at) };
    agreements.iter().map(decide).collect()
}
