//! Reads the headers of a tar and skips the contents: ustar, GNU long names, PAX records.

use std::io;

use layerlift_archive::ReadAt;

use super::sparse::{self, Map, Sparse};

/// Largest size of the records before an entry. A path has at most 4096 bytes.
const RECORDS: u64 = 1 << 20;
const BLOCK: u64 = 512;
/// Where a header has its magic.
const MAGIC: std::ops::Range<usize> = 257..262;
/// How much is read at a time to find a header.
const WINDOW: usize = 1 << 20;
/// After so many windows of zeros, nothing else is expected.
const HOLE: usize = 256;
/// Where the header of an old sparse entry has its first pieces, and whether others follow in blocks of their
/// own, and the length of the file.
const PIECES: std::ops::Range<usize> = 386..482;
const EXTENDED: usize = 482;
const REAL_SIZE: std::ops::Range<usize> = 483..495;

/// An entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Offset of its content.
    pub(super) offset: u64,
    /// Length of its content.
    pub(super) len: u64,
}

/// The type of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A symbolic link, whose target is relative to its directory.
    Symbolic(Vec<u8>),
    /// A hard link, whose target is the name of an entry.
    Hard(Vec<u8>),
    Dir,
    /// A device, a pipe, or an unknown type.
    Other,
    /// A sparse file: its content is in the tar without the holes.
    Sparse(Sparse),
}

/// Why there are no more headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// A block of zeros.
    Mark,
    /// The file ends between two entries.
    NoMark,
    /// The file ends in a header, or in the records before one.
    InHeader,
    /// There is something at this offset that is not a header.
    NoHeader(u64),
}

/// Reads the header at `at`. The outer error is that of the file system.
pub(super) fn read(file: &dyn ReadAt, file_len: u64, at: u64) -> io::Result<Result<Header, End>> {
    let mut records = Records::default();
    let mut at = at;
    loop {
        if at == file_len && !records.any {
            return Ok(Err(End::NoMark));
        }
        if at.checked_add(BLOCK).is_none_or(|end| end > file_len) {
            return Ok(Err(End::InHeader));
        }
        let mut block = [0; BLOCK as usize];
        file.read_exact_at(&mut block, at)?;
        if block.iter().all(|&byte| byte == 0) {
            return Ok(Err(if records.any { End::NoHeader(at) } else { End::Mark }));
        }
        let header = tar::Header::from_byte_slice(&block);
        let (true, Ok(size)) = (checksum_holds(header, &block), header.entry_size()) else {
            return Ok(Err(End::NoHeader(at)));
        };
        let offset = at + BLOCK;
        let kind = header.entry_type();
        let is_record = matches!(kind.as_byte(), b'L' | b'K' | b'x' | b'g');
        if !is_record {
            let mut complete = records.complete(header, offset, size);
            if let Kind::Sparse(Sparse { map: Map::Old(pieces), .. }) = &mut complete.kind
                && block[EXTENDED] != 0
            {
                match extensions(file, file_len, offset, pieces)? {
                    Ok(behind) => complete.offset = behind,
                    Err(end) => return Ok(Err(end)),
                }
            }
            return Ok(Ok(complete));
        }
        if size > RECORDS {
            return Ok(Err(End::NoHeader(at)));
        }
        let end = offset + size;
        if end > file_len {
            return Ok(Err(End::InHeader));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, offset)?;
        if !records.take(kind.as_byte(), bytes) {
            return Ok(Err(End::NoHeader(at)));
        }
        at = end.next_multiple_of(BLOCK);
    }
}

/// The pieces of a sparse entry in the blocks behind its header, of which `at` is the first. Returns where
/// its content begins.
fn extensions(
    file: &dyn ReadAt,
    file_len: u64,
    at: u64,
    pieces: &mut Vec<u8>,
) -> io::Result<Result<u64, End>> {
    let mut at = at;
    loop {
        if at.checked_add(BLOCK).is_none_or(|end| end > file_len) {
            return Ok(Err(End::InHeader));
        }
        let mut block = [0; BLOCK as usize];
        file.read_exact_at(&mut block, at)?;
        pieces.extend(&block[..504]);
        if pieces.len() > sparse::PIECES * 24 {
            return Ok(Err(End::NoHeader(at)));
        }
        at += BLOCK;
        if block[504] == 0 {
            return Ok(Ok(at));
        }
    }
}

/// Looks for the header of an entry that archives of images have, after something that is not a header.
/// Layers are tars themselves, so other headers may be those of files in a layer.
pub(super) fn search(file: &dyn ReadAt, file_len: u64, from: u64) -> io::Result<Option<u64>> {
    let mut at = from.next_multiple_of(BLOCK);
    let mut window = vec![0; WINDOW];
    let mut zeros = 0;
    while let Some(left) = file_len.checked_sub(at).filter(|left| *left >= BLOCK) {
        let len = left.min(WINDOW as u64) / BLOCK * BLOCK;
        let window = &mut window[..len as usize];
        file.read_exact_at(window, at)?;
        zeros = if window.iter().all(|&byte| byte == 0) { zeros + 1 } else { 0 };
        if zeros > HOLE {
            return Ok(None);
        }
        for block in window.chunks_exact(BLOCK as usize) {
            if is_ustar(block) && is_of_images(block) {
                return Ok(Some(at));
            }
            at += BLOCK;
        }
    }
    Ok(None)
}

