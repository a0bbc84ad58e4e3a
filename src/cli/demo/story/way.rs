//! How benefit receives: on a stream over gRPC, or from its topic on Kafka.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::cli::demo::{
    kafka::consumer::Consumer,
    systems::{Inbox, System, receive},
};

/// Benefit's way.
pub enum Way {
    /// Its open Receive stream; closed while its systems are away.
    Stream(JoinHandle<()>),
    /// Its topic.
    Topic(Topic),
}

/// Benefit on Kafka.
pub struct Topic {
    /// Where the brokers are.
    pub bootstrap: String,
    /// What reads its deliveries.
    pub consumer: Consumer,
    /// A transfer that was cancelled before it was handed over.
    pub cancelled: Option<String>,
}

impl Way {
    /// Begins to receive into `inbox`: on Kafka, where brokers are named.
    pub async fn open(benefit: &System, inbox: Arc<Inbox>, bootstrap: Option<&str>) -> anyhow::Result<Self> {
        let Some(bootstrap) = bootstrap else { return Ok(Self::Stream(receive(benefit, inbox).await?)) };
        let consumer = Consumer::start(bootstrap, inbox)?;
        Ok(Self::Topic(Topic { bootstrap: bootstrap.to_owned(), consumer, cancelled: None }))
    }

    /// Its topic, if that is its way.
    pub fn topic(&self) -> Option<&Topic> {
        match self {
            Self::Topic(topic) => Some(topic),
            Self::Stream(_) => None,
        }
    }
}
