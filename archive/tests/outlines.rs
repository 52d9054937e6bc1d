//! Contents whose buffers are filled side by side: the same bytes and the same failures as in a row, and more
//! threads only where filling has to wait.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use layerlift_archive::{
    Check, Content, Digest, Entry, Gaps, Options, Outline, Outlined, Tree, check, write_file, write_stream,
};

/// Bytes of which every buffer is a gap.
struct Gappy {
    bytes: Vec<u8>,
    /// From these bytes on, filling fails; with their number in the message.
    damaged: Vec<usize>,
    /// From this byte on, going on fails.
    ends: Option<usize>,
    /// How long a buffer takes.
    takes: fn(usize),
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Gappy {
    fn new(len: usize, takes: fn(usize)) -> Self {
        let bytes = (0..len).map(|at| (at / 1000 * 31 + at) as u8).collect();
        let (at_once, most_at_once) = Default::default();
        Gappy { bytes, damaged: Vec::new(), ends: None, takes, at_once, most_at_once }
    }
}

impl Content for Gappy {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn digest(&self) -> Option<Digest> {
        Some(Digest::of(&self.bytes))
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Err(io::Error::other("an outline is there, so that is what counts"))
    }

    fn raw_outline(&self) -> Option<Box<dyn Outline<'_> + '_>> {
        Some(Box::new(At { content: self, at: 0 }))
    }
}

struct At<'a> {
    content: &'a Gappy,
    at: usize,
}

impl<'a> Outline<'a> for At<'a> {
    fn next(&mut self, buf: &mut [u8]) -> io::Result<Outlined<'a>> {
        let Gappy { bytes, ends, .. } = self.content;
        let n = buf.len().min(ends.unwrap_or(bytes.len()) - self.at);
        if n == 0 && ends.is_some() {
            return Err(io::Error::other("the record is cut"));
        }
        let gap = At { content: self.content, at: self.at };
        self.at += n;
        Ok((n, (n > 0).then(|| Box::new(gap) as Box<dyn Gaps + 'a>)))
    }
}

impl Gaps for At<'_> {
    fn fill(&mut self, buf: &mut [u8]) -> io::Result<()> {
        let Gappy { bytes, damaged, takes, at_once, most_at_once, .. } = self.content;
        most_at_once.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        takes(self.at);
        buf.copy_from_slice(&bytes[self.at..self.at + buf.len()]);
        at_once.fetch_sub(1, Ordering::SeqCst);
        match damaged.iter().find(|&&at| (self.at..self.at + buf.len()).contains(&at)) {
            Some(at) => Err(io::Error::other(format!("byte {at} has changed"))),
            None => Ok(()),
        }
    }
}

fn at_once(_: usize) {}

/// The first buffers take longest, so that those after them are ready first.
fn in_reverse(at: usize) {
    std::thread::sleep(Duration::from_millis(8_u64.saturating_sub(at as u64 >> 18)));
}

fn tree(contents: Vec<Gappy>) -> Tree {
    let mut tree = Tree::default();
    for (number, content) in contents.into_iter().enumerate() {
        tree.push(Entry::file(format!("layer{number}"), 7, Arc::new(content)));
    }
    tree
}

fn threads(n: usize) -> Options<'static> {
    Options::default().with_threads(NonZeroUsize::new(n).unwrap())
}

#[test]
fn all_ways_give_the_same_bytes() {
    for takes in [at_once, in_reverse] {
        let sizes = [0, 1, (256 << 10) - 512, 256 << 10, 5_000_000, 1_000_001];
        let tree = tree(sizes.map(|size| Gappy::new(size, takes)).into());
        let mut first = Vec::new();
        write_stream(&tree, &mut first, &threads(1)).unwrap();
        let mut at = 0;
        for size in sizes {
            at += 512;
            assert!(first[at..at + size] == *Gappy::new(size, takes).bytes, "{size}");
            at += size.next_multiple_of(512);
        }
        let dir = tempfile::tempdir().unwrap();
        for n in [1, 2, 5] {
            let mut stream = Vec::new();
            write_stream(&tree, &mut stream, &threads(n)).unwrap();
            assert!(stream == first, "a stream with {n} threads");
            let path = dir.path().join("out.tar");
            write_file(&tree, &path, &threads(n)).unwrap();
            assert!(std::fs::read(&path).unwrap() == first, "a file with {n} threads");
        }
    }
}

