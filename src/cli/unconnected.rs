//! What to say when a hub cannot be reached, or went: whether it is of the set-up, so that the same command never helps,
//! or passes. Not what a hub answers: `refused.rs`.

use std::error::Error as _;

use tonic::{Code, Status};

use super::{
    exit::Failure,
    refused::{Busy, message_of},
};
use crate::tls::client::{ConnectError, Misfit, misfit};

/// Why [`connect_and_hear`](crate::tls::client::connect_and_hear) made no connection.
pub(super) fn not_made(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Address { .. } => Failure::usage(error),
        ConnectError::Failed { misfit: Some(misfit), .. } => of_misfit(*misfit, &error.to_string()),
        ConnectError::Failed { misfit: None, .. } => busy(error.to_string()),
    }
}

/// Why a call has no answer, if it was the connection and not the hub that gave this status.
pub(super) fn broken(status: &Status) -> Option<Failure> {
    // A status that came from a hub has no source.
    let source = status.source()?;
    let cause = message_of(status);
    if let Some(misfit) = misfit(source) {
        return Some(of_misfit(misfit, &cause));
    }
    // What tells of the connection alone. A hub that is away is UNAVAILABLE.
    matches!(status.code(), Code::Unknown | Code::Cancelled).then(|| {
        busy(format!(
            "the hub closed the connection: {cause}\n  one reason can be that it does not accept this certificate (--cert)"
        ))
    })
}

fn busy(message: String) -> Failure {
    Failure::Busy(Box::new(Busy { message, ..Busy::default() }))
}

fn of_misfit(misfit: Misfit, cause: &str) -> Failure {
    let next = match misfit {
        Misfit::HubName => {
            "give with --hub a name that the hub's certificate has, or the hub a certificate with this name (`waybill keys \
             server --host` for trials)"
        }
        Misfit::HubIssuer => "give with --ca the certificate of the CA that issued the hub's",
        Misfit::HubCertificate => "correct this machine's clock if it is wrong, or tell the hub's operator",
        Misfit::Protocol => {
            "give with --hub the address where the hub serves agencies (`grpc.listen` in its configuration)"
        }
        Misfit::OwnCertificate => {
            "give with --cert and --key a certificate that is in force, of a CA that the hub trusts; its operator knows \
             which"
        }
    };
    let what = match misfit {
        Misfit::OwnCertificate => format!("the hub did not accept this certificate: {cause}"),
        _ => cause.to_owned(),
    };
    Failure::Usage(format!("{what}\n  next: {next}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustls::{AlertDescription, CertificateError};

    use super::*;
    use crate::cli::exit::Exit;

    fn refused_by(error: rustls::Error) -> Failure {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        let misfit = misfit(&error);
        not_made(&ConnectError::Failed { address: "https://hub".to_owned(), reason: error.to_string(), misfit })
    }

    #[test]
    fn what_never_helps_is_a_matter_of_set_up_and_says_what_to_change() {
        for (error, next) in [
            (CertificateError::NotValidForName.into(), "next: give with --hub a name"),
            (CertificateError::UnknownIssuer.into(), "next: give with --ca"),
            (CertificateError::Expired.into(), "this machine's clock"),
            (rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "`grpc.listen`"),
            (rustls::Error::AlertReceived(AlertDescription::CertificateRequired), "next: give with --cert"),
        ] {
            let failure = refused_by(error);
            assert_eq!(failure.exit(), Exit::Usage, "{failure}");
            let text = failure.to_string();
            assert!(text.contains(next) && !text.contains("give the command again"), "{text}");
        }
        let passing = refused_by(rustls::Error::AlertReceived(AlertDescription::InternalError));
        assert_eq!(passing.exit(), Exit::Busy, "{passing}");
    }

    #[test]
    fn a_certificate_that_the_hub_does_not_accept_is_told_in_one_way_however_deep_the_alert_lies() {
        let alert = || rustls::Error::AlertReceived(AlertDescription::CertificateRevoked);
        let told = "the hub did not accept this certificate: ";
        // As the connection tells it, and as HTTP/2 hands on no more than its text.
        let inner = io::Error::new(io::ErrorKind::InvalidData, alert());
        for status in [
            Status::from_error(Box::new(io::Error::other(inner))),
            Status::from_error(Box::new(io::Error::other(alert().to_string()))),
        ] {
            let failure = Failure::from(status);
            assert!(failure.to_string().starts_with(told) && failure.exit() == Exit::Usage, "{failure}");
        }
    }

    #[test]
    fn a_connection_that_only_broke_may_come_back_and_names_the_certificate_as_one_reason() {
        for error in [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset] {
            let failure = Failure::from(Status::from_error(Box::new(io::Error::from(error))));
            let text = failure.to_string();
            assert_eq!(failure.exit(), Exit::Busy, "{text}");
            assert!(
                text.contains("closed the connection") && text.contains("does not accept this certificate"),
                "{text}"
            );
            assert!(text.contains("next: give the command again"), "{text}");
        }
    }
}
