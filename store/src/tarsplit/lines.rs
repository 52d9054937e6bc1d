//! The lines of a metadata file, one at a time: it is decompressed and parsed as a stream.

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use memchr::memchr;

use super::line::{self, Line};
use crate::Error;

/// The longest line. A tar's last padding is one line, whatever its length; engines have been seen with 64 KiB of it.
const LONGEST: usize = 64 << 20;

pub(super) struct Lines<R> {
    input: BufReader<MultiGzDecoder<R>>,
    path: PathBuf,
    /// How much of the input's buffer is the current line. It is read where it lies.
    in_buffer: usize,
    /// The current line, if a part of it only came with the next buffer.
    copied: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(gzip: R, path: PathBuf) -> Self {
        let input = BufReader::with_capacity(64 << 10, MultiGzDecoder::new(gzip));
        Lines { input, path, in_buffer: 0, copied: Vec::new(), number: 0 }
    }

    /// The next line, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        loop {
            self.number += 1;
            self.advance().map_err(|error| self.corrupt(&error.to_string()))?;
            let line = self.line();
            if line.is_empty() {
                return Ok(None);
            }
            if line.len() == LONGEST {
                return Err(self.corrupt("it is longer than any engine's"));
            }
            if !line.trim_ascii().is_empty() {
                break;
            }
        }
        line::parse(self.line()).map(Some).map_err(|why| self.corrupt(&why))
    }

    /// An error about the line that was returned last.
    pub(super) fn corrupt(&self, why: &str) -> Error {
        Error::Corrupt { path: self.path.clone(), why: format!("line {}: {why}", self.number) }
    }

    /// The current line with its end; the last one may have none. Empty after the last.
    fn line(&self) -> &[u8] {
        if self.in_buffer > 0 { &self.input.buffer()[..self.in_buffer] } else { &self.copied }
    }

    /// Goes to the next line, of which at most [`LONGEST`] bytes are taken.
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

    /// Lines of many lengths, so that the ends of buffers come at every place of one; empty ones between them.
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
    fn a_line_has_a_longest() {
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
