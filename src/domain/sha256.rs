//! SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF-Expand (RFC 5869 §2.3): the one place that knows who computes them.
//!
//! All else that is cryptographic comes from aws-lc-rs. These do not, because a record asks for some seventy hashes of
//! one or two blocks, where HMAC's and HKDF's contexts, allocations and dispatch cost as much as their hashing. The
//! crates `hmac` and `hkdf` and the buffers of `sha2` save little of it. So only the compression function comes from
//! `sha2` (SHA instructions of x86-64 and ARMv8, found at run time), and what is done here is to pad. Measured on one
//! core with SHA instructions, in ns:
//!
//! | | aws-lc-rs | sha2, hmac, hkdf | here |
//! |---|---|---|---|
//! | SHA-256 of 41 bytes / 2,100 bytes | 57 / 1,171 | 76 / 1,182 | 50 / 1,168 |
//! | 30 salted commitments | 2,560 | | 1,810 |
//! | HMAC of 41 bytes, key at hand / new key | 205 / 400 | 146 / 222 | 110 / 172 |
//! | HKDF-Expand to 32 bytes / to 480 bytes | 285 / 1,930 | 250 / 2,090 | 155 / 1,460 |
//!
//! Processors without SHA instructions (x86-64 before Ice Lake and Zen) pay for it: 2,100 bytes take 5,580 ns, AWS-LC
//! would take 4,160; HMAC of 41 bytes 360 and 390.

use sha2::block_api::compress256;
use zeroize::{Zeroizing, optimization_barrier};

/// Length of a SHA-256 value, in bytes.
pub const HASH_BYTES: usize = 32;
/// The most bytes of `info` that [`expand`] takes: with what stands around them they are two blocks.
pub const INFO_BYTES_MAX: usize = 2 * BLOCK_BYTES - HASH_BYTES - 1 - PADDING_BYTES_MIN;

const BLOCK_BYTES: usize = 64;
const LENGTH_BYTES: usize = 8;
/// The mark behind a message, and its length.
const PADDING_BYTES_MIN: usize = 1 + LENGTH_BYTES;
const MARK: u8 = 0x80;
/// The most blocks that HKDF-Expand makes.
const STEPS_MAX: usize = 255;
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

type Block = [u8; BLOCK_BYTES];
type State = [u32; 8];

/// The state that every message begins with (FIPS 180-4 §5.3.3).
const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The first bytes of a hash: at most all.
pub fn head<const N: usize>(hash: &[u8; HASH_BYTES]) -> [u8; N] {
    *hash.first_chunk().expect("no more is taken than there is")
}

/// SHA-256 of bytes that lie together.
pub fn sha256(data: &[u8]) -> [u8; HASH_BYTES] {
    let (blocks, rest) = data.as_chunks();
    let mut state = START;
    compress256(&mut state, blocks);
    let mut last = [[0; BLOCK_BYTES]; 2];
    last.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
    compress256(&mut state, pad(&mut last, rest.len(), data.len()));
    wipe(last.as_flattened_mut());
    bytes(&state)
}

/// SHA-256 of bytes that come one after the other.
#[derive(Clone)]
pub struct Sha256 {
    state: State,
    block: Block,
    filled: usize,
    length: usize,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self::after(START, 0)
    }

    const fn after(state: State, length: usize) -> Self {
        Self { state, block: [0; BLOCK_BYTES], filled: 0, length }
    }

    /// Adds bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        self.length += data.len();
        if self.filled > 0 {
            let (head, rest) = data.split_at(data.len().min(BLOCK_BYTES - self.filled));
            self.block[self.filled..self.filled + head.len()].copy_from_slice(head);
            self.filled += head.len();
            if self.filled < BLOCK_BYTES {
                return;
            }
            compress256(&mut self.state, &[self.block]);
            data = rest;
        }
        let (blocks, rest) = data.as_chunks();
        compress256(&mut self.state, blocks);
        self.block[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// The hash of all of them.
    pub fn finish(mut self) -> [u8; HASH_BYTES] {
        let mut last = [self.block, [0; BLOCK_BYTES]];
        last[0][self.filled..].fill(0);
        compress256(&mut self.state, pad(&mut last, self.filled, self.length));
        wipe(last.as_flattened_mut());
        bytes(&self.state)
    }
}

/// A key's state tells as much as the key, and what is hashed can be about a person.
impl Drop for Sha256 {
    fn drop(&mut self) {
        self.state = START;
        wipe(&mut self.block);
        optimization_barrier(self);
    }
}

/// A key of HMAC-SHA256, set up: the states behind the two blocks that the key is put into.
#[derive(Clone)]
pub struct HmacKey {
    inner: State,
    outer: State,
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        (self.inner, self.outer) = (START, START);
        optimization_barrier(self);
    }
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacKey(…)")
    }
}

impl HmacKey {
    /// Sets a key up.
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        match key.len() {
            ..=BLOCK_BYTES => block[..key.len()].copy_from_slice(key),
            _ => block[..HASH_BYTES].copy_from_slice(&sha256(key)),
        }
        let mut set_up = Self { inner: START, outer: START };
        block.iter_mut().for_each(|byte| *byte ^= INNER_PAD);
        compress256(&mut set_up.inner, &[block]);
        block.iter_mut().for_each(|byte| *byte ^= INNER_PAD ^ OUTER_PAD);
        compress256(&mut set_up.outer, &[block]);
        wipe(&mut block);
        set_up
    }

    /// The HMAC of bytes that come one after the other.
    pub const fn begin(&self) -> Hmac<'_> {
        Hmac { key: self, message: Sha256::after(self.inner, BLOCK_BYTES) }
    }

    /// The HMAC of the first `filled` bytes of two blocks; what is behind them is written over.
    fn of_blocks(&self, message: &mut [Block; 2], filled: usize) -> [u8; HASH_BYTES] {
        let mut state = self.inner;
        compress256(&mut state, pad(message, filled, BLOCK_BYTES + filled));
        self.finish(&bytes(&state))
    }

    fn finish(&self, inner: &[u8; HASH_BYTES]) -> [u8; HASH_BYTES] {
        let mut last = [[0; BLOCK_BYTES]; 2];
        last[0][..HASH_BYTES].copy_from_slice(inner);
        let mut state = self.outer;
        compress256(&mut state, pad(&mut last, HASH_BYTES, BLOCK_BYTES + HASH_BYTES));
        wipe(last.as_flattened_mut());
        bytes(&state)
    }
}

