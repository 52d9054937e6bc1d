//! Tests the program in the crate's documentation: it reads a sound store, and fails on a changed byte.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

#[path = "../examples/verified.rs"]
#[allow(dead_code, reason = "the test calls all but main")]
mod example;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A data root of Docker 20.10. Prints a message and returns `None` if its devices and owners cannot be
/// restored.
fn data_root() -> Option<tempfile::TempDir> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped, needs root: layers have devices and the files of other users");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/docker-20.10-overlay2.tar.xz");
    let mut tar = Command::new("tar")
        .args(["--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--directory"])
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tar is installed");
    let mut xz = liblzma::read::XzDecoder::new(File::open(fixture).unwrap());
    std::io::copy(&mut xz, &mut tar.stdin.take().unwrap()).unwrap();
    assert!(tar.wait().unwrap().success());
    Some(dir)
}

/// A regular file with some content below a directory.
fn some_file(dir: &Path) -> Option<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        let metadata = path.symlink_metadata().unwrap();
        match metadata.is_dir() {
            true => some_file(&path),
            false => (metadata.is_file() && metadata.len() > 0).then_some(path),
        }
    })
}

#[test]
fn the_program_of_the_documentation() {
    let Some(root) = data_root() else { return };
    let mut out = Vec::new();
    example::verified(root.path(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(" bench/torture:1.0\n  "), "{out}");
    assert_eq!(out.lines().filter(|line| line.ends_with(" bytes")).count(), 71, "{out}");

    let changed = some_file(&root.path().join("overlay2")).unwrap();
    let mut bytes = fs::read(&changed).unwrap();
    bytes[0] ^= 1;
    fs::write(&changed, bytes).unwrap();
    let error = example::verified(root.path(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.starts_with("the layer is damaged: expected sha256:"), "{error}");
}
