//! What the hub must hold to whoever calls: refusals, consent, agencies kept apart, audit, limits. Each over real mutual
//! TLS against the whole hub.

mod asked;
mod audit;
mod away;
mod bounds;
pub mod calls;
mod codes;
mod commits;
mod consent;
mod consent_said;
mod consents_read;
mod copies;
mod cross_agency;
mod every_limit;
mod http2;
mod knocking;
mod limits;
mod panics;
mod population;
mod publish;
mod retries;
mod shared_service;
mod shown;
mod texts;
mod traced;
