//! The two meta pages, of which a transaction writes one: the newer one that is whole counts.

use std::io;
use std::path::Path;

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

/// The bytes at the places of meta pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heads(Vec<(u64, Vec<u8>)>);

impl Heads {
    /// Reads both pages. Where the first one does not say how large a page is, the second one is looked for
    /// at all sizes.
    pub(super) fn read(source: &impl Source) -> io::Result<Self> {
        let head = |at: u64| -> io::Result<(u64, Vec<u8>)> {
            let mut bytes = vec![0; LEN];
            let read = source.read_at(&mut bytes, at)?;
            bytes.truncate(read);
            Ok((at, bytes))
        };
        let first = head(0)?;
        let second = match parse(&first.1) {
            Ok(meta) => vec![head(u64::from(meta.page_size))?],
            Err(_) => SIZES.map(|power| head(1 << power)).collect::<io::Result<_>>()?,
        };
        Ok(Heads([vec![first], second].concat()))
    }

    /// The newer one of those that are whole.
    pub(super) fn newer(&self, path: &Path) -> Result<Meta, Error> {
        let mut worst = Flaw::Magic;
        let mut newer: Option<Meta> = None;
        for (at, bytes) in &self.0 {
            match parse(bytes) {
                Ok(meta) if *at == 0 || *at == u64::from(meta.page_size) => {
                    if newer.is_none_or(|newer| newer.transaction < meta.transaction) {
                        newer = Some(meta);
                    }
                }
                Ok(_) => {}
                Err(flaw) => worst = worst.max(flaw),
            }
        }
        newer.ok_or_else(|| match worst {
            _ if self.0.iter().all(|(_, bytes)| bytes.is_empty()) => Error::malformed(path, "it is empty"),
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

/// FNV-1a of 64 bits.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
