//! Compression in parallel, whose output does not depend on the number of threads: the input is cut into blocks of fixed
//! size, each becomes a gzip member or a zstd frame of its own, and those follow each other in order. Members one after
//! another are one stream to every reader (RFC 1952, section 2.2; RFC 8878, section 3).

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::write::GzEncoder;

/// A compression and its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// gzip, level 1 to 9.
    Gzip(u32),
    /// zstd, level 1 to 22.
    Zstd(i32),
}

/// A text that names no [`Compression`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no compression: gzip, gzip:1 to gzip:9, zstd, zstd:1 to zstd:22")]
pub struct ParseCompressionError(String);

impl Compression {
    /// gzip at the level that engines use.
    pub const GZIP: Self = Compression::Gzip(6);
    /// zstd at the level that engines use.
    pub const ZSTD: Self = Compression::Zstd(3);

    /// Bytes of input per block: enough that cutting costs little, small enough that a few per thread fit in memory.
    fn block(self) -> usize {
        match self {
            Compression::Gzip(_) => 512 << 10,
            Compression::Zstd(_) => 2 << 20,
        }
    }

    fn compress(self, block: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Compression::Gzip(level) => {
                let out = Vec::with_capacity(block.len() / 2);
                let mut encoder = GzEncoder::new(out, flate2::Compression::new(level));
                encoder.write_all(block)?;
                encoder.finish()
            }
            Compression::Zstd(level) => zstd::bulk::compress(block, level),
        }
    }
}

impl FromStr for Compression {
    type Err = ParseCompressionError;

    fn from_str(text: &str) -> Result<Self, ParseCompressionError> {
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
        let level =
            level.map(str::parse::<u8>).transpose().map_err(|_| ParseCompressionError(text.to_owned()))?;
        match (name, level) {
            ("gzip", None) => Ok(Compression::GZIP),
            ("zstd", None) => Ok(Compression::ZSTD),
            ("gzip", Some(level @ 1..=9)) => Ok(Compression::Gzip(level.into())),
            ("zstd", Some(level @ 1..=22)) => Ok(Compression::Zstd(level.into())),
            _ => Err(ParseCompressionError(text.to_owned())),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::Gzip(level) => write!(f, "gzip:{level}"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// Compresses what is written to it. Nothing is complete before [`Compressor::finish`].
pub struct Compressor<W: Write> {
    out: W,
    compression: Compression,
    block: Vec<u8>,
    threads: usize,
    /// `None`: on the caller's thread.
    pool: Option<rayon::ThreadPool>,
    /// Blocks at work, in order.
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    blocks: u64,
}

impl<W: Write> Compressor<W> {
    /// Compresses to `out` with as many threads.
    pub fn new(out: W, compression: Compression, threads: NonZeroUsize) -> Self {
        let threads = threads.get();
        // Without threads to be had, the caller's does it: slower, the same bytes.
        let pool = if threads > 1 {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok()
        } else {
            None
        };
        let block = Vec::with_capacity(compression.block());
        Compressor { out, compression, block, threads, pool, pending: VecDeque::new(), blocks: 0 }
    }

    fn start_block(&mut self) -> io::Result<()> {
        self.blocks += 1;
        let Some(pool) = &self.pool else {
            let compressed = self.compression.compress(&self.block)?;
            self.block.clear();
            return self.out.write_all(&compressed);
        };
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(self.compression.block()));
        let (done, result) = sync_channel(1);
        let compression = self.compression;
        pool.spawn(move || {
            // Nobody waits any more if the output has failed.
            let _ = done.send(compression.compress(&block));
        });
        self.pending.push_back(result);
        if self.pending.len() > self.threads + 1 { self.write_next() } else { Ok(()) }
    }

    fn write_next(&mut self) -> io::Result<()> {
        let Some(result) = self.pending.pop_front() else { return Ok(()) };
        let compressed = result.recv().map_err(|_| io::Error::other("a compressing thread has ended"))??;
        self.out.write_all(&compressed)
    }

    /// Writes what is left, and returns the output. Of nothing, it makes a member that says so.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || self.blocks == 0 {
            self.start_block()?;
        }
        while !self.pending.is_empty() {
            self.write_next()?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.compression.block() - self.block.len();
        let n = bytes.len().min(room);
        self.block.extend_from_slice(&bytes[..n]);
        if n == room {
            self.start_block()?;
        }
        Ok(n)
    }

    /// A block is written when it is full; flushing one early would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn compress(bytes: &[u8], compression: Compression, threads: usize) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), compression, NonZeroUsize::new(threads).unwrap());
        compressor.write_all(bytes).unwrap();
        compressor.finish().unwrap()
    }

    fn decompress(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::Gzip(_) => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out).unwrap(),
            Compression::Zstd(_) => {
                zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out).unwrap()
            }
        };
        out
    }

    #[test]
    fn same_bytes_for_any_number_of_threads() {
        for compression in [Compression::GZIP, Compression::ZSTD] {
            let block = compression.block();
            for len in [0, 1, block - 1, block, block + 1, 5 * block + 3] {
                let bytes: Vec<u8> = (0..len).map(|i| (i / 7 % 251) as u8).collect();
                let one = compress(&bytes, compression, 1);
                assert_eq!(decompress(&one, compression), bytes, "{compression} {len}");
                for threads in [2, 8] {
                    assert!(compress(&bytes, compression, threads) == one, "{compression} {len} {threads}");
                }
            }
        }
    }

    #[test]
    fn names_and_levels() {
        for (text, compression) in [
            ("gzip", Compression::GZIP),
            ("gzip:9", Compression::Gzip(9)),
            ("zstd:19", Compression::Zstd(19)),
        ] {
            assert_eq!(text.parse(), Ok(compression));
            assert_eq!(compression.to_string().parse(), Ok(compression));
        }
        for text in ["", "xz", "gzip:", "gzip:0", "gzip:10", "zstd:23", "zstd:-1", "gzip:6:6"] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
