//! The development CA and what it issues. What stands in the certificates: `tls/authority.rs`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use serde_json::json;

use super::make_folder;
use crate::{
    cli::{exit::Failure, output::Out, printed::path_word},
    domain::agency::SystemId,
    tls::{
        Existing,
        authority::{Authority, Issued, NAME_BYTES_MAX, Serial, Validity, system_uri},
        write_public,
    },
};

const DAY: Duration = Duration::from_hours(24);

/// From now, for so many days.
fn validity(days: u32) -> Validity {
    Validity::starting(UnixTime::now(), DAY * days)
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=36_500)
}

/// `keys ca`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Ca {
    /// Folder to write ca.pem and ca.key.pem into; a CA that is there is kept
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the CA
    #[arg(long)]
    name: String,
    /// Days that it holds
    #[arg(long, default_value_t = 3650, value_parser = days())]
    days: u32,
}

impl Ca {
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        make_folder(&self.out)?;
        let authority = Authority::create(&self.name, validity(self.days)).map_err(Failure::usage)?;
        authority.save(&self.out).map_err(Failure::fault)?;
        let (certificate, key) = (self.out.join("ca.pem"), self.out.join("ca.key.pem"));
        out.show(|| json!({ "certificate": certificate, "key": key }), || self.made(&certificate, &key))
    }

    fn made(&self, certificate: &Path, key: &Path) -> String {
        let (name, folder) = (&self.name, path_word(&self.out));
        format!(
            "development CA {name:?}\n  certificate: {}\n  key:         {}\n  next: waybill keys server --ca {folder} \
             --host localhost --out {folder}",
            certificate.display(),
            key.display()
        )
    }
}

/// `keys server`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Server {
    /// Folder of the CA
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// DNS name or IP address under which clients reach the server; may be given again
    #[arg(long, required = true)]
    host: Vec<String>,
    /// Folder to write into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name of the files: NAME.pem and NAME.key.pem
    #[arg(long, default_value = "hub")]
    name: String,
    /// Make it for a Kafka broker, which is also known by it to other brokers
    #[arg(long)]
    broker: bool,
    /// Days that it holds
    #[arg(long, default_value_t = 397, value_parser = days())]
    days: u32,
}

impl Server {
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        let hosts: Vec<&str> = self.host.iter().map(String::as_str).collect();
        let authority = open(&self.ca)?;
        let issued = if self.broker {
            authority.issue_broker(&hosts, validity(self.days))
        } else {
            authority.issue_server(&hosts, validity(self.days))
        };
        let what = if self.broker { "broker" } else { "server" };
        save(&issued.map_err(Failure::usage)?, &self.out, &self.name, &format!("{what} {}", hosts.join(", ")), out)
    }
}

/// `keys system`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct System {
    /// Folder of the CA
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// The system, as the catalogue calls it
    #[arg(value_name = "AGENCY/SYSTEM")]
    name: SystemId,
    /// Folder to write AGENCY-SYSTEM.pem and AGENCY-SYSTEM.key.pem into
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The system's `san` in the catalogue [default: urn:waybill:system:AGENCY:SYSTEM]
    #[arg(long, value_name = "URI")]
    san: Option<String>,
    /// Leave out the common name AGENCY.SYSTEM, by which only Kafka's brokers know a system
    #[arg(long)]
    no_common_name: bool,
    /// Days that it holds
    #[arg(long, default_value_t = 397, value_parser = days())]
    days: u32,
}

impl System {
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        let agency = self.name.agency();
        let name = self.name.as_str().rsplit('/').next().unwrap_or_default();
        let uri = match &self.san {
            Some(uri) => uri.clone(),
            None => system_uri(agency.as_str(), name).map_err(Failure::usage)?,
        };
        let common_name = self.common_name()?;
        let issued = open(&self.ca)?.issue_client(common_name.as_deref(), &[&uri], validity(self.days));
        let issued = issued.map_err(Failure::usage)?;
        save(&issued, &self.out, &format!("{agency}-{name}"), &format!("system {} ({uri})", self.name), out)
    }

    /// What the brokers know it by, unless none is wished for.
    fn common_name(&self) -> Result<Option<String>, Failure> {
        let name = self.name.dotted();
        if self.no_common_name {
            return Ok(None);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(Failure::Usage(format!(
                "the common name {name} would have {} bytes, and a certificate has room for {NAME_BYTES_MAX}\n  next: if \
                 the system does not use Kafka, give --no-common-name, too; else give it a shorter name in the catalogue",
                name.len()
            )));
        }
        Ok(Some(name))
    }
}

