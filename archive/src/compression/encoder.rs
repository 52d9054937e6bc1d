//! What turns a block into a gzip member or a zstd frame. An encoder and its buffers are used for many
//! blocks, since they are large.
//!
//! libdeflate compresses more than zlib in less time, but only what is in memory as a whole. Its levels mean
//! other things, so each level of gzip is one of libdeflate's that is faster than zlib there and writes less.
//! Measured in blocks of 1 MiB, on libraries, programs and documents (size, MB/s):
//!
//! ```text
//! gzip   zlib-rs                       libdeflate
//! 1      0.415 157  0.504 179  0.675 107      1   0.334 138  0.408 160  0.621 151
//! 6      0.319  57  0.388  37  0.611  49      4   0.315 109  0.387  96  0.611 102
//! 9      0.307  16  0.379  18  0.610  38      9   0.301  20  0.375  21  0.606  52
//! ```

use std::io;
use std::sync::{Mutex, PoisonError};

use super::{Compression, CompressionLevel};

/// Which of libdeflate's levels stands for each of gzip's, from 1.
#[cfg(feature = "libdeflate")]
const LEVELS: [i32; 9] = [1, 2, 2, 3, 4, 4, 5, 7, 9];

/// Compresses blocks, one after another.
pub(super) enum Encoder {
    #[cfg(feature = "libdeflate")]
    Gzip(libdeflater::Compressor),
    #[cfg(not(feature = "libdeflate"))]
    Gzip(flate2::Compression),
    #[cfg(feature = "zstd")]
    Zstd(zstd::bulk::Compressor<'static>),
}

impl CompressionLevel {
    /// Bytes of input per block: enough that cutting costs little, small enough that a few per thread fit in
    /// memory.
    pub(super) fn block(self) -> usize {
        if self.compression == Compression::Gzip { 1 << 20 } else { 2 << 20 }
    }

    fn encoder(self) -> io::Result<Encoder> {
        match self.compression {
            #[cfg(feature = "libdeflate")]
            Compression::Gzip => {
                let level = LEVELS[usize::from(self.level.clamp(1, 9)) - 1];
                let level = libdeflater::CompressionLvl::new(level);
                let level = level.map_err(|_| io::Error::other("libdeflate does not have the level"))?;
                Ok(Encoder::Gzip(libdeflater::Compressor::new(level)))
            }
            #[cfg(not(feature = "libdeflate"))]
            Compression::Gzip => Ok(Encoder::Gzip(flate2::Compression::new(self.level.into()))),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Ok(Encoder::Zstd(zstd::bulk::Compressor::new(self.level.into())?)),
            other => Err(other.not_built_in()),
        }
    }
}

impl Encoder {
    /// Replaces what is in `out` by the block as a member or frame.
    fn encode(&mut self, block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            #[cfg(feature = "libdeflate")]
            Encoder::Gzip(encoder) => {
                out.resize(encoder.gzip_compress_bound(block.len()), 0);
                let len =
                    encoder.gzip_compress(block, out).map_err(|error| io::Error::other(error.to_string()))?;
                out.truncate(len);
                Ok(())
            }
            #[cfg(not(feature = "libdeflate"))]
            Encoder::Gzip(level) => {
                out.clear();
                let mut encoder = flate2::write::GzEncoder::new(out, *level);
                io::Write::write_all(&mut encoder, block)?;
                encoder.finish().map(drop)
            }
            #[cfg(feature = "zstd")]
            Encoder::Zstd(encoder) => {
                out.clear();
                out.reserve(zstd::zstd_safe::compress_bound(block.len()));
                encoder.compress_to_buffer(block, out).map(drop)
            }
        }
    }
}

/// Encoders and buffers that wait for the next block.
pub(super) struct Encoders {
    level: CompressionLevel,
    free: Mutex<(Vec<Encoder>, Vec<Vec<u8>>)>,
}

impl Encoders {
    pub(super) fn new(level: CompressionLevel) -> Self {
        Encoders { level, free: Mutex::default() }
    }

    /// A buffer with nothing in it.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.free.lock().unwrap_or_else(PoisonError::into_inner).1.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).1.push(buffer);
    }

    /// Compresses a block. Both buffers are to be given back.
    pub(super) fn encode(&self, block: &[u8]) -> io::Result<Vec<u8>> {
        let encoder = self.free.lock().unwrap_or_else(PoisonError::into_inner).0.pop();
        let mut encoder = encoder.map_or_else(|| self.level.encoder(), Ok)?;
        let mut out = self.buffer();
        let encoded = encoder.encode(block, &mut out);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).0.push(encoder);
        encoded.map(|()| out)
    }
}
