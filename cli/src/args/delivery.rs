//! The arguments for how an archive is delivered: in volumes, and with its digest.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

/// What becomes of an archive.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Delivery {
    /// Divide the archive into files of this size: OUT.001, OUT.002, ..., which cat puts together, and
    /// OUT.sums for sha256sum -c. A number of bytes, with K, M, G or T for powers of 1000, and KiB, MiB, GiB
    /// or TiB for those of 1024.
    ///
    /// --root OUT.001 reads the volumes as one archive. After a failure, those that are complete stay.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) volume_size: Option<NonZeroU64>,
    /// Keep volumes that are there and right, and write those that are missing or differ.
    #[arg(long, requires = "volume_size")]
    pub(crate) resume: bool,
    /// Write the SHA-256 digest of the archive to a file, in the format of sha256sum. It is computed while
    /// the archive is written.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) digest_file: Option<PathBuf>,
}

impl Delivery {
    /// Whether the archive is written front to back, so that nothing can be left out at its end.
    pub(crate) fn is_in_order(&self) -> bool {
        self.volume_size.is_some() || self.digest_file.is_some()
    }
}

/// `4G`, `2000M`, `650MiB`.
pub(super) fn size(text: &str) -> Result<NonZeroU64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "t" | "tb" => Some(1_000_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let bytes =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    bytes.and_then(NonZeroU64::new).ok_or_else(|| "a size like 4G, 2000M or 650MiB is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("512k", 512_000),
            ("2000M", 2_000_000_000),
            ("4G", 4_000_000_000),
            ("4GB", 4_000_000_000),
            ("4GiB", 4 << 30),
            ("650MiB", 650 << 20),
        ] {
            assert_eq!(size(text).map(NonZeroU64::get), Ok(bytes), "{text}");
        }
        for text in ["", "0", "0G", "-1", "1.5G", "4X", "G", "99999999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
