//! Reads the tar of a layer from front to back: what the outline leaves out is read at once.

use std::io::{self, Read};

use layerlift_archive::Outline as _;

use super::outline::Outline;

pub(super) struct Reader<'a, R>(Outline<'a, R>);

impl<'a, R: Read + Send> Reader<'a, R> {
    pub(super) fn new(outline: Outline<'a, R>) -> Self {
        Reader(outline)
    }
}

impl<R: Read + Send> Read for Reader<'_, R> {
    /// Fills the buffer with as many files as fit.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (n, gaps) = self.0.next(buf)?;
        if let Some(mut gaps) = gaps {
            gaps.fill(&mut buf[..n])?;
        }
        Ok(n)
    }
}
