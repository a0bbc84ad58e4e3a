//! Waybill's figures: ratios of two sides measured in one run, in turns, so that the machine's own mood cancels out.
//!
//! `cargo run --release -p waybill-bench` prints one line a figure: name, ratio, both sides, spread (of the ratio over
//! the rounds: largest less smallest, over the median), separated by spaces; then `BELOW` if the bar was missed, and
//! what else belongs to it. No test depends on the figures: the exit status says whether they could be measured.

mod echo;
mod figures;
mod load;
mod processes;
mod records;
mod scene;
mod submitter;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use figures::{Bench, FIGURES, Plan};
use scene::Scene;

#[derive(Debug, Parser)]
#[command(about = "Measures Waybill's figures", version)]
struct Cli {
    /// Shorter, in some minutes; growth to a tenth of the size
    #[arg(long)]
    quick: bool,
    /// One JSON object a figure
    #[arg(long)]
    json: bool,
    /// Only these figures
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(FIGURES))]
    only: Vec<String>,
    /// People that records are about
    #[arg(long)]
    people: Option<u64>,
    /// Where a folder is made for the run; on a disk, or nothing is measured (default: beside the program)
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is when it starts itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// A hub
    #[command(hide = true)]
    Hub { config: PathBuf },
    /// The echo
    #[command(hide = true)]
    Echo { scene: PathBuf },
    /// The load client
    #[command(hide = true)]
    Client { scene: PathBuf },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let Some(role) = cli.role else { return measure(cli) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match role {
            Role::Hub { config } => waybill::app::serve(waybill::config::Config::load(&config)?).await,
            Role::Echo { scene } => echo::serve(&Scene::open(&scene)?).await,
            Role::Client { scene } => load::serve(Scene::open(&scene)?).await,
        }
    })
}

fn measure(cli: Cli) -> anyhow::Result<()> {
    let mut plan = if cli.quick { Plan::QUICK } else { Plan::FULL };
    plan.people = cli.people.unwrap_or(plan.people);
    let beside = std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default();
    let folder = tempfile::Builder::new().prefix("waybill-bench-").tempdir_in(cli.data.unwrap_or(beside))?;
    let wanted = |name: &str| cli.only.is_empty() || cli.only.iter().any(|only| only == name);
    let scene = Scene::lay_out(folder.path(), plan.people)?;
    Bench::new(scene, plan).run(wanted, |figure| {
        if cli.json {
            println!("{}", figure.json());
        } else {
            println!("{figure}");
        }
    })
}
