//! The load client, a process of its own: does the jobs that it reads from its input, a line each, and answers each with
//! what came of it.

mod kafka;
mod paced;
mod receive;
mod stream;
mod unary;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tonic::transport::Channel;
use waybill::tls::{
    client::{ClientTls, connect, endpoint},
    system_clock,
};
use waybill_proto::v1;

use crate::{
    echo::{Blob, EchoClient},
    records::{ACCEPTED, People, Records, Submissions},
    scene::Scene,
    submitter::{SubmitOne, SubmitterClient},
};

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_mins(1);

/// To whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum To {
    /// The hub that is compared.
    Hub,
    /// The hub that grows.
    Growing,
    /// The hub between Kafka and Kafka.
    Kafka,
    /// The echo.
    Echo,
}

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Job {
    /// Calls, `in_flight` at a time.
    Unary { to: To, in_flight: usize, seconds: f64 },
    /// Calls at a fixed rate, whether or not those before are answered.
    Paced { to: To, rate: f64, seconds: f64 },
    /// One stream with a window, for a time.
    Stream { to: To, seconds: f64 },
    /// One stream, until so many records have been accepted.
    Fill { to: To, records: u64 },
    /// One stream that sends every person's record once, to all.
    Everybody { to: To },
    /// Calls, with deliveries awaited.
    Delivered { in_flight: usize, seconds: f64 },
    /// Makes the topics.
    Topics { bootstrap: String },
    /// So many submissions to the inbound topic.
    Submissions { bootstrap: String, records: u64 },
    /// So many copies of a delivery to a topic beside.
    Copies { bootstrap: String, records: u64 },
}

/// What came of a job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Records done within the time.
    pub records: u64,
    /// The time.
    pub seconds: f64,
    /// Records done in all, also while the job began and ended.
    pub total: u64,
    /// Bytes of a typical answer to one record.
    pub answer_bytes: u32,
    /// Half of the calls took at most this long.
    pub p50_us: u64,
    /// 99 of 100 calls.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Outcome {
    /// Records a second.
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    fn with_times(mut self, times: &Histogram<u64>) -> Self {
        (self.p50_us, self.p99_us) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99));
        self.max_us = times.max();
        self
    }
}

/// A time histogram in microseconds, up to a minute: what takes longer is counted as that.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// A way to one server.
#[derive(Clone)]
enum Target {
    Hub(SubmitterClient<Channel>),
    Echo(EchoClient<Channel>, Blob),
}

impl Target {
    /// Over a connection of its own.
    async fn connect(scene: &Scene, to: To, submissions: &Submissions) -> anyhow::Result<Self> {
        let address = match to {
            To::Hub => scene.hub,
            To::Growing => scene.growing,
            To::Kafka => scene.kafka,
            To::Echo => scene.echo,
        };
        let channel = dial(scene, "tax", address).await?;
        Ok(match to {
            To::Echo => Self::Echo(EchoClient::new(channel), blob(submissions)),
            To::Hub | To::Growing | To::Kafka => Self::Hub(SubmitterClient::new(channel)),
        })
    }
}

/// What the echo gets in the place of a submission.
fn blob(submissions: &Submissions) -> Blob {
    let body = SubmitOne { submission: submissions.of(0) }.encode_to_vec();
    Blob { body: body.into() }
}

struct Client {
    scene: Scene,
    records: Arc<Records>,
    /// Submissions that pile up.
    accepted: Arc<Submissions>,
    hub: SubmitterClient<Channel>,
    growing: Option<SubmitterClient<Channel>>,
    echo: EchoClient<Channel>,
    inboxes: Option<receive::Inboxes>,
    /// So that no two jobs go through the people alike.
    seed: u64,
}

/// Does jobs until there are no more.
pub async fn serve(scene: Scene) -> anyhow::Result<()> {
    let channel = dial(&scene, "tax", scene.hub).await?;
    let hub = SubmitterClient::new(channel);
    let echo = EchoClient::new(dial(&scene, "tax", scene.echo).await?);
    let records = Arc::new(Records::new()?);
    let accepted = Arc::new(records.submissions(ACCEPTED)?);
    let mut client = Client { scene, records, accepted, hub, growing: None, echo, inboxes: None, seed: 1 };
    let mut jobs = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = jobs.next_line().await? {
        let outcome = client.run(serde_json::from_str(&line)?).await?;
        println!("{}", serde_json::to_string(&outcome)?);
    }
    Ok(())
}

