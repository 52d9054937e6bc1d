//! What engines wrote is what bbolt itself reads.

use std::fs;

use super::*;

#[test]
fn all_are_read_as_bbolt_reads_them() {
    for name in FIXTURES {
        let database = read(fixture(&format!("{name}.db"))).unwrap();
        let expected = String::from_utf8(fixture(&format!("{name}.txt"))).unwrap();
        assert!(dump(database.root()) == expected, "{name}");
    }
}

#[test]
fn every_key_is_found() {
    fn look(bucket: Bucket<'_>) {
        for entry in bucket.entries() {
            match entry.unwrap() {
                Entry::Value { key, value } => {
                    assert_eq!(bucket.get(key).unwrap(), Some(value));
                    assert!(bucket.bucket(key).unwrap().is_none());
                    for absent in [[key, b"\0"].concat(), key[..key.len().saturating_sub(1)].to_vec()] {
                        let all = bucket.entries().any(|entry| match entry.unwrap() {
                            Entry::Value { key, .. } | Entry::Bucket { key, .. } => key == absent,
                        });
                        assert!(all || bucket.get(&absent).unwrap().is_none());
                    }
                }
                Entry::Bucket { key, bucket: inner } => {
                    assert_eq!(dump(bucket.bucket(key).unwrap().unwrap()), dump(inner));
                    assert_eq!(bucket.get(key).unwrap(), None);
                    look(inner);
                }
            }
        }
    }
    for name in FIXTURES {
        look(read(fixture(&format!("{name}.db"))).unwrap().root());
    }
}

#[test]
fn below_a_root() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("meta.db"), fixture("docker-28-meta.db")).unwrap();
    let root = Root::open(dir.path()).unwrap();
    let database = Database::open(&root, Path::new("meta.db")).unwrap();
    let v1 = database.root().bucket(b"v1").unwrap().unwrap();
    assert_eq!(v1.get(b"version").unwrap(), Some(&[8][..]));
    let blobs = database.root().path(&[b"v1", b"moby", b"content", b"blob"]).unwrap().unwrap();
    assert!(blobs.entries().count() > 10);
    assert!(database.root().path(&[b"v1", b"default", b"content"]).unwrap().is_none());
    assert!(database.root().path(&[b"v1", b"version", b"content"]).unwrap().is_none());
    assert!(Database::open(&root, Path::new("metadata.db")).unwrap_err().is_io_not_found());
    fn shared(_: impl Send + Sync) {}
    shared(database);
}
