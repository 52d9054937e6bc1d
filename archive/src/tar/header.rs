//! Headers, byte for byte as Go's `archive/tar` wrote them when engines wrote their layers with it (Go 1.4,
//! `writer.go`): USTAR where it fits, a name split where that is enough, PAX records for names and xattrs,
//! base-256 numbers with the GNU magic for what octal digits cannot hold.
//!
//! Three things differ on purpose. PAX headers are named `PaxHeaders.0` instead of after the process, and
//! their records are sorted: both made every run's bytes different. And names are not split once the magic is
//! GNU's: readers that go by the magic, Go's and GNU tar among them, do not take the field for a prefix, and
//! put the file into the layer's root.

/// Size of a tar block; headers and contents fill whole blocks.
pub const BLOCK: u64 = 512;
/// Length of the zero blocks that end a tar.
pub const TRAILER: u64 = 2 * BLOCK;

pub(super) const NAME: std::ops::Range<usize> = 0..100;
pub(super) const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: std::ops::Range<usize> = 257..265;
pub(super) const PREFIX: std::ops::Range<usize> = 345..500;
pub(super) const LAST_TIME: i64 = (1 << 33) - 1;

/// What a header says.
#[derive(Debug, Clone, Default)]
pub struct Header<'a> {
    /// Path; a directory's ends in `/`. Need not be UTF-8.
    pub name: &'a [u8],
    /// Target of a symbolic or hard link.
    pub link: &'a [u8],
    /// Type flag: `b'0'` and so on.
    pub kind: u8,
    /// Permission bits; Go adds the file type (`0o100644`).
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content that follow.
    pub size: u64,
    /// Seconds since 1970; the header says 0 for what 33 bits cannot hold.
    pub mtime: i64,
    /// Major and minor number of a device.
    pub device: (u64, u64),
    /// Extended attributes, name and value.
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

/// The program whose headers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Go 1.4, with which engines wrote their layers until 2017.
    #[default]
    Go14,
    /// Go since 1.10, for engines that ask for PAX. Today all of them do.
    Pax,
}

/// Writes the headers of one tar. With Go 1.4, once a number has needed the GNU magic, it stays for the rest
/// of the archive.
#[derive(Debug, Default)]
pub struct Encoder {
    dialect: Dialect,
    used_binary: bool,
}

impl Encoder {
    /// For headers in this dialect.
    pub fn new(dialect: Dialect) -> Self {
        Encoder { dialect, ..Encoder::default() }
    }

    /// Appends the blocks of a header, with the PAX header before it where one is needed.
    pub fn encode(&mut self, header: &Header<'_>, out: &mut Vec<u8>) {
        if self.dialect == Dialect::Pax {
            return super::pax::encode(header, out);
        }
        let mut records: Vec<(Vec<u8>, &[u8])> = Vec::new();
        let mut block = self.block(header, &mut records);
        if records.len() == 1
            && records[0].0 == b"path"
            && !self.used_binary
            && let Some((prefix, suffix)) = split_long_name(header.name)
        {
            records.clear();
            block[NAME][..suffix.len()].copy_from_slice(suffix);
            block[PREFIX][..prefix.len()].copy_from_slice(prefix);
        }
        let block = with_checksum(block);
        for (name, value) in header.xattrs {
            records.push(([b"SCHILY.xattr.", name.as_slice()].concat(), value));
        }
        if !records.is_empty() {
            self.pax(header, records, out);
        }
        out.extend_from_slice(&block);
    }

    fn pax(&mut self, header: &Header<'_>, mut records: Vec<(Vec<u8>, &[u8])>, out: &mut Vec<u8>) {
        records.sort();
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let name = pax_name(header.name);
        let extension = Header {
            name: &name,
            kind: b'x',
            size: body.len() as u64,
            mtime: header.mtime,
            ..Header::default()
        };
        let block = self.block(&extension, &mut Vec::new());
        out.extend_from_slice(&with_checksum(block));
        out.extend_from_slice(&body);
        out.resize(out.len() + padding(body.len() as u64) as usize, 0);
    }

