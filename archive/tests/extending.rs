//! A directory that exists: its blobs stay, incomplete ones are replaced, new ones are added.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use layerlift_archive::{Digest, Entry, Existing, Options, Tree, write_dir};

#[test]
fn extending_a_layout_writes_only_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let blob =
        |bytes: &[u8]| Entry::bytes(format!("blobs/sha256/{}", Digest::of(bytes).hex()), 0, bytes.to_vec());
    let first = Tree::from_iter([
        Entry::dir("blobs/sha256/", 0),
        blob(b"a"),
        Entry::bytes("index.json", 0, b"1".to_vec()),
    ]);
    write_dir(&first, &layout, Existing::Extend, &Options::default()).unwrap();
    let kept = layout.join(format!("blobs/sha256/{}", Digest::of(b"a").hex()));
    fs::write(&kept, "=").unwrap();
    // What is left of a copy that was never complete.
    let torn = layout.join(format!("blobs/sha256/{}", Digest::of(b"b").hex()));
    fs::write(&torn, "").unwrap();
    let second = Tree::from_iter([blob(b"a"), blob(b"b"), Entry::bytes("index.json", 0, b"2".to_vec())]);
    write_dir(&second, &layout, Existing::Extend, &Options::default()).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"=", "left alone");
    assert_eq!(fs::read(&torn).unwrap(), b"b");
    assert_eq!(fs::read(layout.join("index.json")).unwrap(), b"2");
    assert_eq!(fs::read_dir(layout.join("blobs/sha256")).unwrap().count(), 2);
}