/// Whether a block of zeros is followed by something else. The end of a tar has two of them.
pub(super) fn is_lone_zero(file: &dyn ReadAt, file_len: u64, at: u64) -> io::Result<bool> {
    let next = at + BLOCK;
    let mut block = [0; BLOCK as usize];
    if next + BLOCK > file_len {
        return Ok(false);
    }
    file.read_exact_at(&mut block, next)?;
    Ok(block.iter().any(|&byte| byte != 0))
}

/// Whether a block would be a header if its checksum were right.
pub(super) fn is_ustar(block: &[u8]) -> bool {
    block.get(MAGIC).is_some_and(|magic| magic == b"ustar")
}

/// Whether a block is the header of a file that an archive of images has.
fn is_of_images(block: &[u8]) -> bool {
    let header = tar::Header::from_byte_slice(block);
    let path = header.path_bytes();
    checksum_holds(header, block) && std::str::from_utf8(&path).is_ok_and(of_images)
}

/// Whether an archive of images has a file of this name.
pub(super) fn of_images(name: &str) -> bool {
    let name = name.trim_start_matches("./");
    let (first, rest) = name.split_once('/').unwrap_or((name, ""));
    match rest {
        "" => {
            let of_digest = [".json", ".tar"].iter().find_map(|end| first.strip_suffix(end));
            ["index.json", "manifest.json", "oci-layout", "repositories"].contains(&first)
                || of_digest.is_some_and(crate::hex_id)
        }
        "VERSION" | "json" | "layer.tar" => crate::hex_id(first),
        rest => first == "blobs" && rest.split_once('/').is_some_and(|(_, hex)| !hex.is_empty()),
    }
}

/// The checksum: the sum of all bytes, with spaces for the checksum itself. Old programs summed signed bytes.
pub(crate) fn checksum_holds(header: &tar::Header, block: &[u8]) -> bool {
    let (before, rest) = block.split_at(148);
    let bytes = || before.iter().chain(&[b' '; 8]).chain(&rest[8..]);
    let unsigned: u32 = bytes().map(|&byte| u32::from(byte)).sum();
    let signed: i32 = bytes().map(|&byte| i32::from(byte.cast_signed())).sum();
    header.cksum().is_ok_and(|sum| sum == unsigned || i64::from(sum) == i64::from(signed))
}

/// Records before a header, which apply to it.
#[derive(Default)]
struct Records {
    any: bool,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: Option<Sparse>,
    /// Its name: that of the header, or of a record `path` anywhere, is made up.
    sparse_name: Option<Vec<u8>>,
}

impl Records {
    /// Applies a record; false if it is malformed.
    fn take(&mut self, kind: u8, mut bytes: Vec<u8>) -> bool {
        match kind {
            // Global records hold comments, as written by `git archive`.
            b'g' => return true,
            b'L' | b'K' => {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                bytes.truncate(end);
                *(if kind == b'L' { &mut self.path } else { &mut self.link }) = Some(bytes);
            }
            _ => {
                for record in tar::PaxExtensions::new(&bytes) {
                    let Ok(record) = record else { return false };
                    let value = record.value_bytes();
                    match record.key_bytes() {
                        b"path" => self.path = Some(value.to_vec()),
                        b"linkpath" => self.link = Some(value.to_vec()),
                        b"size" => {
                            let size = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                            if size.is_none() {
                                return false;
                            }
                            self.size = size;
                        }
                        key => {
                            if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                                self.take_sparse(key, value);
                            }
                        }
                    }
                }
            }
        }
        self.any = true;
        true
    }

    /// A record of a sparse entry.
    fn take_sparse(&mut self, key: &[u8], value: &[u8]) {
        let sparse = self.sparse.get_or_insert_default();
        match key {
            b"name" => self.sparse_name = Some(value.to_vec()),
            _ => sparse.take(key, value),
        }
    }

    fn complete(self, header: &tar::Header, offset: u64, size: u64) -> Header {
        let link = || self.link.clone().or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let kind = match header.entry_type().as_byte() {
            b'0' | b'\0' | b'7' if self.sparse.is_some() => Kind::Sparse(self.sparse.unwrap_or_default()),
            b'S' => {
                let bytes = header.as_bytes();
                let map = Map::Old(bytes[PIECES].to_vec());
                Kind::Sparse(Sparse { len: sparse::number(&bytes[REAL_SIZE]), map })
            }
            b'0' | b'\0' | b'7' => Kind::File,
            b'1' => Kind::Hard(link().unwrap_or_default()),
            b'2' => Kind::Symbolic(link().unwrap_or_default()),
            b'5' => Kind::Dir,
            _ => Kind::Other,
        };
        let name = self.sparse_name.or(self.path).unwrap_or_else(|| header.path_bytes().into_owned());
        let len = self.size.unwrap_or(size);
        // Some programs write the size of the target for a link, which has no content nonetheless.
        let len = if matches!(kind, Kind::Hard(_) | Kind::Symbolic(_) | Kind::Dir) { 0 } else { len };
        Header { name, kind, offset, len }
    }
}
