//! Streams that take zeros by their number, so that a file need not store them.

use std::io::{self, Write};

/// A stream to which zeros can be written without being in memory.
///
/// ```
/// use layerlift_archive::ZeroWrite;
///
/// let mut out = vec![1];
/// out.write_zeros(2)?;
/// assert_eq!(out, [1, 0, 0]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait ZeroWrite: Write {
    /// Writes so many zeros.
    fn write_zeros(&mut self, mut len: u64) -> io::Result<()> {
        const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
        while len > 0 {
            let piece = len.min(ZEROS.len() as u64);
            self.write_all(&ZEROS[..piece as usize])?;
            len -= piece;
        }
        Ok(())
    }
}

impl ZeroWrite for Vec<u8> {}

impl ZeroWrite for io::Sink {
    fn write_zeros(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Any stream: zeros are written to it like other bytes.
pub struct Plain<W>(pub W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> ZeroWrite for Plain<W> {}
