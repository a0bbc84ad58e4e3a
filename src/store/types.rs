//! What goes into the store and what comes out. Plain data; who may see it is decided elsewhere.

use std::sync::Arc;

use bytes::Bytes;

pub use crate::domain::agency::SystemKey;

use crate::{
    domain::{
        agency::AgencyKey,
        facts::Facts,
        idempotency::{EventTail, IdempotencyKey},
        subject::{IdentifierHash, SubjectId},
        time::Moment,
        transfer::{DeliveryState, TransferId},
    },
    ledger::{FullTile, Kind, TileId},
    vault::{ContentHash, SlotKey, Term, WRAPPED_BYTES},
};

/// Whose key slot: a subject's, an identifier's that no subject has yet, or the hub's own (an hour's epoch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// A known person.
    Subject(SubjectId),
    /// A person whom only a refused call has named so far.
    Unknown(IdentifierHash),
    /// The hub, for the hour that begins at this many hours since 1970.
    Epoch(u32),
    /// The hub, for what is about no person in particular (a call refused before it named one).
    Hub,
}

/// What a key slot protects; each class is destroyed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// The subject's own secret: pseudonyms.
    Subject = 1,
    /// Trails: who sent what to whom, why.
    Trail = 2,
    /// Payloads.
    Payload = 3,
    /// Evidence of consents.
    Evidence = 4,
    /// An hour's share of the payload keys.
    Epoch = 5,
}

/// Where a key lies in the slot file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotNumber(pub u64);

/// A key slot and its key.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Where it lies.
    pub number: SlotNumber,
    /// What is in it.
    pub key: Arc<SlotKey>,
}

/// A person: the hub's own id and what is known to allow or forbid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The hub's own id.
    pub id: SubjectId,
    /// Consents, restrictions, interests.
    pub facts: Facts,
}

/// To whom identifiers point.
#[derive(Debug, Clone)]
pub enum Found {
    /// To nobody yet.
    Nobody,
    /// To one person; `unlinked` are those of the identifiers asked for that do not point to anybody yet.
    One {
        /// The person.
        subject: Arc<Subject>,
        /// Identifiers that point to nobody.
        unlinked: Vec<IdentifierHash>,
    },
    /// To two people or more.
    Several,
}

/// What a decision was made on, and what must still be so when it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expect {
    /// The subject's facts are at this version.
    Facts {
        /// Whose.
        subject: SubjectId,
        /// Which version the decision saw.
        version: u64,
    },
    /// The identifier points to nobody, or to this subject, about whom there are no facts yet.
    Newcomer {
        /// The identifier.
        identifier: IdentifierHash,
        /// Whom it will point to, or may.
        subject: SubjectId,
    },
    /// The entry's time is before this moment: a fact that the decision rests on ends then.
    Before(Moment),
    /// The key in this slot has not been erased: what was sealed under it can be opened.
    Key(SlotNumber),
    /// No entry with this term has been committed at or after this index.
    Quiet {
        /// The term, usually a subject's.
        term: Term,
        /// The size of the ledger that the decision saw.
        since: u64,
    },
    /// The delivery of this entry is in this state.
    Delivery {
        /// The entry's index.
        index: u64,
        /// The state that the decision saw.
        state: DeliveryState,
    },
    /// What is known of an event is what the decision saw.
    Event {
        /// Whose.
        system: SystemKey,
        /// Which.
        event: EventTail,
        /// The key under which it was committed, if it was.
        was: Option<IdempotencyKey>,
    },
    /// A partition has been consumed up to here, by whoever has it.
    Position {
        /// Which.
        partition: PartitionKey,
        /// The position that the consumer goes on from.
        at: Position,
    },
}

/// A partition of a log that is consumed, as Kafka's: a compact, stable number for cluster and topic, and the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The first eight bytes of SHA-256 over both names.
    pub topic: u64,
    /// Which of the topic's.
    pub partition: u32,
}

impl PartitionKey {
    /// The key of a topic's partition in a cluster.
    pub fn new(cluster: &str, topic: &str, partition: u32) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(&(cluster.len() as u64).to_be_bytes());
        context.update(cluster.as_bytes());
        context.update(topic.as_bytes());
        let mut head = [0; 8];
        head.copy_from_slice(&context.finish().as_ref()[..8]);
        Self { topic: u64::from_be_bytes(head), partition }
    }
}

/// How far a partition has been consumed, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// Counts assignments: who was assigned the partition before writes no more.
    pub epoch: u64,
    /// The offset that comes next; what lies below it has had its effect.
    pub next: u64,
}

/// A step in consuming a partition: taken only if it stands at `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// Which.
    pub partition: PartitionKey,
    /// Where it stands.
    pub from: Position,
    /// Where it stands then.
    pub to: Position,
}

impl Consumed {
    /// What must hold for it.
    pub const fn expects(&self) -> Expect {
        Expect::Position { partition: self.partition, at: self.from }
    }
}

/// An entry's secret under one party's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedSecret {
    /// Under which slot.
    pub slot: SlotNumber,
    /// Nonce, ciphertext, tag.
    pub wrapped: [u8; WRAPPED_BYTES],
}

