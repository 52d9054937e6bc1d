//! A file whose contents come from elsewhere, front to back.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::temporary::{Draft, clear, folder, sync_folder, target};
use crate::Error;
use crate::zeros::{Plain, ZeroWrite};

const BUFFER: usize = 256 << 10;

/// Writes a file that appears under its name when it is complete. A device or a pipe is written to as it is.
/// Zeros that are written as such become holes of the file.
///
/// An error of `write` leaves an existing file as it was.
pub fn write_file_with<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn ZeroWrite) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |source: io::Error| Error::output("write", path)(source);
    let Some(target) = target(path)? else {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::output("open", path))?;
        let mut out = Plain(BufWriter::with_capacity(BUFFER, file));
        write(&mut out)?;
        out.flush().map_err(failed)?;
        return Ok(());
    };
    clear(&folder(&target));
    let temporary = Draft::beside(&target)?;
    let mut out = Sparse(BufWriter::with_capacity(BUFFER, temporary.as_file()));
    write(&mut out)?;
    out.finish().map_err(failed)?;
    temporary.persist(&target)?;
    sync_folder(&target);
    Ok(())
}

/// A new file, in which zeros are holes.
struct Sparse<'f>(BufWriter<&'f File>);

impl Sparse<'_> {
    /// A hole at the end is part of the file.
    fn finish(mut self) -> io::Result<()> {
        let len = self.0.stream_position()?;
        let file = self.0.get_ref();
        if file.metadata()?.len() < len { file.set_len(len) } else { Ok(()) }
    }
}

impl Write for Sparse<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl ZeroWrite for Sparse<'_> {
    fn write_zeros(&mut self, len: u64) -> io::Result<()> {
        // Fewer are cheaper to write than to seek over.
        if len < BUFFER as u64 {
            return Plain(&mut self.0).write_zeros(len);
        }
        let beyond = || io::Error::from(io::ErrorKind::FileTooLarge);
        self.0.seek(SeekFrom::Current(i64::try_from(len).map_err(|_| beyond())?)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_are_holes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let parts: [(&[u8], u64); 4] = [(b"begin", 3 << 20), (b"", 5), (b"middle", 1 << 33), (b"", 1 << 30)];
        write_file_with::<Error>(&path, |out| {
            for (bytes, zeros) in parts {
                out.write_all(bytes).unwrap();
                out.write_zeros(zeros).unwrap();
            }
            Ok(())
        })
        .unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.len(), parts.iter().map(|(bytes, zeros)| bytes.len() as u64 + zeros).sum::<u64>());
        assert!(found.blocks() * 512 < 1 << 20, "{} blocks", found.blocks());
        let mut head = vec![0; (3 << 20) + 16];
        io::Read::read_exact(&mut File::open(&path).unwrap(), &mut head).unwrap();
        let mut expected = b"begin".to_vec();
        expected.resize((3 << 20) + 10, 0);
        assert!(head == [&expected[..], b"middle"].concat());
    }
}
