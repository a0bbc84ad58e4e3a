//! `waybill kafka`: the topics that the catalogue asks for: what they must be, whether they are, and what they carry.

mod asyncapi;
mod brokers;
mod expected;
mod rights;
mod wire;

use std::path::PathBuf;

use serde_json::json;

use self::{
    brokers::{Advice, Brokers, Finding},
    expected::Expected,
    rights::Names,
    wire::Answer,
};
use super::{
    exit::{Exit, Failure},
    output::{Out, count},
    printed::{path_word, quoted, word},
};
use crate::{
    catalogue::Catalogue,
    config::{self, Config},
    tls::client::common_name,
};

/// How brokers call a client without a certificate.
const ANONYMOUS: &str = "ANONYMOUS";

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Kafka {
    /// Check that the brokers have the topics that the catalogue asks for, as they must be
    Check(Check),
    /// Show the topics that the catalogue asks for, or create those that are missing
    Topics(Topics),
    /// Print the AsyncAPI document of all topics
    Asyncapi(Asyncapi),
}

impl Kafka {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Self::Check(command) => command.run(out).await,
            Self::Topics(command) => command.run(out).await,
            Self::Asyncapi(command) => command.run(out),
        }
    }
}

/// The configuration that says where brokers and catalogue are.
#[derive(Debug, clap::Args)]
struct ConfigOption {
    /// The hub's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl ConfigOption {
    fn load(&self) -> Result<(Config, Catalogue), Failure> {
        let config = Config::load(&self.config).map_err(Failure::usage)?;
        let catalogue = Catalogue::load(&config.paths.catalogue, &config.paths.schemas()).map_err(|problems| {
            let (problems, file) = (count(problems.len(), "problem"), path_word(&self.config));
            Failure::Usage(format!("the catalogue has {problems}; `waybill check --config {file}` tells them"))
        })?;
        Ok((config, catalogue))
    }

    fn expected(&self) -> Result<(Config, Vec<Expected>), Failure> {
        let (config, catalogue) = self.load()?;
        let expected = expected_of(&config, &catalogue)?;
        Ok((config, expected))
    }
}

fn expected_of(config: &Config, catalogue: &Catalogue) -> Result<Vec<Expected>, Failure> {
    let kafka = config.kafka.as_ref();
    let kafka = kafka.ok_or_else(|| Failure::Usage("the configuration has no [kafka]".to_owned()))?;
    Ok(expected::expected(catalogue, &kafka.topics, config.limits.record_bytes_max))
}

/// The command line of one of Kafka's tools.
fn tool(kafka: &config::Kafka, name: &str, arguments: &str) -> String {
    let broker = kafka.bootstrap.split(',').next().unwrap_or_default().trim();
    let config = if kafka.plaintext { "" } else { " --command-config admin.properties" };
    format!("{name} --bootstrap-server {}{config} {arguments}", word(broker))
}

/// Creates the topics that are missing, and says of each whether it was: in `done`, also of those before one that fails.
pub(super) async fn create_topics(
    config: &Config,
    catalogue: &Catalogue,
    done: &mut Vec<(String, bool)>,
) -> Result<(), Failure> {
    let brokers = Brokers::connect(config)?;
    for topic in expected_of(config, catalogue)? {
        let created = brokers.create(&topic).await?;
        done.push((topic.name, created));
    }
    Ok(())
}

/// `kafka check`.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigOption,
}

impl Check {
    async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let (config, catalogue) = self.config.load()?;
        let expected = expected_of(&config, &catalogue)?;
        out.say(&format!("environment: {} (hub {})", config.environment, config.hub))?;
        let brokers = Brokers::connect(&config)?;
        let mut findings: Vec<Finding> = Vec::new();
        if let Some(kafka) = &config.kafka {
            let advice = Advice { config: &self.config.config, kafka };
            for topic in &expected {
                findings.extend(brokers.check(topic, advice).await?);
            }
        }
        findings.extend(brokers.check_group(config.hub.as_str()));
        findings.extend(rights_of(&config, &catalogue, &expected, out).await?);
        for finding in &findings {
            out.show(
                || json!({ "topic": finding.topic, "problem": finding.problem, "help": finding.help }),
                || format!("{}: {}\n  help: {}", finding.topic, finding.problem, finding.help),
            )?;
        }
        if findings.is_empty() {
            out.say(&format!("{} as they must be", count(expected.len(), "topic")))?;
            return Ok(Exit::Ok);
        }
        out.say(&format!("{}; nothing was changed", count(findings.len(), "problem")))?;
        Ok(Exit::Unverified)
    }
}

