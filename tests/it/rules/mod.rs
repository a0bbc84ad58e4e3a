//! What the hub must hold to whoever calls: refusals, consent, agencies kept apart, audit, limits. Each over real mutual
//! TLS against the whole hub.

mod audit;
mod away;
mod bounds;
pub mod calls;
mod codes;
mod consent;
mod cross_agency;
mod http2;
mod limits;
mod population;
mod publish;