impl Client {
    async fn run(&mut self, job: Job) -> anyhow::Result<Outcome> {
        self.seed += 1 << 32;
        match job {
            Job::Unary { to, in_flight, seconds } => {
                unary::closed(self.target(to).await?, self, in_flight, seconds).await
            }
            Job::Paced { to, rate, seconds } => {
                let (scene, submissions, people) = (self.scene.clone(), Arc::clone(&self.accepted), self.people(0));
                let paced = paced::Paced { scene, to, submissions, people, rate, seconds };
                tokio::task::spawn_blocking(move || paced::run(paced)).await?
            }
            Job::Stream { to, seconds } => {
                stream::run(self.target(to).await?, self, stream::Until::Time(seconds)).await
            }
            Job::Topics { bootstrap } => kafka::make_topics(&bootstrap).await,
            Job::Submissions { bootstrap, records } => {
                let events = kafka::Submissions::new(&self.records, self.people(0));
                let to = (bootstrap, self.scene.folder().to_owned());
                tokio::task::spawn_blocking(move || kafka::produce((&to.0, &to.1), kafka::IN, events, records)).await?
            }
            Job::Copies { bootstrap, records } => {
                let folder = self.scene.folder().to_owned();
                tokio::task::spawn_blocking(move || kafka::produce_copies((&bootstrap, &folder), records)).await?
            }
            Job::Fill { to, records } => stream::run(self.target(to).await?, self, stream::Until::Count(records)).await,
            Job::Everybody { to } => stream::run(self.target(to).await?, self, stream::Until::Everybody).await,
            Job::Delivered { in_flight, seconds } => {
                let inboxes = match self.inboxes.take() {
                    Some(inboxes) => inboxes,
                    None => receive::Inboxes::open(&self.scene).await?,
                };
                let outcome = receive::delivered(self, &inboxes, in_flight, seconds).await;
                self.inboxes = Some(inboxes);
                outcome
            }
        }
    }

    async fn target(&mut self, to: To) -> anyhow::Result<Target> {
        Ok(match to {
            To::Hub => Target::Hub(self.hub.clone()),
            To::Echo => Target::Echo(self.echo.clone(), blob(&self.accepted)),
            // Not kept: it is another process each time.
            To::Kafka => Target::connect(&self.scene, to, &self.accepted).await?,
            To::Growing => {
                if self.growing.is_none() {
                    let channel = dial(&self.scene, "tax", self.scene.growing).await?;
                    self.growing = Some(SubmitterClient::new(channel));
                }
                Target::Hub(self.growing.clone().context("connected above")?)
            }
        })
    }

    fn people(&self, nth: usize) -> People {
        People::new(self.scene.people, self.seed + nth as u64)
    }
}

/// Connects, as soon as somebody listens.
async fn dial(scene: &Scene, agency: &str, to: SocketAddr) -> anyhow::Result<Channel> {
    let tls = ClientTls::load(&scene.client(agency), &system_clock())?;
    let endpoint = endpoint(&format!("https://localhost:{}", to.port()))?;
    // Windows for many records in flight; the defaults of HTTP/2 hold 32 of them.
    let endpoint = endpoint.initial_stream_window_size(4 << 20).initial_connection_window_size(8 << 20);
    let started = Instant::now();
    loop {
        match connect(&endpoint, &tls).await {
            Ok(channel) => return Ok(channel),
            Err(error) if started.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// How many recipients recorded a submission; whatever else came of it is an error, for it would not be measured alike.
fn recorded(outcome: Option<&v1::Outcome>) -> anyhow::Result<usize> {
    let recipients = &outcome.context("an answer without outcome")?.recipients;
    for recipient in recipients {
        if let Some(refusal) = &recipient.refusal {
            bail!("refused: {}", refusal.code);
        }
        recipient.receipt.as_ref().context("no receipt")?;
    }
    Ok(recipients.len())
}

/// A body of so many copies of one record's.
fn copies(body: &Bytes, count: usize) -> Bytes {
    body.repeat(count).into()
}
