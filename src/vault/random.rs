//! Where random bytes come from; tests may bring their own.

use aws_lc_rs::rand::SecureRandom;

/// A source of random bytes that nobody can foresee.
pub trait Random: Send + Sync + 'static {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The machine's own (AWS-LC's CTR_DRBG, seeded by the kernel).
#[derive(Debug, Default)]
pub struct SystemRandom(aws_lc_rs::rand::SystemRandom);

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        // AWS-LC itself aborts the process when it has no entropy; there is no other failure.
        self.0.fill(out).expect("the system's random source does not fail once it has been seeded");
    }
}

impl dyn Random {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}
