//! The three outputs of one tree are equal for any number of threads, another tar can read them, and a
//! failure leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use layerlift_archive::{
    Bytes, Check, CompressionLevel, Content, Digest, Entry, Error, Explanation, Observer, Options, Tree,
    check, write_dir, write_file, write_stream,
};

/// Bytes that arrive in small pieces, with a digest and a length that may be wrong.
struct Odd {
    bytes: Vec<u8>,
    len: u64,
    digest: Option<Digest>,
    fail_at: Option<usize>,
}

impl Odd {
    fn new(bytes: Vec<u8>) -> Self {
        Odd { len: bytes.len() as u64, digest: Some(Digest::of(&bytes)), bytes, fail_at: None }
    }
}

impl Content for Odd {
    fn len(&self) -> u64 {
        self.len
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Pieces { content: self, at: 0 }))
    }

    fn explain(&self) -> Option<Explanation> {
        Some(Explanation::new("the third byte"))
    }
}

struct Pieces<'a> {
    content: &'a Odd,
    at: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.content.fail_at.is_some_and(|at| at <= self.at) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "etc/passwd is missing"));
        }
        let left = &self.content.bytes[self.at..];
        let n = left.len().min(buf.len()).min(1 + self.at % 70_001);
        buf[..n].copy_from_slice(&left[..n]);
        self.at += n;
        Ok(n)
    }
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Contents with lengths around every boundary: of a block, of a buffer, of several buffers.
fn tree() -> Tree {
    const BUFFER: usize = 256 << 10;
    let sizes = [
        0,
        1,
        511,
        512,
        513,
        BUFFER - 1025,
        BUFFER - 1024,
        BUFFER - 512,
        BUFFER,
        BUFFER + 1,
        3 * BUFFER + 7,
        2_000_000,
    ];
    let mut tree = Tree::default();
    tree.push(Entry::dir("d/", 7).with_mode(0o040755));
    for (i, size) in sizes.into_iter().enumerate() {
        let bytes = noise(size, i as u64);
        tree.push(Entry::file(format!("d/{size}"), 7, Arc::new(Odd::new(bytes.clone()))));
        tree.push(Entry::bytes(format!("d/plain-{size}"), 0, bytes));
    }
    tree.push(Entry::symlink("d/link", 0, "511"));
    tree.push(Entry::bytes(format!("long/{}", "n".repeat(180)), 1, b"x".to_vec()));
    tree
}

fn threads(n: usize) -> Options<'static> {
    Options::default().with_threads(NonZeroUsize::new(n).unwrap())
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn all_ways_give_the_same_bytes() {
    let tree = tree();
    let mut first = Vec::new();
    write_stream(&tree, &mut first, &threads(1)).unwrap();
    assert_eq!(first.len() as u64, tree.tar_len());
    let dir = tempfile::tempdir().unwrap();
    for n in [1, 2, 3, 8] {
        let mut stream = Vec::new();
        write_stream(&tree, &mut stream, &threads(n)).unwrap();
        assert!(stream == first, "stream with {n} threads");
        let path = dir.path().join("out.tar");
        write_file(&tree, &path, &threads(n)).unwrap();
        assert!(fs::read(&path).unwrap() == first, "file with {n} threads");
        let target = dir.path().join(format!("dir{n}/"));
        write_dir(&tree, &target, &threads(n)).unwrap();
        for entry in tree.entries() {
            if let Some(content) = entry.content() {
                let mut expected = Vec::new();
                content.raw_reader().unwrap().read_to_end(&mut expected).unwrap();
                assert!(
                    fs::read(target.join(&entry.path)).unwrap() == expected,
                    "{} with {n} threads",
                    entry.path
                );
            }
        }
    }
}

