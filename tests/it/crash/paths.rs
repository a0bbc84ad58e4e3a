//! Every path that a personal value can take through the hub, walked with marked values, well and badly. What is looked
//! for afterwards: `canary.rs`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use waybill::cli::demo::{
    population::{Citizen, Population, Record},
    systems::{Inbox, System, new_key, provide, receive, submission},
};
use waybill_proto::v1;

use super::{
    canary::Canary,
    scene::{Scene, until},
    told::Told,
};

struct Walk<'a> {
    canary: &'a Canary,
    citizen: Citizen,
    identity: System,
    benefit: System,
    portal: System,
    told: Told,
}

/// Walks all paths.
pub async fn walk(scene: &Scene, canary: &Canary) -> Told {
    let tax = scene.connect("tax/registry").await;
    let tax_inbox = Arc::new(Inbox::default());
    receive(&tax, Arc::clone(&tax_inbox)).await.unwrap();
    let mut walk = Walk {
        canary,
        citizen: Population::generate(1, 1).citizen(0).unwrap(),
        identity: scene.connect("identity/registry").await,
        benefit: scene.connect("benefit/claims").await,
        portal: scene.connect("benefit/portal").await,
        told: Told::default(),
    };
    reject(&walk.benefit).await;
    walk.push().await;
    let transfer = walk.push().await;
    let arrived = tax_inbox.transfer(&transfer).await.unwrap();
    assert!(String::from_utf8_lossy(&arrived.payload).contains(&canary.of("name")), "the mark reaches who may see it");
    walk.push_badly().await;
    walk.stream().await;
    walk.pull(&tax).await;
    walk.consent().await;
    walk.give_up(scene).await;
    walk.audit(scene, &transfer).await;
    walk.told
}

/// Cannot process anything now.
async fn reject(system: &System) {
    let (answers, out) = mpsc::channel(64);
    let open = v1::receive_request::Message::Open(v1::ReceiveOpen { on_behalf_of: String::new(), credit: 64 });
    answers.send(v1::ReceiveRequest { message: Some(open) }).await.unwrap();
    let mut deliveries = system.exchange.clone().receive(ReceiverStream::new(out)).await.unwrap().into_inner();
    tokio::spawn(async move {
        while let Ok(Some(message)) = deliveries.message().await {
            let Some(v1::receive_response::Message::Deliveries(batch)) = message.message else { continue };
            let rejected = v1::Rejected { reason: v1::RejectionReason::TryAgain.into() };
            let answer = v1::DeliveryAnswer {
                transfer_ids: batch.deliveries.iter().map(|one| one.transfer_id.clone()).collect(),
                answer: Some(v1::delivery_answer::Answer::Rejected(rejected)),
            };
            let message = v1::receive_request::Message::Answer(answer);
            if answers.send(v1::ReceiveRequest { message: Some(message) }).await.is_err() {
                return;
            }
        }
    });
}

