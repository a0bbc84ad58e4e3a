//! What the relay counts, by recipient agency. Names no person and no transfer.

use metrics::{Counter, Gauge, counter, gauge};

/// One recipient's meters.
pub(super) struct Meters {
    /// Hand-overs, repeated ones included.
    pub handed: Counter,
    /// Deliveries acknowledged.
    pub acknowledged: Counter,
    /// Deliveries rejected.
    pub rejected: Counter,
    /// Attempts that failed: time-out, lost link, "try again".
    pub retried: Counter,
    /// Deliveries given up.
    pub dead_lettered: Counter,
    /// Deliveries whose end can never be recorded.
    pub set_aside: Counter,
    /// Deliveries out without a report.
    pub in_flight: Gauge,
    /// Ledger entries that the recipient's cursor is behind the head.
    pub lag_entries: Gauge,
}

impl Meters {
    pub(super) fn new(recipient: &str) -> Self {
        let recipient = recipient.to_owned();
        Self {
            handed: counter!("waybill_deliveries_handed_total", "recipient" => recipient.clone()),
            acknowledged: counter!("waybill_deliveries_acknowledged_total", "recipient" => recipient.clone()),
            rejected: counter!("waybill_deliveries_rejected_total", "recipient" => recipient.clone()),
            retried: counter!("waybill_deliveries_retried_total", "recipient" => recipient.clone()),
            dead_lettered: counter!("waybill_deliveries_dead_lettered_total", "recipient" => recipient.clone()),
            set_aside: counter!("waybill_deliveries_set_aside_total", "recipient" => recipient.clone()),
            in_flight: gauge!("waybill_deliveries_in_flight", "recipient" => recipient.clone()),
            lag_entries: gauge!("waybill_delivery_lag_entries", "recipient" => recipient),
        }
    }
}
