//! The six things that the demo shows, one file each. Each step checks what it shows; one that finds something else fails.

mod audit;
mod consent;
mod fault;
mod income;
mod moving;
mod rush;
mod topic;
mod way;

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use waybill_proto::v1;

use self::way::Way;
use super::{
    population::{Citizen, Population},
    say::Teller,
    setup::Place,
    systems::{Inbox, System, leaves, provide, receive, submission},
};

/// Who takes part, and what they hold.
pub struct Stage {
    /// Where everything lies.
    pub place: Place,
    /// Identity's registry: pushes what changes, answers what is asked.
    pub identity: System,
    /// Benefit: receives and asks.
    pub benefit: System,
    /// Benefit's portal, where citizens say what they allow.
    pub portal: System,
    /// What tax received.
    pub tax_inbox: Arc<Inbox>,
    /// What benefit received.
    pub benefit_inbox: Arc<Inbox>,
    /// How benefit receives.
    pub way: Way,
    /// The people.
    pub people: Population,
    /// Fields that agencies received in answers to requests.
    pub answered_fields: u64,
    /// Fields that citizens gave, each once.
    pub given_fields: u64,
    /// A receipt that the officer takes away in the last step.
    pub receipt: Option<v1::Receipt>,
    /// Changes in the rush.
    pub changes: usize,
}

impl Stage {
    /// Connects everybody.
    pub async fn set(place: Place, people: Population, changes: usize) -> anyhow::Result<Self> {
        let identity = System::connect(&place, "identity/registry").await?;
        let tax = System::connect(&place, "tax/registry").await?;
        let benefit = System::connect(&place, "benefit/claims").await?;
        let portal = System::connect(&place, "benefit/portal").await?;
        let (tax_inbox, benefit_inbox) = (Arc::new(Inbox::default()), Arc::new(Inbox::default()));
        receive(&tax, Arc::clone(&tax_inbox)).await?;
        let bootstrap = place.config.kafka.as_ref().map(|kafka| kafka.bootstrap.as_str());
        let way = Way::open(&benefit, Arc::clone(&benefit_inbox), bootstrap).await?;
        let known = people;
        provide(&tax, move |question| evidence(&known, question)).await?;
        let known = people;
        provide(&identity, move |question| evidence(&known, question)).await?;
        Ok(Self {
            place,
            identity,
            benefit,
            portal,
            tax_inbox,
            benefit_inbox,
            way,
            people,
            answered_fields: 0,
            given_fields: 0,
            receipt: None,
            changes,
        })
    }

    /// The citizen whom the story is about.
    pub fn she(&self) -> anyhow::Result<Citizen> {
        self.people.citizen(0).context("the population is empty")
    }

    /// Tells the story.
    pub async fn play(&mut self, teller: Teller) -> anyhow::Result<()> {
        self.open(teller).await?;
        moving::play(self, teller).await.context("step 1")?;
        income::play(self, teller).await.context("step 2")?;
        topic::award(self, teller).await.context("step 2")?;
        consent::play(self, teller).await.context("step 3")?;
        fault::play(self, teller).await.context("step 4")?;
        rush::play(self, teller).await.context("step 5")?;
        topic::read_again(self, teller).await.context("step 5")?;
        audit::play(self, teller).await.context("step 6")?;
        self.close(teller);
        Ok(())
    }

    /// Everybody hangs up.
    pub async fn leave(self) -> anyhow::Result<()> {
        match self.way {
            Way::Stream(_) => Ok(()),
            Way::Topic(topic) => topic.consumer.stop().await,
        }
    }

    /// The registers tell the agencies what they know of everybody, as on the day on which they join.
    async fn open(&mut self, teller: Teller) -> anyhow::Result<()> {
        let people = self.people.len();
        teller.say(&format!("{people} citizens are known to identity; tax and benefit join and hear what they may."));
        if self.way.topic().is_some() {
            topic::introduce(teller);
        }
        let bar = teller.bar(people as u64 * 2, "records");
        let (mut to_tax, mut to_benefit) = (0, 0);
        let records: Vec<_> = self
            .people
            .citizens()
            .flat_map(|citizen| {
                let wanted = |record: &super::population::Record| {
                    ["identity/person", "identity/address"].contains(&record.record_type)
                };
                citizen.records().into_iter().filter(wanted).collect::<Vec<_>>()
            })
            .collect();
        self.given_fields += records.iter().map(|record| leaves(&record.body)).sum::<u64>();
        let submissions = records.iter().map(|record| submission(record, v1::Change::New, "joining the hub"));
        rush::push(&self.identity, submissions, v1::ReceiptDetail::Index, |outcome, _| {
            for recipient in &outcome.recipients {
                match recipient.recipient.as_str() {
                    "tax" => to_tax += 1,
                    _ => to_benefit += 1,
                }
            }
            bar.inc(1);
        })
        .await?;
        bar.finish_and_clear();
        self.tax_inbox.wait_for(to_tax).await?;
        self.benefit_inbox.wait_for(to_benefit).await?;
        teller.fact(&format!(
            "{} records were delivered, each cut down to what its recipient may see",
            to_tax + to_benefit
        ));
        Ok(())
    }

    fn close(&self, teller: Teller) {
        // Each agency needs its own: the one that was told, and those that would have asked the citizen again.
        let passed_on = self.tax_inbox.fields() + self.benefit_inbox.fields() + self.answered_fields;
        teller.title("Once only");
        teller.fact(&format!("fields that the agencies needed in this run: {}", self.given_fields + passed_on));
        teller.fact(&format!("fields that citizens had to give: {}", self.given_fields));
        teller.detail(&format!("{passed_on} fields reached an agency without anybody being asked again"));
    }
}

/// What a register answers about a person: the record of the type asked for.
fn evidence(people: &Population, question: &v1::Question) -> Option<super::population::Record> {
    let asked = question.subject.first()?;
    let citizen = people.citizens().find(|citizen| {
        citizen.national_number() == Some(asked.value.as_str()) || citizen.tax_number() == asked.value
    })?;
    citizen.records().into_iter().find(|record| record.record_type == question.record_type)
}

/// Fails the step unless `holds`.
pub fn check(holds: bool, what: &str) -> anyhow::Result<()> {
    ensure!(holds, "this should be so and is not: {what}");
    Ok(())
}
