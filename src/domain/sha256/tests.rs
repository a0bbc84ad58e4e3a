//! The published vectors, and at every length what AWS-LC computes.

use aws_lc_rs::{digest, hkdf, hmac};

use super::*;

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn hmac_of(key: &[u8], parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let key = HmacKey::new(key);
    let mut hmac = key.begin();
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finish()
}

/// Hashed in one, in parts, and in a batch with a message before it.
fn each_way(data: &[u8]) -> [u8; HASH_BYTES] {
    let hash = sha256(data);
    for size in [1, 7, 63, 64, 65, 1000] {
        let mut parts = Sha256::new();
        data.chunks(size).for_each(|part| parts.update(part));
        assert_eq!(parts.finish(), hash, "{} bytes, {size} at a time", data.len());
    }
    let (mut batch, mut hashes) = (Batch::default(), Vec::new());
    batch.add(&mut hashes, |message| message.extend_from_slice(b"before"));
    batch.add(&mut hashes, |message| message.extend_from_slice(data));
    batch.finish(&mut hashes);
    assert_eq!(hashes, [sha256(b"before"), hash].concat());
    hash
}

/// NIST's example values for FIPS 180-4 and SHAVS.
#[test]
fn nist_vectors() {
    let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let million = vec![b'a'; 1_000_000];
    let vectors: [(&[u8], &str); 5] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (two_blocks, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (&[0xbd], "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ];
    for (data, hash) in vectors {
        assert_eq!(each_way(data).to_vec(), unhex(hash));
    }
}

/// RFC 4231 §4, test cases 1 to 4, 6 and 7 (5 truncates).
#[test]
fn rfc_4231_vectors() {
    let long: &[u8] =
        b"This is a test using a larger than block-size key and a larger than block-size data. The key needs \
        to be hashed before being used by the HMAC algorithm.";
    let counting: Vec<u8> = (1..=25).collect();
    let vectors: [(&[u8], &[u8], &str); 6] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (&[0xaa; 131], long, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ];
    for (key, data, hmac) in vectors {
        assert_eq!(hmac_of(key, &[data]).to_vec(), unhex(hmac));
        let (head, rest) = data.split_at(data.len() / 2);
        assert_eq!(hmac_of(key, &[head, rest]).to_vec(), unhex(hmac));
    }
}

/// RFC 5869, appendix A.1 to A.3. What it extracts is an HMAC under the salt.
#[test]
fn rfc_5869_vectors() {
    let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let vectors = [
        (
            vec![0x0b; 22],
            range(0, 12),
            range(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            range(0, 0x4f),
            range(0x60, 0xaf),
            range(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            Vec::new(),
            Vec::new(),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (material, salt, info, key, expanded) in vectors {
        let extracted = hmac_of(&salt, &[&material]);
        assert_eq!(extracted.to_vec(), unhex(key));
        let mut out = vec![0; expanded.len() / 2];
        let (head, rest) = info.split_at(info.len() / 3);
        expand(&extracted, &[head, rest], &mut out);
        assert_eq!(out, unhex(expanded));
    }
}

#[test]
fn at_every_length_it_is_what_another_implementation_computes() {
    let data: Vec<u8> = (0..300_u16).map(|byte| (byte * 7 % 251) as u8).collect();
    for length in 0..data.len() {
        let (data, key) = (&data[..length], &data[data.len() - length..]);
        assert_eq!(each_way(data), digest::digest(&digest::SHA256, data).as_ref(), "{length} bytes");
        let theirs = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
        assert_eq!(hmac_of(key, &[data]), theirs.as_ref(), "{length} bytes");
    }
}

#[test]
fn keys_expand_to_what_another_implementation_computes_up_to_the_longest() {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let key = [0x5a; HASH_BYTES];
    for length in [0, 1, 31, 32, 33, 64, 480, 8000, 8159, 8160] {
        for info in [0, 1, 16, 55, INFO_BYTES_MAX] {
            let (mut ours, mut theirs) = (vec![0; length], vec![1; length]);
            expand(&key, &[&vec![3; info]], &mut ours);
            let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &key);
            prk.expand(&[&vec![3; info]], Length(length)).unwrap().fill(&mut theirs).unwrap();
            assert_eq!(ours, theirs, "{length} bytes of {info}");
        }
    }
}

#[test]
#[should_panic(expected = "an info of at most")]
fn an_info_that_does_not_fit_is_not_cut() {
    expand(&[0; HASH_BYTES], &[&[0; INFO_BYTES_MAX + 1]], &mut [0; HASH_BYTES]);
}

#[test]
fn a_batch_hashes_on_its_way_and_forgets() {
    let messages: Vec<Vec<u8>> = (0..200).map(|length| vec![length as u8; length]).collect();
    let (mut batch, mut hashes) = (Batch::default(), Vec::new());
    messages.iter().for_each(|message| batch.add(&mut hashes, |out| out.extend_from_slice(message)));
    assert!(!hashes.is_empty() && hashes.len() < messages.len() * HASH_BYTES);
    batch.finish(&mut hashes);
    assert_eq!(hashes, messages.iter().flat_map(|message| sha256(message)).collect::<Vec<_>>());

    batch.add(&mut hashes, |out| out.extend_from_slice(b"given up"));
    batch.clear();
    hashes.clear();
    batch.finish(&mut hashes);
    assert!(hashes.is_empty());
}