/// An HMAC in the making.
#[derive(Clone)]
pub struct Hmac<'k> {
    key: &'k HmacKey,
    message: Sha256,
}

impl Hmac<'_> {
    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.message.update(data);
    }

    /// The HMAC of all of them.
    pub fn finish(self) -> [u8; HASH_BYTES] {
        self.key.finish(&self.message.finish())
    }
}

/// HKDF-Expand-SHA256: fills `out`, at most 255 hashes long, from a key that is random already. `info` comes in parts,
/// at most [`INFO_BYTES_MAX`] in all.
pub fn expand(key: &[u8; HASH_BYTES], info: &[&[u8]], out: &mut [u8]) {
    assert!(out.len() <= STEPS_MAX * HASH_BYTES, "HKDF-Expand-SHA256 gives at most 8,160 bytes");
    let info_bytes: usize = info.iter().map(|part| part.len()).sum();
    assert!(info_bytes <= INFO_BYTES_MAX, "an info of at most {INFO_BYTES_MAX} bytes");
    let key = HmacKey::new(key);
    let mut message = [[0; BLOCK_BYTES]; 2];
    let mut step = [0; HASH_BYTES];
    let mut end = 0;
    for (number, piece) in (1..=u8::MAX).zip(out.chunks_mut(HASH_BYTES)) {
        let bytes = message.as_flattened_mut();
        // The step before || info || number: the first has none before it, and from the second on all stays in place.
        if number <= 2 {
            bytes.fill(0);
            end = if number == 1 { 0 } else { HASH_BYTES };
            for part in info {
                bytes[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
        }
        if number > 1 {
            bytes[..HASH_BYTES].copy_from_slice(&step);
        }
        bytes[end] = number;
        step = key.of_blocks(&mut message, end + 1);
        piece.copy_from_slice(&step[..piece.len()]);
    }
    wipe(message.as_flattened_mut());
    wipe(&mut step);
}

/// Many short messages, each hashed for itself. They are padded as they are written and hashed later, all at once: a
/// processor that hashes bytes which it has only just written waits for them, a third of the time of a short hash.
#[derive(Default)]
pub struct Batch {
    /// Messages with their padding.
    blocks: Zeroizing<Vec<u8>>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Batch {
    /// As many bytes as are gathered at once: they stay in the nearest cache, and no whole record stays in memory.
    const BYTES_MAX: usize = 4096;

    /// Adds the message that `write` appends. The hashes of some are appended to `hashes`: in order, those of all when
    /// [`Self::finish`] has been called.
    pub fn add(&mut self, hashes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.blocks.len();
        write(&mut self.blocks);
        let length = self.blocks.len() - start;
        self.blocks.push(MARK);
        self.blocks.resize(start + padded(length) - LENGTH_BYTES, 0);
        self.blocks.extend_from_slice(&bits(length));
        self.ends.push(self.blocks.len());
        if self.blocks.len() >= Self::BYTES_MAX {
            self.finish(hashes);
        }
    }

    /// Appends the hashes that are still owed, and forgets the messages.
    pub fn finish(&mut self, hashes: &mut Vec<u8>) {
        let mut start = 0;
        for end in self.ends.drain(..) {
            let mut state = START;
            compress256(&mut state, self.blocks[start..end].as_chunks().0);
            hashes.extend_from_slice(&bytes(&state));
            start = end;
        }
        self.wipe();
    }

    /// Forgets what was added since the last hash.
    pub fn clear(&mut self) {
        self.wipe();
        self.ends.clear();
    }

    /// What is gathered are a person's values: the buffer stays, and they do not.
    fn wipe(&mut self) {
        wipe(&mut self.blocks);
        self.blocks.clear();
    }
}

/// Pads the last bytes of a message (FIPS 180-4 §5.1.1): the `filled` first of `last`, behind which are zeros or an
/// earlier padding. The message is `length` bytes long.
fn pad(last: &mut [Block; 2], filled: usize, length: usize) -> &[Block] {
    let end = padded(filled);
    let bytes = last.as_flattened_mut();
    bytes[filled] = MARK;
    bytes[end - LENGTH_BYTES..end].copy_from_slice(&bits(length));
    &last[..end / BLOCK_BYTES]
}

/// How long `length` bytes are with their padding.
const fn padded(length: usize) -> usize {
    (length + PADDING_BYTES_MIN).next_multiple_of(BLOCK_BYTES)
}

const fn bits(length: usize) -> [u8; LENGTH_BYTES] {
    (length as u64 * 8).to_be_bytes()
}

fn bytes(state: &State) -> [u8; HASH_BYTES] {
    let mut out = [0; HASH_BYTES];
    out.as_chunks_mut().0.iter_mut().zip(state).for_each(|(four, word)| *four = word.to_be_bytes());
    out
}

/// Zeros, written even though nobody reads them again. (`Zeroize` writes a slice byte by byte.)
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    optimization_barrier(bytes);
}

#[cfg(test)]
mod tests;
