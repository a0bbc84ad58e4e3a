//! A canary: of what a person could be told by, nothing is in the folder's bytes.

use std::{fs, path::Path};

use super::scene::{NOON, Scene, TAX, facts, key, subject, transfer};
use crate::store::{Class, Owner, Store};

fn all_bytes(folder: &Path, out: &mut Vec<Vec<u8>>) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        out.push(path.file_name().unwrap().as_encoded_bytes().to_vec());
        if path.is_dir() {
            all_bytes(&path, out);
        } else {
            out.push(fs::read(path).unwrap());
        }
    }
}

fn holds(haystacks: &[Vec<u8>], needle: &[u8]) -> bool {
    haystacks.iter().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

#[tokio::test]
async fn facts_transfer_ids_and_terms_are_not_in_the_folder_in_the_clear() {
    let mut scene = Scene::new();
    let term = 0x5ca1_ab1e_0ddb_a115;
    scene.store().slots(Owner::Subject(subject(1)), &[(TAX, Class::Trail)]).await.unwrap();
    scene.commit(|c| c.entry(&[term], Some(TAX)).call(key(NOON, 1)).facts(subject(1), facts(1))).await.unwrap();
    scene.close();
    let mut bytes = Vec::new();
    all_bytes(scene.folder.path(), &mut bytes);
    assert!(holds(&bytes, b"leaf of 0"), "the search itself works");
    assert!(!holds(&bytes, b"canary-agency"), "facts are sealed");
    assert!(!holds(&bytes, b"identity-address-to-tax"), "facts are sealed");
    assert!(!holds(&bytes, transfer(0).as_bytes()), "routing is sealed");
    assert!(!holds(&bytes, &term.to_be_bytes()), "a term, though a keyed hash, is sealed beside its entry");
}
