//! `waybill ledger entry`: one entry, as far as its reader may see it, with its receipt.

use std::path::PathBuf;

use waybill_proto::v1;

use super::sentence;
use crate::cli::{
    context::{ContextOptions, KeyOption},
    exit::{Exit, Failure},
    hub::HubOptions,
    output::Out,
    receipt, wire,
};

/// `ledger entry`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReadEntry {
    /// Its place in the ledger
    #[arg(value_name = "INDEX")]
    index: u64,
    /// Save its receipt, with what is open to this reader
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

impl ReadEntry {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let request = v1::GetEntryRequest {
            idempotency_key: self.key.or_new(),
            index: self.index,
            context: Some(self.context.context(self.hub.agency())),
        };
        let hub = self.hub.connect(out).await?;
        let response = hub.ledger().get_entry(request).await?.into_inner();
        let entry = response.entry.ok_or_else(|| Failure::fault("the hub sent no entry"))?;
        let read = response.read.as_ref();
        out.show(
            || {
                let mut object = wire::merged(sentence::object(&entry), receipt::to_json(entry.receipt.as_ref(), None));
                object["read_ledger_index"] = read.map(|read| read.index).into();
                object
            },
            || format!("{}\nThis reading is recorded, too{}.", sentence::text(&entry), receipt::at(read)),
        )?;
        if let Some(path) = &self.receipt {
            let receipt =
                entry.receipt.as_ref().ok_or_else(|| Failure::fault("no receipt saved: the hub sent none"))?;
            receipt::save(path, receipt, None, out)?;
        }
        Ok(Exit::Ok)
    }
}