    /// The header block without its checksum; texts that do not fit go to `records` and leave their field
    /// empty.
    fn block<'h>(&mut self, header: &Header<'h>, records: &mut Vec<(Vec<u8>, &'h [u8])>) -> [u8; 512] {
        let mut block = [0; 512];
        text(&mut block[NAME], header.name, b"path", records);
        octal(&mut block[100..108], u64::from(header.mode));
        self.number(&mut block[108..116], header.uid);
        self.number(&mut block[116..124], header.gid);
        self.number(&mut block[124..136], header.size);
        let mtime = if (0..=LAST_TIME).contains(&header.mtime) { header.mtime as u64 } else { 0 };
        self.number(&mut block[136..148], mtime);
        block[156] = header.kind;
        text(&mut block[LINK], header.link, b"linkpath", records);
        self.number(&mut block[329..337], header.device.0);
        self.number(&mut block[337..345], header.device.1);
        block[MAGIC].copy_from_slice(if self.used_binary { b"ustar  \0" } else { b"ustar\x0000" });
        block
    }

    fn number(&mut self, field: &mut [u8], value: u64) {
        if octal(field, value) {
            return;
        }
        self.used_binary = true;
        let bytes = value.to_be_bytes();
        let len = field.len().min(bytes.len());
        let at = field.len() - len;
        field[at..].copy_from_slice(&bytes[bytes.len() - len..]);
        field[0] |= 0x80;
    }
}

/// Zero-padded octal digits and a NUL; `false` if they do not fit.
pub(super) fn octal(field: &mut [u8], value: u64) -> bool {
    let width = field.len() - 1;
    let digits = format!("{value:0width$o}");
    if digits.len() > width {
        return false;
    }
    field[..width].copy_from_slice(digits.as_bytes());
    true
}

fn text<'h>(field: &mut [u8], value: &'h [u8], key: &[u8], records: &mut Vec<(Vec<u8>, &'h [u8])>) {
    if value.len() > field.len() || !value.is_ascii() {
        records.push((key.to_vec(), value));
    } else {
        field[..value.len()].copy_from_slice(value);
    }
}

pub(super) fn with_checksum(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
    octal(&mut block[148..155], sum);
    block[154] = 0;
    block
}

/// Splits a path of up to 255 bytes at a `/` into prefix and name, as USTAR has it. Go's rule says where.
pub(super) fn split_long_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    let mut len = name.len();
    if len > 156 {
        len = 156;
    } else if name.ends_with(b"/") {
        len -= 1;
    }
    let at = name[..len].iter().rposition(|&b| b == b'/')?;
    let suffix = name.len() - at - 1;
    (at > 0 && at <= 155 && suffix > 0 && suffix <= 100).then(|| (&name[..at], &name[at + 1..]))
}

/// One PAX record: its own length, a space, `key=value`, a line end.
pub(super) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + rest.to_string().len();
    if rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// `dir/PaxHeaders.0/file` without what is not ASCII, at most 100 bytes.
pub(super) fn pax_name(name: &[u8]) -> Vec<u8> {
    let at = name.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let (dir, file) = name.split_at(at);
    let parts = dir.split(|&b| b == b'/').chain([b"PaxHeaders.0".as_slice(), file]);
    let joined = parts.filter(|part| !part.is_empty() && *part != b".").collect::<Vec<_>>().join(&b'/');
    joined.into_iter().filter(u8::is_ascii).take(100).collect()
}

