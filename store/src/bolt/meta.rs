//! The two meta pages, of which a transaction writes one: the newer one that is whole counts.

use std::path::Path;

use super::fault;
use super::node::{HEADER, Order};
use super::source::Source;
use crate::Error;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;
/// Bytes of a meta page that count: its header, the record, and the record's checksum.
const LEN: usize = HEADER + 64;
/// Bytes of the record before its checksum.
const SUMMED: usize = 56;
/// Page sizes, as powers of two. That of a machine is between 4 KiB and 64 KiB; programs may choose another.
const SIZES: std::ops::RangeInclusive<u32> = 9..=20;

/// What a meta page says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) order: Order,
    pub(super) page_size: u32,
    /// The root page of the bucket that has all others.
    pub(super) root: u64,
    /// Pages from this number on were never used.
    pub(super) pages: u64,
    transaction: u64,
}

impl Meta {
    /// Bytes of the file that are, or were, in use.
    pub(super) fn used(&self) -> u64 {
        self.pages.saturating_mul(u64::from(self.page_size))
    }
}

/// The bytes at the places of meta pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heads(Vec<Head>);

#[derive(Debug, PartialEq, Eq)]
struct Head {
    at: u64,
    /// The bytes there, or the system's error.
    bytes: Result<Vec<u8>, Option<i32>>,
}

impl Head {
    fn read(source: &impl Source, at: u64) -> Self {
        let mut bytes = vec![0; LEN];
        let read = source.read_at(&mut bytes, at).map_err(|error| error.raw_os_error());
        Head {
            at,
            bytes: read.map(|read| {
                bytes.truncate(read);
                bytes
            }),
        }
    }

    fn meta(&self) -> Result<Meta, Flaw> {
        let bytes = self.bytes.as_ref().map_err(|&errno| Flaw::Unread(errno))?;
        let meta = parse(bytes)?;
        let second = u64::from(meta.page_size);
        if self.at == 0 || self.at == second { Ok(meta) } else { Err(Flaw::Magic) }
    }
}

impl Heads {
    /// Reads both pages. Where the first one does not say how large a page is, the second one is looked for
    /// at all sizes.
    pub(super) fn read(source: &impl Source) -> Self {
        let first = Head::read(source, 0);
        let heads = match first.meta() {
            Ok(meta) => vec![Head::read(source, meta.page_size.into())],
            Err(_) => SIZES.map(|power| Head::read(source, 1 << power)).collect(),
        };
        Heads([first].into_iter().chain(heads).collect())
    }

    /// The newer one of those that are whole.
    pub(super) fn newer(&self, path: &Path) -> Result<Meta, Error> {
        let metas = self.0.iter().filter_map(|head| head.meta().ok());
        if let Some(newer) = metas.max_by_key(|meta| meta.transaction) {
            return Ok(newer);
        }
        if self.0.iter().all(|head| head.bytes.as_ref().is_ok_and(Vec::is_empty)) {
            return Err(Error::malformed(path, "it is empty"));
        }
        Err(match self.0.iter().filter_map(|head| head.meta().err()).max().unwrap_or(Flaw::Magic) {
            Flaw::Magic => Error::malformed(path, "it is not a bolt database"),
            Flaw::Size(size) => {
                Error::malformed(path, format!("by its meta page, a page has {size} bytes, which cannot be"))
            }
            Flaw::Checksum => {
                Error::damaged(path, "the checksums of its meta pages, pages 0 and 1, are both wrong")
            }
            Flaw::Version(version) => Error::Unsupported {
                what: format!("{} has version {version} of bolt's format, not {VERSION}", path.display()),
                hint: None,
            },
            Flaw::Unread(errno) => Error::io("read", path, fault::io_error(errno)),
        })
    }
}

/// Why a meta page does not count; the later ones say more about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flaw {
    Magic,
    Checksum,
    Size(u32),
    Version(u32),
    Unread(Option<i32>),
}

fn parse(bytes: &[u8]) -> Result<Meta, Flaw> {
    let record = bytes.get(HEADER..LEN).ok_or(Flaw::Magic)?;
    let order = [Order::Little, Order::Big].into_iter().find(|order| order.u32(record, 0) == MAGIC);
    let order = order.ok_or(Flaw::Magic)?;
    if order.u64(record, SUMMED) != fnv(&record[..SUMMED]) {
        return Err(Flaw::Checksum);
    }
    let version = order.u32(record, 4);
    if version != VERSION {
        return Err(Flaw::Version(version));
    }
    let page_size = order.u32(record, 8);
    if !page_size.is_power_of_two() || !SIZES.contains(&page_size.ilog2()) {
        return Err(Flaw::Size(page_size));
    }
    Ok(Meta {
        order,
        page_size,
        root: order.u64(record, 16),
        pages: order.u64(record, 40),
        transaction: order.u64(record, 48),
    })
}

/// Writes the checksums of both meta pages, where the first one says which size a page has.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn seal(bytes: &mut [u8]) {
    let Some(record) = bytes.get(HEADER..LEN) else { return };
    let size = Order::Little.u32(record, 8) as usize;
    for at in [0, size] {
        if let Some(record) = bytes.get_mut(at..).and_then(|page| page.get_mut(HEADER..LEN)) {
            let sum = fnv(&record[..SUMMED]);
            record[SUMMED..].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// FNV-1a of 64 bits.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
