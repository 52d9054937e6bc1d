//! Tests the example of a custom output: its bytes are right for any number of threads, and damage leaves no
//! index.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../examples/chunks.rs"]
mod example;

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;

use layerlift_archive::{Digest, FileRange, Options};

fn range(bytes: &[u8]) -> FileRange {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    FileRange { file: Arc::new(file), offset: 0, len: bytes.len() as u64, digest: Some(Digest::of(bytes)) }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 3 % 253) as u8).collect()
}

#[test]
fn chunks_make_the_files_again() {
    const CHUNK: usize = 4 << 20;
    let all = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 70_000].map(pattern);
    let contents: Vec<_> = all.iter().map(|bytes| (format!("{}", bytes.len()), range(bytes))).collect();
    for threads in [1, 2, 8] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::default().with_threads(NonZeroUsize::new(threads).unwrap());
        example::write_chunks(dir.path(), &contents, &options).unwrap();
        let index = fs::read_to_string(dir.path().join("index")).unwrap();
        assert_eq!(index.lines().count(), all.len());
        for (number, (bytes, line)) in all.iter().zip(index.lines()).enumerate() {
            let chunks = (0..).map(|chunk| fs::read(dir.path().join(format!("{number}/{chunk}"))));
            let chunks: Vec<Vec<u8>> = chunks.map_while(Result::ok).collect();
            assert!(chunks.concat() == *bytes && chunks.len() == bytes.len().div_ceil(CHUNK), "{line}");
            assert_eq!(line, format!("{} {} {}", Digest::of(bytes), bytes.len(), bytes.len()));
        }
    }
}

#[test]
fn damage_leaves_no_index() {
    let dir = tempfile::tempdir().unwrap();
    let bad = FileRange { digest: Some(Digest::of(b"other")), ..range(&pattern(100_000)) };
    let contents = [("good".to_owned(), range(b"x")), ("bad".to_owned(), bad)];
    let error = example::write_chunks(dir.path(), &contents, &Options::default()).unwrap_err();
    assert!(error.to_string().starts_with("bad is damaged"), "{error}");
    assert!(!dir.path().join("index").exists());
}
