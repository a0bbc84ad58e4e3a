//! The bounds of the gRPC listener. Documented in the table of limits under the same names.

use std::time::Duration;

/// Bounds of one gRPC listener.
#[derive(Debug, Clone, Copy)]
pub struct GrpcLimits {
    /// The largest message read, in bytes. A submission of the largest record (256 KiB) fits many times.
    pub grpc_message_bytes_max: usize,
    /// A unary call that takes longer is ended. A request waits for its provider within this.
    pub grpc_call_timeout: Duration,
    /// How long calls under way may take to end when the hub stops.
    pub drain_max: Duration,
    /// Submissions of one stream without an outcome: enough to fill two commits, one syncing, one waiting.
    pub stream_window_max: usize,
    /// Answers of one provider's stream that are being recorded.
    pub provide_answers_max: usize,
    /// Calls of one connection at once.
    pub http2_streams_max: u32,
    /// Bytes that one call may send ahead of being read. By default what travels in 0.8 ms when records of 2 KB come at
    /// 300,000 a second: more than a round trip in a data centre.
    pub http2_stream_window_bytes: u32,
    /// Bytes that one connection may send ahead, over all its calls.
    pub http2_connection_window_bytes: u32,
    /// The largest frame read, in bytes: a message of many records in few frames.
    pub http2_frame_bytes_max: u32,
    /// Bytes of a call's headers.
    pub http2_header_bytes_max: u32,
    /// How long a connection may be silent before it is pinged.
    pub http2_keepalive_interval: Duration,
    /// How long the answer to a ping may take; then the connection is closed.
    pub http2_keepalive_timeout: Duration,
    /// How long a connection may have no open call; then it is closed.
    pub idle_max: Duration,
    /// Calls that a client opened and reset before they were taken up; beyond, the connection is closed (rapid reset,
    /// CVE-2023-44487).
    pub http2_pending_resets_max: usize,
    /// Calls that the hub reset for the client's errors; beyond, the connection is closed (CVE-2025-8671).
    pub http2_local_resets_max: usize,
}
