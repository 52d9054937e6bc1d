//! What the tar of a layer consists of, buffer by buffer: literal bytes, and gaps for its files.
//!
//! The record says where each file lies in the tar. So one thread goes through the record and copies literal
//! bytes, and any number of others open the files and read them into their places. What costs most, opening
//! and reading, is done by several threads for each layer.

use std::borrow::Cow;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use layerlift_archive::{Gaps, Outlined};

use super::checksum::Checksum;
use super::files::{Files, Place, SharedFolder};
use super::line::Line;
use super::lines::Lines;
use super::open::{self, Open};
use super::payload;
use crate::Error;

pub(super) struct Outline<'a, R> {
    files: Files<'a>,
    lines: Lines<R>,
    /// Whether the checksum of every file is compared.
    check: bool,
    bytes: Vec<u8>,
    at: usize,
    /// The file whose contents come next, if a buffer ended in it.
    rest: Option<Rest>,
    failed: Option<Error>,
    done: bool,
}

enum Rest {
    Shared {
        file: Arc<Large>,
        from: u64,
    },
    /// A checksum is a chain, so these bytes are read in their order, at once.
    Checked {
        file: Open<'static>,
        from: u64,
        expected: u64,
        found: Box<Checksum>,
    },
}

/// A file in several buffers. The first of them that is filled opens it.
struct Large {
    name: Vec<u8>,
    folder: Option<Arc<SharedFolder>>,
    size: u64,
    checksum: u64,
    opened: OnceLock<Result<Open<'static>, Error>>,
}

/// The files that are missing in a buffer.
struct Missing<'a> {
    place: Place<'a>,
    check: bool,
    segments: Vec<Segment>,
    /// Of the small files, one after another.
    names: Vec<u8>,
    /// Those of the small files, each once where it follows itself.
    folders: Vec<Arc<SharedFolder>>,
}

struct Segment {
    /// Of the buffer.
    at: usize,
    len: usize,
    file: Which,
}

enum Which {
    /// A whole file.
    Small { name: Range<usize>, folder: Option<usize>, checksum: u64 },
    /// A part of one, and where in the file it begins.
    Large(Arc<Large>, u64),
}

impl<'a, R: Read> Outline<'a, R> {
    pub(super) fn new(files: Files<'a>, lines: Lines<R>, check: bool) -> Self {
        Outline { files, lines, check, bytes: Vec::new(), at: 0, rest: None, failed: None, done: false }
    }

    /// Goes on in a buffer that has been filled up to `at`; returns how many bytes were added.
    fn advance(&mut self, buf: &mut [u8], at: usize, missing: &mut Missing<'a>) -> Result<usize, Error> {
        let room = buf.len() - at;
        if self.at < self.bytes.len() {
            let n = (self.bytes.len() - self.at).min(room);
            buf[at..at + n].copy_from_slice(&self.bytes[self.at..self.at + n]);
            self.at += n;
            return Ok(n);
        }
        if let Some(rest) = self.rest.take() {
            return self.read_on(rest, buf, at, missing);
        }
        match self.lines.next()? {
            None => self.done = true,
            Some(Line::Bytes(base64)) => {
                self.bytes.clear();
                self.at = 0;
                if let Err(why) = payload::decode_into(&base64, &mut self.bytes) {
                    return Err(self.lines.malformed(&why));
                }
            }
            Some(Line::Contents { size: 0, .. }) => {}
            Some(Line::Contents { name, size, checksum }) if size <= room as u64 => {
                missing.push(&name, self.files.folder(&name), (at, size as usize), checksum);
                return Ok(size as usize);
            }
            Some(Line::Contents { name, size, checksum: expected }) if self.check => {
                let (file, name) = open::open(&mut self.files, &name, size, expected)?;
                let file = Open { file, name: Cow::Owned(name.into_owned()), size };
                self.rest = Some(Rest::Checked { file, from: 0, expected, found: Box::new(Checksum::new()) });
            }
            Some(Line::Contents { name, size, checksum }) => {
                let folder = self.files.folder(&name).cloned();
                let name = name.into_owned();
                let file = Arc::new(Large { name, folder, size, checksum, opened: OnceLock::new() });
                self.rest = Some(Rest::Shared { file, from: 0 });
            }
        }
        Ok(0)
    }

