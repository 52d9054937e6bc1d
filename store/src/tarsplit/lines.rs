//! The lines of a metadata file, one at a time. The file is decompressed and parsed as a stream.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use memchr::memchr;

use super::line::{self, Line};
use super::preceding::Preceding;
use crate::Error;

/// The longest line that is accepted. The padding at the end of a tar is one line, however long; 64 KiB of it
/// have been seen.
const LONGEST: usize = 64 << 20;

pub(super) struct Lines<R> {
    input: BufReader<MultiGzDecoder<R>>,
    path: PathBuf,
    /// Length of the current line at the start of the input's buffer, where it is parsed in place.
    in_buffer: usize,
    /// The current line, if it spans buffers.
    copied: Vec<u8>,
    number: u64,
    /// Whether damage after whole lines is the end.
    lenient: bool,
    /// The header before the current line.
    preceding: Cell<Preceding>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(gzip: R, path: PathBuf) -> Self {
        let input = BufReader::with_capacity(64 << 10, MultiGzDecoder::new(gzip));
        let preceding = Cell::new(Preceding::NONE);
        Lines { input, path, in_buffer: 0, copied: Vec::new(), number: 0, lenient: false, preceding }
    }

    /// Takes what can be decompressed for all there is, if it ends between two lines.
    pub(super) fn lenient(self, lenient: bool) -> Self {
        Lines { lenient, ..self }
    }

    /// The header before the current line.
    pub(super) fn preceding(&self) -> Preceding {
        self.preceding.get()
    }

    /// The next line, `None` after the last. A file of which nothing is in the tar has the size 0.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        loop {
            self.number += 1;
            match self.advance() {
                Ok(()) => {}
                Err(error) if self.lenient && self.copied.is_empty() && error.raw_os_error().is_none() => {
                    return Ok(None);
                }
                Err(error) => return Err(self.read_error(error)),
            }
            let line = self.line();
            if line.is_empty() {
                return Ok(None);
            }
            if line.len() == LONGEST {
                return Err(self.malformed("it is longer than any engine writes"));
            }
            if !line.trim_ascii().is_empty() {
                break;
            }
        }
        let line = line::parse(self.line()).map_err(|why| self.malformed(&why))?;
        Ok(Some(match line {
            Line::Bytes(base64) => {
                self.preceding.set(Preceding::of(&base64));
                Line::Bytes(base64)
            }
            Line::Contents { name, size, checksum: 0 }
                if size > 0 && self.preceding.get().is_header_only(&name) =>
            {
                Line::Contents { name, size: 0, checksum: 0 }
            }
            contents => contents,
        }))
    }

    /// An error about the current line.
    pub(super) fn malformed(&self, why: &str) -> Error {
        Error::malformed(&self.path, format!("line {}: {why}", self.number))
    }

    /// The same about bytes that are not what was recorded.
    pub(super) fn damaged(&self, why: &str) -> Error {
        Error::damaged(&self.path, format!("line {}: {why}", self.number))
    }

    /// What the system did not answer comes from the decompressor: gzip has a checksum of its own.
    fn read_error(&self, error: io::Error) -> Error {
        if error.raw_os_error().is_some() {
            return Error::io("read", &self.path, error);
        }
        self.damaged(&error.to_string())
    }

    /// The current line with its newline, which the last line may lack. Empty after the last.
    fn line(&self) -> &[u8] {
        if self.in_buffer > 0 { &self.input.buffer()[..self.in_buffer] } else { &self.copied }
    }

    /// Advances to the next line and takes at most [`LONGEST`] bytes of it.
    fn advance(&mut self) -> io::Result<()> {
        self.input.consume(std::mem::take(&mut self.in_buffer));
        self.copied.clear();
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let end = memchr(b'\n', buffer).map(|at| at + 1);
            if let Some(end) = end
                && self.copied.is_empty()
            {
                self.in_buffer = end;
                return Ok(());
            }
            let n = end.unwrap_or(buffer.len()).min(LONGEST - self.copied.len());
            self.copied.extend_from_slice(&buffer[..n]);
            self.input.consume(n);
            if n == 0 || end.is_some() || self.copied.len() == LONGEST {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(text: &[u8]) -> Lines<io::Cursor<Vec<u8>>> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        Lines::new(io::Cursor::new(gzip.finish().unwrap()), PathBuf::from("some/metadata"))
    }

    /// Lines of many lengths with blank ones between, so that buffers end at every place in a line.
    #[test]
    fn wherever_a_buffer_ends() {
        let payload =
            |number: usize| "QUJD".repeat(number * 97 % 400 + if number == 700 { 40_000 } else { 0 });
        let mut text = String::new();
        for number in 0..1_500 {
            let (payload, blank) = (payload(number), "\n \n".repeat(number % 7 / 6));
            text += &format!("{blank}{{\"type\":2,\"payload\":\"{payload}\",\"position\":{number}}}\n");
        }
        for text in [text.as_str(), text.trim_end()] {
            let mut lines = lines(text.as_bytes());
            for number in 0..1_500 {
                let expected = Line::Bytes(payload(number).into_bytes().into());
                assert_eq!(lines.next().unwrap(), Some(expected), "{number}");
            }
            assert_eq!(lines.next().unwrap(), None);
            assert_eq!(lines.next().unwrap(), None, "the end stays the end");
        }
    }

    #[test]
    fn errors_have_the_number_of_the_line() {
        let good = "{\"type\":2,\"payload\":\"\",\"position\":0}\n".repeat(3_000);
        let text = format!("\n{good}\n{{\"type\":3}}\n");
        let mut lines = lines(text.as_bytes());
        let error = loop {
            match lines.next() {
                Ok(line) => assert!(line.is_some()),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("some/metadata") && error.contains("line 3003: an entry has the"), "{error}");
    }

    #[test]
    fn the_longest_line() {
        for (len, fine) in [(LONGEST - 1, true), (LONGEST, false)] {
            let mut text = br#"{"type":2,"payload":""#.to_vec();
            let end = b"\",\"position\":0}\n";
            text.resize(len - end.len(), b'A');
            text.extend_from_slice(end);
            let mut lines = lines(&text);
            match lines.next() {
                Ok(line) => assert!(fine && line.is_some(), "{len}"),
                Err(error) => {
                    assert!(!fine && error.to_string().contains("longer than any"), "{len}: {error}")
                }
            }
        }
    }
}
