//! A client of the hub whose submissions are bytes made ahead: on the wire a message is its length and its bytes, so that
//! the hub cannot tell. Answers are read whole.

use bytes::Bytes;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/waybill.v1.ExchangeService.rs"));
}
pub use generated::exchange_service_client::ExchangeServiceClient as SubmitterClient;

/// `waybill.v1.SubmitRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SubmitOne {
    /// An encoded `Submission`.
    #[prost(bytes = "bytes", tag = "1")]
    pub submission: Bytes,
}

/// `waybill.v1.SubmitStreamRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SubmitMany {
    /// A `ReceiptDetail`.
    #[prost(int32, tag = "1")]
    pub receipt_detail: i32,
    /// Numbered submissions.
    #[prost(message, repeated, tag = "2")]
    pub submissions: Vec<Numbered>,
}

/// `waybill.v1.NumberedSubmission`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Numbered {
    /// Comes back with the outcome.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// An encoded `Submission`.
    #[prost(bytes = "bytes", tag = "2")]
    pub submission: Bytes,
}
