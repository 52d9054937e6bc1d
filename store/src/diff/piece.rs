//! The contents of a file, in pieces.

/// How much is read at a time.
pub(super) const BUFFER: usize = 256 << 10;

/// A piece of a file.
pub(super) enum Piece<'a> {
    Data(&'a [u8]),
    /// This many zeros, which the file does not store.
    Hole(u64),
}

impl Piece<'_> {
    pub(super) fn len(&self) -> u64 {
        match self {
            Piece::Data(bytes) => bytes.len() as u64,
            Piece::Hole(len) => *len,
        }
    }
}
