//! The figures: which there are, what each must reach, and how one is shown.

mod accept;
mod decide;
mod delivered;
mod disk;
mod growth;
mod kafka;
mod latency;

use std::fmt;

use crate::{
    load::{Job, Outcome, To},
    processes::{Client, Process},
    scene::{Hub, Scene},
};

/// Every figure's name, in the order in which they are measured.
pub const FIGURES: [&str; 8] =
    ["decide", "unary_accept", "stream_accept", "delivered", "p99_added", "kafka_out", "kafka_through", "growth"];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Turns of both sides.
    pub rounds: usize,
    /// Of one side's turn.
    pub seconds: f64,
    /// People that records are about.
    pub people: u64,
    /// Records of one turn on Kafka.
    pub kafka: u64,
    /// Sizes of the ledger between which growth is measured.
    pub growth: (u64, u64),
}

impl Plan {
    /// Half an hour.
    pub const FULL: Self =
        Self { rounds: 7, seconds: 5.0, people: 100_000, kafka: 200_000, growth: (1_000_000, 10_000_000) };
    /// Some minutes.
    pub const QUICK: Self =
        Self { rounds: 3, seconds: 2.5, people: 20_000, kafka: 50_000, growth: (100_000, 1_000_000) };
}

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    /// Or more.
    AtLeast(f64),
    /// Or less.
    AtMost(f64),
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// The median of the rounds' ratios.
    pub ratio: f64,
    /// What is divided, and what by: medians.
    pub sides: (f64, f64),
    /// Largest ratio less smallest, over the median.
    pub spread: f64,
    /// What it must reach.
    pub bar: Bar,
    /// What else belongs to it.
    pub beside: Vec<(&'static str, f64)>,
    /// Whether something beside the ratio misses what it must reach.
    pub missed: bool,
}

impl Figure {
    /// From the rounds of both sides.
    pub fn of(name: &'static str, bar: Bar, rounds: &[(f64, f64)]) -> Self {
        let ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
        let ratio = median(&ratios);
        let (least, most) = ratios.iter().fold((f64::MAX, f64::MIN), |(l, m), r| (l.min(*r), m.max(*r)));
        let side = |pick: fn(&(f64, f64)) -> f64| median(&rounds.iter().map(pick).collect::<Vec<_>>());
        let sides = (side(|round| round.0), side(|round| round.1));
        Self { name, ratio, sides, spread: (most - least) / ratio, bar, beside: Vec::new(), missed: false }
    }

    /// With something beside it.
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.beside.push((name, value));
        self
    }

    /// Missed, whatever the ratio is, if `missed`.
    pub const fn missed_if(mut self, missed: bool) -> Self {
        self.missed |= missed;
        self
    }

    /// Whether the bar was missed.
    pub fn is_below(&self) -> bool {
        // A ratio that is no number has reached nothing.
        let reached = match self.bar {
            Bar::AtLeast(bar) => self.ratio >= bar,
            Bar::AtMost(bar) => self.ratio <= bar,
        };
        self.missed || !reached
    }

    /// As a JSON object.
    pub fn json(&self) -> serde_json::Value {
        let (bar, bound) = match self.bar {
            Bar::AtLeast(bar) => (bar, "at_least"),
            Bar::AtMost(bar) => (bar, "at_most"),
        };
        let beside: serde_json::Map<_, _> =
            self.beside.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        serde_json::json!({
            "name": self.name, "ratio": self.ratio, "sides": [self.sides.0, self.sides.1], "spread": self.spread,
            bound: bar, "below": self.is_below(), "beside": beside,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ratio, sides, spread, bar, beside, missed: _ } = self;
        write!(f, "{name} {ratio:.3} {} {} {spread:.3}", Short(sides.0), Short(sides.1))?;
        if self.is_below() {
            match bar {
                Bar::AtLeast(bar) => write!(f, " BELOW at_least={bar}")?,
                Bar::AtMost(bar) => write!(f, " BELOW at_most={bar}")?,
            }
        }
        beside.iter().try_for_each(|(name, value)| write!(f, " {name}={}", Short(*value)))
    }
}

/// A number with about four digits.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            large if large >= 1000.0 => write!(f, "{:.0}", self.0),
            large if large >= 10.0 => write!(f, "{:.1}", self.0),
            _ => write!(f, "{:.3}", self.0),
        }
    }
}