/// How a stored entry is found and routed. Stored only as ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// What happened.
    pub kind: Kind,
    /// The decision's own id.
    pub id: TransferId,
    /// Keyed hashes under which the entry is searched; the first is whom it is about, where it is about somebody.
    pub terms: Vec<Term>,
    /// The entry's secret, once for each party that keeps a trail. Empty for entries about no person.
    pub secrets: Vec<WrappedSecret>,
    /// To whom it is to be delivered, if to anybody.
    pub outgoing: Option<Outgoing>,
    /// Where the keys of its payload lie, if it carries one.
    pub payload: Option<PayloadSlots>,
}

/// The delivery that an entry carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub recipient: AgencyKey,
    /// Deliveries with the same value go one after the other: one subject at one recipient.
    pub order: u64,
}

/// Where the keys of a payload lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadSlots {
    /// The subject's slot: of class payload, or evidence.
    pub subject: SlotNumber,
    /// The hour's epoch.
    pub epoch: SlotNumber,
}

/// One entry to be written.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// The leaf's bytes.
    pub entry: Bytes,
    /// How it is found and routed.
    pub routing: Routing,
    /// The attributes and field names, sealed under the entry's secret; empty for entries about no person.
    pub trail: Bytes,
    /// The sealed payload; empty when there is none. Evidence of a consent is kept here too.
    pub payload: Bytes,
}

/// One entry as it was written.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// Its place in the ledger.
    pub index: u64,
    /// The leaf's bytes.
    pub entry: Bytes,
    /// How it is found and routed.
    pub routing: Routing,
    /// The sealed trail.
    pub trail: Bytes,
}

/// A call that was committed: where its entries are, and whether a repeat is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The keyed hash of its content.
    pub content: ContentHash,
    /// Its first entry.
    pub first: u64,
    /// How many entries it has.
    pub count: u32,
}

/// A change to what is known of a person.
#[derive(Debug, Clone)]
pub enum SubjectChange {
    /// A new person with these identifiers; or more identifiers for a known one. It changes no facts, so their version
    /// stays: whoever decided about an identifier that pointed to nobody expects [`Expect::Newcomer`].
    Link {
        /// The person.
        subject: SubjectId,
        /// What now points to it.
        identifiers: Vec<IdentifierHash>,
    },
    /// New facts, whole; their version is one more than before.
    Facts {
        /// Whose.
        subject: SubjectId,
        /// All of them.
        facts: Facts,
    },
}

/// A step of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryChange {
    /// Every delivery of the recipient below `horizon` that is due becomes claimed: from now on it may have been received.
    /// Those of the same commit's entries included; none beyond the head. What is claimed and has not ended is held in
    /// memory and in one row of the recipient's, so the relay bounds it.
    Claim {
        /// Whose.
        recipient: AgencyKey,
        /// Up to where, exclusive.
        horizon: u64,
    },
    /// The delivery of the entry at `index` has ended. One that was acknowledged stays so, whatever comes later; any other
    /// end may be followed by another, so that a cancelled one which was received after all is acknowledged.
    Settle {
        /// Whose.
        recipient: AgencyKey,
        /// Which.
        index: u64,
        /// How: acknowledged, rejected, cancelled or dead-lettered.
        state: DeliveryState,
        /// How often it was handed over.
        attempts: u32,
    },
    /// A dead letter is due again, until the next claim that reaches it; then it is claimed.
    Replay {
        /// Whose.
        recipient: AgencyKey,
        /// Which.
        index: u64,
    },
}

/// Everything that one commit writes.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The time of its entries and of its checkpoint.
    pub time: Moment,
    /// The entries, in order; the first follows the head.
    pub entries: Vec<NewEntry>,
    /// Tiles that these entries made full; none without entries.
    pub tiles: Vec<(TileId, FullTile)>,
    /// The signed checkpoint of the new size; empty only when there are no entries.
    pub checkpoint: Bytes,
    /// Calls that must not be executed again; none without entries, since each has one at least.
    pub known: Vec<(SystemKey, IdempotencyKey, Known)>,
    /// Changes to people, in order.
    pub subjects: Vec<SubjectChange>,
    /// Steps of deliveries, in order.
    pub deliveries: Vec<DeliveryChange>,
    /// How far partitions have been consumed now.
    pub positions: Vec<(PartitionKey, Position)>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Whose.
    pub recipient: AgencyKey,
    /// How it stands.
    pub state: DeliveryState,
}

/// Deliveries that are not settled.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// In ledger order.
    pub items: Vec<PendingDelivery>,
    /// Where the next call goes on.
    pub next: u64,
    /// Up to where this recipient's deliveries are claimed, exclusive.
    pub horizon: u64,
}

/// One delivery that is not settled.
#[derive(Debug, Clone)]
pub struct PendingDelivery {
    /// The entry, with its trail.
    pub entry: StoredEntry,
    /// The sealed payload.
    pub payload: Bytes,
    /// Whether it is a dead letter that is replayed.
    pub replayed: bool,
}

/// A delivery that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadLetter {
    /// The transfer's entry.
    pub index: u64,
    /// The transfer.
    pub id: TransferId,
    /// How often it was handed over.
    pub attempts: u32,
    /// When it was given up.
    pub since: Moment,
}