/// Of several failures the first one counts, whichever is found first. A stream gets what precedes it.
#[test]
fn the_first_failure_counts() {
    const BUFFER: usize = 256 << 10;
    for (damaged, ends, message) in [
        (vec![3 * BUFFER, 5 * BUFFER], None, "byte 786432 has changed"),
        (vec![3 * BUFFER], Some(4 * BUFFER), "byte 786432 has changed"),
        (vec![6 * BUFFER], Some(4 * BUFFER), "the record is cut"),
        (vec![7 * BUFFER - 1], None, "byte 1835007 has changed"),
        (vec![0], None, "byte 0 has changed"),
    ] {
        let precedes = damaged.iter().copied().chain(ends).min().unwrap();
        for takes in [at_once, in_reverse] {
            for n in [1, 2, 5] {
                let content = Gappy { damaged: damaged.clone(), ends, ..Gappy::new(7 * BUFFER, takes) };
                let tree = tree(vec![content]);
                let mut out = Vec::new();
                let error = write_stream(&tree, &mut out, &threads(n)).unwrap_err();
                let chain = |error: &dyn std::error::Error| {
                    format!("{error}: {}", error.source().map_or(String::new(), ToString::to_string))
                };
                assert!(chain(&error).contains(message), "{error:?}");
                assert!(out.len() <= 512 + precedes && out.len() + BUFFER + 512 > precedes, "{}", out.len());
                let dir = tempfile::tempdir().unwrap();
                let error = write_file(&tree, &dir.path().join("out"), &threads(n)).unwrap_err();
                assert!(chain(&error).contains(message), "{error:?}");
            }
        }
    }
}

/// The buffers of a content that are filled at the same time, with one thread.
fn most_at_once(takes: fn(usize)) -> usize {
    let content = Arc::new(Gappy::new(16 << 20, takes));
    let outcomes = check(&[Check { name: "layer", content: &*content }], &threads(1));
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    content.most_at_once.load(Ordering::SeqCst)
}

#[test]
fn more_threads_where_files_have_to_be_waited_for() {
    let skipped = |why| eprintln!("skipped: more_threads_where_files_have_to_be_waited_for: {why}");
    if !std::path::Path::new("/proc/thread-self/io").exists() {
        return skipped("there is no /proc");
    }
    let file = tempfile::tempfile().unwrap();
    const TMPFS: u64 = 0x0102_1994;
    if rustix::fs::fstatfs(&file).unwrap().f_type as u64 == TMPFS {
        return skipped("the temporary folder is in memory");
    }
    file.write_all_at(&vec![7; 17 << 20], 0).unwrap();
    file.sync_all().unwrap();
    for advice in [Advice::DontNeed, Advice::Random] {
        fadvise(&file, 0, None, advice).unwrap();
    }
    COLD.set(file).unwrap();
    assert!(most_at_once(from_a_disk) > 1);
}

/// A file whose pages are not in memory.
static COLD: OnceLock<File> = OnceLock::new();

fn from_a_disk(at: usize) {
    std::thread::sleep(Duration::from_millis(3));
    COLD.get().unwrap().read_exact_at(&mut [0; 4096], at as u64).unwrap();
}

/// What keeps a processor busy is not waiting.
#[test]
fn no_more_threads_where_reading_is_work() {
    static ANY: AtomicBool = AtomicBool::new(true);
    let busy = |_| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2) && ANY.load(Ordering::Relaxed) {}
    };
    assert_eq!(most_at_once(busy), 1);
}
