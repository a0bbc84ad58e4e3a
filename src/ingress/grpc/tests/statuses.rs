//! Which code, and what is in the details.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};
use waybill_proto::v1;

use super::super::status::{of_error, of_refusal, of_undecided};
use crate::{
    desk::{CallError, Proof, Receipt, Refused},
    domain::{
        environment::Environment,
        refusal::{Refusal, RefusalCode, Stage, Violation},
    },
    ledger::{Commitments, Hash, Opening},
};

fn receipt(openings: usize) -> Receipt {
    let opening = |position: usize| Opening {
        position: position as u16,
        name: position.to_string(),
        value: format!("\"{}\"", "v".repeat(60)),
        salt: [3; 16],
    };
    let mut list = (openings as u16).to_be_bytes().to_vec();
    list.extend(vec![7; openings * Hash::LEN]);
    Receipt {
        index: 41,
        entry: Bytes::from(vec![1; 41]),
        proof: Some(Proof { inclusion: vec![Hash::new([2; 32]); 30], checkpoint: "note".into() }),
        commitments: Some(Commitments::from_bytes(list).unwrap()),
        openings: (0..openings).map(opening).collect(),
        environment: Environment::Test,
    }
}

fn refused(code: RefusalCode, violations: usize, openings: usize) -> Status {
    let violation = |place: usize| Violation { pointer: format!("/names/{place}/given"), keyword: "maxLength" };
    let refusal = Refusal { code, violations: (0..violations).map(violation).collect() };
    of_error(CallError::Refused(Box::new(Refused { refusal, receipt: receipt(openings) })))
}

fn own(status: &Status) -> v1::Refusal {
    let whole = pb::Status::decode(status.details()).unwrap();
    let own = whole.details.iter().find(|any| any.type_url.ends_with("/waybill.v1.Refusal")).unwrap();
    v1::Refusal::decode(own.value.as_slice()).unwrap()
}

#[test]
fn every_refusal_has_a_code_that_fits_its_stage_and_says_itself_in_the_details() {
    for code in RefusalCode::ALL.iter().copied() {
        let status = refused(code, 0, 3);
        let expected = of_refusal(code).0;
        assert_eq!(status.code(), expected, "{code}");
        let fits: &[Code] = match code.stage() {
            Stage::Authenticate => {
                &[Code::Unauthenticated, Code::PermissionDenied, Code::AlreadyExists, Code::InvalidArgument]
            }
            Stage::Address | Stage::Permit | Stage::Validate => &[Code::InvalidArgument, Code::FailedPrecondition],
            Stage::Minimise => &[Code::InvalidArgument],
            Stage::Find => &[Code::NotFound, Code::FailedPrecondition],
        };
        assert!(fits.contains(&expected), "{code}: {expected:?}");
        assert_eq!(status.message(), code.text());
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (code.code(), "waybill"));
        assert_eq!(info.metadata["stage"], code.stage().as_str());
        let own = own(&status);
        assert_eq!((own.code.as_str(), own.receipt.unwrap().openings.len()), (code.code(), 3));
        assert!(status.get_details_retry_info().is_none(), "a refusal is no reason to try again at once");
    }
}

#[test]
fn the_codes_that_clients_tell_apart() {
    use RefusalCode::{
        ConsentWithdrawn, EntryUnknown, KeyReused, NotAvailable, PeerUnknown, RecordInvalid, RoleMissing,
    };
    for (code, expected) in [
        (PeerUnknown, Code::Unauthenticated),
        (RoleMissing, Code::PermissionDenied),
        (KeyReused, Code::AlreadyExists),
        (RecordInvalid, Code::InvalidArgument),
        (ConsentWithdrawn, Code::FailedPrecondition),
        (NotAvailable, Code::FailedPrecondition),
        (EntryUnknown, Code::NotFound),
    ] {
        assert_eq!(of_refusal(code).0, expected);
    }
}

#[test]
fn faults_are_named_with_pointer_and_keyword_and_nothing_else() {
    let status = refused(RefusalCode::RecordInvalid, 2, 0);
    let bad = status.get_details_bad_request().unwrap();
    let named: Vec<_> = bad.field_violations.iter().map(|one| (one.field.as_str(), one.description.as_str())).collect();
    assert_eq!(named, [("/names/0/given", "maxLength"), ("/names/1/given", "maxLength")]);
}

#[test]
fn details_stay_below_what_a_trailer_holds_by_leaving_out_openings_first_and_faults_last() {
    let whole = refused(RefusalCode::RecordInvalid, 5, 10);
    assert_eq!(own(&whole).receipt.unwrap().openings.len(), 10);
    let status = refused(RefusalCode::RecordInvalid, 5, 60);
    let told = own(&status);
    let (faults, receipt) = (told.violations.len(), told.receipt.unwrap());
    assert_eq!((receipt.openings.len(), receipt.commitments.len(), faults), (0, 0, 5));
    assert!(!receipt.checkpoint.is_empty() && receipt.inclusion_proof.len() == 30);
    for violations in [20, 100, 1000] {
        let status = refused(RefusalCode::RecordInvalid, violations, 60);
        assert!(status.details().len() <= 6 << 10, "{}", status.details().len());
        let told = own(&status);
        assert!(told.violations.len() >= violations.min(16), "{} of {violations}", told.violations.len());
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), told.violations.len());
    }
}

#[test]
fn back_pressure_says_when_to_come_back_and_a_fault_says_nothing_of_itself() {
    let exhausted = CallError::Exhausted { what: "over the system's rate", retry_after: Duration::from_micros(1500) };
    let status = of_error(exhausted.clone());
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_millis(2)));
    let busy = of_undecided(&exhausted);
    assert_eq!((busy.code, busy.retry_after_ms), (Code::ResourceExhausted as u32, 2));

    let status = of_error(CallError::Unavailable("free disk space is below the reserve".into()));
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());

    let status = of_error(CallError::Fault("entry 7 of Ada Lovelace is missing".into()));
    assert_eq!(status.code(), Code::Internal);
    assert!(!format!("{status:?}").contains("Lovelace"));
}
