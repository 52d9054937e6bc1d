//! What `stat` says of an entry, and its compact form in a table of records.

use std::collections::HashMap;
use std::ops::Range;

use rustix::fs::{FileType, Stat};

/// The part of `stat` that a tar needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether the file has several names.
    pub(super) linked: bool,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    pub(super) mtime_nanos: u32,
    /// When the file or its metadata changed last: nanoseconds since 1970, only ever compared.
    pub(super) ctime: i64,
    pub(super) rdev: u64,
    pub(super) dev: u64,
    pub(super) ino: u64,
}

impl Metadata {
    pub(super) fn new(stat: &Stat) -> Self {
        Metadata {
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            linked: stat.st_nlink > 1,
            size: stat.st_size as u64,
            mtime: stat.st_mtime,
            mtime_nanos: stat.st_mtime_nsec as u32,
            ctime: stat.st_ctime.wrapping_mul(1_000_000_000).wrapping_add(stat.st_ctime_nsec as i64),
            rdev: stat.st_rdev,
            dev: stat.st_dev,
            ino: stat.st_ino,
        }
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    pub(super) fn is_dir(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Major and minor number of a device, split as Docker did.
    pub(super) fn device(&self) -> (u64, u64) {
        let rdev = self.rdev;
        (rdev >> 8 & 0xfff, rdev & 0xff | rdev >> 12 & 0xf_ff00)
    }

    fn is_device(&self) -> bool {
        matches!(self.file_type(), FileType::CharacterDevice | FileType::BlockDevice)
    }

    /// Whether the contents of a file may be others than they were at `before`. A new name changes the ctime
    /// of a file, too: engines that link unchanged files do that to layers that rest.
    pub(super) fn has_changed(&self, before: &Metadata) -> bool {
        let seen = |at: &Metadata| (at.size, at.mtime, at.mtime_nanos);
        let linked = self.linked || before.linked;
        seen(self) != seen(before) || !linked && self.ctime != before.ctime
    }
}

/// What many entries have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Common {
    mode: u32,
    uid: u32,
    gid: u32,
    linked: bool,
    dev: u64,
}

/// The metadata of one entry, without what it shares with others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compact {
    mtime: i64,
    ctime: i64,
    ino: u64,
    /// Of a device its number, of a directory the records of its entries, of anything else its size.
    body: u64,
    mtime_nanos: u32,
    common: u32,
}

/// Keeps once what many entries have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    table: Vec<Common>,
    places: HashMap<Common, u32>,
}

impl Shared {
    pub(super) fn pack(&mut self, metadata: &Metadata) -> Compact {
        let Metadata { mode, uid, gid, linked, size, mtime, mtime_nanos, ctime, rdev, dev, ino } = *metadata;
        let common = self.place(Common { mode, uid, gid, linked, dev });
        let body = match (metadata.is_device(), metadata.is_dir()) {
            (true, _) => rdev,
            (_, true) => 0,
            _ => size,
        };
        Compact { mtime, ctime, ino, body, mtime_nanos, common }
    }

    fn place(&mut self, common: Common) -> u32 {
        let next = u32::try_from(self.table.len()).expect("each record adds one at most");
        *self.places.entry(common).or_insert_with(|| {
            self.table.push(common);
            next
        })
    }

    /// Gives what was packed another owner, and returns whether there is one.
    pub(super) fn set_owner(
        &mut self,
        compact: &mut Compact,
        owner: impl Fn((u32, u32)) -> Option<(u32, u32)>,
    ) -> bool {
        let common = self.table[compact.common as usize];
        let Some((uid, gid)) = owner((common.uid, common.gid)) else { return false };
        compact.common = self.place(Common { uid, gid, ..common });
        true
    }

    /// What was packed, but for the size of a directory, which no tar has.
    pub(super) fn unpack(&self, compact: &Compact) -> Metadata {
        let Compact { mtime, ctime, ino, body, mtime_nanos, common } = *compact;
        let Common { mode, uid, gid, linked, dev } = self.table[common as usize];
        let (size, rdev) = (0, 0);
        let metadata = Metadata { mode, uid, gid, linked, size, mtime, mtime_nanos, ctime, rdev, dev, ino };
        match (metadata.is_device(), metadata.is_dir()) {
            (true, _) => Metadata { rdev: body, ..metadata },
            (_, true) => metadata,
            _ => Metadata { size: body, ..metadata },
        }
    }

    /// The records of a directory's entries. Nothing else has any.
    pub(super) fn children(&self, compact: &Compact) -> Range<u32> {
        let Common { mode, .. } = self.table[compact.common as usize];
        match FileType::from_raw_mode(mode) {
            FileType::Directory => (compact.body >> 32) as u32..compact.body as u32,
            _ => 0..0,
        }
    }
}

impl Compact {
    /// Says which records the entries of a directory have.
    pub(super) fn set_children(&mut self, Range { start, end }: Range<u32>) {
        self.body = u64::from(start) << 32 | u64::from(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_in_the_table() {
        let mut shared = Shared::default();
        let file =
            Metadata { mode: 0o100644, uid: 7, size: 1 << 40, mtime: -5, ctime: 9, ..Metadata::default() };
        let device = Metadata { mode: 0o020600, rdev: 0x103, ino: u64::MAX, linked: true, ..file };
        let device = Metadata { size: 0, ..device };
        let packed = [file, device, file].map(|metadata| shared.pack(&metadata));
        assert_eq!(packed.map(|compact| shared.unpack(&compact)), [file, device, file]);
        assert_eq!(shared.table.len(), 2);

        let dir = Metadata { mode: 0o040755, ..file };
        let mut packed = shared.pack(&dir);
        assert_eq!(shared.children(&packed), 0..0);
        packed.set_children(3..u32::MAX);
        assert_eq!(shared.children(&packed), 3..u32::MAX);
        assert_eq!(shared.unpack(&packed), Metadata { size: 0, ..dir });
        assert!(shared.set_owner(&mut packed, |(uid, gid)| Some((uid + 1, gid))));
        assert!(!shared.set_owner(&mut packed, |_| None));
        assert_eq!(shared.children(&packed), 3..u32::MAX);
        assert_eq!(shared.unpack(&packed), Metadata { size: 0, uid: 8, ..dir });
    }
}
