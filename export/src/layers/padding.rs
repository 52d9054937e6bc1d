//! Zeros behind the end of a gzip stream, as tapes and block devices leave them. `gzip -d` skips them, and so
//! do the readers of layers; engines refuse the blob. So a blob that is copied goes out without them.
//!
//! ```text
//! member …  CRC-32, length of the tar  00 00 00 …
//!           the trailer                padding
//! ```
//!
//! The trailer of a small layer ends with zeros of its own. What it says of the length shows in nearly all
//! cases that these are all; only where it does not, the blob is read.

use std::io::{self, Read};

use layerlift_archive::{Compression, Decompressor, FileRange};
use layerlift_store::BlobLayer;

/// How much of the end is looked at.
const TAIL: u64 = 64;
/// More zeros than a trailer can have, with a few of the compressed data.
const TRAILER: usize = 16;
/// How the empty member at the end of an eStargz layer ends, but for the zeros of its trailer.
const EMPTY: &[u8] = &[1, 0, 0, 0xff, 0xff];

/// The number of zeros behind the end of a blob's gzip stream. 0 where they cannot be counted: the blob's
/// reader says why.
pub(super) fn of(layer: &BlobLayer) -> u64 {
    match layer.compression {
        Compression::Gzip => count(&layer.stored).unwrap_or(0),
        _ => 0,
    }
}

fn count(stored: &FileRange) -> io::Result<u64> {
    let mut tail = Vec::new();
    let from = stored.len.saturating_sub(TAIL);
    stored.clone().into_raw_reader_at(from).read_to_end(&mut tail)?;
    let zeros = tail.iter().rev().take_while(|&&byte| byte == 0).count();
    if is_bare(&tail, zeros, stored.len) {
        return Ok(0);
    }
    let mut plain = Decompressor::new(Compression::Gzip, io::sink())?;
    io::copy(&mut stored.clone().into_raw_reader(), &mut plain)?;
    plain.finish_padded().map(|(_, padding)| padding)
}

/// Whether the zeros at the end belong to the trailer for certain.
fn is_bare(tail: &[u8], zeros: usize, len: u64) -> bool {
    let ends = |padding: usize| {
        let end = &tail[..tail.len().saturating_sub(padding)];
        end.last_chunk().is_some_and(|&size| is_length(u32::from_le_bytes(size).into(), len))
    };
    zeros == 0
        || (zeros < TRAILER && ends(0) && !(1..=zeros).any(ends))
        || (zeros == 8 && tail[..tail.len() - zeros].ends_with(EMPTY))
}

/// Whether a tar of this length can become a stream of `len` bytes. Deflate makes nothing smaller than by
/// 1032, and larger only by a few bytes in each block.
fn is_length(tar: u64, len: u64) -> bool {
    tar.is_multiple_of(512) && tar <= len.saturating_mul(1032) && len <= tar + tar / 1000 + 1024
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use layerlift_archive::{CompressionLevel, Compressor};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = Compressor::new(Vec::new(), CompressionLevel::GZIP, NonZeroUsize::MIN);
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn padding(bytes: &[u8]) -> u64 {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let stored = FileRange { file: Arc::new(file), offset: 0, len: bytes.len() as u64, digest: None };
        of(&BlobLayer::new(stored, Compression::Gzip, None))
    }

    fn tar(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i / 7 % 251) as u8).collect()
    }

    #[test]
    fn counts_zeros_that_are_not_the_trailers() {
        let random: Vec<u8> = (0u64..70_000).map(|i| (i.wrapping_mul(i + 0x9e37_79b9) >> 7) as u8).collect();
        for tar in [tar(0), tar(1024), tar(10_240), tar(700_000), vec![0; 262_144], random, tar(16 << 20)] {
            for stream in [gzip(&tar), [gzip(&tar), gzip(b"")].concat(), [gzip(b"x"), gzip(&tar)].concat()] {
                for zeros in [0, 1, 2, 3, 4, 7, 8, 9, 64, 512, 10_240] {
                    let padded = [stream.clone(), vec![0; zeros]].concat();
                    assert_eq!(padding(&padded), zeros as u64, "{} {}", tar.len(), stream.len());
                }
            }
        }
    }

    /// What is not a gzip stream is for its reader to refuse.
    #[test]
    fn counts_nothing_where_there_is_no_end() {
        let stream = gzip(&tar(10_240));
        assert_eq!(padding(&[&stream[..20], &[0; 512]].concat()), 0);
        assert_eq!(padding(&[&stream[..], b"x", &[0; 512]].concat()), 0);
        assert_eq!(padding(&[0; 512]), 0);
        assert_eq!(padding(&[0; 3]), 0);
    }

    /// Most layers are not read for that.
    #[test]
    fn a_usual_trailer_is_enough() {
        for len in [1024, 10_240, 700_416, 15 << 20] {
            let stream = gzip(&tar(len));
            let tail = &stream[stream.len() - 64.min(stream.len())..];
            let zeros = tail.iter().rev().take_while(|&&byte| byte == 0).count();
            assert!(is_bare(tail, zeros, stream.len() as u64), "{len}");
        }
    }
}
