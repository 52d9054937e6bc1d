//! Sparse files, which a record cannot describe.
//!
//! A tar can leave out the holes of a file (`tar --sparse`, bsdtar by itself; GNU's type `S`, or records
//! `GNU.sparse.*` of PAX). tar-split records the header and the whole file, holes filled with zeros, so that
//! the tar cannot be made again: not by the engine either (moby 37680, podman 25270). What gives it away is
//! the size: that of the header counts the bytes that follow it, that of the line the bytes on disk.

use std::io::Read;

use super::line::Line;
use super::lines::Lines;
use super::payload;
use crate::Error;

const BLOCK: usize = 512;

/// A file of which the tar has fewer bytes than the record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sparse {
    pub(super) name: Vec<u8>,
    /// Bytes in the tar.
    pub(super) stored: u64,
    /// Bytes on disk.
    pub(super) size: u64,
}

/// The first sparse file of a record.
pub(super) fn find<R: Read>(mut lines: Lines<R>) -> Result<Option<Sparse>, Error> {
    let mut at = 0_u64;
    let mut stored = None;
    let mut bytes = Vec::new();
    while let Some(line) = lines.next()? {
        match line {
            Line::Bytes(base64) => {
                bytes.clear();
                if payload::decode_into(&base64, &mut bytes).is_err() {
                    return Ok(None);
                }
                stored = stored_size(&bytes, at);
                at += bytes.len() as u64;
            }
            Line::Contents { size: 0, .. } => {}
            Line::Contents { name, size, .. } => {
                if let Some(stored) = stored.filter(|stored| *stored != size) {
                    return Ok(Some(Sparse { name: name.into_owned(), stored, size }));
                }
                at = at.saturating_add(size);
            }
        }
    }
    Ok(None)
}

/// How many bytes follow the last header in `bytes`, which begin at this offset of the tar. `None` if it is
/// not clear.
fn stored_size(bytes: &[u8], at: u64) -> Option<u64> {
    let mut at = (at.next_multiple_of(BLOCK as u64) - at) as usize;
    let mut recorded = None;
    loop {
        let block = bytes.get(at..at.checked_add(BLOCK)?)?;
        let header = tar::Header::from_byte_slice(block);
        let size = header.entry_size().ok()?;
        let kind = header.entry_type().as_byte();
        if !matches!(kind, b'x' | b'g' | b'L' | b'K') {
            return Some(recorded.unwrap_or(size));
        }
        at += BLOCK;
        let size = usize::try_from(size).ok()?;
        if kind == b'x' {
            let records = tar::PaxExtensions::new(bytes.get(at..at.checked_add(size)?)?).flatten();
            let sizes = records.filter(|record| record.key_bytes() == b"size");
            let last = sizes.filter_map(|record| record.value().ok()?.parse().ok()).last();
            recorded = last.or(recorded);
        }
        at = at.checked_add(size.checked_next_multiple_of(BLOCK)?)?;
    }
}
