//! Random bytes for keys and nonces, from the system's generator.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// `N` random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the generator of aws-lc cannot fail once the process has entropy");
    bytes
}
