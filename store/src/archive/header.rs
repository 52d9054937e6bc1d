//! Reads the headers of a tar and skips the contents: ustar, GNU long names, PAX records.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Largest size of the records before an entry. A path has at most 4096 bytes.
const RECORDS: u64 = 1 << 20;
const BLOCK: u64 = 512;

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
    /// A sparse file: without its holes, its content is not in the tar as such.
    Sparse,
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
pub(super) fn read(file: &File, file_len: u64, at: u64) -> io::Result<Result<Header, End>> {
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
            return Ok(Ok(records.complete(header, offset, size)));
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

/// The checksum: the sum of all bytes, with spaces for the checksum itself. Old programs summed signed bytes.
fn checksum_holds(header: &tar::Header, block: &[u8]) -> bool {
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
    sparse: bool,
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
                        key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                        _ => {}
                    }
                }
            }
        }
        self.any = true;
        true
    }

    fn complete(self, header: &tar::Header, offset: u64, size: u64) -> Header {
        let link = || self.link.clone().or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let kind = match header.entry_type().as_byte() {
            _ if self.sparse => Kind::Sparse,
            b'S' => Kind::Sparse,
            b'0' | b'\0' | b'7' => Kind::File,
            b'1' => Kind::Hard(link().unwrap_or_default()),
            b'2' => Kind::Symbolic(link().unwrap_or_default()),
            b'5' => Kind::Dir,
            _ => Kind::Other,
        };
        let name = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let len = self.size.unwrap_or(size);
        // Some programs write the size of the target for a link, which has no content nonetheless.
        let len = if matches!(kind, Kind::Hard(_) | Kind::Symbolic(_) | Kind::Dir) { 0 } else { len };
        Header { name, kind, offset, len }
    }
}
