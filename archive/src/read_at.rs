//! Files that are read at any offset, and several of them as one.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that can be read at any offset, by several threads at once.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// Reads as many bytes at this offset as there are, at most as many as fit. 0 is the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Fills the buffer, or fails with [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut at = 0;
        while at < buf.len() {
            match self.read_at(&mut buf[at..], offset + at as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => at += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The file itself, if it is one and these are all its bytes.
    fn as_file(&self) -> Option<&File> {
        None
    }
}

impl ReadAt for File {
    fn as_file(&self) -> Option<&File> {
        Some(self)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }
}

/// Files one behind the other, as `cat` puts them together.
#[derive(Debug, Default)]
pub struct Concatenated {
    /// Each with the offset of its end.
    files: Vec<(u64, File)>,
}

impl Concatenated {
    /// Adds a file of this many bytes.
    pub fn push(&mut self, file: File, len: u64) {
        self.files.push((self.len() + len, file));
    }

    /// Bytes of all files.
    pub fn len(&self) -> u64 {
        self.files.last().map_or(0, |(end, _)| *end)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ReadAt for Concatenated {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = self.files.partition_point(|(end, _)| *end <= offset);
        let Some((end, file)) = self.files.get(at) else { return Ok(0) };
        let begin = at.checked_sub(1).map_or(0, |before| self.files[before].0);
        let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        match FileExt::read_at(file, &mut buf[..want], offset - begin)? {
            // It was longer when it was opened.
            0 if want > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn as_one() {
        let mut all = Concatenated::default();
        for text in ["abc", "", "de"] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            all.push(file, text.len() as u64);
        }
        assert_eq!(all.len(), 5);
        for offset in 0..=5 {
            let mut rest = vec![0; 5 - offset];
            all.read_exact_at(&mut rest, offset as u64).unwrap();
            assert_eq!(rest, &b"abcde"[offset..]);
        }
        assert_eq!(all.read_at(&mut [0; 9], 5).unwrap(), 0);
        assert!(all.read_exact_at(&mut [0; 9], 0).is_err());
    }
}
