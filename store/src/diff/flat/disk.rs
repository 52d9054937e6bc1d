//! What an entry of a tar is on a disk that it is unpacked to.

use rustix::fs::FileType;

use super::super::records::Metadata;
use super::entries::Entry;

/// The metadata of an entry, as it is on a disk.
pub(super) fn metadata(entry: &Entry, kind: FileType) -> Metadata {
    /// Nanoseconds since 1970 that fit in 63 bits; engines make all other times 0.
    const LAST: i64 = i64::MAX / 1_000_000_000;
    let mode = if kind == FileType::Symlink { 0o777 } else { entry.mode };
    let mtime = if (0..=LAST).contains(&entry.mtime) { entry.mtime } else { 0 };
    Metadata { mode: kind.as_raw_mode() | mode, uid: entry.uid, gid: entry.gid, mtime, ..Metadata::default() }
}

/// The device number that Docker makes.
pub(super) fn device((major, minor): (u64, u64)) -> u64 {
    (minor & 0xf_ff00) << 12 | (major & 0xfff) << 8 | minor & 0xff
}
