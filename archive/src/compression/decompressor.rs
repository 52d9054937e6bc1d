//! Decompression of bytes that are pushed, for those who have to do something else with the compressed bytes
//! as well.

use std::io::{self, Write};

use super::members::PushedMembers;
use super::{Compression, decoding_error};

/// Decompresses what is written to it. Takes gzip and zstd: the compressions that layers keep in an archive.
pub struct Decompressor<W: Write> {
    decoder: Decoder<W>,
}

enum Decoder<W: Write> {
    None(W),
    Gzip(Box<PushedMembers<W>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::write::Decoder<'static, W>>),
}

impl<W: Write> Decompressor<W> {
    /// Decompresses to `out`.
    pub fn new(compression: Compression, out: W) -> io::Result<Self> {
        let decoder = match compression {
            Compression::None => Decoder::None(out),
            Compression::Gzip => Decoder::Gzip(Box::new(PushedMembers::new(out))),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Decoder::Zstd(Box::new(zstd::stream::write::Decoder::new(out)?)),
            other => return Err(other.not_built_in()),
        };
        Ok(Decompressor { decoder })
    }

    /// Writes what is left, and returns the output. A gzip stream that is cut is an error; one of zstd is
    /// not, so its output must be compared with a digest.
    pub fn finish(self) -> io::Result<W> {
        self.finish_padded().map(|(out, _)| out)
    }

    /// The same, with the number of zeros that follow the end of a gzip stream. `gzip -d` skips such padding;
    /// engines refuse a blob that has it.
    pub fn finish_padded(self) -> io::Result<(W, u64)> {
        match self.decoder {
            Decoder::None(out) => Ok((out, 0)),
            Decoder::Gzip(decoder) => decoder.finish().map_err(decoding_error),
            #[cfg(feature = "zstd")]
            Decoder::Zstd(mut decoder) => {
                decoder.flush().map_err(decoding_error)?;
                Ok((decoder.into_inner(), 0))
            }
        }
    }
}

impl<W: Write> Write for Decompressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.decoder {
            Decoder::None(out) => out.write(bytes),
            Decoder::Gzip(decoder) => decoder.write(bytes).map_err(decoding_error),
            #[cfg(feature = "zstd")]
            Decoder::Zstd(decoder) => decoder.write(bytes).map_err(decoding_error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.decoder {
            Decoder::None(out) => out.flush(),
            Decoder::Gzip(decoder) => decoder.flush(),
            #[cfg(feature = "zstd")]
            Decoder::Zstd(decoder) => decoder.flush(),
        }
    }
}
