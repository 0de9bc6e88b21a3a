//! Response bodies inflated under a cap, into a buffer that is used again and again.

use libdeflater::Decompressor;
use memchr::memmem;

/// The most output that a buffer keeps room for between two bodies: a page of a thousand entries has 6 MB.
const KEPT_BYTES: usize = 8 << 20;
/// Deflate makes at most 1,032 bytes of one.
const MOST_FROM_ONE: usize = 1032;

/// How a body came over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// Gzip, of any number of members (RFC 1952 2.2).
    Gzip,
}

impl Coding {
    /// What a Content-Encoding means; `None` when it was not asked for.
    pub fn parse(header: Option<&[u8]>) -> Option<Coding> {
        match header.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Some(Coding::Identity),
            Some(b"gzip" | b"x-gzip") => Some(Coding::Gzip),
            Some(_) => None,
        }
    }
}

/// Why a body cannot be inflated.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// More than the cap; ask for less.
    #[error("its body is larger than {0} bytes when inflated")]
    TooLarge(usize),
    /// Not gzip.
    #[error("its gzip body is broken: {0}")]
    Broken(#[from] std::io::Error),
}

/// A decompressor and its buffer. Both are dear to make: a new buffer costs a page fault for every 4 kB.
#[derive(Default)]
pub struct Inflater {
    decompressor: Decompressor,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inflater({} bytes)", self.buffer.len())
    }
}

impl Inflater {
    /// Gives `work` the body, inflated to at most `cap_bytes`. A body that is not compressed is not copied.
    ///
    /// # Errors
    /// See [`InflateError`].
    pub fn read<T>(
        &mut self,
        wire: &[u8],
        coding: Coding,
        cap_bytes: usize,
        work: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, InflateError> {
        if coding == Coding::Identity {
            return Ok(work(wire));
        }
        let length = match self.inflate_member(wire, cap_bytes) {
            Some(length) => Ok(length),
            None => self.inflate_stream(wire, cap_bytes),
        };
        let done = length.map(|length| work(&self.buffer[..length]));
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        done
    }

    /// One member, at once. `None` when it may be anything else.
    fn inflate_member(&mut self, wire: &[u8], cap_bytes: usize) -> Option<usize> {
        // ISIZE, "the size of the original (uncompressed) input data modulo 2^32" (RFC 1952 2.3.1): the sender's word.
        let length = u32::from_le_bytes(*wire.last_chunk()?) as usize;
        if length > cap_bytes || length / MOST_FROM_ONE > wire.len() || may_have_members(wire) {
            return None;
        }
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let inflated = self.decompressor.gzip_decompress(wire, &mut self.buffer[..length]).ok()?;
        (inflated == length).then_some(length)
    }

    fn inflate_stream(&mut self, wire: &[u8], cap_bytes: usize) -> Result<usize, InflateError> {
        use std::io::Read;
        self.buffer.clear();
        let mut decoder = flate2::read::MultiGzDecoder::new(wire).take(cap_bytes as u64 + 1);
        decoder.read_to_end(&mut self.buffer)?;
        match self.buffer.len() {
            length if length > cap_bytes => Err(InflateError::TooLarge(cap_bytes)),
            length => Ok(length),
        }
    }
}

/// Whether a second member may follow: the one-shot decompressor would end before it and not say so. "ID1 = 31, ID2 =
/// 139", "CM = 8", flags whose "reserved bits must be zero" (RFC 1952 2.3). By chance it is so in 1 of 134 million bytes.
fn may_have_members(wire: &[u8]) -> bool {
    let behind = wire.get(4..).unwrap_or_default();
    memmem::find_iter(behind, b"\x1f\x8b\x08").any(|at| behind.get(at + 3).is_some_and(|flags| flags & 0xe0 == 0))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("write to memory");
        encoder.finish().expect("finish in memory")
    }

    #[test]
    fn bodies_are_inflated_under_the_cap_in_one_buffer() {
        let mut inflater = Inflater::default();
        let mut inflate = |wire: &[u8], cap| inflater.read(wire, Coding::Gzip, cap, <[u8]>::to_vec);
        let text = vec![b'a'; 50_000];
        assert_eq!(inflate(&gzip(&text), 50_000).expect("fits"), text);
        assert_eq!(inflate(&gzip(b"shorter"), 100_000).expect("fits"), b"shorter");
        assert_eq!(inflate(&gzip(b""), 0).expect("fits"), b"");
        assert!(matches!(inflate(&gzip(&text), 49_999), Err(InflateError::TooLarge(49_999))));
        for size in [10u32, 60_000, u32::MAX] {
            let mut lying = gzip(&text);
            let end = lying.len();
            lying[end - 4..].copy_from_slice(&size.to_le_bytes());
            assert!(inflate(&lying, 100_000).is_err(), "{size}");
            assert!(matches!(inflate(&lying, 40_000), Err(InflateError::TooLarge(_))), "{size}");
        }
        assert!(matches!(inflate(b"<html>", 100_000), Err(InflateError::Broken(_))));
        assert!(matches!(inflate(b"", 100_000), Err(InflateError::Broken(_))));
        let cut = gzip(&text);
        assert!(matches!(inflate(&cut[..cut.len() - 1], 100_000), Err(InflateError::Broken(_))));
        assert_eq!(inflate(&gzip(&text), 50_000).expect("errors leave nothing behind"), text);
    }

    #[test]
    fn no_member_is_left_out() {
        let mut inflater = Inflater::default();
        for parts in [["one ", "two"], ["same", "same"], ["", "x"], ["x", ""]] {
            let wire: Vec<u8> = parts.iter().flat_map(|part| gzip(part.as_bytes())).collect();
            let whole = inflater.read(&wire, Coding::Gzip, 100, <[u8]>::to_vec).expect("members");
            assert_eq!(whole, parts.concat().as_bytes());
        }
    }

    #[test]
    fn a_buffer_does_not_stay_large() {
        let mut inflater = Inflater::default();
        let wire = gzip(&vec![0; KEPT_BYTES + 1]);
        assert_eq!(inflater.read(&wire, Coding::Gzip, 2 * KEPT_BYTES, <[u8]>::len).ok(), Some(KEPT_BYTES + 1));
        assert_eq!(inflater.buffer.capacity(), 0);
        assert!(inflater.read(&wire[..wire.len() - 1], Coding::Gzip, 2 * KEPT_BYTES, <[u8]>::len).is_err());
        assert_eq!(inflater.buffer.capacity(), 0);
    }

    #[test]
    fn codings() {
        assert_eq!(Coding::parse(None), Some(Coding::Identity));
        assert_eq!(Coding::parse(Some(b"GZip")), Some(Coding::Gzip));
        assert_eq!(Coding::parse(Some(b"br")), None);
        let body = Inflater::default().read(b"plain", Coding::Identity, 0, <[u8]>::to_vec);
        assert_eq!(body.ok().as_deref(), Some(b"plain".as_slice()));
    }
}
