//! Data roots that real engines wrote, archives as lists of entries, and fake stores.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerlift_archive::{Digest, Options as WriteOptions, Tree, write_stream};
use layerlift_export::{Options, Plan, plan, select, tree};
use layerlift_store::{OpenOptions, Store, open};
use liblzma::read::XzDecoder;

pub(crate) mod fake;
pub(crate) mod parts;

/// A data root from the store crate's fixtures. Prints a message and returns `None` if its devices and owners
/// cannot be restored.
pub(crate) fn data_root(fixture: &str) -> Option<tempfile::TempDir> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped, needs root: {fixture} has devices and the files of other users");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar")
        .args(["--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--directory"])
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tar is installed");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures").join(fixture);
    let mut xz = XzDecoder::new(File::open(path).unwrap());
    std::io::copy(&mut xz, &mut tar.stdin.take().unwrap()).unwrap();
    assert!(tar.wait().unwrap().success(), "cannot unpack {fixture}");
    Some(dir)
}

/// The store in a data root.
pub(crate) fn store(root: &Path) -> Box<dyn Store> {
    open(root, &OpenOptions::default()).unwrap()
}

/// A file of this crate's fixtures, decompressed.
pub(crate) fn unpacked(fixture: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    let mut bytes = Vec::new();
    XzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The plan for some names.
pub(crate) fn planned(store: &dyn Store, names: &[&str], options: &Options) -> Result<Plan, String> {
    let selection = select(store, names, None).map_err(|error| chain(&error))?;
    plan(store, selection, options).map_err(|error| chain(&error))
}

/// The bytes of an archive.
pub(crate) fn written(tree: &Tree, threads: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_stream(tree, &mut bytes, &threaded(threads)).unwrap();
    bytes
}

/// Options with this number of threads.
pub(crate) fn threaded(threads: usize) -> WriteOptions<'static> {
    WriteOptions::default().with_threads(NonZeroUsize::new(threads).unwrap())
}

/// Plans, prepares and writes.
pub(crate) fn exported(store: &dyn Store, names: &[&str], options: &Options) -> Result<Vec<u8>, String> {
    let prepared = planned(store, names, options)?.prepare(&threaded(2)).map_err(|error| chain(&error))?;
    let mut bytes = Vec::new();
    write_stream(&tree(&prepared), &mut bytes, &threaded(2)).map_err(|error| chain(&error))?;
    Ok(bytes)
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) mtime: u64,
    pub(crate) bytes: Vec<u8>,
}

/// The entries of an archive in their order. A link stands for the file that it leads to.
pub(crate) fn entries(tar: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(tar);
    let mut entries: Vec<Entry> = Vec::new();
    let mut links = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        if let Some(target) = entry.link_name().unwrap() {
            let target = target.to_str().unwrap().trim_start_matches("../").to_owned();
            links.insert(path.clone(), target);
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let header = entry.header();
        entries.push(Entry { path, mode: header.mode().unwrap(), mtime: header.mtime().unwrap(), bytes });
    }
    let found = entries.clone();
    for entry in &mut entries {
        if let Some(target) = links.get(&entry.path) {
            let file = found.iter().find(|other| other.path == *target).unwrap();
            entry.bytes = file.bytes.clone();
            entry.mode = file.mode;
        }
    }
    entries
}

/// The bytes of one entry.
pub(crate) fn entry<'a>(entries: &'a [Entry], path: &str) -> &'a [u8] {
    let found = entries.iter().find(|entry| entry.path == path);
    &found.unwrap_or_else(|| panic!("{path} is not in the archive")).bytes
}

/// A JSON document of an archive.
pub(crate) fn document(entries: &[Entry], path: &str) -> serde_json::Value {
    serde_json::from_slice(entry(entries, path)).unwrap()
}

/// The path of a blob.
pub(crate) fn check_blobs(entries: &[Entry]) {
    for Entry { path, bytes, .. } in entries {
        if let Some(hex) = path.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(Digest::of(bytes).hex(), hex);
        }
    }
}
