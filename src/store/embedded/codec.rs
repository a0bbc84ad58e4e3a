//! Bytes of stored rows: big-endian integers, LEB128 varints, and a reader that cannot panic. Not what the rows mean.

use super::StoreError;

/// Bytes that are not a row of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Names the row in the error: never its content.
pub(super) fn corrupt(row: &'static str) -> impl Fn(Malformed) -> StoreError {
    move |_| StoreError::Corrupt(format!("a row of {row} is not readable"))
}

/// Takes a row apart from its front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes` from the first to the last.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// A reader of the same rest, to look ahead.
    pub(super) const fn fork(&self) -> Self {
        Self(self.0)
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, big-endian.
    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes, big-endian.
    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, big-endian.
    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A varint of at most 64 bits.
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A count of things that take at least `bytes_each`: more than the row can hold is malformed, and allocates
    /// nothing.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        if count.checked_mul(bytes_each).is_some_and(|bytes| bytes <= self.0.len()) {
            Ok(count)
        } else {
            Err(Malformed)
        }
    }

    /// How many bytes are left.
    pub(super) const fn left(&self) -> usize {
        self.0.len()
    }

    /// Whether the row ended where it should.
    pub(super) const fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appends a varint (LEB128).
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends ascending numbers as the gaps between them.
pub(super) fn put_ascending(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) {
    let mut before = 0;
    for number in numbers {
        put_varint(out, number - before);
        before = number;
    }
}

/// Those of what [`put_ascending`] wrote that, each added to `base`, lie in `range`; the first `limit`.
pub(super) fn ascending_within(
    bytes: &[u8],
    base: u64,
    range: &std::ops::Range<u64>,
    limit: usize,
) -> Result<Vec<u64>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut numbers = Vec::new();
    let mut number = base;
    while reader.left() > 0 && numbers.len() < limit {
        number = number.checked_add(reader.varint()?).ok_or(Malformed)?;
        if number >= range.end {
            break;
        }
        if number >= range.start {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

/// Reads what [`put_ascending`] wrote, up to the end of `bytes`, each number added to `base`.
pub(super) fn ascending(bytes: &[u8], base: u64) -> Result<Vec<u64>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut numbers = Vec::new();
    let mut number = base;
    while reader.left() > 0 {
        number = number.checked_add(reader.varint()?).ok_or(Malformed)?;
        numbers.push(number);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_and_gaps_round_trip(
            value in any::<u64>(),
            mut numbers in proptest::collection::vec(any::<u32>(), 0..50),
        ) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(Reader::new(&out).varint(), Ok(value));

            numbers.sort_unstable();
            let numbers: Vec<u64> = numbers.into_iter().map(u64::from).collect();
            let mut out = Vec::new();
            put_ascending(&mut out, numbers.iter().copied());
            prop_assert_eq!(ascending(&out, 0), Ok(numbers));
        }

        #[test]
        fn what_lies_within_a_range_is_read_in_order_up_to_the_limit(
            mut numbers in proptest::collection::vec(0_u64..100, 0..50),
            range in (0_u64..120, 0_u64..120),
            limit in 0_usize..20,
        ) {
            numbers.sort_unstable();
            let mut out = Vec::new();
            put_ascending(&mut out, numbers.iter().copied());
            let range = range.0..range.1;
            let within: Vec<u64> = numbers.iter().map(|number| number + 7).filter(|one| range.contains(one)).collect();
            let first = within[..within.len().min(limit)].to_vec();
            prop_assert_eq!(ascending_within(&out, 7, &range, limit), Ok(first));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            while reader.varint().is_ok() {}
            let _ = (reader.count(8), reader.u64(), reader.u32(), reader.end());
        }
    }
}
