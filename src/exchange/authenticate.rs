//! Who calls, for whom, and may it. The certificate names the system; the catalogue says whom it may act for.

use std::sync::Arc;

use super::submission::{CallContext, CallKey, Peer, Submission};
use crate::{
    catalogue::{Catalogue, System},
    domain::{
        agency::{AgencyId, Role, SystemId},
        context::{CONTEXT_TEXT_BYTES_MAX, Context},
        idempotency::{IdempotencyKey, InvalidKey, Window},
        refusal::{Refusal, RefusalCode, Violation},
        time::Moment,
    },
};

/// A caller whom the catalogue knows, acting for an agency that it may act for, in a role that it has.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The acting system.
    pub system: SystemId,
    /// Who acts, for whom, why.
    pub context: Arc<Context>,
}

impl Caller {
    /// The responsible agency.
    pub fn agency(&self) -> &AgencyId {
        &self.context.on_behalf_of
    }
}

/// A submission whose sender is known.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who submits.
    pub caller: Caller,
    /// Under which key.
    pub key: IdempotencyKey,
    /// What.
    pub submission: Submission,
}

/// The system behind a peer.
pub fn system<'c>(catalogue: &'c Catalogue, peer: Peer<'_>) -> Result<&'c System, Refusal> {
    match peer {
        Peer::San(san) => catalogue.system_by_san(san),
        Peer::System(id) => catalogue.system(id),
    }
    .map(|system| &**system)
    .ok_or_else(|| RefusalCode::PeerUnknown.into())
}

/// Who calls: `peer` must be a system with `role` that may act for the agency that the context names.
pub fn caller(catalogue: &Catalogue, peer: Peer<'_>, role: Role, context: CallContext) -> Result<Caller, Refusal> {
    caller_with_any(catalogue, peer, &[role], context)
}

/// As [`caller`], for calls that several roles open.
pub fn caller_with_any(
    catalogue: &Catalogue,
    peer: Peer<'_>,
    roles: &[Role],
    context: CallContext,
) -> Result<Caller, Refusal> {
    let system = system(catalogue, peer)?;
    let agency = match &context.on_behalf_of {
        None => system.acting_for(system.agency.as_str()),
        Some(name) => system.acting_for(name),
    };
    let agency = agency.ok_or(RefusalCode::NotActingFor)?.clone();
    if !roles.iter().any(|role| system.has(*role)) {
        return Err(RefusalCode::RoleMissing.into());
    }
    check_texts(&context)?;
    Ok(Caller { system: system.id.clone(), context: Arc::new(context.on_behalf_of(agency)) })
}

fn check_texts(context: &CallContext) -> Result<(), Refusal> {
    let rest = &context.rest;
    let representative = rest.acting_for.as_ref().map_or("", |who| who.representative.as_str());
    let texts = [
        ("/context/actor", rest.actor.as_str()),
        ("/context/case_reference", &rest.case),
        ("/context/reason", &rest.reason),
        ("/context/acting_for/representative", representative),
    ];
    let violations: Vec<Violation> = texts
        .into_iter()
        .filter(|(_, text)| text.len() > CONTEXT_TEXT_BYTES_MAX)
        .map(|(pointer, _)| Violation { pointer: pointer.into(), keyword: "maxLength" })
        .collect();
    if violations.is_empty() { Ok(()) } else { Err(Refusal { code: RefusalCode::CallMalformed, violations }) }
}

/// The idempotency key of a call, as its caller wrote it.
pub fn key(text: &str, now: Moment, window: Window) -> Result<IdempotencyKey, Refusal> {
    within(IdempotencyKey::parse(text), now, window)
}

/// The idempotency key of a call.
pub fn call_key(key: &CallKey, now: Moment, window: Window) -> Result<IdempotencyKey, Refusal> {
    match key {
        CallKey::Named(text) => self::key(text, now, window),
        CallKey::Event(key) => within(Ok(*key), now, window),
    }
}

fn within(key: Result<IdempotencyKey, InvalidKey>, now: Moment, window: Window) -> Result<IdempotencyKey, Refusal> {
    key.and_then(|key| key.check(now, window).map(|()| key)).map_err(|error| {
        match error {
            InvalidKey::NotV7 => RefusalCode::KeyInvalid,
            InvalidKey::TooOld => RefusalCode::KeyTooOld,
            InvalidKey::TooNew => RefusalCode::KeyTooNew,
        }
        .into()
    })
}

/// Stage 1 of a push.
pub fn authenticate(
    catalogue: &Catalogue,
    peer: Peer<'_>,
    mut submission: Submission,
    now: Moment,
    window: Window,
) -> Result<Authenticated, Refusal> {
    let context = std::mem::replace(&mut submission.context, CallContext { on_behalf_of: None, rest: Box::default() });
    let caller = caller(catalogue, peer, Role::Submit, context)?;
    let key = call_key(&submission.key, now, window)?;
    Ok(Authenticated { caller, key, submission })
}
