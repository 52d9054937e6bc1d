//! Parallel compression. The output does not depend on the number of threads: the input is cut into blocks of
//! a fixed size, and each becomes a gzip member or a zstd frame. Members one after another are one stream to
//! every reader (RFC 1952, section 2.2; RFC 8878, section 3).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::CompressionLevel;
use super::encoder::Encoders;

/// Compresses what is written to it. Nothing is complete before [`Compressor::finish`].
pub struct Compressor<W: Write> {
    out: W,
    /// Bytes of a block.
    full: usize,
    encoders: Arc<Encoders>,
    block: Vec<u8>,
    threads: usize,
    /// `None`: the caller's thread compresses.
    pool: Option<rayon::ThreadPool>,
    /// Blocks that are being compressed, in order.
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    blocks: u64,
}

impl<W: Write> Compressor<W> {
    /// Compresses to `out` with this many threads.
    pub fn new(out: W, level: CompressionLevel, threads: NonZeroUsize) -> Self {
        let threads = threads.get();
        // If no thread can be started, the caller's does the work: slower, the same bytes.
        let pool = if threads > 1 {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok()
        } else {
            None
        };
        let (full, encoders) = (level.block(), Arc::new(Encoders::new(level)));
        let block = Vec::with_capacity(full);
        Compressor { out, full, encoders, block, threads, pool, pending: VecDeque::new(), blocks: 0 }
    }

    fn start_block(&mut self) -> io::Result<()> {
        self.blocks += 1;
        let Some(pool) = &self.pool else {
            let compressed = self.encoders.encode(&self.block)?;
            self.block.clear();
            return self.write_compressed(compressed);
        };
        let mut next = self.encoders.buffer();
        next.reserve_exact(self.full);
        let block = std::mem::replace(&mut self.block, next);
        let (done, result) = sync_channel(1);
        let encoders = self.encoders.clone();
        pool.spawn(move || {
            let compressed = encoders.encode(&block);
            encoders.give(block);
            // Nobody waits for it once the output has failed.
            let _ = done.send(compressed);
        });
        self.pending.push_back(result);
        if self.pending.len() > self.threads + 1 { self.write_next() } else { Ok(()) }
    }

    fn write_next(&mut self) -> io::Result<()> {
        let Some(result) = self.pending.pop_front() else { return Ok(()) };
        let compressed = result.recv().map_err(|_| io::Error::other("a compressing thread has ended"))??;
        self.write_compressed(compressed)
    }

    fn write_compressed(&mut self, compressed: Vec<u8>) -> io::Result<()> {
        let written = self.out.write_all(&compressed);
        self.encoders.give(compressed);
        written
    }

    /// Writes what is left, and returns the output. If nothing was written, that is an empty member.
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
        let room = self.full - self.block.len();
        let n = bytes.len().min(room);
        self.block.extend_from_slice(&bytes[..n]);
        if n == room {
            self.start_block()?;
        }
        Ok(n)
    }

    /// Does nothing: to write a block before it is full would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn compress(bytes: &[u8], level: CompressionLevel, threads: usize) -> Vec<u8> {
        let mut compressor = Compressor::new(Vec::new(), level, NonZeroUsize::new(threads).unwrap());
        compressor.write_all(bytes).unwrap();
        compressor.finish().unwrap()
    }

    #[test]
    fn same_bytes_for_any_number_of_threads() {
        let built_in = [CompressionLevel::GZIP, CompressionLevel::ZSTD];
        let built_in = &built_in[..if cfg!(feature = "zstd") { 2 } else { 1 }];
        for &level in built_in {
            let block = level.block();
            for len in [0, 1, block - 1, block, block + 1, 9 * block + 3] {
                // The blocks are all different.
                let bytes: Vec<u8> = (0..len).map(|i| (i / 7 % 251 + i / block * (i % 3)) as u8).collect();
                let one = compress(&bytes, level, 1);
                let mut plain = Vec::new();
                level.compression().decompress(&*one).unwrap().read_to_end(&mut plain).unwrap();
                assert_eq!(plain, bytes, "{level} {len}");
                for threads in [2, 8] {
                    assert!(compress(&bytes, level, threads) == one, "{level} {len} {threads}");
                }
            }
        }
    }

    #[cfg(not(feature = "zstd"))]
    #[test]
    fn without_its_feature_a_level_cannot_be_written() {
        let mut compressor = Compressor::new(Vec::new(), CompressionLevel::ZSTD, NonZeroUsize::MIN);
        compressor.write_all(b"x").unwrap();
        let error = compressor.finish().unwrap_err();
        assert_eq!(crate::ErrorKind::of_io(&error), Some(crate::ErrorKind::Unsupported));
    }
}
