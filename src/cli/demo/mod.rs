//! `waybill demo`: the main job, told as it happens. The hub is the real one; the agencies are clients of the public protos
//! or, on Kafka, of the documented topics.

pub mod kafka;
pub mod population;
pub mod ports;
mod proof;
mod say;
pub mod setup;
mod story;
pub mod systems;

use std::path::{Path, PathBuf};

use self::{kafka::Brokers, population::Population, say::Teller, setup::Place, story::Stage};
use super::printed::path_word;
use crate::app;

/// What `waybill demo` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// How many citizens there are
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    pub citizens: u32,
    /// How many changes are pushed through in step 5
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub changes: u32,
    /// The seed of the population: the same seed, the same people
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Benefit on Kafka instead of gRPC: starts a broker for it (deploy/kafka/broker), stopped at the end
    #[arg(long)]
    pub kafka: bool,
    /// Benefit on Kafka, on brokers that run already and take clients without certificates; the demo makes its topics
    /// there and deletes them at the end
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
    /// Leave the hub running afterwards, and say what to try next
    #[arg(long)]
    pub keep: bool,
    /// The demo's folder; by default a new one that is removed at the end, unless --keep
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// Runs the demo. An error says which step did not do what it should.
pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let teller = Teller::new();
    let folder = Folder::new(&args)?;
    println!("Waybill, environment demo: invented people, development certificates");
    let Some(mut brokers) = Brokers::wanted(&args, teller).await? else {
        return tell(&args, Place::lay_out(folder.path())?, teller).await;
    };
    let place = Place::lay_out_on(folder.path(), Some(&brokers.bootstrap))?;
    let groups = kafka::groups(place.config.hub.as_str());
    brokers.make_topics(&place).await?;
    let told = tell(&args, place, teller).await;
    let left = brokers.leave(&groups).await;
    told.and(left)
}

/// Starts the hub, tells the story, and stops the hub.
async fn tell(args: &DemoArgs, place: Place, teller: Teller) -> anyhow::Result<()> {
    teller.say(&format!("A hub starts on {} with its data in {}", place.address, place.folder.display()));
    app::start_logging(&place.config.log);
    let hub = app::Hub::start(place.config.clone(), app::Surroundings::default()).await?;
    let people = Population::generate(args.seed, args.citizens as usize);
    let told = play(args, place, people, teller).await;
    // However it went: nobody is left on the brokers, and nothing half written.
    told.and(hub.stop().await)
}

async fn play(args: &DemoArgs, place: Place, people: Population, teller: Teller) -> anyhow::Result<()> {
    let mut stage = Stage::set(place, people, args.changes as usize).await?;
    let mut played = stage.play(teller).await;
    if played.is_ok() && args.keep {
        stay(&stage, teller)?;
        played = Ok(tokio::signal::ctrl_c().await?);
    }
    played.and(stage.leave().await)
}

/// Says what can be tried while the hub goes on running. A test runs each line as printed.
fn stay(stage: &Stage, teller: Teller) -> anyhow::Result<()> {
    let place = &stage.place;
    let program = path_word(&std::env::current_exe()?);
    let she = stage.she()?;
    let (scheme, value) = she.identifier();
    let person = format!("echo '{scheme} {value}' | {program}");
    let context = "--actor me --case demo --reason 'to see it'";
    teller.title("The hub goes on running; Ctrl-C stops it. To try next, in another terminal:");
    println!("# As the hub's data-protection officer: what the ledger says of her, and that an entry stands in it.");
    println!("{}", place.shell("hub/dpo")?);
    println!("{person} ledger search --subject - --limit 5 {context}");
    println!("{program} ledger prove 1 --ledger-key '{}'", place.verifier_key);
    println!("# As the benefits agency: her income, fetched at her request; who may exchange what.");
    println!("{}", place.shell("benefit/claims")?);
    println!(
        "{person} request --record-type tax/income-statement --purpose income-assessment --explicit-request 'form 3' \
         {context}"
    );
    println!("{program} catalogue show");
    println!("# As the operator: what could not be delivered, and whether the configuration is good.");
    println!("{}", place.shell("hub/operator")?);
    println!("{program} dead-letters list");
    println!("{program} check --config {}", path_word(&place.config_file));
    if place.config.kafka.is_some() {
        println!("{program} kafka check --config {}", path_word(&place.config_file));
    }
    Ok(())
}

/// The demo's folder: the user's, or one of its own.
enum Folder {
    Named(PathBuf),
    Own(tempfile::TempDir),
}

impl Folder {
    fn new(args: &DemoArgs) -> anyhow::Result<Self> {
        match &args.data {
            Some(path) => Ok(Self::Named(path.clone())),
            None => {
                let own = tempfile::Builder::new().prefix("waybill-demo-").tempdir()?;
                Ok(if args.keep { Self::Named(own.keep()) } else { Self::Own(own) })
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Own(folder) => folder.path(),
        }
    }
}
