//! What the way in, the way out and the commands share of Kafka: the connection, the names of topics, the attributes of
//! events. It neither consumes nor decides.
//!
//! | question | file |
//! |---|---|
//! | which brokers, as whom, how careful? | `connection.rs` |
//! | which topics are there? | `topics.rs` |
//! | how is an event written? | `event.rs` |
//! | what is said of a message that cannot be taken? | `dead.rs` |
//! | how is it written and reported? | `producer.rs` |
//! | how does a client end? | `client.rs` |
//! | what does the library log, and how often? | `told.rs` |
//! | does another hub read in our groups? | `stranger.rs` |
//! | must the hub stop because of what was found? | `conflict.rs` |
//! | where do tests cut a hub off? | `hook.rs` |

mod client;
mod conflict;
mod connection;
mod dead;
mod event;
mod hook;
mod producer;
mod stranger;
mod told;
mod topics;

pub use self::{
    client::Client,
    conflict::{Conflict, Conflicts},
    connection::{AROUND_RECORD_BYTES_MAX, BATCH_BYTES_MAX, Connection},
    dead::{Coordinates, DeadLetter, Reason},
    event::{
        ACK_TYPE, DEAD_TYPE, DELIVERY_TYPE, EventHeaders, Message, OUTCOME_TYPE, PREFIX, SUBMISSION_TYPE, hub_source,
    },
    hook::{KafkaHook, NoKafkaHook},
    producer::{Lost, Offered, Producer, Report, SendFault},
    stranger::Group,
    told::Told,
    topics::{Topic, TopicKind, group},
};
