//! Publishing a catalogue: what may not follow is refused, as an entry.

use std::fs;

use waybill_proto::v1;

use super::calls::Call;
use crate::scene::Scene;

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