#[test]
fn compressed_it_is_the_same_tar() {
    let tree = tree();
    let mut plain = Vec::new();
    write_stream(&tree, &mut plain, &threads(1)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.tar.gz");
    let mut first = None;
    for n in [1, 3] {
        let options = threads(n).with_compression(CompressionLevel::GZIP);
        write_file(&tree, &path, &options).unwrap();
        let mut stream = Vec::new();
        write_stream(&tree, &mut stream, &options).unwrap();
        let file = fs::read(&path).unwrap();
        assert!(file == stream, "file and stream with {n} threads");
        assert!(*first.get_or_insert(stream) == file, "{n} threads");
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(file.as_slice()).read_to_end(&mut tar).unwrap();
        assert!(tar == plain);
    }
}

#[test]
fn another_tar_reads_it() {
    let tree = tree();
    let mut bytes = Vec::new();
    write_stream(&tree, &mut bytes, &threads(2)).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut read = archive.entries().unwrap();
    for entry in tree.entries() {
        let mut other = read.next().unwrap().unwrap();
        assert_eq!(other.path_bytes(), entry.path.as_bytes());
        assert_eq!(other.header().mtime().unwrap(), entry.mtime);
        let mut contents = Vec::new();
        other.read_to_end(&mut contents).unwrap();
        assert_eq!(contents.len() as u64, entry.len());
    }
    assert!(read.next().is_none());
}

fn with(content: Odd) -> Tree {
    let mut tree = tree();
    tree.push(Entry::file("layer/bad", 0, Arc::new(content)));
    tree.push(Entry::bytes("manifest.json", 0, b"[]".to_vec()));
    tree
}

#[test]
fn damage_leaves_nothing_behind() {
    type Expected = fn(&Error) -> bool;
    let cases: Vec<(&str, Odd, Expected)> = vec![
        ("mismatch", Odd { digest: Some(Digest::of(b"other")), ..Odd::new(noise(900_000, 3)) }, |e| {
            matches!(e, Error::Mismatch { source: Some(_), .. })
        }),
        ("failing", Odd { fail_at: Some(300_000), ..Odd::new(noise(900_000, 3)) }, |e| {
            matches!(e, Error::Content { .. })
        }),
        ("short", Odd { len: 900_001, ..Odd::new(noise(900_000, 3)) }, |e| {
            matches!(e, Error::Length { expected: 900_001, found: 900_000, .. })
        }),
        ("long", Odd { len: 899_999, ..Odd::new(noise(900_000, 3)) }, |e| {
            matches!(e, Error::Length { expected: 899_999, found: 900_000, .. })
        }),
    ];
    for (what, content, expected) in cases {
        let tree = with(content);
        for n in [1, 2, 3, 8] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out.tar");
            fs::write(&path, "the one before").unwrap();
            let error = write_file(&tree, &path, &threads(n)).unwrap_err();
            assert!(expected(&error) && error.to_string().contains("layer/bad"), "{what} {n}: {error}");
            assert_eq!(fs::read(&path).unwrap(), b"the one before");
            let error = write_dir(&tree, &dir.path().join("dir"), &threads(n)).unwrap_err();
            assert!(expected(&error), "{what} {n}: {error}");
            assert_eq!(files_in(dir.path()), ["out.tar"], "{what} {n}");
            let mut stream = Vec::new();
            let error = write_stream(&tree, &mut stream, &threads(n)).unwrap_err();
            assert!(expected(&error), "{what} {n}: {error}");
            let loadable = stream.windows(13).any(|window| window == b"manifest.json");
            assert!(!loadable, "{what} {n}: what makes the archive whole is not in a stream that failed");
        }
    }
}

#[test]
fn checks_find_what_is_damaged() {
    let good = Odd::new(noise(700_000, 1));
    let bad = Odd { digest: Some(Digest::of(b"other")), ..Odd::new(noise(700_000, 2)) };
    let none = Bytes(noise(10, 3));
    for n in [1, 2, 3, 8] {
        let checks = [("good", &good as &dyn Content), ("bad", &bad), ("none", &none)];
        let results = check(&checks.map(|(name, content)| Check { name, content }), &threads(n));
        assert_eq!(results[0].as_ref().ok(), good.digest.as_ref());
        assert!(matches!(&results[1], Err(Error::Mismatch { entry, .. }) if entry == "bad"));
        assert_eq!(results[2].as_ref().ok(), Some(&Digest::of(&none.0)));
    }
}

#[test]
fn many_bad_contents_hide_no_good_one() {
    // Each takes several buffers, and there are more of them than buffers.
    let contents: Vec<Odd> = (0..60)
        .map(|number| {
            let content = Odd::new(noise(900_000 + number, number as u64));
            match number % 4 {
                0 => Odd { digest: Some(Digest::of(b"other")), ..content },
                1 => Odd { fail_at: Some(10_000 * number), ..content },
                2 => Odd { len: content.len + 1, ..content },
                _ => content,
            }
        })
        .collect();
    let checks: Vec<_> = contents.iter().map(|content| Check { name: "x", content }).collect();
    for n in [1, 2, 3, 8] {
        for (number, result) in check(&checks, &threads(n)).into_iter().enumerate() {
            assert_eq!(
                result.ok(),
                contents[number].digest.filter(|_| number % 4 == 3),
                "{number}, {n} threads"
            );
        }
    }
}

