//! Reads the entries of a tar that comes as a stream, as Go's `archive/tar` does: USTAR, GNU, PAX, and all
//! four kinds of sparse entries.
//!
//! The engines read layers with that package, so it decides what an odd header means.

use std::io::{self, Read};

use layerlift_archive::ReadAt;

use super::pax::Extended;
use crate::Error;
use crate::archive::checksum_holds;
use crate::archive::sparse::{self, Map, Sparse};

const BLOCK: usize = 512;
/// Largest size of what precedes an entry; Go's limit.
const EXTENDED: u64 = 1 << 20;
/// Largest size of the map at the beginning of a sparse entry.
const MAP: u64 = 12 << 20;

/// An entry of a tar.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: u8,
    /// Permissions alone.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Major and minor.
    pub(super) device: (u64, u64),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a sparse entry: where its pieces belong in the file, and how long they are.
    pub(super) pieces: Option<Vec<(u64, u64)>>,
    /// Where its content begins in the tar.
    pub(super) at: u64,
}

/// Why the next entry cannot be had.
#[derive(Debug)]
pub(super) enum Failure {
    /// The stream failed.
    Stream(io::Error),
    /// It is not what a tar must be.
    Bad(String),
    /// What is made of it cannot be kept.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Stream(error)
    }
}

pub(super) fn bad<T>(why: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Bad(why.into()))
}

/// A tar.
pub(super) struct Entries<R> {
    input: R,
    /// Bytes that were read.
    at: u64,
    /// Bytes of the content that were not read, and of its padding.
    left: u64,
    padding: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(input: R) -> Self {
        Entries { input, at: 0, left: 0, padding: 0, buffer: vec![0; 64 << 10] }
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        self.skip(self.left.saturating_add(self.padding))?;
        (self.left, self.padding) = (0, 0);
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.block()? else {
                return if extended.any {
                    bad("it ends behind a header that belongs to another")
                } else {
                    Ok(None)
                };
            };
            if block == [0; BLOCK] {
                return match self.block()? {
                    None | Some([0, ..]) if !extended.any => Ok(None),
                    _ => bad("a block of zeros stands among its entries"),
                };
            }
            let header = tar::Header::from_byte_slice(&block);
            let at = self.at - BLOCK as u64;
            let what = || format!("what it has at byte {at} is not a header");
            let size = unsigned(&block[124..136]).filter(|_| checksum_holds(header, &block));
            let Some(size) = size else { return bad(what()) };
            let kind = block[156];
            if !matches!(kind, b'L' | b'K' | b'x' | b'g') {
                return self.entry(&block, kind, size, extended).map(Some);
            }
            if size > EXTENDED {
                return bad(format!("{}: it announces {size} bytes of names", what()));
            }
            let mut bytes = vec![0; size as usize];
            self.fill(&mut bytes)?;
            self.skip(size.next_multiple_of(BLOCK as u64) - size)?;
            if !extended.take(kind, bytes) {
                return bad(format!("{}, but records that make no sense", what()));
            }
        }
    }

    /// Reads some of the content; 0 at its end.
    pub(super) fn content(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        self.fill(&mut buffer[..want])?;
        self.left -= want as u64;
        Ok(want)
    }

    /// Reads what follows the last entry, too: only then is it known whether all bytes are right.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        while self.some()? > 0 {}
        Ok(())
    }

    fn entry(
        &mut self,
        block: &[u8; BLOCK],
        kind: u8,
        size: u64,
        extended: Extended,
    ) -> Result<Entry, Failure> {
        let header = tar::Header::from_byte_slice(block);
        let own_name = header.path_bytes();
        let number = |given: Option<i64>, field: &[u8]| given.or_else(|| signed(field));
        let Extended { path, link, size: given, uid, gid, mtime, xattrs, sparse, sparse_name, .. } = extended;
        let name = sparse_name.or(path).unwrap_or_else(|| own_name.to_vec());
        let shown = || name.escape_ascii().to_string();
        let link = link.unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
        let kind = match kind {
            0 if name.ends_with(b"/") => b'5',
            0 | b'7' => b'0',
            kind => kind,
        };
        let id = |given, field, what| match number(given, field).and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(id),
            None => bad(format!("entry {} has a {what} that no file system takes", shown())),
        };
        let (uid, gid) = (id(uid, &block[108..116], "user")?, id(gid, &block[116..124], "group")?);
        let (mode, mtime) = (unsigned(&block[100..108]), number(mtime, &block[136..148]));
        let (Some(mode), Some(mtime)) = (mode, mtime) else {
            return bad(format!("the mode or the time of entry {} is not a number", shown()));
        };
        let device = match kind {
            b'3' | b'4' => unsigned(&block[329..337]).zip(unsigned(&block[337..345])),
            _ => Some((0, 0)),
        };
        let Some(device) = device else {
            return bad(format!("the device number of entry {} is not a number", shown()));
        };
        let stored = match kind {
            b'1'..=b'6' => 0,
            _ => given.unwrap_or(size),
        };
        self.left = stored;
        self.padding = stored.checked_next_multiple_of(BLOCK as u64).map_or(0, |end| end - stored);
        let sparse = match kind {
            b'S' => Some(self.old_map(block)?),
            b'0' => sparse,
            _ => None,
        };
        let kind = if kind == b'S' { b'0' } else { kind };
        let mut entry = Entry {
            link,
            kind,
            mode: mode as u32 & 0o7777,
            uid,
            gid,
            mtime,
            size: stored,
            device,
            xattrs,
            at: self.at,
            ..Entry::default()
        };
        if let Some(sparse) = sparse {
            let (len, pieces) = match self.pieces(&sparse, stored)? {
                Ok(found) => found,
                Err(why) => return bad(format!("{} is a sparse entry, and {why}", shown())),
            };
            (entry.size, entry.pieces) = (len, Some(pieces));
        }
        entry.name = name;
        Ok(entry)
    }

    /// The map of an old sparse entry, whose blocks precede the content.
    fn old_map(&mut self, block: &[u8; BLOCK]) -> Result<Sparse, Failure> {
        let mut pieces = block[386..482].to_vec();
        let mut more = block[482] != 0;
        while more {
            let Some(block) = self.block()? else { return bad("it ends in the map of a sparse entry") };
            pieces.extend(&block[..504]);
            if pieces.len() > sparse::PIECES * 24 {
                return bad("the map of a sparse entry is too long");
            }
            more = block[504] != 0;
        }
        Ok(Sparse { len: sparse::number(&block[483..495]), map: Map::Old(pieces) })
    }

    /// The length of a sparse file, and its pieces; or what is wrong with them.
    #[allow(clippy::type_complexity, reason = "a pair, and the two ways to fail")]
    fn pieces(
        &mut self,
        sparse: &Sparse,
        stored: u64,
    ) -> Result<Result<(u64, Vec<(u64, u64)>), &'static str>, Failure> {
        let mut map = Vec::new();
        if sparse.map == Map::Within {
            let mut lines = Lines::default();
            while !lines.done() {
                let mut block = [0; BLOCK];
                if map.len() as u64 > MAP || self.left < BLOCK as u64 {
                    return Ok(Err("the map of its pieces cannot be read"));
                }
                self.content(&mut block)?;
                lines.add(&block);
                map.extend(block);
            }
        }
        let found = sparse::pieces(&InMemory(map), sparse, 0, stored)?;
        Ok(found.map(|found| (found.len, found.pieces)))
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Failure> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match read(&mut self.input, &mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return bad("it ends in the middle of a header"),
                n => filled += n,
            }
        }
        self.at += BLOCK as u64;
        Ok(Some(block))
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), Failure> {
        while !buffer.is_empty() {
            match read(&mut self.input, buffer)? {
                0 => return bad("it ends in the middle of an entry"),
                n => {
                    self.at += n as u64;
                    buffer = &mut buffer[n..];
                }
            }
        }
        Ok(())
    }

    fn skip(&mut self, mut len: u64) -> Result<(), Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        while len > 0 {
            let want = usize::try_from(len).unwrap_or(usize::MAX).min(buffer.len());
            self.fill(&mut buffer[..want])?;
            len -= want as u64;
        }
        self.buffer = buffer;
        Ok(())
    }

    fn some(&mut self) -> io::Result<usize> {
        read(&mut self.input, &mut self.buffer)
    }
}

fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// How many lines the map of a sparse entry has, as far as it was read.
#[derive(Default)]
struct Lines {
    count: Option<u64>,
    first: Vec<u8>,
    ended: u64,
}

impl Lines {
    fn add(&mut self, block: &[u8]) {
        for byte in block {
            match byte {
                b'\n' => {
                    self.ended += 1;
                    let first = str::from_utf8(&self.first).ok().and_then(|text| text.parse::<u64>().ok());
                    // One that makes no sense needs no others.
                    self.count.get_or_insert(first.unwrap_or(0));
                }
                byte if self.count.is_none() => self.first.push(*byte),
                _ => {}
            }
        }
    }

    fn done(&self) -> bool {
        self.count.is_some_and(|count| self.ended > count.saturating_mul(2))
    }
}

#[derive(Debug)]
struct InMemory(Vec<u8>);

impl ReadAt for InMemory {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())]
}

/// A number of a header: octal digits, or binary if the first bit is set.
fn signed(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        // The second bit is the sign, of a number in two's complement.
        let inverted = if field[0] & 0x40 == 0 { 0 } else { 0xff };
        let mut value = 0u64;
        for (at, byte) in field.iter().enumerate() {
            let byte = (byte ^ inverted) & if at == 0 { 0x7f } else { 0xff };
            if value >> 55 > 0 {
                return None;
            }
            value = value << 8 | u64::from(byte);
        }
        let value = value.cast_signed();
        return Some(if inverted == 0 { value } else { !value });
    }
    let start = field.iter().position(|byte| !matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let text = str::from_utf8(until_nul(&field[start..])).ok()?.trim_matches(' ');
    if text.is_empty() { Some(0) } else { i64::from_str_radix(text, 8).ok() }
}

fn unsigned(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|number| u64::try_from(number).ok())
}
