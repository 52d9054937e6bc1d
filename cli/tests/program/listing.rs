//! Lists a tar entry by entry.

use std::io::Read;

use serde_json::Value;
use tar::{Archive, EntryType};

use crate::store::as_answered;

/// An entry, in the form in which the daemons' answers were recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    /// For a whiteout, this is only the time of the daemon's run, and is not compared.
    pub(crate) mtime: Option<i64>,
    pub(crate) name: String,
    pub(crate) link: String,
    /// The keys of its extended attributes.
    pub(crate) xattrs: Vec<String>,
}

/// An entry with its bytes.
pub(crate) struct Entry {
    pub(crate) row: Row,
    /// Whether user and group have names.
    pub(crate) named_owner: bool,
    pub(crate) bytes: Vec<u8>,
}

const XATTR: &str = "SCHILY.xattr.";

pub(crate) fn entries(tar: &[u8]) -> Result<Vec<Entry>, String> {
    let error = |error: std::io::Error| format!("not a tar: {error}");
    let mut archive = Archive::new(tar);
    let mut all = Vec::new();
    for entry in archive.entries().map_err(error)? {
        let mut entry = entry.map_err(error)?;
        let mut xattrs = Vec::new();
        let mut pax_mtime = None;
        for record in entry.pax_extensions().map_err(error)?.into_iter().flatten() {
            let record = record.map_err(error)?;
            let key = String::from_utf8_lossy(record.key_bytes()).into_owned();
            if key == "mtime" {
                let text = record.value().map_err(|_| "a time that is not text".to_owned())?;
                pax_mtime = text.split('.').next().and_then(|seconds| seconds.parse().ok());
            } else if key.starts_with(XATTR) {
                xattrs.push(key);
            }
        }
        xattrs.sort();
        let path = entry.path_bytes();
        let name = as_answered(path.strip_suffix(b"/").unwrap_or(&path));
        let link = entry.link_name_bytes().map(|link| as_answered(&link)).unwrap_or_default();
        let header = entry.header();
        let mtime = pax_mtime.unwrap_or(header.mtime().map_err(error)? as i64);
        let whiteout = name.rsplit('/').next().is_some_and(|last| last.starts_with(".wh."));
        let owner = [header.username_bytes(), header.groupname_bytes()];
        let named_owner = owner.into_iter().flatten().any(|name| !name.is_empty());
        let row = Row {
            kind: kind(header.entry_type()),
            mode: header.mode().map_err(error)? & 0o7777,
            uid: header.uid().map_err(error)?,
            gid: header.gid().map_err(error)?,
            size: header.entry_size().map_err(error)?,
            mtime: (!whiteout).then_some(mtime),
            name,
            link,
            xattrs,
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(error)?;
        all.push(Entry { row, named_owner, bytes });
    }
    Ok(all)
}

fn kind(entry_type: EntryType) -> String {
    match entry_type {
        EntryType::Regular => "file",
        EntryType::Link => "hardlink",
        EntryType::Symlink => "symlink",
        EntryType::Char => "char",
        EntryType::Block => "block",
        EntryType::Directory => "dir",
        EntryType::Fifo => "fifo",
        EntryType::Continuous => "contig",
        other => return format!("{other:?}"),
    }
    .to_owned()
}

/// The recorded rows of a layer: `[kind, mode, uid, gid, size, mtime, device, name, link, pax, sha256]`.
pub(crate) fn recorded(rows: &Value) -> Vec<Row> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let number = |value: &Value| value.as_u64().expect("a number");
    let row = |row: &Value| {
        let pax = text(&row[9]);
        let mut xattrs: Vec<String> =
            pax.split('\'').filter(|piece| piece.starts_with(XATTR)).map(str::to_owned).collect();
        xattrs.sort();
        xattrs.dedup();
        Row {
            kind: text(&row[0]),
            mode: u32::from_str_radix(&text(&row[1]), 8).expect("octal digits") & 0o7777,
            uid: number(&row[2]),
            gid: number(&row[3]),
            size: number(&row[4]),
            mtime: row[5].as_f64().map(|seconds| seconds as i64),
            name: text(&row[7]).trim_end_matches('/').to_owned(),
            link: text(&row[8]),
            xattrs,
        }
    };
    rows.as_array().expect("a list").iter().map(row).collect()
}
