//! The lines of a metadata file, one at a time: it is decompressed and parsed as a stream.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use super::line::{self, Line};
use crate::Error;

/// The longest line. A tar's last padding is one line, whatever its length; engines have been seen with 64 KiB of it.
const LONGEST: u64 = 64 << 20;

pub(super) struct Lines<R> {
    input: BufReader<MultiGzDecoder<R>>,
    path: PathBuf,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(gzip: R, path: PathBuf) -> Self {
        let input = BufReader::with_capacity(64 << 10, MultiGzDecoder::new(gzip));
        Lines { input, path, line: Vec::new(), number: 0 }
    }

    /// The next line, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Error> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = (&mut self.input).take(LONGEST).read_until(b'\n', &mut self.line);
            let n = read.map_err(|error| self.corrupt(&error.to_string()))?;
            if n == 0 {
                return Ok(None);
            }
            if n as u64 == LONGEST {
                return Err(self.corrupt("it is longer than any engine's"));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        let (path, number) = (&self.path, self.number);
        line::parse(&self.line).map(Some).map_err(|why| corrupt(path, number, &why))
    }

    /// An error about the line that was returned last.
    pub(super) fn corrupt(&self, why: &str) -> Error {
        corrupt(&self.path, self.number, why)
    }
}

fn corrupt(path: &std::path::Path, line: u64, why: &str) -> Error {
    Error::Corrupt { path: path.to_owned(), why: format!("line {line}: {why}") }
}
