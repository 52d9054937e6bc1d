//! Databases that engines wrote, and what is wrong with others.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use layerlift_archive::Compression;

use super::{Bucket, Database, Entry};
use crate::Root;

mod build;
mod fixtures;
mod flips;
mod hostile;
mod moving;

/// The databases in `tests/fixtures/bolt`.
const FIXTURES: [&str; 16] = [
    "bbolt-1.3.6-compact",
    "bbolt-1.3.6-compact-512",
    "bbolt-1.3.6-pages-16384",
    "bbolt-1.3.6-pages-512",
    "bbolt-1.3.6-pages-65536",
    "containerd-1.6-meta",
    "containerd-1.6-overlayfs",
    "containerd-2.1-discarded-meta",
    "containerd-2.1-meta",
    "containerd-2.1-overlayfs",
    "docker-28-history",
    "docker-28-meta",
    "docker-28-network",
    "docker-28-overlayfs",
    "docker-28-volumes",
    "podman-4.3-state",
];

/// A file of `tests/fixtures/bolt`, decompressed.
fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bolt").join(format!("{name}.xz"));
    let mut bytes = Vec::new();
    let file = fs::File::open(&path).unwrap();
    Compression::Xz.decompress(file).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads a database from memory.
fn read(bytes: Vec<u8>) -> Result<Database, crate::Error> {
    Database::read(&bytes, PathBuf::from("meta.db"))
}

/// What a database has, in the form of `dump.go`. What cannot be read is a line with `!`.
fn dump(bucket: Bucket<'_>) -> String {
    let mut text = String::new();
    dump_below(bucket, 0, &mut text);
    text
}

fn dump_below(bucket: Bucket<'_>, depth: usize, text: &mut String) {
    for entry in bucket.entries() {
        text.push_str(&" ".repeat(depth));
        match entry {
            Ok(Entry::Value { key, value }) => text.push_str(&format!("{}={}\n", escape(key), escape(value))),
            Ok(Entry::Bucket { key, bucket }) => {
                text.push_str(&format!("{}/\n", escape(key)));
                dump_below(bucket, depth + 1, text);
            }
            Err(error) => text.push_str(&format!("! {error}\n")),
        }
    }
}

fn escape(raw: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"%=/".contains(byte);
    let text = |byte: &u8| if plain(byte) { char::from(*byte).into() } else { format!("%{byte:02x}") };
    raw.iter().map(text).collect()
}
