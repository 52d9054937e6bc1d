//! Writes the tar of a layer, compared with what is recorded or raw.

use std::io::{self, Write};
use std::sync::Arc;

use layerlift_archive::{Error as ArchiveError, Hasher};

use super::reader::{Source, content};
use super::{LayerTar, Written};
use crate::diff::DiffLayer;
use crate::id::DiffId;

const BUFFER: usize = 256 << 10;

pub(super) fn compared(layer: &LayerTar, out: &mut dyn Write) -> Result<Written, ArchiveError> {
    if let LayerTar::Diff(layer) = layer {
        let mut hashed = Hashed { out, hasher: Hasher::default() };
        walk(layer, &mut hashed)?;
        return Ok(Written { len: hashed.hasher.len(), diff_id: DiffId(hashed.hasher.finish()) });
    }
    let mut source = Source::new(layer, true)?;
    copy(&mut source, out)?;
    Ok(source.compare()?.expect("the tar was hashed"))
}

pub(super) fn raw(layer: &LayerTar, out: &mut dyn Write) -> Result<(), ArchiveError> {
    match layer {
        LayerTar::Diff(layer) => walk(layer, out),
        layer => copy(&mut Source::raw(layer)?, out),
    }
}

fn copy(source: &mut Source<'_>, out: &mut dyn Write) -> Result<(), ArchiveError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            n => out.write_all(&buffer[..n]).map_err(stream)?,
        }
    }
}

fn walk(layer: &DiffLayer, out: &mut dyn Write) -> Result<(), ArchiveError> {
    let mut out = Watched { out, failed: None };
    match (layer.write_to(&mut out), out.failed) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(source)) => Err(stream(source)),
        (Err(error), None) => Err(content(error.into_io())),
    }
}

fn stream(source: io::Error) -> ArchiveError {
    ArchiveError::Stream(Arc::new(source))
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Keeps the output's error: the layer's own would hide it.
struct Watched<'a> {
    out: &'a mut dyn Write,
    failed: Option<io::Error>,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
