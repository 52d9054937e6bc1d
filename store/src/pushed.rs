//! Reads what can only be written: a thread computes a tar of files while another reads it.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::Error;

/// Pieces on their way: the one that is read, the one that is written, and one between.
const PIECES: usize = 1;

/// Bytes that a thread writes. The thread ends with the reader.
pub(crate) struct Pushed {
    /// `None` after the end.
    pieces: Option<Receiver<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Pushed {
    pub(crate) fn new(
        write: impl FnOnce(&mut dyn Write) -> Result<(), Error> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(PIECES);
        let thread = thread::Builder::new().spawn(move || write(&mut Sender(sender)))?;
        Ok(Pushed { pieces: Some(pieces), piece: Vec::new(), at: 0, thread: Some(thread) })
    }

    /// The thread has written all, or failed.
    fn end(&mut self) -> io::Result<()> {
        self.pieces = None;
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(error.into_io()),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Read for Pushed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(pieces) = &self.pieces else { return Ok(0) };
            match pieces.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => self.end()?,
            }
        }
        let n = buf.len().min(self.piece.len() - self.at);
        buf[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

impl Drop for Pushed {
    /// Nobody reads any more, so the thread's next write fails.
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Sender(SyncSender<Vec<u8>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
