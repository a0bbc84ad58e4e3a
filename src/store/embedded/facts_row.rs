//! A subject's facts as bytes: protobuf, so that a later version may add fields. A codec; `people.rs` seals and stores
//! it.

use prost::Message;
use uuid::Uuid;

use super::codec::Malformed;
use crate::domain::{
    agency::AgencyId,
    agreement::AgreementId,
    facts::{Fact, FactScope, Facts},
    record::RecordTypeId,
    time::Moment,
    transfer::TransferId,
};

#[derive(Message)]
struct FactsRow {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(message, repeated, tag = "2")]
    rows: Vec<FactRow>,
}

#[derive(Message)]
struct FactRow {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    agency: String,
    #[prost(uint64, tag = "3")]
    from: u64,
    #[prost(uint64, optional, tag = "4")]
    until: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    ended: Option<u64>,
    #[prost(oneof = "ScopeRow", tags = "7, 8, 9")]
    scope: Option<ScopeRow>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ScopeRow {
    #[prost(message, tag = "7")]
    Consent(ConsentRow),
    #[prost(message, tag = "8")]
    Restriction(TypesRow),
    #[prost(message, tag = "9")]
    Interest(TypesRow),
}

#[derive(Clone, PartialEq, Message)]
struct ConsentRow {
    #[prost(string, tag = "1")]
    agreement: String,
    #[prost(uint32, tag = "2")]
    revision: u32,
}

#[derive(Clone, PartialEq, Message)]
struct TypesRow {
    #[prost(string, repeated, tag = "1")]
    record_types: Vec<String>,
}

/// The facts as bytes.
pub(super) fn encode(facts: &Facts) -> Vec<u8> {
    FactsRow { version: facts.version, rows: facts.rows.iter().map(fact_row).collect() }.encode_to_vec()
}

/// The facts that [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Facts, Malformed> {
    let row = FactsRow::decode(bytes).map_err(|_| Malformed)?;
    Ok(Facts { version: row.version, rows: row.rows.into_iter().map(fact).collect::<Result<_, _>>()? })
}

fn fact_row(fact: &Fact) -> FactRow {
    let types = |types: &[RecordTypeId]| TypesRow { record_types: types.iter().map(ToString::to_string).collect() };
    FactRow {
        id: fact.id.as_bytes().to_vec(),
        agency: fact.agency.to_string(),
        from: fact.from.0,
        until: fact.until.map(|moment| moment.0),
        ended: fact.ended.map(|moment| moment.0),
        scope: Some(match &fact.scope {
            FactScope::Consent { agreement, revision } => {
                ScopeRow::Consent(ConsentRow { agreement: agreement.to_string(), revision: *revision })
            }
            FactScope::Restriction { record_types } => ScopeRow::Restriction(types(record_types)),
            FactScope::Interest { record_types } => ScopeRow::Interest(types(record_types)),
        }),
    }
}

fn fact(row: FactRow) -> Result<Fact, Malformed> {
    let types = |row: TypesRow| {
        row.record_types.iter().map(|name| RecordTypeId::new(name)).collect::<Result<_, _>>().map_err(|_| Malformed)
    };
    Ok(Fact {
        id: TransferId(Uuid::from_slice(&row.id).map_err(|_| Malformed)?),
        agency: AgencyId::new(&row.agency).map_err(|_| Malformed)?,
        scope: match row.scope.ok_or(Malformed)? {
            ScopeRow::Consent(consent) => FactScope::Consent {
                agreement: AgreementId::new(&consent.agreement).map_err(|_| Malformed)?,
                revision: consent.revision,
            },
            ScopeRow::Restriction(row) => FactScope::Restriction { record_types: types(row)? },
            ScopeRow::Interest(row) => FactScope::Interest { record_types: types(row)? },
        },
        from: Moment(row.from),
        until: row.until.map(Moment),
        ended: row.ended.map(Moment),
    })
}