/// `keys revoke`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Revoke {
    /// Folder of the CA
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// The certificates that no longer hold, PEM; none: an edition with what the list has
    #[arg(value_name = "CERTIFICATE")]
    certificates: Vec<PathBuf>,
    /// The revocation list [default: ca.crl.pem in the CA's folder]
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Days that it holds
    #[arg(long, default_value_t = 30, value_parser = days())]
    days: u32,
}

impl Revoke {
    pub(super) fn run(self, out: &mut Out) -> Result<(), Failure> {
        let authority = open(&self.ca)?;
        let list = self.list.unwrap_or_else(|| self.ca.join("ca.crl.pem"));
        let previous = match std::fs::read_to_string(&list) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::Fault(format!("{}: {error}", list.display()))),
        };
        let serials = self.certificates.iter().map(|path| serial(path, &authority));
        let serials = serials.collect::<Result<Vec<_>, _>>()?;
        let edition = authority.revoke(previous.as_deref(), &serials, validity(self.days)).map_err(Failure::usage)?;
        write_public(&list, edition.as_bytes(), Existing::Replace).map_err(Failure::fault)?;
        let shown: Vec<String> = serials.iter().map(ToString::to_string).collect();
        out.show(
            || json!({ "list": list, "revoked": shown }),
            || {
                format!(
                    "revoked: {}\n  list: {}\n  next: if the hub was started with this list under [tls] crls, send it \
                     SIGHUP: connections are closed within seconds; else name the list there and start the hub \
                     again\n  the next edition is due in {} days",
                    if shown.is_empty() { "nothing new".to_owned() } else { shown.join(", ") },
                    list.display(),
                    self.days
                )
            },
        )
    }
}

fn open(folder: &Path) -> Result<Authority, Failure> {
    Authority::open(folder).map_err(Failure::usage)
}

/// The number of the certificate in this file, which the authority must have issued.
fn serial(path: &Path, authority: &Authority) -> Result<Serial, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| wrong(&"holds no certificate"))?;
    authority.serial_of(&certificate).map_err(|error| wrong(&error))
}

