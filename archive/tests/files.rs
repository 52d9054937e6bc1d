//! Files that are added to an existing directory.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use layerlift_archive::{Bytes, Content, Digest, Error, FileRange, Options, write_files};

fn names(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn many_files_beside_others() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("blobs")).unwrap();
    fs::write(dir.path().join("blobs/kept"), "kept").unwrap();
    fs::write(dir.path().join("index.json"), "old").unwrap();
    let contents: Vec<(String, Bytes)> =
        (0..150).map(|n| (format!("blobs/{n}"), Bytes(vec![n as u8; 1000 * n]))).collect();
    let index = Bytes(b"new".to_vec());
    let mut files: Vec<(&str, &dyn Content)> =
        contents.iter().map(|(name, bytes)| (name.as_str(), bytes as &dyn Content)).collect();
    files.push(("index.json", &index));
    write_files(dir.path(), &files, &Options::default()).unwrap();
    for (name, bytes) in &contents {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), bytes.0, "{name}");
    }
    assert_eq!(fs::read(dir.path().join("index.json")).unwrap(), b"new");
    assert_eq!(fs::read(dir.path().join("blobs/kept")).unwrap(), b"kept");
    assert_eq!(names(dir.path()), ["blobs", "index.json"], "no temporary file is left");
    assert_eq!(names(&dir.path().join("blobs")).len(), 151);
}

#[test]
fn a_damaged_file_gets_no_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, b"0123456789").unwrap();
    let digest = Some(Digest::of(b"other"));
    let damaged = FileRange { file: std::sync::Arc::new(file), offset: 0, len: 10, digest };
    let good = Bytes(b"new".to_vec());
    let files: [(&str, &dyn Content); 2] = [("a", &damaged), ("b", &good)];
    let error = write_files(dir.path(), &files, &Options::default()).unwrap_err();
    assert!(matches!(&error, Error::Mismatch { entry, .. } if entry == "a"), "{error}");
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn names_that_lead_out_or_come_twice() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = Bytes(Vec::new());
    for files in [&["../x"][..], &["/x"], &["a/../../x"], &[""], &["x", "x"]] {
        let files: Vec<(&str, &dyn Content)> =
            files.iter().map(|&name| (name, &bytes as &dyn Content)).collect();
        let error = write_files(dir.path(), &files, &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Entry { .. }), "{error}");
    }
    assert!(names(dir.path()).is_empty());
}
