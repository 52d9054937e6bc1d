//! The compressions of layers and archives: one type for what is read and for what is written.
//!
//! gzip is always there. The others are cargo features of the same names (`zstd`, `xz`, `bzip2`), on by
//! default; without a feature its algorithm is still recognized, and using it is an error of kind
//! [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) that names it.

use std::fmt;
use std::io::{self, BufReader, Read};

mod compressor;
mod decompressor;
mod encoder;
mod level;
mod members;

pub use compressor::Compressor;
pub use decompressor::Decompressor;
pub use level::{CompressionLevel, ParseCompressionError};
pub use members::TrailingBytes;

use crate::{ErrorKind, content_error};

/// An xz stream may ask for up to 4 GiB of memory; `xz -9` needs 65 MiB. The other decoders have limits of
/// their own: zstd a window of 128 MiB.
#[cfg(feature = "xz")]
const XZ_MEMORY: u64 = 512 << 20;

/// A compression, as the first bytes of a file show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Compression {
    /// None of those below: the bytes as they are.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// Recognizes a compression by its magic number at the beginning of a file; six bytes are enough.
    ///
    /// A zstd stream may begin with a skippable frame (RFC 8878, 3.1.2), whose magic number is one of
    /// sixteen: `pzstd` writes one before each of its own. Engines take such a stream for zstd, too.
    pub fn detect(first: &[u8]) -> Self {
        const MAGIC: &[(&[u8], Compression)] = &[
            (b"\x1f\x8b\x08", Compression::Gzip),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"BZh", Compression::Bzip2),
        ];
        if matches!(first, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
            return Compression::Zstd;
        }
        MAGIC.iter().find(|(magic, _)| first.starts_with(magic)).map_or(Compression::None, |(_, c)| *c)
    }

    /// "gzip", "zstd", "xz", "bzip2"; "none".
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Xz => "xz",
            Compression::Bzip2 => "bzip2",
        }
    }

    /// A reader of the uncompressed bytes. Several members one after another are one stream, as all engines
    /// read them. Zeros after a gzip stream are padding and skipped; engines do not skip them. What the
    /// decoder cannot understand is an error of kind [`ErrorKind::Malformed`].
    pub fn decompress<'r>(self, reader: impl Read + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
        let reader = BufReader::with_capacity(64 << 10, reader);
        match self {
            Compression::None => Ok(Box::new(reader)),
            Compression::Gzip => Ok(Box::new(Decoding(members::Members::new(reader)))),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Ok(Box::new(Decoding(zstd::stream::read::Decoder::with_buffer(reader)?))),
            #[cfg(feature = "xz")]
            Compression::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Ok(Box::new(Decoding(liblzma::bufread::XzDecoder::new_stream(reader, stream))))
            }
            #[cfg(feature = "bzip2")]
            Compression::Bzip2 => Ok(Box::new(Decoding(bzip2::bufread::MultiBzDecoder::new(reader)))),
            #[cfg(not(all(feature = "zstd", feature = "xz", feature = "bzip2")))]
            other => Err(other.not_built_in()),
        }
    }

    /// The error of an algorithm that this build, or what is wanted of it, lacks.
    fn not_built_in(self) -> io::Error {
        content_error(ErrorKind::Unsupported, NotBuiltIn(self))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A decoder: gives its errors a kind.
struct Decoding<R>(R);

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(decoding_error)
    }
}

/// A decoder's own errors are neither the system's nor do they have a kind.
fn decoding_error(error: io::Error) -> io::Error {
    let own = error.raw_os_error().is_none()
        && error.kind() != io::ErrorKind::Interrupted
        && ErrorKind::of_io(&error).is_none();
    if own { content_error(ErrorKind::Malformed, error) } else { error }
}

/// A compression whose cargo feature is off.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not supported by this build")]
struct NotBuiltIn(Compression);

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Compression, &[u8], bool); 4] = [
        (Compression::Gzip, b"\x1f\x8b\x08\0\0\0", true),
        (Compression::Zstd, b"\x28\xb5\x2f\xfd\0\0", cfg!(feature = "zstd")),
        (Compression::Xz, b"\xfd7zXZ\0", cfg!(feature = "xz")),
        (Compression::Bzip2, b"BZh91A", cfg!(feature = "bzip2")),
    ];

    /// Also without its feature a compression is known by its name; CI runs this with and without.
    #[test]
    fn recognized_with_and_without_features() {
        for (compression, first, built_in) in ALL {
            assert_eq!(Compression::detect(first), compression);
            let error = compression.decompress(first).err().filter(|_| !built_in);
            assert_eq!(error.is_none(), built_in, "{compression}");
            if let Some(error) = error {
                assert_eq!(crate::ErrorKind::of_io(&error), Some(crate::ErrorKind::Unsupported));
                assert_eq!(error.to_string(), format!("{compression} is not supported by this build"));
            }
        }
        assert_eq!(Compression::detect(b"ustar"), Compression::None);
        assert_eq!(Compression::detect(b""), Compression::None);
    }

    /// As `pzstd` writes it: before each frame a skippable one, which holds the length of the other.
    #[cfg(feature = "zstd")]
    #[test]
    fn zstd_with_skippable_frames() {
        for nibble in [0, 5, 15] {
            let mut stream = Vec::new();
            for part in [&b"one "[..], b"", b"two"] {
                let frame = zstd::bulk::compress(part, 3).unwrap();
                stream.extend([0x50 | nibble, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]);
                stream.extend((frame.len() as u32).to_le_bytes());
                stream.extend(frame);
            }
            assert_eq!(Compression::detect(&stream[..6]), Compression::Zstd);
            let mut read = String::new();
            Compression::Zstd.decompress(&*stream).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, "one two");
            let mut pushed = Decompressor::new(Compression::Zstd, Vec::new()).unwrap();
            for piece in stream.chunks(3) {
                io::Write::write_all(&mut pushed, piece).unwrap();
            }
            assert_eq!(pushed.finish().unwrap(), b"one two");
        }
        assert_eq!(Compression::detect(b"\x60\x2a\x4d\x18"), Compression::None);
    }

    #[test]
    fn what_a_decoder_cannot_understand_is_malformed() {
        for (compression, first, built_in) in ALL {
            let Some(mut reader) = compression.decompress(first).ok().filter(|_| built_in) else { continue };
            let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(ErrorKind::of_io(&error), Some(ErrorKind::Malformed), "{compression}: {error}");
        }
        struct Refused;
        impl Read for Refused {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(13))
            }
        }
        let error = Compression::Gzip.decompress(Refused).unwrap().read(&mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(13), "the system's error is what it was");
    }
}
