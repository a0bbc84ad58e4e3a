//! A connected Receive stream: deliveries out in batches, answers in. It knows nothing of the wire's form.

use std::time::Duration;

use futures_util::Stream;

use super::{LinkTerms, OrderRule, Outbound, Outcome, Port, Report, Reporter};
use crate::domain::{agency::SystemId, transfer::TransferId};

/// What a stream can do: the relay keeps its order.
pub const fn terms(system: SystemId, credit: usize, report_within: Duration) -> LinkTerms {
    LinkTerms { system, credit, order: OrderRule::OneUnacknowledged, report_within }
}

/// The way out. It is polled when the peer takes more, and what it yields leaves at once. Dropping it is losing the link.
pub fn deliveries(port: Port) -> impl Stream<Item = Vec<Outbound>> + Send {
    futures_util::stream::unfold(port, |mut port| async {
        let batch = port.next().await?;
        Some((batch, port))
    })
}

/// The way in: one outcome for many deliveries.
pub async fn answer(reporter: &Reporter, transfers: impl IntoIterator<Item = TransferId>, outcome: Outcome) {
    let reports = transfers.into_iter().map(|transfer| Report { transfer, outcome }).collect();
    reporter.report(reports).await;
}
