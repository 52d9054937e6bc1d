//! A tar on a stream: one pass, in order. While a buffer is written, the next ones are read and hashed.
//!
//! The digest of the whole can be computed on the way: what is written is hashed once more, as it is written.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::produce::{Item, Order, Sink, first_failure, produce};
use crate::tar::{TRAILER, items};
use crate::{Compressor, Digest, Error, Hasher, Options, Tree};

/// Writes the tree as a tar to `out`.
///
/// A content is compared with its digest before its last buffer is written, so a damaged one never arrives
/// whole; what came before it has been written by then. Errors of `out` are [`Error::Stream`].
pub fn write_stream(tree: &Tree, out: impl Write + Send, options: &Options<'_>) -> Result<(), Error> {
    let Some(compression) = options.compression else { return write_plain(tree, out, options) };
    let mut compressor = Compressor::new(out, compression, options.threads);
    write_plain(tree, &mut compressor, options)?;
    compressor.finish().map(drop).map_err(stream_error)
}

/// As [`write_stream`], and returns the digest of what was written.
pub fn write_stream_hashed(
    tree: &Tree,
    out: impl Write + Send,
    options: &Options<'_>,
) -> Result<Digest, Error> {
    let mut hashed = Hashed { to: out, hasher: Hasher::default() };
    write_stream(tree, &mut hashed, options)?;
    Ok(hashed.hasher.finish())
}

/// Hashes what is written.
struct Hashed<W> {
    to: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn write_plain(tree: &Tree, out: impl Write + Send, options: &Options<'_>) -> Result<(), Error> {
    let mut items = items(tree);
    items.push(Item::without_content("", vec![0; TRAILER as usize]));
    let sink = Stream(Mutex::new(out));
    first_failure(produce(&items, &sink, Order::AsGiven, options))?;
    let mut out = sink.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    out.flush().map_err(stream_error)
}

fn stream_error(source: io::Error) -> Error {
    Error::Stream(Arc::new(source))
}

struct Stream<W>(Mutex<W>);

impl<W: Write + Send> Sink for Stream<W> {
    fn put(&self, _: usize, _: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes).map_err(stream_error)
    }
}
