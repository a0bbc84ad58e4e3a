//! Who may use whom (design.md, `src/README.md`), as a table, and the judgement of one name by it.

/// What a layer may name of the others: a whole layer, or single items of it (`store::Routing`). A layer may always
/// name itself, and nobody names the adapters of another (see [`adapter`]).
pub const LAYERS: [(&str, &[&str]); 17] = [
    ("domain", &[]),
    ("vault", &["domain"]),
    ("ledger", &["domain"]),
    ("catalogue", &["domain"]),
    // The key files are configuration, what is in them is the ledger's and the vault's.
    (
        "config",
        &[
            "domain",
            "ledger::CheckpointError",
            "ledger::NoteError",
            "ledger::Origin",
            "ledger::SignerKey",
            "tls::Existing",
            "tls::FileError",
            "tls::write_private",
            "vault::MasterKey",
        ],
    ),
    (
        "exchange",
        &[
            "domain",
            "catalogue",
            "ledger",
            "vault",
            // What `exchange::seal` makes is what the sequencer takes and the store keeps: plain data, of which it
            // fills in the fields. Functions and traits of either would be I/O.
            "sequencer::Content",
            "sequencer::SealedEntry",
            "store::Outgoing",
            "store::PayloadSlots",
            "store::Routing",
            "store::Slot",
            "store::WrappedSecret",
        ],
    ),
    ("store", &["domain", "ledger", "vault"]),
    ("sequencer", &["domain", "ledger", "store", "vault"]),
    ("desk", &["domain", "catalogue", "exchange", "ledger", "sequencer", "store", "vault"]),
    (
        "relay",
        &[
            "domain",
            "desk",
            "drivers",
            // What it asks the desk to claim, and what it gets: plain data.
            "sequencer::Proposal",
            "store::DeliveryChange",
            "store::Pending",
            "store::PendingDelivery",
            // For the wait between two attempts.
            "vault::Random",
        ],
    ),
    // A driver hands over what the desk opened; it knows the relay's links and nothing of how they are fed.
    ("drivers", &["domain", "kafka", "relay", "desk::DeliveryContent"]),
    // What both ends on Kafka share: connection, names, the form of events.
    ("kafka", &["domain", "config"]),
    ("tls", &["domain", "config"]),
    // A Receive stream is a way in (its opening, its acknowledgements) and a way out: the ingress connects it to the
    // relay and hands it to the stream driver.
    (
        "ingress",
        &[
            "domain",
            "catalogue",
            "desk",
            "drivers",
            "exchange",
            "kafka",
            "ledger",
            "relay",
            // Whether the hub serves, and who the peer is.
            "sequencer::Condition",
            "tls::PeerInfo",
            // How far a log has been consumed: plain data.
            "store::Consumed",
            "store::PartitionKey",
            "store::Position",
        ],
    ),
    (
        "cli",
        // The last two: `waybill keys` draws keys.
        &["domain", "app", "catalogue", "config", "kafka", "ledger", "tls", "vault::Random", "vault::SystemRandom"],
    ),
    (
        "app",
        &[
            "domain",
            "catalogue",
            "config",
            "desk",
            "drivers",
            "exchange",
            "ingress",
            "kafka",
            "ledger",
            "relay",
            "sequencer",
            "store",
            "tls",
            "vault",
        ],
    ),
    ("main", &["cli", "app"]),
];

/// Layers that do no I/O, read no clock, draw no randomness and spawn nothing: not even through these.
pub const PURE: [&str; 4] = ["domain", "ledger", "exchange", "vault"];
const IMPURE: [&str; 25] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "aws_lc_rs::rand",
    "fastrand",
    "fjall",
    "futures_util",
    "getrandom",
    "governor",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "parking_lot",
    "rand",
    "rustix",
    "tokio",
    "tonic",
    "uuid::Uuid::new_v4",
    "uuid::Uuid::now_v7",
    "metrics",
];
/// The file that may, all the same, and why.
const IMPURE_ALLOWED: [(&str, &str); 5] = [
    // `SystemClock` is the clock; the trait that everybody else reads time through stands beside it.
    ("src/domain/time.rs", "std::time::SystemTime"),
    ("src/domain/time.rs", "std::time::UNIX_EPOCH"),
    ("src/domain/time.rs", "rustix"),
    // `SystemRandom`, likewise.
    ("src/vault/random.rs", "aws_lc_rs::rand"),
    // Implements `std::io::Write` for a digest, so that JSON is hashed as it is written.
    ("src/ledger/hash.rs", "std::io"),
];

/// The layer that a file below `src` belongs to.
pub fn layer_of(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split(['/', '.']).next()
}

/// Whether `named` is `rule` or lies below it.
fn is_within(named: &[String], rule: &str) -> bool {
    let mut rest = named.iter();
    rule.split("::").all(|segment| rest.next().is_some_and(|own| own == segment))
}

/// Adapters that others than `app` name, and why.
const ADAPTERS_ALLOWED: [(&str, &str); 1] = [
    // Its other half is the gRPC call itself.
    ("ingress", "drivers::stream"),
];

/// Whether these segments, after `crate`, lead into an adapter: a module below a layer whose front (`mod.rs`) is the
/// trait or registry that others use. Types begin with a capital, modules don't.
fn adapter(named: &[String]) -> bool {
    let [layer, second, ..] = named else { return false };
    match layer.as_str() {
        "store" => matches!(second.as_str(), "embedded" | "postgres" | "*"),
        "drivers" | "ingress" => second.starts_with(|first: char| first.is_ascii_lowercase() || first == '*'),
        _ => false,
    }
}

/// Why the file at `path` must not name `named` (resolved from the crate's root, or of another crate); `None`: it may.
pub fn judge(path: &str, named: &[String]) -> Option<String> {
    let layer = layer_of(path)?;
    let text = named.join("::");
    let Some(inner) = named.strip_prefix(&["crate".to_owned()]) else {
        let rule = IMPURE.iter().find(|rule| is_within(named, rule))?;
        let allowed = IMPURE_ALLOWED.iter().any(|(file, what)| *file == path && what == rule);
        return (PURE.contains(&layer) && !allowed).then(|| format!("{layer} is pure, so it must not name {text}"));
    };
    let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        // `src/lib.rs` is the map of the library: it declares all and names nothing.
        return (layer != "lib").then(|| format!("there is no layer {layer}: add it to the table"));
    };
    let target = inner.first()?;
    if target == layer {
        return within_layer(path, layer, inner).then(|| format!("one way in must not name another: {text}"));
    }
    if LAYERS.iter().all(|(name, _)| name != target) {
        return None; // a macro or an item of the crate's root
    }
    let excused = ADAPTERS_ALLOWED.iter().any(|(user, adapter)| *user == layer && is_within(inner, adapter));
    if adapter(inner) && layer != "app" && !excused {
        return Some(format!("only app names a concrete adapter: {text}"));
    }
    let allowed = may.iter().any(|rule| is_within(inner, rule));
    (!allowed).then(|| format!("{layer} must not name {text}"))
}

/// Whether one ingress (or driver, or store) reaches into a sibling of its own layer.
fn within_layer(path: &str, layer: &str, named: &[String]) -> bool {
    let prefix = format!("src/{layer}/");
    let own = path.strip_prefix(&prefix).and_then(|rest| rest.split(['/', '.']).next()).unwrap_or_default();
    layer == "ingress" && own != "mod" && adapter(named) && named.get(1).is_some_and(|sibling| sibling != own)
}