/// The median; of nothing, NaN, which no bar is above.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// One run.
pub struct Bench {
    scene: Scene,
    plan: Plan,
}

/// The processes of a run, with everybody known to the hub.
pub struct Stage {
    scene: Scene,
    plan: Plan,
    hub: Process,
    echo: Process,
    client: Client,
}

/// A job's outcome with what it cost.
struct Costed {
    outcome: Outcome,
    server_cpu_s: f64,
    client_cpu_s: f64,
}

impl Costed {
    fn server_us(&self) -> f64 {
        self.server_cpu_s * 1e6 / self.outcome.total as f64
    }

    fn client_us(&self) -> f64 {
        self.client_cpu_s * 1e6 / self.outcome.total as f64
    }
}

impl Bench {
    /// Of a scene.
    pub const fn new(scene: Scene, plan: Plan) -> Self {
        Self { scene, plan }
    }

    /// Measures what is wanted.
    pub fn run(self, wanted: impl Fn(&str) -> bool, mut show: impl FnMut(Figure)) -> anyhow::Result<()> {
        if wanted("decide") {
            show(decide::measure(self.plan)?);
        }
        let served = ["unary_accept", "stream_accept", "delivered", "p99_added", "kafka_out", "kafka_through"];
        if served.iter().copied().chain(["growth"]).any(&wanted) {
            let mut stage = Stage::set(self.scene, self.plan)?;
            if wanted("unary_accept") {
                show(accept::unary(&mut stage)?);
            }
            if wanted("stream_accept") {
                show(accept::stream(&mut stage)?);
            }
            if wanted("delivered") {
                show(delivered::measure(&mut stage)?);
            }
            if wanted("p99_added") {
                show(latency::measure(&mut stage)?);
            }
            if wanted("growth") {
                show(growth::measure(&mut stage)?);
            }
            // Last, since they need Java and Maven.
            if wanted("kafka_out") || wanted("kafka_through") {
                kafka::measure(&mut stage, &wanted)?.into_iter().for_each(&mut show);
            }
        }
        Ok(())
    }
}

impl Stage {
    fn set(scene: Scene, plan: Plan) -> anyhow::Result<Self> {
        let (hub, echo) = (Process::hub(&scene, Hub::Compared)?, Process::echo(&scene)?);
        let client = Client::start(&scene)?;
        let mut stage = Self { scene, plan, hub, echo, client };
        // So that what is measured is the many changes to people who are known, not the first about each.
        eprintln!("{} people become known (hub {}, echo {})", plan.people, stage.hub.id(), stage.echo.id());
        stage.client.run(&Job::Everybody { to: To::Hub })?;
        Ok(stage)
    }

    fn run(&mut self, job: &Job, at_echo: bool) -> anyhow::Result<Costed> {
        let server = if at_echo { &self.echo } else { &self.hub };
        let (server_before, client_before) = (server.cpu_s()?, self.client.cpu_s()?);
        let outcome = self.client.run(job)?;
        let server_cpu_s = server.cpu_s()? - server_before;
        let client_cpu_s = self.client.cpu_s()? - client_before;
        let done = Costed { outcome, server_cpu_s, client_cpu_s };
        eprintln!(
            "{job:?}: {:.0}/s, server {:.1} us, client {:.1} us, p50 {} us, p99 {} us, max {} us",
            done.outcome.rate(),
            done.server_us(),
            done.client_us(),
            done.outcome.p50_us,
            done.outcome.p99_us,
            done.outcome.max_us
        );
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_line_of_name_ratio_both_sides_and_spread() {
        let figure = Figure::of("unary_accept", Bar::AtLeast(0.5), &[(4.0, 10.0), (5.0, 10.0), (3.0, 10.0)]);
        assert_eq!(
            figure.with("hub_us", 31.25).to_string(),
            "unary_accept 0.400 4.000 10.0 0.500 BELOW at_least=0.5 hub_us=31.2"
        );
        let figure = Figure::of("decide", Bar::AtMost(7.0), &[(12_000.0, 2_000.0)]);
        assert_eq!(figure.to_string(), "decide 6.000 12000 2000 0.000");
        assert!(!figure.is_below() && figure.missed_if(true).is_below(), "a bound beside the ratio counts too");
        for bar in [Bar::AtLeast(0.5), Bar::AtMost(7.0)] {
            assert!(Figure::of("growth", bar, &[(0.0, 0.0)]).is_below(), "no number is no result");
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }
}
