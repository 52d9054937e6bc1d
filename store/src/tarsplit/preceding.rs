//! The header before a file's contents, as far as a record has to be understood to be read.
//!
//! The bytes before a file's line end in its header. Two things in there contradict what the line says:
//!
//! - **Nothing follows the header of a link, a device, a pipe or a directory**, whatever its size (POSIX,
//!   `pax`; `isHeaderOnly` in Go's `archive/tar`). tar-split copies the size nevertheless, with the checksum
//!   of nothing. Such headers come from bazeldnf before 0.1.0, among others.
//! - **A sparse file** has fewer bytes in the tar than on disk. tar-split records those on disk, see
//!   [`super::sparse`].

use super::payload;

const BLOCK: u64 = 512;
/// The size of the contents, in octal.
const SIZE: (u64, u64) = (124, 136);
const TYPE: u64 = 156;

/// The part of the last header that matters, still in base64: a record has one for each file, and few are
/// looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preceding {
    base64: [u8; 48],
    /// Where the size begins in the decoded bytes.
    skip: usize,
    known: bool,
}

impl Preceding {
    /// Before the first line.
    pub(super) const NONE: Preceding = Preceding { base64: [0; 48], skip: 0, known: false };

    /// Of the bytes of a line.
    pub(super) fn of(base64: &[u8]) -> Self {
        let Some(header) = payload::decoded_len(base64).checked_sub(BLOCK) else { return Preceding::NONE };
        let at = header + SIZE.0;
        let (first, skip) = ((at / 3 * 4) as usize, (at % 3) as usize);
        match base64.get(first..).and_then(|rest| rest.first_chunk()) {
            Some(base64) => Preceding { base64: *base64, skip, known: true },
            None => Preceding::NONE,
        }
    }

    fn decoded(&self) -> Option<[u8; 36]> {
        self.known.then(|| payload::decode_part(&self.base64)).flatten()
    }

    /// Whether nothing can follow, although the line of `name` has a size. Its checksum is that of nothing.
    pub(super) fn is_header_only(&self, name: &[u8]) -> bool {
        match self.decoded().map(|bytes| bytes[self.skip + (TYPE - SIZE.0) as usize]) {
            Some(b'1'..=b'6') => true,
            // Before POSIX, a directory was a file whose name ends in a slash.
            Some(0) => name.ends_with(b"/"),
            _ => false,
        }
    }

    /// The size in the header, if it is in octal digits, as nearly all are.
    pub(super) fn octal_size(&self) -> Option<u64> {
        let bytes = self.decoded()?;
        let field = &bytes[self.skip..][..(SIZE.1 - SIZE.0) as usize];
        let digits = field.trim_ascii_start().split(|&byte| byte == 0 || byte == b' ').next()?;
        digits.iter().try_fold(0_u64, |size, digit| match digit {
            b'0'..=b'7' => Some(size << 3 | u64::from(digit - b'0')),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn types_after_padding_of_any_length() {
        for padding in [0, 1, 2, 3, 100, 511, 512, 1024] {
            for (kind, name, only) in [
                (b'0', "x", false),
                (b'7', "x", false),
                (b'1', "x", true),
                (b'2', "x", true),
                (b'3', "x", true),
                (b'5', "x/", true),
                (b'6', "x", true),
                (b'S', "x", false),
                (0, "x", false),
                (0, "x/", true),
            ] {
                let mut bytes = vec![b'p'; padding];
                bytes.resize(padding + 512, b' ');
                bytes[padding + 156] = kind;
                let preceding = Preceding::of(STANDARD.encode(bytes).as_bytes());
                assert_eq!(preceding.is_header_only(name.as_bytes()), only, "{padding} {kind} {name}");
            }
        }
        assert!(!Preceding::of(b"AAAA").is_header_only(b"x/"), "not a header");
        assert!(!Preceding::NONE.is_header_only(b"x/"));
    }
}
