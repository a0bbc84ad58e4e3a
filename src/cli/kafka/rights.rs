//! Who may use the topics and the hub's groups: what the catalogue asks for, and what the brokers' rights say. Pure; how
//! they are asked is `wire.rs`'s matter.
//!
//! Only an agency's system writes what comes from it, only the hub what comes from the hub, and nobody else reads either.
//! A super user needs no right, and no list of rights names it: nothing can be said here about those.

use std::{fmt, sync::Arc};

use super::{super::printed::quoted, brokers::Finding, expected::Expected, tool};
use crate::{
    catalogue::Catalogue,
    config::Kafka,
    domain::agency::{AgencyId, SystemId},
    kafka::{TopicKind, group},
};

/// What a right is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Topic,
    Group,
}

/// What it lets do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    All,
    Read,
    Write,
    /// Any other, by Kafka's number.
    Other(i8),
}

impl From<i8> for Operation {
    fn from(number: i8) -> Self {
        match number {
            2 => Self::All,
            3 => Self::Read,
            4 => Self::Write,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("All"),
            Self::Read => f.write_str("Read"),
            Self::Write => f.write_str("Write"),
            Self::Other(number) => write!(f, "operation {number}"),
        }
    }
}

/// One right, or what takes one away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acl {
    pub resource: Resource,
    /// One for all rights on it.
    pub name: Arc<str>,
    /// Whether it is about all names that begin so.
    pub prefixed: bool,
    pub principal: String,
    pub host: String,
    pub operation: Operation,
    pub allows: bool,
}

impl Acl {
    fn covers(&self, guarded: &Guarded, operation: Operation) -> bool {
        let named = if self.prefixed {
            guarded.name.starts_with(&*self.name)
        } else {
            &*self.name == "*" || *self.name == *guarded.name
        };
        named && self.resource == guarded.resource && (self.operation == Operation::All || self.operation == operation)
    }

    /// Whether its principal is the one whose certificate has this name: by a mapping rule, or as a distinguished name.
    fn names(&self, name: &str) -> bool {
        let Some(principal) = self.principal.strip_prefix("User:") else { return false };
        // A comma after a backslash is part of a value (RFC 4514 §2.4), and so is what follows it.
        let mut escaped = false;
        let common_name = |part: &str| {
            let begins = !std::mem::replace(&mut escaped, part.ends_with('\\'));
            begins && part.trim().strip_prefix("CN=") == Some(name)
        };
        principal == name || principal.split(',').any(common_name)
    }

    fn is_for_everybody(&self) -> bool {
        self.principal == "User:*"
    }

    /// The options that say which it is.
    fn options(&self) -> String {
        let what = if self.resource == Resource::Topic { "topic" } else { "group" };
        let pattern = if self.prefixed { " --resource-pattern-type prefixed" } else { "" };
        let Self { principal, host, operation, name, .. } = self;
        let (principal, host, name) = (quoted(principal), quoted(host), quoted(name));
        format!("--allow-principal {principal} --allow-host {host} --operation {operation} --{what} {name}{pattern}")
    }
}

/// A topic or a group, and who may and must be able to use it.
#[derive(Debug)]
struct Guarded {
    resource: Resource,
    name: String,
    readers: Vec<String>,
    writers: Vec<String>,
    /// Each of which somebody among these must be allowed.
    needs: Vec<(Operation, Vec<String>)>,
}

/// How the brokers know the hub and the systems.
pub(super) struct Names<'c> {
    pub hub: String,
    pub catalogue: &'c Catalogue,
}

impl Names<'_> {
    fn of_agency(&self, agency: &AgencyId) -> Vec<String> {
        let own = self.catalogue.systems().filter(|system| system.id.agency() == *agency);
        own.map(|system| system.id.dotted()).collect()
    }

    fn topic(&self, expected: &Expected) -> Guarded {
        let (agency, kind) = (&expected.topic.agency, expected.topic.kind);
        let kafka = self.catalogue.agency(agency).and_then(|agency| agency.kafka.as_ref());
        let (submits, receives) = kafka.map_or((None, None), |kafka| (kafka.submits.as_ref(), kafka.receives.as_ref()));
        let bound = match kind {
            TopicKind::Out | TopicKind::Acks => receives,
            TopicKind::In | TopicKind::Outcomes | TopicKind::Dead => submits.or(receives),
        };
        let bound: Vec<String> = bound.map(SystemId::dotted).into_iter().collect();
        let hub = vec![self.hub.clone()];
        // Whichever of its systems an agency has read its own.
        let own = [bound.clone(), self.of_agency(agency)].concat();
        let readers = [own.clone(), hub.clone()].concat();
        let (writers, needs) = if kind.is_inbound() {
            ([bound.clone(), hub.clone()].concat(), vec![(Operation::Write, bound), (Operation::Read, hub)])
        } else {
            (hub.clone(), vec![(Operation::Read, own), (Operation::Write, hub)])
        };
        Guarded { resource: Resource::Topic, name: expected.name.clone(), readers, writers, needs }
    }

    fn group(&self, name: String) -> Guarded {
        let hub = vec![self.hub.clone()];
        let needs = vec![(Operation::Read, hub.clone())];
        Guarded { resource: Resource::Group, name, readers: hub.clone(), writers: hub, needs }
    }
}

