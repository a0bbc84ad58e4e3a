//! Where random bytes come from; tests may bring their own.

use std::cell::RefCell;

use aws_lc_rs::rand::SecureRandom;
use zeroize::Zeroize as _;

/// A source of random bytes that nobody can foresee.
pub trait Random: Send + Sync + 'static {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The machine's own (AWS-LC's CTR_DRBG, seeded by the kernel).
///
/// Every call asks the processor for fresh entropy, so that a call costs the same for ten bytes and for a thousand.
/// Each thread therefore draws ahead; what is handed out is wiped from its stock.
#[derive(Debug, Default)]
pub struct SystemRandom;

/// Bytes that a thread draws at once.
const STOCK_BYTES: usize = 1024;
/// The most that is taken from the stock; more is drawn for itself.
const FROM_STOCK_MAX: usize = 256;

/// Random bytes drawn ahead: the first `left` are still there.
struct Stock {
    bytes: [u8; STOCK_BYTES],
    left: usize,
}

impl Stock {
    fn take(&mut self, out: &mut [u8]) {
        if self.left < out.len() {
            draw(&mut self.bytes);
            self.left = STOCK_BYTES;
        }
        let taken = &mut self.bytes[self.left - out.len()..self.left];
        out.copy_from_slice(taken);
        taken.zeroize();
        self.left -= out.len();
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

fn draw(out: &mut [u8]) {
    // AWS-LC itself aborts the process when it has no entropy; there is no other failure.
    let drawn = aws_lc_rs::rand::SystemRandom::new().fill(out);
    drawn.expect("the system's random source does not fail once it has been seeded");
}

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        thread_local! {
            static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK_BYTES], left: 0 }) };
        }
        if out.len() > FROM_STOCK_MAX {
            draw(out);
        } else {
            STOCK.with_borrow_mut(|stock| stock.take(out));
        }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_draws_are_alike_whatever_their_sizes_and_threads() {
        let draws = || {
            let one = |length: usize| {
                let mut out = vec![0; length];
                SystemRandom.fill(&mut out);
                out[..16].to_vec()
            };
            (0..200)
                .flat_map(|nth| [one(16), one(FROM_STOCK_MAX - nth % 7), one(FROM_STOCK_MAX + 1)])
                .collect::<Vec<_>>()
        };
        let (here, there) = std::thread::scope(|scope| {
            let there = scope.spawn(draws);
            (draws(), there.join().unwrap())
        });
        let all: HashSet<Vec<u8>> = here.iter().chain(&there).cloned().collect();
        assert_eq!(all.len(), here.len() + there.len());
    }

    #[test]
    fn what_was_handed_out_is_no_longer_in_the_stock() {
        let mut stock = Stock { bytes: [0; STOCK_BYTES], left: 0 };
        let mut out = [0; 100];
        stock.take(&mut out);
        assert!(out.iter().any(|byte| *byte != 0));
        assert!(stock.bytes[stock.left..].iter().all(|byte| *byte == 0));
        assert_eq!(stock.left, STOCK_BYTES - out.len());
    }
}
