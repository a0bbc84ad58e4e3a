//! The connection to a hub: mutual TLS, the public protos, and in whose name. Not what is asked of it.

use std::path::PathBuf;

use tonic::transport::Channel;
use waybill_proto::v1::{
    self, consent_service_client::ConsentServiceClient, exchange_service_client::ExchangeServiceClient,
    ledger_service_client::LedgerServiceClient, operator_service_client::OperatorServiceClient,
};

use super::{
    exit::Failure,
    output::Out,
    printed::{path_word, word},
    unconnected,
};
use crate::{
    domain::agency::AgencyId,
    ledger::{Checkpoint, Note},
    tls::{
        client::{self, ClientFiles, ClientTls},
        system_clock,
    },
};

/// One gRPC message, either way: the most that a hub's limit can be set to.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Which hub, as whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Hub")]
pub(super) struct HubOptions {
    /// Address of the hub, `https://host:port`
    #[arg(long, env = "WAYBILL_HUB", value_name = "URL")]
    hub: String,
    /// Certificate of the CA that issued the hub's, PEM
    #[arg(long, env = "WAYBILL_CA", value_name = "FILE")]
    ca: PathBuf,
    /// Certificate of this system, PEM
    #[arg(long, env = "WAYBILL_CERT", value_name = "FILE")]
    cert: PathBuf,
    /// Private key of that certificate, PEM
    #[arg(long, env = "WAYBILL_KEY", value_name = "FILE")]
    key: PathBuf,
    /// The responsible agency [default: the agency that runs this system]
    #[arg(long, value_name = "AGENCY")]
    pub(super) on_behalf_of: Option<AgencyId>,
}

/// A hub that is connected.
pub(super) struct Hub {
    channel: Channel,
}

macro_rules! clients {
    ($($name:ident: $client:ident),*) => {$(
        pub(super) fn $name(&self) -> $client<Channel> {
            $client::new(self.channel.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        }
    )*};
}

impl HubOptions {
    /// Connects, and tells a person which environment that is: it must be the first line that a command prints.
    pub(super) async fn connect(&self, out: &mut Out) -> Result<Hub, Failure> {
        let hub = self.dial().await?;
        if !out.is_json()
            && let Some(line) = hub.environment().await?
        {
            out.line(&line)?;
        }
        Ok(hub)
    }

    /// Connects.
    pub(super) async fn dial(&self) -> Result<Hub, Failure> {
        let files = ClientFiles { ca: self.ca.clone(), certificate: self.cert.clone(), key: self.key.clone() };
        let tls = ClientTls::load(&files, &system_clock()).map_err(Failure::usage)?;
        let endpoint = client::endpoint(&self.hub).map_err(Failure::usage)?;
        let channel = client::connect_and_hear(&endpoint, &tls).await.map_err(|error| unconnected::not_made(&error))?;
        Ok(Hub { channel })
    }

    /// The options with which another command reaches the same hub as the same system, each after a blank: those that the
    /// environment does not say.
    pub(super) fn again(&self) -> String {
        self.again_in(|variable| std::env::var(variable).ok())
    }

    fn again_in(&self, environment: impl Fn(&str) -> Option<String>) -> String {
        let [ca, cert, key] = [&self.ca, &self.cert, &self.key].map(|path| path.display().to_string());
        let said = [
            ("hub", "WAYBILL_HUB", self.hub.clone(), word(&self.hub)),
            ("ca", "WAYBILL_CA", ca, path_word(&self.ca)),
            ("cert", "WAYBILL_CERT", cert, path_word(&self.cert)),
            ("key", "WAYBILL_KEY", key, path_word(&self.key)),
        ];
        let unsaid = said.into_iter().filter(|(_, variable, value, _)| environment(variable).as_ref() != Some(value));
        let options = unsaid.map(|(name, _, _, word)| format!(" --{name} {word}"));
        let agency = self.on_behalf_of.iter().map(|agency| format!(" --on-behalf-of {agency}"));
        options.chain(agency).collect()
    }

    /// The name of the responsible agency, or nothing.
    pub(super) fn agency(&self) -> String {
        self.on_behalf_of.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl Hub {
    clients! {
        exchange: ExchangeServiceClient,
        consent: ConsentServiceClient,
        ledger: LedgerServiceClient,
        operator: OperatorServiceClient
    }

    /// Which environment it is, in a line. Nothing where the hub does not say: then the call that follows says why.
    /// Where the connection broke, this says so: the hub tells the reason once, and the next call would not hear it.
    pub(super) async fn environment(&self) -> Result<Option<String>, Failure> {
        match self.ledger().get_checkpoint(v1::GetCheckpointRequest {}).await {
            Ok(answer) => Ok(environment_line(&answer.into_inner().checkpoint)),
            Err(status) => unconnected::broken(&status).map_or(Ok(None), Err),
        }
    }
}

/// The environment of a checkpoint, which nobody has verified yet.
pub(super) fn environment_line(checkpoint: &str) -> Option<String> {
    let origin = Checkpoint::parse(Note::parse(checkpoint).ok()?.text()).ok()?.origin;
    let (environment, hub) = (origin.environment()?, origin.hub()?);
    Some(format!("environment: {environment} (hub {hub})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::tests::assert_commands,
        ledger::{Hash, Origin, SignerKey},
    };

    #[test]
    fn another_command_is_told_of_the_hub_what_the_environment_does_not_say() {
        let options = HubOptions {
            hub: "https://hub:7443".to_owned(),
            ca: "ca.pem".into(),
            cert: "its place/a.pem".into(),
            key: "a.key.pem".into(),
            on_behalf_of: Some("tax".parse().unwrap()),
        };
        let all = " --hub https://hub:7443 --ca ca.pem --cert 'its place/a.pem' --key a.key.pem --on-behalf-of tax";
        assert_eq!(options.again_in(|_| None), all);
        assert_commands(&format!("next: waybill dead-letters list{all}"), &[&["dead-letters", "list"]]);
        let environment = |variable: &str| match variable {
            "WAYBILL_HUB" => Some("https://hub:7443".to_owned()),
            "WAYBILL_CA" => Some("ca.pem".to_owned()),
            "WAYBILL_CERT" => Some("other.pem".to_owned()),
            _ => None,
        };
        assert_eq!(options.again_in(environment), " --cert 'its place/a.pem' --key a.key.pem --on-behalf-of tax");
    }

    #[test]
    fn the_first_line_names_environment_and_hub() {
        let origin = Origin::new("hub.example/north", "test", "7c1f").unwrap();
        let key = SignerKey::from_seed(origin.as_str(), &[3; 32]).unwrap();
        let note = Checkpoint::new(origin, 3, Hash::EMPTY_ROOT).sign(&[&key]).unwrap();
        let line = environment_line(&note.to_string());
        assert_eq!(line.as_deref(), Some("environment: test (hub hub.example/north)"));
        assert_eq!(environment_line("nonsense"), None);
    }
}
