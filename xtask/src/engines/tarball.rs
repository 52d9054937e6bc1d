//! Builds tars with rare contents: both header dialects, owners and names that do not fit, capabilities,
//! devices.

/// How values that do not fit into a header of 512 bytes are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As records in an extra header before the entry (POSIX 2001).
    Pax,
    /// Long names as entries of their own, large numbers in base 256.
    Gnu,
}

/// A member of the tar.
#[derive(Clone)]
pub(crate) struct Member<'a> {
    /// The type flag of the header.
    pub(crate) kind: u8,
    pub(crate) path: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// The names of user and group.
    pub(crate) owner: (&'a str, &'a str),
    /// Seconds and nanoseconds; only PAX keeps the latter.
    pub(crate) mtime: (i64, u32),
    pub(crate) link: &'a [u8],
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: &'a [(&'a str, &'a [u8])],
    pub(crate) data: &'a [u8],
}

pub(crate) const FILE: u8 = b'0';
pub(crate) const HARD_LINK: u8 = b'1';
pub(crate) const SYMLINK: u8 = b'2';
pub(crate) const CHARACTER: u8 = b'3';
pub(crate) const BLOCK: u8 = b'4';
pub(crate) const DIRECTORY: u8 = b'5';
pub(crate) const FIFO: u8 = b'6';

/// A tar that is built in memory.
pub(crate) struct Tarball {
    dialect: Dialect,
    bytes: Vec<u8>,
}

impl<'a> Member<'a> {
    pub(crate) fn new(kind: u8, path: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Member {
            kind,
            path: path.as_ref(),
            mode: if kind == DIRECTORY { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            owner: ("someone", "some"),
            mtime: (1_500_000_000, 0),
            link: b"",
            device: (0, 0),
            xattrs: &[],
            data: b"",
        }
    }
}

impl Tarball {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Tarball { dialect, bytes: Vec::new() }
    }

    pub(crate) fn add(&mut self, entry: &Member<'_>) -> &mut Self {
        match self.dialect {
            Dialect::Pax => self.pax(entry),
            Dialect::Gnu => {
                if entry.path.len() > 100 {
                    self.gnu_long(b'L', entry.path);
                }
                if entry.link.len() > 100 {
                    self.gnu_long(b'K', entry.link);
                }
            }
        }
        self.header(entry);
        self.padded(entry.data);
        self
    }

    /// A file with this content.
    pub(crate) fn file(&mut self, path: &str, data: &[u8]) -> &mut Self {
        self.add(&Member { data, ..Member::new(FILE, path) })
    }

    /// A directory.
    pub(crate) fn directory(&mut self, path: &str) -> &mut Self {
        self.add(&Member::new(DIRECTORY, path))
    }

    /// The tar, with `trailer` zero bytes at its end. An archive should end with 1024 of them. Readers accept
    /// fewer, and writers that fill up a record leave more.
    pub(crate) fn finish(mut self, trailer: usize) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + trailer, 0);
        self.bytes
    }

    fn padded(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    fn gnu_long(&mut self, kind: u8, name: &[u8]) {
        let data = [name, b"\0"].concat();
        self.header(&Member { data: &data, mtime: (0, 0), ..Member::new(kind, "././@LongLink") });
        self.padded(&data);
    }

    fn pax(&mut self, entry: &Member<'_>) {
        let mut records = Vec::new();
        let mut record = |key: &str, value: &[u8]| {
            let rest = key.len() + value.len() + 3;
            // The length counts its own digits.
            let mut len = rest + 1;
            while rest + len.to_string().len() != len {
                len += 1;
            }
            records.extend_from_slice(format!("{len} {key}=").as_bytes());
            records.extend_from_slice(value);
            records.push(b'\n');
        };
        let (seconds, nanos) = entry.mtime;
        if nanos > 0 {
            record("mtime", format!("{seconds}.{nanos:09}").as_bytes());
        } else if !(0..=0o777_7777_7777).contains(&seconds) {
            record("mtime", seconds.to_string().as_bytes());
        }
        for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
            if id > 0o777_7777 {
                record(key, id.to_string().as_bytes());
            }
        }
        for (key, name) in [("path", entry.path), ("linkpath", entry.link)] {
            if name.len() > 100 || !name.is_ascii() {
                record(key, name);
            }
        }
        for (name, value) in entry.xattrs {
            record(&format!("SCHILY.xattr.{name}"), value);
        }
        if !records.is_empty() {
            self.header(&Member { data: &records, mtime: (0, 0), ..Member::new(b'x', "PaxHeaders.0/entry") });
            self.padded(&records);
        }
    }

    fn header(&mut self, entry: &Member<'_>) {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, len: usize, value: &[u8]| {
            let len = len.min(value.len());
            block[at..at + len].copy_from_slice(&value[..len]);
        };
        let ids = [(108, entry.uid), (116, entry.gid)];
        put(0, 100, entry.path);
        put(100, 8, format!("{:07o}\0", entry.mode).as_bytes());
        for (at, id) in ids {
            match self.dialect {
                _ if id <= 0o777_7777 => put(at, 8, format!("{id:07o}\0").as_bytes()),
                Dialect::Pax => put(at, 8, b"0000000\0"),
                Dialect::Gnu => put(at, 8, &base256::<8>(id.into())),
            }
        }
        put(124, 12, format!("{:011o}\0", entry.data.len()).as_bytes());
        let seconds = entry.mtime.0;
        match self.dialect {
            _ if (0..=0o777_7777_7777).contains(&seconds) => {
                put(136, 12, format!("{seconds:011o}\0").as_bytes())
            }
            Dialect::Pax => put(136, 12, b"00000000000\0"),
            Dialect::Gnu => put(136, 12, &base256::<12>(seconds.into())),
        }
        put(148, 8, b"        ");
        put(156, 1, &[entry.kind]);
        put(157, 100, entry.link);
        put(257, 8, if self.dialect == Dialect::Gnu { b"ustar  \0" } else { b"ustar\x0000" });
        put(265, 32, entry.owner.0.as_bytes());
        put(297, 32, entry.owner.1.as_bytes());
        if matches!(entry.kind, CHARACTER | BLOCK) {
            put(329, 8, format!("{:07o}\0", entry.device.0).as_bytes());
            put(337, 8, format!("{:07o}\0", entry.device.1).as_bytes());
        }
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
    }
}

/// A GNU binary number: the first bit is set, the rest is two's complement, most significant byte first.
fn base256<const N: usize>(value: i128) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&value.to_be_bytes()[16 - N..]);
    field[0] |= 0x80;
    field
}