fn save(issued: &Issued, folder: &Path, stem: &str, what: &str, out: &mut Out) -> Result<(), Failure> {
    make_folder(folder)?;
    let (certificate, key) = issued.save(folder, stem, Existing::Keep).map_err(Failure::fault)?;
    out.show(
        || json!({ "certificate": certificate, "key": key, "serial": issued.serial.to_string() }),
        || format!("{what}\n  certificate: {}\n  key:         {}", certificate.display(), key.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{Catalogue, SourceFile, Sources},
        cli::tests::assert_commands,
    };

    fn quiet() -> Out {
        Out::to(true, Box::new(std::io::sink()))
    }

    fn system(ca: &Path, name: SystemId) -> System {
        System { ca: ca.to_owned(), name, out: ca.to_owned(), san: None, no_common_name: false, days: 5 }
    }

    /// A catalogue of one agency, whose systems have these names and SANs.
    fn catalogue(agency: &str, systems: &[(&str, &str)]) -> Catalogue {
        let system = |(name, san): &(&str, &str)| {
            format!("[[system]]\nname = \"{name}\"\nsan = \"{san}\"\nroles = [\"receive\"]\n")
        };
        let systems: String = systems.iter().map(system).collect();
        let text = format!("title = \"X\"\npublic_authority = true\nrefusal_trail = \"2y\"\n{systems}");
        let file = |path: String, text: String| SourceFile { shown: path.as_str().into(), path, text };
        let mut sources = Sources::default();
        sources.catalogue.push(file(format!("agencies/{agency}.toml"), text));
        sources.catalogue.extend(["purposes.toml", "record-types.toml"].map(|name| file(name.into(), String::new())));
        Catalogue::from_sources(&sources).unwrap()
    }

    #[test]
    fn each_system_of_a_catalogue_that_is_good_gets_a_certificate_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca");
        Ca { out: ca.clone(), name: "Trial".to_owned(), days: 10 }.run(&mut quiet()).unwrap();
        let (dotted, own) = ("urn:waybill:system:north.tax:re.gistry", "https://tax.north.example/hub");
        let systems = [("re.gistry", dotted), ("claims", own)];
        for known in catalogue("north.tax", &systems).systems() {
            let san = (known.san != dotted).then(|| known.san.clone());
            System { san, ..system(&ca, known.id.clone()) }.run(&mut quiet()).unwrap();
            let file = ca.join(format!("{}.pem", known.id.as_str().replace('/', "-")));
            let der = CertificateDer::from_pem_file(&file).unwrap();
            assert_eq!(*crate::tls::san_uri(&der).unwrap(), *known.san);
            assert_eq!(crate::tls::client::common_name(&file).unwrap(), Some(known.id.dotted()));
        }
    }

    #[test]
    fn names_for_which_a_certificate_has_no_room_are_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca");
        Ca { out: ca.clone(), name: "Trial".to_owned(), days: 10 }.run(&mut quiet()).unwrap();
        let longest = "a".repeat(64);
        let san = format!("urn:waybill:system:{longest}:{longest}");
        let catalogue = catalogue(&longest, &[(&longest, &san)]);
        let known = catalogue.system_by_san(&san).unwrap();
        let refused = system(&ca, known.id.clone()).run(&mut quiet());
        assert!(matches!(&refused, Err(Failure::Usage(text)) if text.contains("give --no-common-name")), "{refused:?}");
        System { no_common_name: true, ..system(&ca, known.id.clone()) }.run(&mut quiet()).unwrap();
        let file = ca.join(format!("{longest}-{longest}.pem"));
        assert_eq!(*crate::tls::san_uri(&CertificateDer::from_pem_file(&file).unwrap()).unwrap(), *san);
        assert_eq!(crate::tls::client::common_name(&file).unwrap(), None);
    }

    #[test]
    fn a_servers_certificate_is_made_as_the_ca_says_wherever_it_lies() {
        let ca = Ca { out: "its place".into(), name: "Trial".to_owned(), days: 10 };
        let told = ca.made(Path::new("ca.pem"), Path::new("ca.key.pem"));
        let words = ["keys", "server", "--ca", "its place", "--host", "localhost", "--out", "its place"];
        assert_commands(&told, &[&words]);
    }

    #[test]
    fn a_ca_issues_and_revokes_what_the_tls_module_reads() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().to_owned();
        let make = || Ca { out: ca.clone(), name: "Trial".to_owned(), days: 10 }.run(&mut quiet());
        make().unwrap();
        assert!(make().is_err(), "a CA that is there is kept");
        let name: SystemId = "tax/registry".parse().unwrap();
        System { out: ca.join("tax"), ..system(&ca, name) }.run(&mut quiet()).unwrap();
        let certificate = ca.join("tax/tax-registry.pem");
        let der = CertificateDer::from_pem_file(&certificate).unwrap();
        assert_eq!(&*crate::tls::san_uri(&der).unwrap(), "urn:waybill:system:tax:registry");
        for certificates in [vec![certificate], Vec::new()] {
            let revoke = Revoke { ca: ca.clone(), certificates, list: None, days: 5 };
            revoke.run(&mut quiet()).unwrap();
        }
        assert!(std::fs::read_to_string(ca.join("ca.crl.pem")).unwrap().contains("X509 CRL"));
    }

    #[test]
    fn a_certificate_of_another_ca_and_a_ca_itself_cannot_be_revoked() {
        let folder = tempfile::tempdir().unwrap();
        // Of one name, so that only the signature tells them apart.
        let [own, other] = ["own", "other"].map(|name| folder.path().join(name));
        for ca in [&own, &other] {
            Ca { out: ca.clone(), name: "Trial".to_owned(), days: 10 }.run(&mut quiet()).unwrap();
            let name: SystemId = "tax/registry".parse().unwrap();
            system(ca, name).run(&mut quiet()).unwrap();
        }
        for (certificate, why) in [
            (other.join("tax-registry.pem"), "was not issued by this CA"),
            (other.join("ca.pem"), "was not issued by this CA"),
            (own.join("ca.pem"), "is this CA's own"),
            (own.join("tax-registry.key.pem"), "holds no certificate"),
        ] {
            let file = certificate.display().to_string();
            let certificates = vec![own.join("tax-registry.pem"), certificate];
            let refused = Revoke { ca: own.clone(), certificates, list: None, days: 5 }.run(&mut quiet());
            let Err(Failure::Usage(text)) = refused else { panic!("{file}: {refused:?}") };
            assert!(text.starts_with(&file) && text.contains(why), "{text}");
        }
        assert!(!own.join("ca.crl.pem").exists(), "then nothing is revoked");
    }

    #[test]
    fn a_certificate_that_outlives_its_ca_is_a_mistake_of_the_caller() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().to_owned();
        Ca { out: ca.clone(), name: "Trial".to_owned(), days: 1 }.run(&mut quiet()).unwrap();
        let host = vec!["localhost".to_owned()];
        let server = Server { ca: ca.clone(), host, out: ca, name: "hub".to_owned(), broker: false, days: 2 };
        assert!(matches!(server.run(&mut quiet()), Err(Failure::Usage(_))));
    }
}
