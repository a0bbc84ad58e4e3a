//! The routing of one entry as bytes: what is sealed in a commit's row. A codec, no I/O.

use bytes::BufMut;
use uuid::Uuid;

use super::codec::{Malformed, Reader, put_varint};
use crate::{
    domain::{agency::AgencyKey, transfer::TransferId},
    ledger::Kind,
    store::{Outgoing, PayloadSlots, Routing, SlotNumber, WrappedSecret},
    vault::{Term, WRAPPED_BYTES},
};

/// Appends `routing`: kind u16 · id 16 · terms · wrapped secrets · whether there is a delivery, and which.
pub(super) fn encode(routing: &Routing, out: &mut Vec<u8>) {
    out.put_u16(routing.kind.number());
    out.put_slice(routing.id.as_bytes());
    put_varint(out, routing.terms.len() as u64);
    for term in &routing.terms {
        out.put_u64(term.0);
    }
    put_varint(out, routing.secrets.len() as u64);
    for secret in &routing.secrets {
        put_varint(out, secret.slot.0);
        out.put_slice(&secret.wrapped);
    }
    match &routing.outgoing {
        None => out.put_u8(0),
        Some(outgoing) => {
            out.put_u8(1);
            out.put_u64(outgoing.recipient.0);
            out.put_u64(outgoing.order);
        }
    }
    match &routing.payload {
        None => out.put_u8(0),
        Some(slots) => {
            out.put_u8(1);
            put_varint(out, slots.subject.0);
            put_varint(out, slots.epoch.0);
        }
    }
}

/// What [`encode`] appends at most, in bytes.
pub(super) fn capacity(routing: &Routing) -> usize {
    // Of the fixed fields, with every varint at its longest.
    const FIXED: usize = 2 + 16 + 10 + 10 + 17 + 21;
    FIXED + 8 * routing.terms.len() + (10 + WRAPPED_BYTES) * routing.secrets.len()
}

/// Reads what [`encode`] appended.
pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Routing, Malformed> {
    let kind = Kind::from_number(reader.u16()?).ok_or(Malformed)?;
    let id = TransferId(Uuid::from_bytes(reader.array()?));
    let terms = (0..reader.count(8)?).map(|_| reader.u64().map(Term)).collect::<Result<_, _>>()?;
    let secrets = (0..reader.count(1 + WRAPPED_BYTES)?)
        .map(|_| Ok(WrappedSecret { slot: SlotNumber(reader.varint()?), wrapped: reader.array()? }))
        .collect::<Result<_, Malformed>>()?;
    let outgoing = match reader.u8()? {
        0 => None,
        1 => Some(Outgoing { recipient: AgencyKey(reader.u64()?), order: reader.u64()? }),
        _ => return Err(Malformed),
    };
    let payload = match reader.u8()? {
        0 => None,
        1 => {
            let subject = SlotNumber(reader.varint()?);
            Some(PayloadSlots { subject, epoch: SlotNumber(reader.varint()?) })
        }
        _ => return Err(Malformed),
    };
    Ok(Routing { kind, id, terms, secrets, outgoing, payload })
}
