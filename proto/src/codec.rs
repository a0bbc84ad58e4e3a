//! The codec of every call: prost's, for messages whose parts are not too many for their bytes.
//!
//! A message is bounded by its bytes, but an empty part takes two of them, and some hundred once it is read. So the parts at
//! its top, where they are messages and the largest, are counted before anything is read.

use std::marker::PhantomData;

use prost::{
    Message,
    bytes::Buf,
    encoding::{DecodeContext, WireType, decode_key, skip_field},
};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// So many fields, and items of repeated fields, a message may have at its top, however short they are.
pub const PARTS_FREE: usize = 1_024;
/// So many bytes of the message there must be for each part beyond.
pub const PART_BYTES_MIN: usize = 64;

/// Encodes as [`ProstCodec`] does, and decodes what has no more than [`PARTS_FREE`] parts and one for each
/// [`PART_BYTES_MIN`] bytes; else OUT_OF_RANGE, as for a message of too many bytes.
#[derive(Debug, Clone)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstCodec::<T, U>::default().decoder())
    }
}

/// Decodes messages that have not too many parts.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The whole message is there, in one piece.
        let message = buf.chunk();
        let max = parts_max(message.len());
        if has_more_parts(message, max) {
            return Err(Status::out_of_range(format!("a message of {} bytes has at most {max} parts", message.len())));
        }
        self.0.decode(buf)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

const fn parts_max(bytes: usize) -> usize {
    PARTS_FREE + bytes / PART_BYTES_MIN
}

/// Whether a message has more parts than that. What is malformed is the decoder's matter, which ends where this does.
fn has_more_parts(mut message: &[u8], max: usize) -> bool {
    let mut parts = 0;
    while let Ok((tag, wire)) = decode_key(&mut message) {
        if parts == max {
            return true;
        }
        let skipped = match wire {
            WireType::StartGroup | WireType::EndGroup => return false, // not in proto3: malformed
            wire => skip_field(wire, tag, &mut message, DecodeContext::default()),
        };
        if skipped.is_err() {
            return false;
        }
        parts += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{NumberedSubmission, ReceiptDetail, SubmitStreamRequest};

    fn message(submissions: usize) -> Vec<u8> {
        let submissions = vec![NumberedSubmission::default(); submissions];
        SubmitStreamRequest { receipt_detail: ReceiptDetail::Index.into(), submissions }.encode_to_vec()
    }

    #[test]
    fn parts_are_counted_up_to_the_bound() {
        for (submissions, more) in [(0, false), (9, false), (10, true), (100, true)] {
            assert_eq!(has_more_parts(&message(submissions), 10), more, "{submissions} and the detail");
        }
    }

    #[test]
    fn long_parts_may_be_more() {
        assert_eq!((parts_max(0), parts_max(63), parts_max(64), parts_max(4 << 20)), (1_024, 1_024, 1_025, 66_560));
    }

    #[test]
    fn what_is_malformed_is_left_to_the_decoder() {
        let whole = message(3);
        assert!((0..whole.len()).all(|end| !has_more_parts(&whole[..end], 4)));
        for malformed in [&[0x0b][..], &[0x0c], &[0xff; 20], &[0x0a, 0xff], &[0x00]] {
            assert!(!has_more_parts(malformed, 1), "{malformed:?}");
        }
    }
}
