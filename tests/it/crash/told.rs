//! What the hub tells its callers while the canary is walked through it.

use prost::Message as _;
use waybill_proto::v1;

/// What the hub told: errors as their callers see them, and entries.
#[derive(Default)]
pub struct Told {
    pub errors: Vec<String>,
    pub entries: Vec<Vec<u8>>,
}

impl Told {
    /// Keeps an error; the call must not succeed.
    pub fn refused<T>(&mut self, what: &str, answer: Result<tonic::Response<T>, tonic::Status>) {
        match answer {
            Ok(_) => panic!("{what} succeeded"),
            Err(status) => self.error(what, &status),
        }
    }

    /// Keeps all that an error says. Only its receipt opens to the caller what the caller itself said of the call.
    pub fn error(&mut self, what: &str, status: &tonic::Status) {
        let details = tonic_types::pb::Status::decode(status.details()).unwrap();
        self.errors.push(format!("{what}: {} {}", status.message(), details.message));
        for detail in details.details {
            if detail.type_url.ends_with("waybill.v1.Refusal") {
                self.refusal(what, v1::Refusal::decode(&*detail.value).unwrap());
            } else {
                self.errors.push(format!("{what}: {}", String::from_utf8_lossy(&detail.value)));
            }
        }
    }

    pub fn refusal(&mut self, what: &str, mut refusal: v1::Refusal) {
        if let Some(receipt) = refusal.receipt.take() {
            self.recorded(Some(&receipt));
        }
        self.errors.push(format!("{what}: {refusal:?}"));
    }

    pub fn recorded(&mut self, receipt: Option<&v1::Receipt>) {
        self.entries.push(receipt.expect("a receipt").entry.to_vec());
    }
}
