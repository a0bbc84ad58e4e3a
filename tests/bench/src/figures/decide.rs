//! `decide`: parse, validate and minimise one record, over SHA-256 of its bytes; in this process.

use std::{hint::black_box, time::Instant};

use aws_lc_rs::digest;
use waybill::{
    catalogue::Catalogue,
    domain::view::Projection,
    exchange::validate::{ValidateLimits, validate},
};

use super::{Bar, Figure, Plan};
use crate::{
    records::Records,
    scene::{catalogue, schemas},
};

/// Of one side, in one turn.
const TIMES: u32 = 20_000;
/// Turns for each round of the other figures: these are short.
const TURNS: usize = 5;

pub(super) fn measure(plan: Plan) -> anyhow::Result<Figure> {
    let catalogue = Catalogue::load(&catalogue(), &schemas()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the bench's catalogue: {}", lines.join("\n"))
    })?;
    let version = catalogue.record_type("tax/income-statement").and_then(|known| known.versions().next());
    let version = version.ok_or_else(|| anyhow::anyhow!("no such record type"))?;
    let agreement = catalogue.agreements().next().ok_or_else(|| anyhow::anyhow!("no agreement"))?;
    let (records, limits) = (Records::new()?, waybill::app::desk_limits(&waybill::config::Limits::default()).validate);
    let payload = records.payload(42);

    let mut rounds = Vec::new();
    for _ in 0..TURNS * plan.rounds {
        let decide = each_ns(|| decide(black_box(&payload), version, &agreement.view, &limits))?;
        let hash = each_ns(|| {
            black_box(digest::digest(&digest::SHA256, black_box(&payload)));
            Ok(())
        })?;
        rounds.push((decide, hash));
    }
    Ok(Figure::of("decide", Bar::AtMost(7.0), &rounds))
}

fn decide(
    payload: &[u8],
    version: &waybill::catalogue::RecordVersion,
    view: &waybill::domain::view::View,
    limits: &ValidateLimits,
) -> anyhow::Result<()> {
    let valid = validate(payload, version, limits).map_err(|refusal| anyhow::anyhow!("{}", refusal.code))?;
    let mut projection = Projection::default();
    view.project(&valid.value, &mut projection).map_err(|code| anyhow::anyhow!("{code}"))?;
    black_box(projection.text());
    Ok(())
}

/// Nanoseconds of one time.
fn each_ns(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let started = Instant::now();
    for _ in 0..TIMES {
        work()?;
    }
    Ok(started.elapsed().as_nanos() as f64 / f64::from(TIMES))
}
