//! Reads the tables of a database of SQLite, whole and in memory. Nothing is locked, and nothing is written.
//!
//! ```text
//! page 1      100 bytes of header (page size at 16, reserved bytes at 20, change counter at 24), then the
//!             root of the table sqlite_schema: type, name, table name, root page, CREATE statement
//! page        kind (13: leaf of a table, 5: inner page), number of cells at 3, pointers to cells at 8 or 12
//! leaf cell   payload length, row id (varints), a record; the rest of a long one in a chain of pages
//! record      header length, a type for each column (varints), the values
//! ```
//!
//! Only what is needed for the tables of an engine is read: UTF-8, tables with row ids, no indexes. A
//! database in WAL mode is read without its log. Source: the file format's documentation,
//! sqlite.org/fileformat2.html.

mod record;
mod table;

use std::path::{Path, PathBuf};

use crate::{Error, Root};

/// The largest database that is read. Podman writes about 40 KiB for a container.
const LIMIT: u64 = 256 << 20;
/// How often a database is read while its engine goes on writing.
const TRIES: usize = 5;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A database in memory.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    bytes: Vec<u8>,
    page_size: usize,
    /// Bytes of a page without those reserved at its end.
    usable: usize,
}

impl Database {
    /// Reads a database below a root; `None` if it does not exist. An [`Error::Changed`] means that its
    /// engine wrote to it during each attempt.
    pub(crate) fn open(root: &Root, file: &Path) -> Result<Option<Self>, Error> {
        for _ in 0..TRIES {
            let Some(bytes) = root.try_read(file, LIMIT)? else { return Ok(None) };
            let Some(again) = root.try_read(file, LIMIT)? else { return Ok(None) };
            if bytes == again {
                return Database::parse(bytes, root.join(file)).map(Some);
            }
        }
        Err(Error::Changed { path: root.join(file) })
    }

    fn parse(bytes: Vec<u8>, path: PathBuf) -> Result<Self, Error> {
        let why = match (&*bytes, bytes.get(16..21)) {
            ([], _) => "it is empty",
            (bytes, _) if bytes.iter().all(|byte| *byte == 0) => "it has only zero bytes",
            (bytes, _) if !bytes.starts_with(MAGIC) => "it is not a database of SQLite",
            (_, Some(&[high, low, _, _, reserved])) => {
                let page_size = match u16::from_be_bytes([high, low]) {
                    1 => 1 << 16,
                    size => usize::from(size),
                };
                let usable = page_size.saturating_sub(usize::from(reserved));
                if page_size.is_power_of_two() && page_size >= 512 && usable >= 480 {
                    return Ok(Database { path, bytes, page_size, usable });
                }
                "its page size cannot be"
            }
            _ => "its end is missing",
        };
        Err(Error::malformed(path, why))
    }

    /// A page by its number, from 1 on, and where its header begins.
    fn page(&self, number: u32) -> Option<(&[u8], usize)> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?.checked_mul(self.page_size)?;
        let page = self.bytes.get(at..at.checked_add(self.usable)?)?;
        Some((page, if number == 1 { 100 } else { 0 }))
    }

    fn pages(&self) -> usize {
        self.bytes.len() / self.page_size
    }

    fn malformed(&self, why: &str) -> Error {
        Error::malformed(&self.path, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The database of Podman 5.8: 29 pages of 4096 bytes, records in chains of pages.
    fn podman() -> Vec<u8> {
        use std::io::Read;
        let packed = include_bytes!("../../tests/fixtures/containers/db.sql.gz");
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn names(database: &Database, table: &str) -> Result<Vec<String>, Error> {
        let Some(table) = database.table(table)? else { return Ok(Vec::new()) };
        let Some(name) = table.column("Name") else { return Ok(Vec::new()) };
        let rows = table.rows().map(|row| Ok(row?.text(name).unwrap_or_default().to_owned()));
        rows.collect()
    }

    #[test]
    fn tables_of_podman() {
        let database = Database::parse(podman(), "db.sql".into()).unwrap();
        let found = names(&database, "ContainerConfig").unwrap();
        assert_eq!(found, ["never-started", "changed", "volumes", "shares", "in-pod"]);
        assert_eq!(names(&database, "PodConfig").unwrap(), ["pod1"]);
        assert!(database.table("NoSuchTable").unwrap().is_none());
        let table = database.table("ContainerConfig").unwrap().unwrap();
        let json = table.column("JSON").unwrap();
        for row in table.rows() {
            let row = row.unwrap();
            let text = row.bytes(json).unwrap();
            assert!(text.len() > 10_000, "{}", text.len());
            serde_json::from_slice::<serde::de::IgnoredAny>(text).unwrap();
        }
    }

    /// Whatever is in the file, reading it ends.
    #[test]
    fn changed_bytes_do_not_panic() {
        let bytes = podman();
        let mut errors = 0;
        // The header, and the tops of the tables: every byte counts there.
        for at in (0..200).chain(4096..4400).chain((4400..12_288).step_by(97)) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let Ok(database) = Database::parse(bytes, "db.sql".into()) else { continue };
                errors += usize::from(names(&database, "ContainerConfig").is_err());
            }
        }
        assert!(errors > 0);
        for len in [0, 15, 99, 100, 4095, 4096, 5000, 8192, 40_000] {
            let database = Database::parse(bytes[..len].to_vec(), "db.sql".into());
            let _ = database.map(|database| database.table("ContainerConfig").map(|_| ()));
        }
    }
}
