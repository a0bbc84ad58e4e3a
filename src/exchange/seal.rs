//! Makes an entry of a statement: commitments, secret wrapped for each party, sealed trail and payload. Everything but
//! index and time, so that it can be done in parallel, before the sequencer.
//!
//! Ciphertext is bound to the decision's own id, never to the ledger index: an index that is used again after a crash
//! would use a nonce again.

use bytes::Bytes;

use super::{statement::Statement, trail};
use crate::{
    domain::{refusal::RefusalCode, transfer::TransferId, view::Projection},
    ledger::{Committer, Kind, Name, Secret},
    sequencer::{Content, SealedEntry},
    store::{Outgoing, PayloadSlots, Routing, Slot, WrappedSecret},
    vault::{self, Random, Term},
};

/// The most parties that keep a trail of one entry.
pub const PARTIES_MAX: usize = 4;
const NONCE_BYTES: usize = 12;

/// What an entry needs beside its statement.
#[derive(Debug)]
pub struct Draft<'a> {
    /// What happened.
    pub kind: Kind,
    /// The decision's own id.
    pub id: TransferId,
    /// What is said.
    pub statement: &'a Statement,
    /// What was let through, for a transfer.
    pub projection: Option<&'a Projection>,
    /// The trail slots of those who keep a trail; at most [`PARTIES_MAX`].
    pub parties: &'a [&'a Slot],
    /// Under what it is searched; the first is whom it is about.
    pub terms: Vec<Term>,
    /// To whom it is delivered.
    pub outgoing: Option<Outgoing>,
    /// The sealed payload and where its keys lie.
    pub payload: Option<(PayloadSlots, Bytes)>,
}

/// A sealed entry, with what its maker needs for the receipt.
#[derive(Debug)]
pub struct Sealed {
    /// For the sequencer.
    pub entry: SealedEntry,
    /// The entry's secret.
    pub secret: Secret,
}

/// Stage 6: seals an entry. Fails only when it says more than an entry can commit to.
pub fn seal(draft: Draft<'_>, committer: &mut Committer, random: &dyn Random) -> Result<Sealed, RefusalCode> {
    let Draft { kind, id, statement, projection, parties, terms, outgoing, payload } = draft;
    let mut bytes = [0; 32 + PARTIES_MAX * NONCE_BYTES];
    random.fill(&mut bytes);
    let (secret, nonces) = bytes.split_first_chunk::<32>().expect("the buffer begins with the secret");
    let secret = Secret::new(*secret);

    let attributes = statement.attributes().map(|(attribute, value)| (Name::from(attribute), value.as_bytes()));
    let digest = match projection {
        None => committer.commit(&secret, attributes),
        Some(projection) => {
            // The list is gathered first because the committer walks it twice.
            let fields = projection.fields().map(|field| (Name::Field(field.path), field.value.as_bytes()));
            let items: Vec<_> = attributes.chain(fields).collect();
            committer.commit(&secret, items)
        }
    };
    let digest = digest.map_err(|_| RefusalCode::TooManyFields)?;
    let plain = trail::encode(statement, projection, committer.commitments());
    let trail = vault::seal(&vault::trail_key(secret.expose()), plain).into();

    let secrets = parties
        .iter()
        .zip(nonces.as_chunks::<NONCE_BYTES>().0)
        .map(|(slot, nonce)| WrappedSecret {
            slot: slot.number,
            wrapped: slot.key.wrap(secret.expose(), *nonce, id.as_bytes()),
        })
        .collect();
    let (payload_slots, payload) = payload.unzip();
    let routing = Routing { kind, id, terms, secrets, outgoing, payload: payload_slots };
    let entry = SealedEntry { content: Content::Person(digest), routing, trail, payload: payload.unwrap_or_default() };
    Ok(Sealed { entry, secret })
}
