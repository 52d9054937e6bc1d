//! `db.sql` (Podman since 4.8, in stores that were made with it).

use std::path::Path;

use super::{Documents, Libpod, PodConfig};
use crate::sqlite::Database;
use crate::{Error, Notice, Root};

pub(super) const FILE: &str = "db.sql";
/// Its log while a transaction is written; one that is left belongs to a transaction that never ended.
const JOURNAL: &str = "db.sql-journal";
const LOG: &str = "db.sql-wal";
/// Bytes of these that are looked at.
const LIMIT: u64 = 256 << 20;

/// The first bytes of a journal that is not done.
const HOT: &[u8] = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7";

/// Adds what it has. Returns whether there is such a database.
pub(super) fn read(root: &Root, found: &mut Libpod) -> Result<bool, Error> {
    let Some(database) = Database::open(root, Path::new(FILE))? else { return Ok(false) };
    for (file, begins, what) in [
        (JOURNAL, HOT, "a change of db.sql was interrupted, and db.sql may have a part of it"),
        (LOG, &[], "db.sql is read without the changes in it"),
    ] {
        let bytes = root.try_read(file, LIMIT).ok().flatten().unwrap_or_default();
        if !bytes.is_empty() && bytes.starts_with(begins) {
            found.notices.push(Notice::new(root.join(file), what));
        }
    }
    for (id, config) in rows(root, &database, "ContainerConfig", ["ID", "JSON"], &mut found.lost) {
        found.containers.insert(id, Documents { config, state: None, networks: Vec::new(), file: FILE });
    }
    for (id, state) in rows(root, &database, "ContainerState", ["ID", "JSON"], &mut found.lost) {
        found.containers.entry(id).and_modify(|documents| documents.state = Some(state));
    }
    for (id, config) in rows(root, &database, "PodConfig", ["ID", "JSON"], &mut found.lost) {
        found.pods.extend(crate::json::object::<PodConfig>(&config).ok().map(|pod| (id, pod)));
    }
    found.volumes.extend(rows(root, &database, "VolumeConfig", ["Name", "JSON"], &mut found.lost));
    Ok(true)
}

/// Two columns of all rows of a table that can be read.
fn rows(
    root: &Root,
    database: &Database,
    name: &str,
    columns: [&str; 2],
    lost: &mut Vec<Error>,
) -> Vec<(String, Vec<u8>)> {
    let malformed = |why: String| Error::malformed(root.join(FILE), why);
    let table = match database.table(name) {
        Ok(Some(table)) => table,
        Ok(None) => {
            lost.push(malformed(format!("it has no table {name}")));
            return Vec::new();
        }
        Err(error) => {
            lost.push(error);
            return Vec::new();
        }
    };
    let [Some(key), Some(value)] = columns.map(|column| table.column(column)) else {
        lost.push(malformed(format!("its table {name} does not have the columns {}", columns.join(" and "))));
        return Vec::new();
    };
    let mut found = Vec::new();
    for row in table.rows() {
        match row.as_ref().map(|row| (row.text(key), row.bytes(value))) {
            Ok((Some(key), Some(value))) => found.push((key.to_owned(), value.to_vec())),
            Ok(_) => lost.push(malformed(format!("a row of {name} lacks {}", columns.join(" or ")))),
            Err(error) => lost.push(error.clone()),
        }
    }
    found
}
