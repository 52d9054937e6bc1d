//! The inner parts of writing: headers, hashing, a whole tree.

use std::hint::black_box;
use std::io;
use std::num::NonZeroUsize;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use layerlift_archive::tar::{Encoder, Header};
use layerlift_archive::{Entry, Hasher, Options, Tree, write_stream};

fn headers(criterion: &mut Criterion) {
    let long = "usr/share/doc/".repeat(20);
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(1));
    for (what, name) in [("short name", "etc/passwd"), ("name of 280 bytes", &*long)] {
        let header = Header {
            name: name.as_bytes(),
            link: b"",
            kind: b'0',
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            size: 4096,
            mtime: 1_600_000_000,
            device: (0, 0),
            xattrs: &[],
        };
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                out.clear();
                encoder.encode(black_box(&header), &mut out);
                out.len()
            });
        });
    }
    group.finish();
}

fn hashing(criterion: &mut Criterion) {
    let bytes = vec![7; 256 << 10];
    let mut group = criterion.benchmark_group("sha-256");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let (mut a, mut b) = (Hasher::default(), Hasher::default());
    group.bench_function("a buffer of 256 KiB", |bencher| bencher.iter(|| a.update(black_box(&bytes))));
    group.throughput(Throughput::Bytes(2 * bytes.len() as u64));
    group.bench_function("two of them at once", |bencher| {
        bencher.iter(|| Hasher::update_both((&mut a, black_box(&bytes)), (&mut b, black_box(&bytes))));
    });
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    let mut tree = Tree::default();
    for number in 0..64 {
        tree.push(Entry::bytes(format!("entry-{number}"), 0, vec![number; 1 << 20]));
    }
    let mut group = criterion.benchmark_group("tar on a stream");
    group.throughput(Throughput::Bytes(tree.tar_len()));
    for threads in [1, 2] {
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        group.bench_function(format!("64 MiB in memory, {threads} threads"), |bencher| {
            bencher.iter(|| write_stream(&tree, io::sink(), &Options::default().with_threads(threads)));
        });
    }
    group.finish();
}

criterion_group!(benches, headers, hashing, streams);
criterion_main!(benches);