/// What is wrong with the rights on topics and groups, as far as the brokers tell the hub.
async fn rights_of(
    config: &Config,
    catalogue: &Catalogue,
    expected: &[Expected],
    out: &mut Out,
) -> Result<Vec<Finding>, Failure> {
    let Some(kafka) = &config.kafka else { return Ok(Vec::new()) };
    let finding = |problem: String, help: String| Ok(vec![Finding { topic: "rights".to_owned(), problem, help }]);
    let name = match &kafka.certificate {
        Some(file) => common_name(file).map_err(Failure::usage)?,
        None => Some(ANONYMOUS.to_owned()),
    };
    let Some(name) = name else {
        return finding(
            "the hub's certificate has no common name, so which rights are the hub's cannot be told".to_owned(),
            "give it one that has".to_owned(),
        );
    };
    match wire::describe_acls(kafka).await {
        Ok(Answer::Acls(acls)) => {
            let names = Names { hub: name, catalogue };
            Ok(rights::check(&acls, &names, expected, config.hub.as_str(), kafka))
        }
        Ok(Answer::NoAuthorizer) if kafka.plaintext => {
            out.say("the brokers have no authorizer: whoever reaches them may read and write every topic")?;
            Ok(Vec::new())
        }
        Ok(Answer::NoAuthorizer) => finding(
            "the brokers have no authorizer: whoever they let in may read and write every topic".to_owned(),
            "set authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer on all brokers"
                .to_owned(),
        ),
        Ok(Answer::NotAllowed) => {
            let principal = quoted(&format!("User:{name}"));
            let options = format!("--allow-principal {principal} --operation Describe --cluster");
            let problem = "the hub may not see who may use the topics, so that is not checked".to_owned();
            finding(problem, rights::command(kafka, "--add", &options))
        }
        Err(error) => finding(
            format!("the brokers do not say who may use the topics: {error}"),
            "their log says why; DescribeAcls version 1 and TLS 1.3 are needed".to_owned(),
        ),
    }
}

/// `kafka topics`.
#[derive(Debug, clap::Args)]
pub(super) struct Topics {
    #[command(flatten)]
    config: ConfigOption,
    /// Create those that are missing; none that exists is changed
    #[arg(long)]
    apply: bool,
}

impl Topics {
    async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let (config, expected) = self.config.expected()?;
        out.say(&format!("environment: {} (hub {})", config.environment, config.hub))?;
        let brokers = if self.apply { Some(Brokers::connect(&config)?) } else { None };
        for topic in &expected {
            let created = match &brokers {
                Some(brokers) => Some(brokers.create(topic).await?),
                None => None,
            };
            let did = match created {
                Some(true) => ", created",
                Some(false) => ", was there",
                None => "",
            };
            out.show(
                || {
                    json!({
                        "topic": topic.name,
                        "partitions": topic.partitions,
                        "replication": topic.replication,
                        "created": created,
                        "settings": topic.settings().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
                    })
                },
                || {
                    let settings: Vec<String> =
                        topic.settings().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                    let (partitions, replication) = (topic.partitions, topic.replication);
                    format!("{}: {partitions} × {replication}, {}{did}", topic.name, settings.join(" "))
                },
            )?;
        }
        Ok(Exit::Ok)
    }
}

/// `kafka asyncapi`.
#[derive(Debug, clap::Args)]
pub(super) struct Asyncapi {
    #[command(flatten)]
    config: ConfigOption,
}

impl Asyncapi {
    fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let (config, catalogue) = self.config.load()?;
        let document = asyncapi::document(&catalogue, &config);
        out.show(|| document.clone(), || format!("{document:#}"))?;
        Ok(Exit::Ok)
    }
}