/// What is wrong with the rights.
pub(super) fn check(acls: &[Acl], names: &Names<'_>, expected: &[Expected], hub: &str, kafka: &Kafka) -> Vec<Finding> {
    let mut guarded: Vec<Guarded> = expected.iter().map(|topic| names.topic(topic)).collect();
    guarded.push(names.group(group(hub)));
    let answering = expected.iter().filter(|topic| topic.topic.kind == TopicKind::Acks);
    guarded.extend(answering.map(|topic| names.group(format!("{}.acks.{}", group(hub), topic.topic.agency))));
    let mut findings: Vec<Finding> = acls.iter().filter_map(|acl| stray(acl, acls, &guarded, kafka)).collect();
    for one in &guarded {
        findings.extend(
            one.needs.iter().filter_map(|(operation, who)| missing(acls, &names.hub, one, *operation, who, kafka)),
        );
    }
    findings
}

/// What a right lets somebody do who should not.
fn stray(acl: &Acl, acls: &[Acl], guarded: &[Guarded], kafka: &Kafka) -> Option<Finding> {
    if !acl.allows {
        return None;
    }
    let mut wrong = Vec::new();
    for one in guarded {
        for (operation, allowed) in [(Operation::Read, &one.readers), (Operation::Write, &one.writers)] {
            let concerned =
                acl.covers(one, operation) && !(one.resource == Resource::Group && operation == Operation::Write);
            let denied = || acls.iter().any(|other| takes_away(other, acl, one, operation));
            if concerned && !allowed.iter().any(|name| acl.names(name)) && !denied() {
                wrong.push(format!("{operation} {}", one.name));
            }
        }
    }
    let (first, others) = wrong.split_first()?;
    let who = if acl.is_for_everybody() { "everybody" } else { &acl.principal };
    let more = if others.is_empty() { String::new() } else { format!(", and {} more", others.len()) };
    let problem = format!("{who} may {first}{more}");
    Some(Finding { topic: acl.name.to_string(), problem, help: command(kafka, "--remove --force", &acl.options()) })
}

/// Whether a denial leaves nothing of a right, as far as this use goes.
fn takes_away(other: &Acl, acl: &Acl, guarded: &Guarded, operation: Operation) -> bool {
    let same = other.principal == acl.principal || other.is_for_everybody();
    !other.allows && same && other.host == "*" && other.covers(guarded, operation)
}

/// That nobody of those who need it is allowed something.
fn missing(
    acls: &[Acl],
    hub: &str,
    guarded: &Guarded,
    operation: Operation,
    who: &[String],
    kafka: &Kafka,
) -> Option<Finding> {
    let named = |acl: &Acl, name: &str| acl.names(name) || acl.is_for_everybody();
    let may = |name: &String| {
        let mut concerned = acls.iter().filter(|acl| acl.covers(guarded, operation) && named(acl, name)).peekable();
        concerned.peek().is_some() && concerned.all(|acl| acl.allows)
    };
    let first = who.first()?;
    // Without any right the hub would not have seen the topic: then it is a super user, or that was said before.
    let any = |acl: &Acl| acl.allows && acl.covers(guarded, acl.operation) && named(acl, hub);
    let unseen = first == hub && !acls.iter().any(any);
    if unseen || who.iter().any(may) {
        return None;
    }
    let topic = guarded.name.clone();
    let wanted = Acl {
        resource: guarded.resource,
        name: topic.as_str().into(),
        prefixed: false,
        principal: format!("User:{first}"),
        host: "*".into(),
        operation,
        allows: true,
    };
    let problem = format!("no right lets {first} {operation} it");
    Some(Finding { topic, problem, help: command(kafka, "--add", &wanted.options()) })
}

/// The command line that changes rights.
pub(super) fn command(kafka: &Kafka, change: &str, options: &str) -> String {
    tool(kafka, "kafka-acls", &format!("{change} {options}"))
}

#[cfg(test)]
mod tests;