#[test]
fn a_stream_has_all_that_precedes_a_failure() {
    let mut whole = Vec::new();
    write_stream(&tree(), &mut whole, &threads(1)).unwrap();
    let before = whole.len() - 1024;
    for n in [1, 2, 3, 8] {
        let tree = with(Odd { fail_at: Some(300_000), ..Odd::new(noise(900_000, 3)) });
        let mut stream = Vec::new();
        write_stream(&tree, &mut stream, &threads(n)).unwrap_err();
        assert!(stream.len() >= before && stream[..before] == whole[..before], "{n} threads");
    }
}

/// Counts bytes, and asks to stop after some of them.
struct Watch {
    bytes: AtomicU64,
    limit: u64,
}

impl Observer for Watch {
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.limit
    }
}

#[test]
fn progress_adds_up_to_the_length() {
    let tree = tree();
    let dir = tempfile::tempdir().unwrap();
    for n in [1, 2, 3] {
        for to_file in [true, false] {
            let watch = Watch { bytes: AtomicU64::new(0), limit: u64::MAX };
            let options = threads(n).with_observer(&watch);
            match to_file {
                true => write_file(&tree, &dir.path().join("x"), &options).unwrap(),
                false => write_stream(&tree, io::sink(), &options).unwrap(),
            }
            assert_eq!(watch.bytes.into_inner(), tree.tar_len(), "{n} threads, file: {to_file}");
        }
    }
}

#[test]
fn stopping_leaves_nothing_behind() {
    let tree = tree();
    for n in [1, 2, 3, 8] {
        let dir = tempfile::tempdir().unwrap();
        let watch = Watch { bytes: AtomicU64::new(0), limit: 1_000_000 };
        let options = threads(n).with_observer(&watch);
        let error = write_file(&tree, &dir.path().join("out.tar"), &options).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error}");
        assert!(files_in(dir.path()).is_empty());
        let watch = Watch { bytes: AtomicU64::new(0), limit: 1_000_000 };
        let error = write_stream(&tree, io::sink(), &threads(n).with_observer(&watch)).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error}");
    }
}

/// Counts how often workers look for work.
struct Looks(AtomicU64);

impl Observer for Looks {
    fn cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// A slow reader of the stream.
struct Slow;

impl io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        std::thread::sleep(std::time::Duration::from_millis(2));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn workers_that_wait_are_not_woken_for_nothing() {
    let tree = tree();
    let looks = Looks(AtomicU64::new(0));
    write_stream(&tree, Slow, &threads(8).with_observer(&looks)).unwrap();
    // Each buffer has three stages, and after each stage all three workers may look for work.
    let buffers = tree.tar_len() / (256 << 10) + 2 * tree.entries().len() as u64;
    let looks = looks.0.into_inner();
    assert!(looks < 12 * buffers, "{looks} looks for {buffers} buffers");
}

/// Takes some bytes, then fails. It must not be called again.
struct Full {
    room: usize,
    failed: bool,
}

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!self.failed, "nothing is written after a failure");
        self.failed = bytes.len() > self.room;
        self.room = self.room.checked_sub(bytes.len()).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_that_fails_ends_the_work() {
    for n in [1, 2, 3, 8] {
        let error = write_stream(&tree(), Full { room: 1_500_000, failed: false }, &threads(n)).unwrap_err();
        assert!(
            matches!(&error, Error::Stream(cause) if cause.kind() == io::ErrorKind::BrokenPipe),
            "{error}"
        );
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none/out.tar");
    let error = write_file(&tree(), &missing, &threads(1)).unwrap_err();
    assert!(error.to_string().contains(dir.path().join("none").to_str().unwrap()), "{error}");
    let error = write_file(&tree(), dir.path(), &threads(1)).unwrap_err();
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    fs::write(dir.path().join("occupied"), "").unwrap();
    assert!(write_dir(&tree(), dir.path(), &threads(1)).is_err());
    assert_eq!(files_in(dir.path()), ["occupied"]);
    for path in ["../x", "/x", "a/../../x", ""] {
        let tree = Tree::from_iter([Entry::bytes(path, 0, Vec::new())]);
        let error = write_dir(&tree, &dir.path().join("new"), &threads(1)).unwrap_err();
        assert!(matches!(error, Error::Entry { .. }), "{path}: {error}");
    }
}

#[test]
fn a_link_to_a_file_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/out.tar"), "").unwrap();
    std::os::unix::fs::symlink("real/out.tar", dir.path().join("out.tar")).unwrap();
    write_file(&tree(), &dir.path().join("out.tar"), &threads(2)).unwrap();
    assert!(dir.path().join("out.tar").is_symlink());
    assert_eq!(fs::metadata(dir.path().join("real/out.tar")).unwrap().len(), tree().tar_len());
    assert_eq!(files_in(&dir.path().join("real")), ["out.tar"]);
}
