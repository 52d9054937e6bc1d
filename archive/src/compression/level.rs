//! What to compress with: an algorithm and its level, as users write them.

use std::fmt;
use std::str::FromStr;

use super::Compression;

/// A compression that can be written, and its level. Parses from `gzip`, `gzip:1` to `gzip:9`, `zstd`,
/// `zstd:1` to `zstd:22`, and prints as `gzip:6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompressionLevel {
    pub(super) compression: Compression,
    pub(super) level: u8,
}

/// A text that does not name a [`CompressionLevel`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a compression: gzip, gzip:1 to gzip:9, zstd, zstd:1 to zstd:22")]
pub struct ParseCompressionError(String);

impl CompressionLevel {
    /// gzip at the level that engines use.
    pub const GZIP: Self = CompressionLevel { compression: Compression::Gzip, level: 6 };
    /// zstd at the level that engines use.
    pub const ZSTD: Self = CompressionLevel { compression: Compression::Zstd, level: 3 };

    /// The algorithm: [`Compression::Gzip`] or [`Compression::Zstd`].
    pub fn compression(self) -> Compression {
        self.compression
    }

    /// 1 to 9 for gzip, 1 to 22 for zstd.
    pub fn level(self) -> u8 {
        self.level
    }
}

impl FromStr for CompressionLevel {
    type Err = ParseCompressionError;

    fn from_str(text: &str) -> Result<Self, ParseCompressionError> {
        let bad = || ParseCompressionError(text.to_owned());
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
        let level = level.map(str::parse).transpose().map_err(|_| bad())?;
        let (default, most) = match name {
            "gzip" => (CompressionLevel::GZIP, 9),
            "zstd" => (CompressionLevel::ZSTD, 22),
            _ => return Err(bad()),
        };
        match level {
            None => Ok(default),
            Some(level) if (1..=most).contains(&level) => Ok(CompressionLevel { level, ..default }),
            Some(_) => Err(bad()),
        }
    }
}

impl fmt::Display for CompressionLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.compression, self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_levels() {
        for (text, compression, level) in [
            ("gzip", Compression::Gzip, 6),
            ("gzip:9", Compression::Gzip, 9),
            ("zstd", Compression::Zstd, 3),
            ("zstd:19", Compression::Zstd, 19),
            ("zstd:22", Compression::Zstd, 22),
        ] {
            let parsed: CompressionLevel = text.parse().unwrap();
            assert_eq!((parsed.compression(), parsed.level()), (compression, level));
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
        for text in ["", "xz", "none", "gzip:", "gzip:0", "gzip:10", "zstd:23", "zstd:-1", "gzip:6:6"] {
            assert!(text.parse::<CompressionLevel>().is_err(), "{text}");
        }
    }
}
