//! Questions reach who can answer them, once; those of a stream that is gone go on.

use super::*;

fn agency(name: &str) -> AgencyId {
    AgencyId::new(name).unwrap()
}

fn system(name: &str) -> SystemId {
    SystemId::new(&format!("{name}/registry")).unwrap()
}

const fn anybody(_: &SystemId, _: &AgencyId) -> bool {
    true
}

fn question(byte: u8) -> Question {
    Question {
        request: TransferId(uuid::Uuid::from_bytes([byte; 16])),
        requester: agency("benefit"),
        agreement: String::new(),
        purpose: String::new(),
        record_type: RecordTypeId::new("tax/income-statement").unwrap(),
        schema_major: 1,
        subject: Vec::new(),
        explicitly_requested: true,
        deadline: Moment(0),
        traceparent: String::new(),
    }
}

#[test]
fn a_question_reaches_a_stream_of_its_provider_and_of_no_other() {
    let providers = Arc::new(Providers::default());
    let mut tax = providers.open(system("tax"), agency("tax"), Vec::new());
    let mut identity = providers.open(system("identity"), agency("identity"), Vec::new());
    let asked = providers.ask(&agency("tax"), question(1), anybody).unwrap();
    assert!(asked.is_some());
    assert!(tax.questions.try_recv().is_ok());
    assert!(identity.questions.try_recv().is_err());
}

#[test]
fn nobody_is_asked_when_the_stream_is_closed_or_provides_something_else() {
    let providers = Arc::new(Providers::default());
    drop(providers.open(system("tax"), agency("tax"), Vec::new()));
    let _other = providers.open(system("tax"), agency("tax"), vec![RecordTypeId::new("tax/residency").unwrap()]);
    assert!(providers.ask(&agency("tax"), question(1), anybody).unwrap().is_none());
    assert!(providers.0.lock().waiting.is_empty(), "a question that nobody can answer does not wait");
}

#[test]
fn a_system_that_may_no_longer_provide_is_passed_over() {
    let providers = Arc::new(Providers::default());
    let mut tax = providers.open(system("tax"), agency("tax"), Vec::new());
    assert!(providers.ask(&agency("tax"), question(1), |_, _| false).unwrap().is_none());
    assert!(tax.questions.try_recv().is_err() && providers.0.lock().waiting.is_empty());
    let asked = providers.ask(&agency("tax"), question(1), |one, _| *one == system("tax")).unwrap();
    assert!(asked.is_some() && tax.questions.try_recv().is_ok());
}

#[test]
fn only_the_provider_that_was_asked_can_answer_and_only_once() {
    let providers = Arc::new(Providers::default());
    let _tax = providers.open(system("tax"), agency("tax"), Vec::new());
    let _asked = providers.ask(&agency("tax"), question(1), anybody).unwrap();
    let request = question(1).request;
    assert!(providers.take(request, &agency("identity")).is_none());
    assert!(providers.take(request, &agency("tax")).is_some());
    assert!(providers.take(request, &agency("tax")).is_none());
}

#[test]
fn a_question_that_is_under_way_is_not_asked_again_until_its_answer_is_recorded() {
    let providers = Arc::new(Providers::default());
    let mut tax = providers.open(system("tax"), agency("tax"), Vec::new());
    let asked = providers.ask(&agency("tax"), question(1), anybody).unwrap();
    let again = || providers.ask(&agency("tax"), question(1), anybody).map(|asked| asked.is_some());
    assert_eq!(again(), Err(UnderWay));
    assert!(providers.take(question(1).request, &agency("tax")).is_some());
    assert_eq!(again(), Err(UnderWay), "its answer is being recorded");
    drop(asked);
    assert_eq!(again(), Ok(true));
    assert!(tax.questions.try_recv().is_ok() && tax.questions.try_recv().is_ok());
    assert!(tax.questions.try_recv().is_err(), "it was asked twice");
}

#[test]
fn a_question_of_a_stream_that_is_gone_goes_to_another_or_to_the_next_that_opens() {
    let providers = Arc::new(Providers::default());
    let (first, mut second) = {
        let open = || providers.open(system("tax"), agency("tax"), Vec::new());
        (open(), open())
    };
    let _asked = providers.ask(&agency("tax"), question(1), anybody).unwrap().unwrap();
    drop(first);
    assert_eq!(second.questions.try_recv().unwrap().request, question(1).request);
    drop(second);
    let _other = providers.open(system("identity"), agency("identity"), Vec::new());
    let elsewhere = vec![RecordTypeId::new("tax/residency").unwrap()];
    let mut elsewhere = providers.open(system("tax"), agency("tax"), elsewhere);
    let mut third = providers.open(system("tax"), agency("tax"), Vec::new());
    assert!(elsewhere.questions.try_recv().is_err(), "it provides something else");
    assert_eq!(third.questions.try_recv().unwrap().request, question(1).request);
    assert!(providers.take(question(1).request, &agency("tax")).is_some());
    drop(third);
    let mut fourth = providers.open(system("tax"), agency("tax"), Vec::new());
    assert!(fourth.questions.try_recv().is_err(), "it is answered, and being recorded");
}

#[test]
fn what_found_no_room_is_handed_over_as_soon_as_there_is_some() {
    let providers = Arc::new(Providers::default());
    let first = providers.open(system("tax"), agency("tax"), Vec::new());
    let numbered = |number: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        Question { request: TransferId(uuid::Uuid::from_bytes(bytes)), ..question(0) }
    };
    let ask = |number| providers.ask(&agency("tax"), numbered(number), anybody).unwrap().unwrap();
    let lost = ask(0);
    let mut second = providers.open(system("tax"), agency("tax"), Vec::new());
    let full: Vec<_> = (1..=2 * QUESTIONS_MAX as u16)
        .map_while(|number| providers.ask(&agency("tax"), numbered(number), anybody).unwrap())
        .collect();
    assert_eq!(full.len(), 2 * QUESTIONS_MAX - 1, "both queues are full");
    drop(first);
    while second.questions.try_recv().is_ok() {}
    assert!(providers.take(full[0].request, &agency("tax")).is_some());
    let again: Vec<_> = std::iter::from_fn(|| second.questions.try_recv().ok()).collect();
    assert!(again.iter().any(|question| question.request == lost.request), "an answer says that there is room");
    assert!(again.iter().all(|question| question.request != full[0].request), "what is answered does not come again");
}
