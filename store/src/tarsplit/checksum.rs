//! CRC-64 with the ISO 3309 polynomial, as Go's `hash/crc64` computes it: tar-split records one per file.

use crc_fast::{CrcAlgorithm, Digest};

/// An incremental checksum.
pub(crate) struct Checksum(Digest);

impl Checksum {
    pub(crate) fn new() -> Self {
        Checksum(Digest::new(CrcAlgorithm::Crc64GoIso))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-64/GO-ISO in catalogues of CRCs.
    #[test]
    fn known_value() {
        let mut checksum = Checksum::new();
        checksum.update(b"1234");
        checksum.update(b"56789");
        assert_eq!(checksum.finish(), 0xb909_56c7_75a4_1001);
    }
}
