//! Asks a broker which rights there are: Kafka's DescribeAcls, version 1 (Kafka 2.0 and later), for which the Kafka library
//! has no call. One request on a connection of its own, as the hub. What the rights should be is `rights.rs`'s matter.

use std::{io, sync::Arc, time::Duration};

use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::rights::{Acl, Resource};
use crate::{
    config::Kafka,
    tls::{
        client::{ClientFiles, ClientTls},
        system_clock,
    },
};

/// How long a broker may take, its connection included.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes: some ten thousand rights.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// How it calls itself.
const CLIENT: &str = "waybill-cli";
// From Kafka's protocol guide.
const DESCRIBE_ACLS: i16 = 29;
const VERSION: i16 = 1;
const CORRELATION: i32 = 1;
const ANY: u8 = 1;
const NO_TEXT: i16 = -1;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
const SECURITY_DISABLED: i16 = 54;
const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const PREFIXED: i8 = 4;
const ALLOW: i8 = 3;

/// What a broker says when it is asked for rights.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Those that name topics and groups.
    Acls(Vec<Acl>),
    /// The brokers ask nobody for rights.
    NoAuthorizer,
    /// The hub may not see them.
    NotAllowed,
}

/// Asks the first broker that can be reached.
pub(super) async fn describe_acls(kafka: &Kafka) -> io::Result<Answer> {
    let mut last = io::Error::other("no broker is named");
    for address in kafka.bootstrap.split(',').map(str::trim) {
        match tokio::time::timeout(ANSWER_MAX, ask(kafka, address)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(last)
}

async fn ask(kafka: &Kafka, address: &str) -> io::Result<Answer> {
    let tcp = TcpStream::connect(address).await?;
    let (Some(certificate), Some(key), Some(ca)) = (&kafka.certificate, &kafka.key, &kafka.ca) else {
        return exchange(tcp).await;
    };
    let files = ClientFiles { ca: ca.clone(), certificate: certificate.clone(), key: key.clone() };
    let tls = ClientTls::load(&files, &system_clock()).map_err(io::Error::other)?;
    let mut config = (*tls.config()).clone();
    config.alpn_protocols.clear(); // Kafka has none
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    exchange(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?).await
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Answer> {
    stream.write_all(&request()).await?;
    stream.flush().await?;
    let size = usize::try_from(stream.read_i32().await?).unwrap_or(usize::MAX);
    if size > ANSWER_BYTES_MAX {
        return Err(malformed());
    }
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer).await?;
    read(&answer)
}

/// All rights on everything.
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(DESCRIBE_ACLS.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    body.extend(text(CLIENT));
    body.push(ANY); // resources of any type
    body.extend(NO_TEXT.to_be_bytes()); // of any name
    body.push(ANY); // by any pattern
    body.extend(NO_TEXT.to_be_bytes()); // for any principal
    body.extend(NO_TEXT.to_be_bytes()); // from any host
    body.push(ANY); // any operation
    body.push(ANY); // allowed or denied
    let length = u32::try_from(body.len()).expect("a request without any text is short");
    [&length.to_be_bytes()[..], &body].concat()
}

/// A text as Kafka writes it; ours are short.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its answer is none to DescribeAcls")
}

fn read(answer: &[u8]) -> io::Result<Answer> {
    let mut fields = Fields(answer);
    if fields.int()? != CORRELATION {
        return Err(malformed());
    }
    fields.int()?; // for how long the broker throttles
    let (code, message) = (fields.short()?, fields.text()?);
    match code {
        0 => {}
        SECURITY_DISABLED => return Ok(Answer::NoAuthorizer),
        CLUSTER_AUTHORIZATION_FAILED => return Ok(Answer::NotAllowed),
        code => return Err(io::Error::other(format!("it answers with error {code} {message}"))),
    }
    let mut acls = Vec::new();
    for _ in 0..fields.int()? {
        let (resource, name, pattern) = (fields.byte()?, Arc::<str>::from(fields.text()?), fields.byte()?);
        for _ in 0..fields.int()? {
            let (principal, host) = (fields.text()?, fields.text()?);
            let (operation, permission) = (fields.byte()?, fields.byte()?);
            let resource = match resource {
                TOPIC => Resource::Topic,
                GROUP => Resource::Group,
                _ => continue,
            };
            let (name, prefixed, allows) = (Arc::clone(&name), pattern == PREFIXED, permission == ALLOW);
            acls.push(Acl { resource, name, prefixed, principal, host, operation: operation.into(), allows });
        }
    }
    Ok(Answer::Acls(acls))
}

/// The fields of an answer, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> io::Result<i8> {
        Ok(i8::from_be_bytes(self.take()?))
    }

    fn short(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    fn int(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    /// A text; none is an empty one.
    fn text(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.short()?).unwrap_or(0);
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        String::from_utf8(head.to_vec()).map_err(|_| malformed())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::rights::Operation, *};

    /// An answer with an error code and resources as bytes.
    fn answer(code: i16, count: i32, resources: &[u8]) -> Vec<u8> {
        let head = [&CORRELATION.to_be_bytes()[..], &0_i32.to_be_bytes(), &code.to_be_bytes(), &NO_TEXT.to_be_bytes()];
        [&head.concat()[..], &count.to_be_bytes(), resources].concat()
    }

    #[test]
    fn rights_on_topics_and_groups_are_read_and_others_passed_over() {
        let one = |resource: u8, operation: u8| {
            let acl = [text("User:tax.registry"), text("*"), vec![operation, 3]].concat();
            [vec![resource], text("waybill."), vec![4], 1_i32.to_be_bytes().to_vec(), acl].concat()
        };
        let found = read(&answer(0, 3, &[one(2, 4), one(4, 8), one(3, 3)].concat())).unwrap();
        let Answer::Acls(found) = found else { panic!("{found:?}") };
        let wanted = [(Resource::Topic, Operation::Write), (Resource::Group, Operation::Read)];
        let seen: Vec<_> = found.iter().map(|acl| (acl.resource, acl.operation)).collect();
        assert_eq!(seen, wanted);
        assert!(found.iter().all(|acl| acl.prefixed && acl.allows && acl.principal == "User:tax.registry"));
    }

    #[test]
    fn a_broker_that_tells_no_rights_says_why() {
        assert_eq!(read(&answer(54, 0, &[])).unwrap(), Answer::NoAuthorizer);
        assert_eq!(read(&answer(31, 0, &[])).unwrap(), Answer::NotAllowed);
        assert!(read(&answer(35, 0, &[])).unwrap_err().to_string().contains("error 35"));
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_the_bound_and_not_begun_beyond_it() {
        let sized = async |bytes: usize| {
            let (near, mut broker) = tokio::io::duplex(2 * ANSWER_BYTES_MAX);
            let mut answer = answer(0, 0, &[]);
            answer.resize(bytes, 0);
            broker.write_i32(i32::try_from(bytes).unwrap()).await.unwrap();
            broker.write_all(&answer).await.unwrap();
            exchange(near).await
        };
        assert_eq!(sized(ANSWER_BYTES_MAX).await.unwrap(), Answer::Acls(Vec::new()));
        assert!(sized(ANSWER_BYTES_MAX + 1).await.is_err());
    }

    #[test]
    fn what_is_cut_off_or_claims_too_much_is_no_answer() {
        let whole = answer(0, 1, &[vec![2], text("t"), vec![3], 0_i32.to_be_bytes().to_vec()].concat());
        assert!(read(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(read(&answer(0, i32::MAX, &[])).is_err());
    }
}
