//! Publishing a catalogue: what may not follow is refused, as an entry; a repeat publishes nothing more.

use std::fs;

use waybill::ledger::Attribute;
use waybill_proto::v1;

use super::calls::Call;
use crate::scene::{Scene, said};

const OPERATOR: &str = "hub/operator";

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_that_changes_a_published_schema_is_refused_and_not_in_force() {
    let scene = Scene::new().await;
    let digest = scene.core().desk.catalogue().digest();
    let schema = scene.catalogue().parent().unwrap().join("schemas/identity/contact/1.0.json");
    let changed = fs::read_to_string(&schema).unwrap().replace("\"maxItems\": 16", "\"maxItems\": 15");
    fs::write(&schema, changed).unwrap();
    let publish = Call::Publish(v1::PublishCatalogueRequest { idempotency_key: scene.key() });
    let before = scene.size();
    let refused = publish.fails(&scene, OPERATOR).await.refusal().unwrap();
    assert_eq!((refused.code.as_str(), scene.size()), ("catalogue.refused", before + 1));
    scene.verify(&refused.receipt.unwrap(), None);
    assert_eq!(scene.core().desk.catalogue().digest(), digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_publication_is_answered_from_its_entry_which_names_the_system_alone() {
    let scene = Scene::new().await;
    let file = scene.catalogue().join("agencies/tax.toml");
    let (first, second) = (fs::read_to_string(&file).unwrap(), "Another Tax Administration");
    fs::write(&file, first.replace("Tax Administration", "A Tax Administration")).unwrap();
    let mut operator = scene.operator(OPERATOR).await;
    let request = v1::PublishCatalogueRequest { idempotency_key: scene.key() };
    let published = operator.publish_catalogue(request.clone()).await.unwrap().into_inner();
    assert!(published.changed);

    fs::write(&file, first.replace("Tax Administration", second)).unwrap();
    let before = scene.size();
    let again = operator.publish_catalogue(request).await.unwrap().into_inner();
    assert_eq!((&again.digest, again.changed, scene.size()), (&published.digest, true, before));
    let (index, again) = (published.receipt.unwrap().index, again.receipt.unwrap());
    assert_eq!(again.index, index);
    scene.verify(&again, None);
    assert_eq!(scene.core().desk.catalogue().digest().to_string(), published.digest, "nothing else is in force");
    assert_eq!(said(&scene.entry(index).await, Attribute::System), format!("\"{OPERATOR}\""));

    let anew = v1::PublishCatalogueRequest { idempotency_key: scene.key() };
    assert_ne!(operator.publish_catalogue(anew).await.unwrap().into_inner().digest, published.digest);
}
