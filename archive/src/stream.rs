//! A tar on a stream: one pass, in order. While a buffer is written, the next ones are read and hashed.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::header::{self, BLOCK, Encoder};
use crate::pool::{BUFFER, Buffer, Pool};
use crate::work::{check_end, fill, verify};
use crate::{Compressor, Error, Hasher, Options, Tree};

/// Buffers between two stages.
const AHEAD: usize = 8;

/// Writes the tree as a tar to `out`.
///
/// A content is checked before its last buffer is written, so that a damaged one never arrives whole; what came before
/// it is on its way by then. Errors of `out` are [`Error::Stream`].
pub fn write_stream(tree: &Tree, out: impl Write, options: &Options<'_>) -> Result<(), Error> {
    let Some(compression) = options.compression else { return write_plain(tree, out, options) };
    let mut compressor = Compressor::new(out, compression, options.threads);
    write_plain(tree, &mut compressor, options)?;
    compressor.finish().map(drop).map_err(Error::Stream)
}

fn write_plain(tree: &Tree, out: impl Write, options: &Options<'_>) -> Result<(), Error> {
    let mut out = Output { out, options };
    if options.threads.get() == 1 {
        let pool = Pool::new(2);
        let mut hashing = Hashing::new(tree);
        return produce(tree, &pool, options, |piece| {
            let piece = hashing.take(piece)?;
            out.write(&piece)?;
            pool.give(piece.buffer);
            Ok(())
        })
        .and_then(|()| out.flush());
    }
    let pool = &Pool::new(2 * AHEAD + 3);
    thread::scope(|scope| {
        let (to_hash, hash_in) = sync_channel(AHEAD);
        let (to_write, write_in) = sync_channel(AHEAD);
        let reader = scope.spawn(move || {
            produce(tree, pool, options, |piece| to_hash.send(piece).map_err(|_| Error::Cancelled))
        });
        let hasher = scope.spawn(move || hash_all(tree, hash_in, to_write));
        let written = write_in.iter().try_for_each(|piece| {
            out.write(&piece)?;
            pool.give(piece.buffer);
            Ok(())
        });
        drop(write_in);
        let stages = [written, joined(hasher.join()), joined(reader.join())];
        // A stage whose neighbour went away says `Cancelled`; the neighbour says why.
        let mut cancelled = false;
        for stage in stages {
            match stage {
                Err(Error::Cancelled) => cancelled = true,
                other => other?,
            }
        }
        if cancelled { Err(Error::Cancelled) } else { out.flush() }
    })
}

fn joined(result: thread::Result<Result<(), Error>>) -> Result<(), Error> {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A filled buffer: `data` bytes, of which the last `content` bytes up to `padding` belong to an entry's content.
struct Piece {
    buffer: Buffer,
    /// Bytes of header before the content.
    header: usize,
    /// Bytes of content.
    content: usize,
    /// Zero bytes after it.
    padding: usize,
    entry: usize,
    last: bool,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.header + self.content + self.padding]
    }
}

struct Output<'a, W> {
    out: W,
    options: &'a Options<'a>,
}

impl<W: Write> Output<'_, W> {
    fn write(&mut self, piece: &Piece) -> Result<(), Error> {
        self.out.write_all(piece.bytes()).map_err(Error::Stream)?;
        self.options.observer.advance(piece.bytes().len() as u64);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(Error::Stream)
    }
}

/// The second stage: hashes what names a digest, and compares at the end of each entry.
struct Hashing<'a> {
    tree: &'a Tree,
    hasher: Hasher,
}

impl<'a> Hashing<'a> {
    fn new(tree: &'a Tree) -> Self {
        Hashing { tree, hasher: Hasher::default() }
    }

    fn take(&mut self, piece: Piece) -> Result<Piece, Error> {
        let Some(entry) = self.tree.entries().get(piece.entry) else { return Ok(piece) };
        let Some(content) = entry.content().filter(|content| content.digest().is_some()) else {
            return Ok(piece);
        };
        self.hasher.update(&piece.buffer[piece.header..piece.header + piece.content]);
        if piece.last {
            verify(&entry.path, &**content, std::mem::take(&mut self.hasher).finish())?;
        }
        Ok(piece)
    }
}

fn hash_all(tree: &Tree, pieces: Receiver<Piece>, to: SyncSender<Piece>) -> Result<(), Error> {
    let mut hashing = Hashing::new(tree);
    pieces.iter().try_for_each(|piece| to.send(hashing.take(piece)?).map_err(|_| Error::Cancelled))
}

/// The first stage: headers, contents and padding, buffer by buffer.
fn produce(
    tree: &Tree,
    pool: &Pool,
    options: &Options<'_>,
    mut send: impl FnMut(Piece) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut encoder = Encoder::default();
    let mut blocks = Vec::new();
    for (index, entry) in tree.entries().iter().enumerate() {
        blocks.clear();
        header::encode_entry(&mut encoder, entry, &mut blocks);
        let len = entry.len();
        let content_error = |source: io::Error| Error::Content { entry: entry.path.clone(), source };
        let mut reader = match entry.content() {
            Some(content) => content.reader().map_err(content_error)?,
            None => Box::new(io::empty()),
        };
        let mut at = 0;
        let mut header = blocks.as_slice();
        loop {
            if options.observer.cancelled() {
                return Err(Error::Cancelled);
            }
            let mut buffer = pool.take();
            let from_header = header.len().min(BUFFER);
            buffer[..from_header].copy_from_slice(&header[..from_header]);
            header = &header[from_header..];
            // A block of room stays for the padding, so that an entry ends with its own buffer.
            let room = &mut buffer[from_header..(BUFFER - BLOCK as usize).max(from_header)];
            let content = fill(&mut *reader, room, len - at).map_err(content_error)?;
            at += content as u64;
            let mut last = header.is_empty() && at == len;
            if !last && content == 0 && header.is_empty() {
                last = true;
            }
            let mut padding = 0;
            if last {
                check_end(&mut *reader, &entry.path, at, len)?;
                padding = header::padding(len) as usize;
                buffer[from_header + content..][..padding].fill(0);
            }
            send(Piece { buffer, header: from_header, content, padding, entry: index, last })?;
            if last {
                break;
            }
        }
    }
    let mut buffer = pool.take();
    let end = header::TRAILER as usize;
    buffer[..end].fill(0);
    send(Piece { buffer, header: end, content: 0, padding: 0, entry: tree.entries().len(), last: true })
}