impl Walk<'_> {
    fn context(&self) -> Option<v1::Context> {
        Some(v1::Context {
            on_behalf_of: String::new(),
            actor: self.canary.of("actor"),
            case_reference: self.canary.of("case"),
            reason: self.canary.of("reason"),
            acting_for: Some(v1::Representation {
                representative: self.canary.of("representative"),
                authority: v1::Authority::Guardian.into(),
                until: None,
            }),
        })
    }

    fn subject(&self) -> Vec<v1::Identifier> {
        let one = |scheme: &str, place| v1::Identifier { scheme: scheme.into(), value: self.canary.of(place) };
        vec![one("national-number", "national"), one("tax-number", "tax")]
    }

    /// The citizen's record of a type, with the marks in it.
    fn record(&self, record_type: &str) -> Record {
        let mut record = self.citizen.records().into_iter().find(|one| one.record_type == record_type).unwrap();
        record.id = self.canary.of("record");
        let mark = |place| json!(self.canary.of(place));
        record.body["subject"] = json!({ "nationalNumber": mark("national"), "taxNumber": mark("tax") });
        match record_type {
            "identity/person" => record.body["fullName"] = mark("name"),
            "identity/address" => record.body["address"]["fullAddress"] = mark("address"),
            "identity/contact" => record.body["email"] = json!(format!("{}@post.example", self.canary.of("email"))),
            _ => record.body["fullName"] = mark("name"),
        }
        record
    }

    fn submission(&self, record: &Record) -> v1::Submission {
        let mut made = submission(record, v1::Change::Changed, "");
        made.context = self.context();
        made
    }

    async fn submit(&self, made: v1::Submission) -> Result<tonic::Response<v1::SubmitResponse>, tonic::Status> {
        self.identity.exchange.clone().submit(v1::SubmitRequest { submission: Some(made) }).await
    }

    /// Pushes address and person; returns the person's transfer to tax.
    async fn push(&mut self) -> String {
        let mut to_tax = String::new();
        for record_type in ["identity/address", "identity/person"] {
            let made = self.submission(&self.record(record_type));
            let outcome = self.submit(made).await.unwrap().into_inner().outcome.unwrap();
            for one in &outcome.recipients {
                self.told.recorded(one.receipt.as_ref());
            }
            to_tax = outcome.recipients.iter().find(|one| one.recipient == "tax").unwrap().transfer_id.clone();
        }
        to_tax
    }

    /// Pushes what is refused: for its schema, its form, its bounds, its key.
    async fn push_badly(&mut self) {
        let mark = |place| self.canary.of(place);
        let body = self.record("identity/person").body;
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut body = body.clone();
            change(&mut body);
            body.to_string()
        };
        let whole = body.to_string();
        let payloads = [
            changed(&|body| body["dateOfBirth"] = json!(mark("birth"))),
            changed(&|body| body[mark("property")] = json!(mark("value"))),
            changed(&|body| body["citizenship"] = json!([mark("country"), { mark("inside"): 1 }])),
            changed(&|body| body["subject"]["nationalNumber"] = json!(format!("- {}", mark("number")))),
            changed(&|body| body["fullName"] = json!(mark("long").repeat(4000))),
            changed(&|body| body["subject"] = json!({})),
            whole[..whole.len() - 9].to_owned(),
            format!("{{\"{0}\":1,\"{0}\":2}}", mark("twice")),
            mark("bare"),
        ];
        let person = self.record("identity/person");
        for (number, payload) in payloads.into_iter().enumerate() {
            let made = v1::Submission { payload: payload.into(), ..self.submission(&person) };
            let answer = self.submit(made).await;
            self.told.refused(&format!("bad payload {number}"), answer);
        }
        let first = self.submission(&person);
        self.submit(first.clone()).await.unwrap();
        let mut bad = vec![v1::Submission { idempotency_key: mark("key"), ..first.clone() }];
        bad.push(v1::Submission { payload: self.record("identity/address").body.to_string().into(), ..first.clone() });
        let mut long = v1::Submission { idempotency_key: new_key(), ..first.clone() };
        long.context.as_mut().unwrap().reason = mark("reason").repeat(100);
        bad.push(long);
        let mut record_id = v1::Submission { idempotency_key: new_key(), ..first };
        record_id.record.as_mut().unwrap().record_id = mark("record").repeat(100);
        bad.push(record_id);
        for (number, made) in bad.into_iter().enumerate() {
            let answer = self.submit(made).await;
            self.told.refused(&format!("bad submission {number}"), answer);
        }
    }

    /// The same in a stream: one that is recorded, and what is refused for its schema, its form, its key.
    async fn stream(&mut self) {
        use v1::numbered_outcome::Result as Decided;
        let person = self.record("identity/person");
        let mut broken = person.clone();
        broken.body["dateOfBirth"] = json!(self.canary.of("birth"));
        let bare = v1::Submission { payload: self.canary.of("bare").into(), ..self.submission(&person) };
        let key = v1::Submission { idempotency_key: self.canary.of("key"), ..self.submission(&person) };
        let all = [self.submission(&person), self.submission(&broken), bare, key];
        let submissions =
            (0..).zip(all).map(|(number, made)| v1::NumberedSubmission { number, submission: Some(made) });
        let message = v1::SubmitStreamRequest {
            receipt_detail: v1::ReceiptDetail::Proof.into(),
            submissions: submissions.collect(),
        };
        let mut exchange = self.identity.exchange.clone();
        let mut outcomes = exchange.submit_stream(tokio_stream::once(message)).await.unwrap().into_inner();
        let mut refused = 0;
        while let Some(response) = outcomes.message().await.unwrap() {
            for one in response.outcomes {
                match one.result.unwrap() {
                    Decided::Outcome(outcome) => {
                        outcome.recipients.iter().for_each(|one| self.told.recorded(one.receipt.as_ref()));
                    }
                    Decided::Refusal(refusal) => {
                        refused += 1;
                        self.told.refusal(&format!("in a stream, {}", one.number), refusal);
                    }
                    Decided::Busy(busy) => panic!("{busy:?}"),
                }
            }
        }
        assert_eq!(refused, 3);
    }

    fn request(&self, record_type: &str, purpose: &str) -> v1::RequestRequest {
        let reference = self.canary.of("reference");
        let explicit = purpose == "income-assessment";
        v1::RequestRequest {
            idempotency_key: new_key(),
            record_type: record_type.into(),
            purpose: purpose.into(),
            provider: String::new(),
            subject: self.subject(),
            explicit_request: explicit.then_some(v1::ExplicitRequest { asked_at: None, reference }),
            context: self.context(),
            deadline: None,
            traceparent: String::new(),
        }
    }

    /// Asks for an income: answered well, badly, and not at all.
    async fn pull(&mut self, tax: &System) {
        let good = self.record("tax/income-statement");
        let mut broken = good.clone();
        broken.body["taxYear"] = json!(self.canary.of("year"));
        let well = Arc::new(AtomicBool::new(true));
        let choice = Arc::clone(&well);
        let find = move |_: &v1::Question| Some(if choice.load(Ordering::SeqCst) { &good } else { &broken }.clone());
        let providing = provide(tax, find).await.unwrap();
        let mut benefit = self.benefit.exchange.clone();
        let request = self.request("tax/income-statement", "income-assessment");
        let answer = benefit.request(request.clone()).await.unwrap().into_inner();
        self.told.recorded(answer.asked.as_ref());
        match answer.answer.unwrap() {
            v1::request_response::Answer::Evidence(evidence) => self.told.recorded(evidence.receipt.as_ref()),
            other @ v1::request_response::Answer::NoRecord(_) => panic!("{other:?}"),
        }
        well.store(false, Ordering::SeqCst);
        let again = v1::RequestRequest { idempotency_key: new_key(), ..request.clone() };
        self.keep(benefit.request(again).await);
        providing.abort();
        let away = v1::RequestRequest { idempotency_key: new_key(), ..request.clone() };
        self.keep(benefit.request(away).await);
        let mut malformed = v1::RequestRequest { idempotency_key: new_key(), ..request };
        malformed.subject[0].scheme = self.canary.of("Scheme").to_uppercase();
        self.told.refused("a malformed scheme", benefit.request(malformed.clone()).await);
        malformed.subject[0] =
            v1::Identifier { scheme: "national-number".into(), value: self.canary.of("number").repeat(9) };
        self.told.refused("a long number", benefit.request(malformed).await);
    }

    /// Keeps whatever came of a request whose provider failed it.
    fn keep(&mut self, answer: Result<tonic::Response<v1::RequestResponse>, tonic::Status>) {
        match answer {
            Ok(answer) => self.told.recorded(answer.into_inner().asked.as_ref()),
            Err(status) => self.told.error("a provider that failed", &status),
        }
    }

    /// Grants a consent, uses it, withdraws it; well and badly.
    async fn consent(&mut self) {
        let mut portal = self.portal.consent.clone();
        let grant = v1::GrantRequest {
            idempotency_key: new_key(),
            subject: self.subject(),
            agreement: "identity-contact-to-benefit".into(),
            agreement_revision: 1,
            notice: Some(v1::Notice { version: "1".into(), language: "en".into() }),
            evidence: Some(v1::grant_request::Evidence {
                media_type: "text/plain".into(),
                content: self.canary.of("evidence").into(),
            }),
            context: self.context(),
            ..v1::GrantRequest::default()
        };
        let granted = portal.grant(grant.clone()).await.unwrap().into_inner();
        self.told.recorded(granted.receipt.as_ref());
        let evidence = v1::grant_request::Evidence {
            media_type: "text/plain".into(),
            content: self.canary.of("evidence").repeat(4000).into(),
        };
        let long = v1::GrantRequest { idempotency_key: new_key(), evidence: Some(evidence), ..grant };
        self.told.refused("long evidence", portal.grant(long).await);
        let contact = self.submission(&self.record("identity/contact"));
        self.submit(contact).await.unwrap();
        let mut withdraw = v1::WithdrawRequest {
            idempotency_key: new_key(),
            consent_id: self.canary.of("consent"),
            subject: self.subject(),
            context: self.context(),
        };
        self.told.refused("a withdrawal of no consent", portal.withdraw(withdraw.clone()).await);
        withdraw.idempotency_key = new_key();
        withdraw.consent_id = granted.consent_id;
        self.told.recorded(portal.withdraw(withdraw).await.unwrap().into_inner().receipt.as_ref());
        let list = v1::ListRequest { idempotency_key: new_key(), subject: self.subject(), context: self.context() };
        assert_eq!(portal.list(list).await.unwrap().into_inner().consents.len(), 1);
        let asked = self.request("identity/contact", "optional-reminders");
        self.told.refused("a request without consent", self.benefit.exchange.clone().request(asked).await);
    }

    /// What benefit did not take becomes a dead letter, and is sent once more.
    async fn give_up(&mut self, scene: &Scene) {
        let operator = scene.connect("hub/operator").await.operator;
        let mut letters = Vec::new();
        until("there is a dead letter", async || {
            let list = v1::ListDeadLettersRequest { recipient: "benefit".into(), ..Default::default() };
            letters = operator.clone().list_dead_letters(list).await.unwrap().into_inner().dead_letters;
            !letters.is_empty()
        })
        .await;
        self.told.errors.push(format!("{letters:?}"));
        let replay = v1::ReplayDeadLetterRequest {
            idempotency_key: new_key(),
            transfer_id: letters[0].transfer_id.clone(),
            reason: self.canary.of("reason"),
        };
        let replayed = operator.clone().replay_dead_letter(replay).await.unwrap().into_inner();
        self.told.recorded(replayed.receipt.as_ref());
    }

    /// Searches, opens an entry, asks after a transfer; well and badly.
    async fn audit(&mut self, scene: &Scene, transfer: &str) {
        let mut officer = scene.connect("hub/dpo").await.ledger;
        let search = v1::SearchRequest {
            idempotency_key: new_key(),
            context: self.context(),
            subject: self.subject(),
            page_size: 200,
            ..v1::SearchRequest::default()
        };
        let found = officer.search(search.clone()).await.unwrap().into_inner();
        assert!(found.entries.len() > 8, "{} entries", found.entries.len());
        self.told.recorded(found.read.as_ref());
        for entry in &found.entries {
            self.told.recorded(entry.receipt.as_ref());
        }
        let again = |page_token| v1::SearchRequest { idempotency_key: new_key(), page_token, ..search.clone() };
        self.told.refused("a search on from nowhere", officer.search(again(self.canary.of("page"))).await);
        let index = found.entries[0].index;
        let get = v1::GetEntryRequest { idempotency_key: new_key(), index, context: self.context() };
        self.told.recorded(officer.get_entry(get).await.unwrap().into_inner().read.as_ref());
        let get = v1::GetTransferRequest { transfer_id: transfer.into(), context: self.context() };
        self.identity.exchange.clone().get_transfer(get).await.unwrap();
        let get = v1::GetTransferRequest { transfer_id: self.canary.of("transfer"), context: self.context() };
        self.told.refused("no transfer", self.identity.exchange.clone().get_transfer(get).await);
        // Who may not read at all.
        let denied = v1::SearchRequest { idempotency_key: new_key(), ..search };
        self.told.refused("a search by who may not", self.benefit.ledger.clone().search(denied).await);
    }
}
