//! Where the bytes of a database come from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A file, or something that behaves like one.
pub(super) trait Source {
    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads from an offset until the buffer is full or the bytes end. Returns how many were read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Copies so many bytes from the beginning, or all that there are.
    fn copy(&self, copy: &mut Vec<u8>, len: u64) -> io::Result<()> {
        copy.resize(len.min(self.size()?) as usize, 0);
        let read = self.read_at(copy, 0)?;
        copy.truncate(read);
        Ok(())
    }
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// A copy.
impl Source for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}