    /// Goes on with a file that does not end in the buffer in which it began.
    fn read_on(
        &mut self,
        rest: Rest,
        buf: &mut [u8],
        at: usize,
        missing: &mut Missing<'a>,
    ) -> Result<usize, Error> {
        let part =
            |size: u64, from: u64| (buf.len() - at).min(usize::try_from(size - from).unwrap_or(usize::MAX));
        match rest {
            Rest::Shared { file, from } => {
                let len = part(file.size, from);
                let next = from + len as u64;
                if next < file.size {
                    self.rest = Some(Rest::Shared { file: file.clone(), from: next });
                }
                missing.segments.push(Segment { at, len, file: Which::Large(file, from) });
                Ok(len)
            }
            Rest::Checked { file, from, expected, mut found } => {
                let len = part(file.size, from);
                let tree = self.files.place().tree;
                file.read(tree, buf, at, len, from)?;
                found.update(&buf[at..at + len]);
                let next = from + len as u64;
                if next < file.size {
                    self.rest = Some(Rest::Checked { file, from: next, expected, found });
                } else {
                    compare(expected, &found, || open::path(tree, &file.name))?;
                }
                Ok(len)
            }
        }
    }
}

fn compare(expected: u64, found: &Checksum, path: impl FnOnce() -> std::path::PathBuf) -> Result<(), Error> {
    match found.finish() {
        found if found == expected => Ok(()),
        found => Err(Error::Checksum { path: path(), expected, found }),
    }
}

impl<'a, R: Read + Send> layerlift_archive::Outline<'a> for Outline<'a, R> {
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Outlined<'a>> {
        if let Some(error) = self.failed.take() {
            return Err(error.into_io());
        }
        let mut filled = 0;
        let mut missing = Missing {
            place: self.files.place(),
            check: self.check,
            segments: Vec::new(),
            names: Vec::new(),
            folders: Vec::new(),
        };
        while filled < buf.len() && !self.done {
            match self.advance(buf, filled, &mut missing) {
                Ok(n) => filled += n,
                Err(error) if filled == 0 => return Err(error.into_io()),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        let gaps = (!missing.segments.is_empty()).then(|| Box::new(missing) as Box<dyn Gaps + 'a>);
        Ok((filled, gaps))
    }
}

impl Missing<'_> {
    /// Adds a small file at a place of the buffer, given with its length.
    fn push(
        &mut self,
        name: &[u8],
        folder: Option<&Arc<SharedFolder>>,
        (at, len): (usize, usize),
        checksum: u64,
    ) {
        let start = self.names.len();
        self.names.extend_from_slice(name);
        if let Some(folder) = folder
            && !self.folders.last().is_some_and(|last| Arc::ptr_eq(last, folder))
        {
            self.folders.push(folder.clone());
        }
        let folder = folder.map(|_| self.folders.len() - 1);
        let file = Which::Small { name: start..self.names.len(), folder, checksum };
        self.segments.push(Segment { at, len, file });
    }
}

impl Gaps for Missing<'_> {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let place = self.place;
        let tree = place.tree;
        for Segment { at, len, file } in std::mem::take(&mut self.segments) {
            match file {
                Which::Small { name, folder, checksum } => {
                    let folder = folder.map(|folder| &*self.folders[folder]);
                    let size = len as u64;
                    let (file, name) = open::open_in(place, folder, &self.names[name], size, checksum)
                        .map_err(Error::into_io)?;
                    let file = Open { file, name, size };
                    file.read(tree, buf, at, len, 0).map_err(Error::into_io)?;
                    if self.check {
                        let mut found = Checksum::new();
                        found.update(&buf[at..at + len]);
                        compare(checksum, &found, || open::path(tree, &file.name)).map_err(Error::into_io)?;
                    }
                }
                Which::Large(file, from) => {
                    let file = file.open(place).map_err(|error| error.clone().into_io())?;
                    file.read(tree, buf, at, len, from).map_err(Error::into_io)?;
                }
            }
        }
        Ok(())
    }
}