/// Zero bytes that follow `size` bytes of content.
pub fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(header: &Header<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::default().encode(header, &mut out);
        out
    }

    fn read_back(mut bytes: Vec<u8>) -> (Vec<u8>, Option<Vec<u8>>, u64) {
        bytes.resize(bytes.len() + 2048, 0);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let link = entry.link_name_bytes().map(|l| l.into_owned());
        (entry.path_bytes().into_owned(), link, entry.header().uid().unwrap())
    }

    #[test]
    fn plain_header_is_ustar() {
        let bytes =
            encode(&Header { name: b"a/b", kind: b'0', mode: 0o100644, size: 5, ..Header::default() });
        assert_eq!(bytes.len(), 512);
        assert_eq!(&bytes[100..108], b"0100644\0");
        assert_eq!(&bytes[257..265], b"ustar\x0000");
        assert_eq!(bytes[155], b' ');
        assert_eq!(read_back(bytes).0, b"a/b");
    }

    #[test]
    fn names_come_back() {
        let split = ["d".repeat(90), "/".into(), "f".repeat(60)].concat();
        let pax = ["d".repeat(10), "/".into(), "f".repeat(120)].concat();
        for (name, blocks) in
            [("x".repeat(100), 1), (split, 1), (pax, 3), ("uni/ü".into(), 3), ("e/".repeat(130), 3)]
        {
            let bytes = encode(&Header { name: name.as_bytes(), kind: b'0', ..Header::default() });
            assert_eq!(bytes.len(), blocks * 512, "{name}");
            assert_eq!(read_back(bytes).0, name.as_bytes(), "{name}");
        }
    }

    #[test]
    fn beside_a_long_link_the_name_is_not_split() {
        let name = ["d".repeat(90), "/".into(), "f".repeat(60)].concat();
        let link = "l".repeat(101);
        let bytes =
            encode(&Header { name: name.as_bytes(), link: link.as_bytes(), kind: b'2', ..Header::default() });
        let (path, target, _) = read_back(bytes.clone());
        assert_eq!((path, target), (name.into_bytes(), Some(link.into_bytes())));
        let last = &bytes[bytes.len() - 512..];
        assert_eq!(last[NAME], [0; 100], "a name in a PAX record leaves its field empty");
    }

    #[test]
    fn large_ids_need_the_gnu_magic_from_then_on() {
        let mut encoder = Encoder::default();
        let mut out = Vec::new();
        encoder.encode(&Header { name: b"a", kind: b'0', uid: 0o7777777, ..Header::default() }, &mut out);
        assert_eq!(&out[257..265], b"ustar\x0000");
        out.clear();
        encoder.encode(&Header { name: b"a", kind: b'0', uid: 4_000_000_000, ..Header::default() }, &mut out);
        encoder.encode(&Header { name: b"b", kind: b'0', ..Header::default() }, &mut out);
        assert_eq!(&out[257..265], b"ustar  \0");
        assert_eq!(&out[512 + 257..512 + 265], b"ustar  \0");
        assert_eq!(read_back(out).2, 4_000_000_000);
    }

    #[test]
    fn no_name_is_split_under_the_gnu_magic() {
        let name = ["d".repeat(90), "/".into(), "f".repeat(60)].concat();
        let bytes =
            encode(&Header { name: name.as_bytes(), kind: b'0', uid: 3_000_000, ..Header::default() });
        assert_eq!(bytes.len(), 3 * 512);
        assert_eq!(read_back(bytes).0, name.as_bytes());
    }

    #[test]
    fn record_counts_itself() {
        assert_eq!(record(b"path", b"x"), b"9 path=x\n");
        let long = record(b"path", &[b'x'; 91]);
        assert_eq!(long.len(), 101);
        assert!(
            long.starts_with(b"101 path="),
            "98 bytes and two digits make 100, whose third digit counts too"
        );
    }

    #[test]
    fn pax_headers_are_named_as_go_does() {
        assert_eq!(pax_name("uni/ü/".as_bytes()), b"uni//PaxHeaders.0");
        assert_eq!(pax_name("uni/é".as_bytes()), b"uni/PaxHeaders.0/");
    }

    #[test]
    fn times_that_do_not_fit_are_zero() {
        for (mtime, field) in
            [(-1, b"00000000000\0"), (LAST_TIME, b"77777777777\0"), (LAST_TIME + 1, b"00000000000\0")]
        {
            assert_eq!(
                &encode(&Header { name: b"a", kind: b'0', mtime, ..Header::default() })[136..148],
                field
            );
        }
    }

    #[test]
    fn the_largest_sizes() {
        let bytes = encode(&Header { name: b"a", kind: b'0', size: 1 << 40, ..Header::default() });
        assert_eq!(tar::Header::from_byte_slice(&bytes).entry_size().unwrap(), 1 << 40);
    }
}
