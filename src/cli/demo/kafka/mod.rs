//! Kafka in the demo: which brokers there are, and benefit's topics on them. What happens on these is told in
//! `story/topic.rs`.
//!
//! | question | file |
//! |---|---|
//! | how does the demo have a broker of its own? | `broker.rs` |
//! | how does benefit receive? | `consumer.rs`; what it takes once and what it drops: `books.rs` |
//! | how does benefit submit? | `submitter.rs` |

mod books;
mod broker;
pub mod consumer;
pub mod submitter;

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    types::RDKafkaErrorCode,
};

pub use self::broker::OwnBroker;
use super::{DemoArgs, say::Teller, setup::Place};
use crate::cli::kafka::create_topics;

/// How long the brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The brokers that the demo uses: one of its own, or those that were named.
#[derive(Debug)]
pub struct Brokers {
    /// Where clients begin.
    pub bootstrap: String,
    own: Option<OwnBroker>,
    /// Topics that the demo has made on brokers that are not its own.
    made: Vec<String>,
}

impl Brokers {
    /// Those that the command line asks for, if it does.
    pub async fn wanted(args: &DemoArgs, teller: Teller) -> anyhow::Result<Option<Self>> {
        if let Some(bootstrap) = &args.bootstrap {
            return Ok(Some(Self { bootstrap: bootstrap.clone(), own: None, made: Vec::new() }));
        }
        if !args.kafka {
            return Ok(None);
        }
        teller.say("Apache Kafka starts for benefit; the first time, it has to be fetched.");
        let own = tokio::task::spawn_blocking(OwnBroker::start).await??;
        Ok(Some(Self { bootstrap: own.bootstrap().to_owned(), own: Some(own), made: Vec::new() }))
    }

    /// Makes the topics that the catalogue asks for, as `waybill kafka topics --apply` does. On brokers of others none of
    /// them may be there: what lies in it would be told as part of the story.
    pub async fn make_topics(&mut self, place: &Place) -> anyhow::Result<()> {
        let catalogue = place.catalogue()?;
        let mut topics = Vec::new();
        let created = create_topics(&place.config, &catalogue, &mut topics).await;
        let (made, there): (Vec<_>, Vec<_>) = topics.into_iter().partition(|(_, made)| *made);
        let names = |topics: Vec<(String, bool)>| topics.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        if self.own.is_none() {
            self.made = names(made);
        }
        if there.is_empty() && created.is_ok() {
            return Ok(());
        }
        self.remove_topics().await?;
        created.map_err(|failure| anyhow::anyhow!("{failure}"))?;
        anyhow::bail!(
            "the brokers have {} already, of another hub or of a demo that was broken off: delete them there, or let the \
             demo start a broker of its own (--kafka without --bootstrap)",
            names(there).join(", ")
        )
    }

    /// Leaves the brokers as they were found; one of the demo's own is stopped.
    pub async fn leave(mut self, groups: &[String]) -> anyhow::Result<()> {
        if let Some(own) = self.own.take() {
            return Ok(tokio::task::spawn_blocking(move || drop(own)).await?);
        }
        self.remove_topics().await?;
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        for deleted in self.admin()?.delete_groups(&groups, &options()).await? {
            match deleted {
                // One that never had a member is not there.
                Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
                Err((name, code)) => anyhow::bail!("the group {name} stays on the brokers: {code}"),
            }
        }
        Ok(())
    }

    async fn remove_topics(&mut self) -> anyhow::Result<()> {
        let made = std::mem::take(&mut self.made);
        if made.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = made.iter().map(String::as_str).collect();
        for removed in self.admin()?.delete_topics(&names, &options()).await? {
            removed.map_err(|(name, code)| anyhow::anyhow!("{name} stays on the brokers: {code}"))?;
        }
        Ok(())
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(client(&self.bootstrap).create()?)
    }
}

/// The groups in which the demo's hub and its clients read.
pub fn groups(hub: &str) -> Vec<String> {
    vec![crate::kafka::group(hub), consumer::GROUP.to_owned(), submitter::GROUP.to_owned()]
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_MAX)).operation_timeout(Some(ANSWER_MAX))
}

/// Settings of a client on brokers without certificates.
fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap).set("client.id", "benefit-claims");
    client
}