impl Large {
    fn open(&self, place: Place<'_>) -> Result<&Open<'static>, &Error> {
        let opened = self.opened.get_or_init(|| {
            let (name, size) = (&self.name, self.size);
            let (file, name) = open::open_in(place, self.folder.as_deref(), name, size, self.checksum)?;
            Ok(Open { file, name: Cow::Owned(name.into_owned()), size })
        });
        opened.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;

    use layerlift_archive::{Content as _, Digest};

    use super::super::tests::Layer;
    use crate::DiffId;

    /// Small files and large ones in folders, with literal bytes between them.
    fn layer() -> Layer {
        let mut layer = Layer::new().bytes(b"<head>");
        for number in 0..60_usize {
            let name = format!("d{}/f{number}", number / 7);
            let contents = vec![number as u8; number * number * 7 % 1999 + number / 20 * 400];
            layer = layer.file(name.as_bytes(), &name, &contents).bytes(format!("<{number}>").as_bytes());
        }
        layer
    }

    /// The gaps of all buffers are filled after the last one was laid out, the last first.
    #[test]
    fn gaps_are_filled_in_any_order() {
        let layer = layer();
        for diff_id in [None, Some(DiffId(Digest::of(b"")))] {
            let opened = layer.open(&layer.gzip(), diff_id).unwrap();
            let mut expected = Vec::new();
            opened.raw_reader().unwrap().read_to_end(&mut expected).unwrap();
            assert_eq!(expected.len() as u64, opened.len());
            for size in [1, 7, 512, 1000, 4096, 1 << 20] {
                let mut outline = opened.raw_outline().unwrap();
                let mut laid = Vec::new();
                loop {
                    let mut buffer = vec![0xee; size];
                    let (n, gaps) = outline.next(&mut buffer).unwrap();
                    buffer.truncate(n);
                    laid.push((buffer, gaps));
                    if n == 0 {
                        break;
                    }
                }
                for (buffer, gaps) in laid.iter_mut().rev() {
                    gaps.iter_mut().for_each(|gaps| gaps.fill(buffer).unwrap());
                }
                let bytes = laid.into_iter().flat_map(|(buffer, _)| buffer).collect::<Vec<u8>>();
                assert!(bytes == expected, "buffers of {size}, {diff_id:?}");
            }
        }
    }

    /// What is wrong with a file shows where its bytes are, and with the line after it only after that.
    #[test]
    fn failures_come_in_order() {
        let mut layer = layer();
        layer = layer.file(b"last", "last", b"contents").bytes(b"<tail>");
        let opened = layer.open(&layer.gzip(), Some(DiffId(Digest::of(b"")))).unwrap();
        for (contents, message) in [
            (&b"conten"[..], "shorter, 6 of 8 bytes"),
            (b"contents.", "longer than its recorded size of 8"),
            (b"", "shorter, 0 of 8 bytes"),
        ] {
            fs::write(layer.path(b"last"), contents).unwrap();
            for size in [3, 8, 1 << 20] {
                let mut outline = opened.raw_outline().unwrap();
                let mut buffer = vec![0; size];
                let error = loop {
                    let (n, gaps) = outline.next(&mut buffer).unwrap();
                    assert!(n > 0, "{message}");
                    if let Some(Err(error)) = gaps.map(|mut gaps| gaps.fill(&mut buffer[..n])) {
                        break error.to_string();
                    }
                };
                assert!(error.contains("tree/last") && error.contains(message), "{size}: {error}");
            }
        }
    }
}
