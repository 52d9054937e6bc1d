//! The inner parts of reading: tar-split metadata, a layer put together from it, names looked up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use layerlift_archive::{Content, Digest};
use layerlift_store::lookup::{Catalog, Spelling, resolve};
use layerlift_store::{DiffId, Error, ImageKey, Keyring, Root, SplitLayer};

const FILES: usize = 2_000;

/// A layer of small files: a directory, and its metadata as engines write it.
fn make(folder: &Path) -> io::Result<()> {
    let metadata = File::create(folder.join("tar-split.json.gz"))?;
    let mut metadata = flate2::write::GzEncoder::new(metadata, flate2::Compression::default());
    for number in 0..FILES {
        let name = format!("usr/share/d{}/file-{number}", number / 100);
        let path = folder.join("tree").join(&name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(&path, vec![b'x'; 2_000 + number % 7])?;
        let mut header = tar::Header::new_gnu();
        header.set_size(2_000 + number as u64 % 7);
        header.set_mtime(1_600_000_000 + number as u64);
        let _ = header.set_path(&name);
        header.set_cksum();
        let (header, size) = (STANDARD.encode(header.as_bytes()), 2_000 + number % 7);
        let position = 2 * number;
        writeln!(metadata, "{{\"type\":2,\"payload\":\"{header}\",\"position\":{position}}}")?;
        writeln!(
            metadata,
            "{{\"type\":1,\"name\":\"{name}\",\"size\":{size},\"payload\":\"AAAAAAAAAAA=\",\"position\":{}}}",
            position + 1
        )?;
    }
    metadata.finish().map(drop)
}

fn open(folder: &Path) -> Result<SplitLayer, Error> {
    let path = folder.join("tar-split.json.gz");
    let metadata = File::open(&path).map_err(|source| Error::Io {
        action: "open",
        path: path.clone(),
        source: source.into(),
    })?;
    // With a digest, as in every store since Docker 1.10, no checksum is computed.
    let diff_id = Some(DiffId(Digest::of(b"")));
    SplitLayer::open(Root::open(&folder.join("tree"))?, metadata, path, diff_id)
}

fn tar_split(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    make(folder.path()).expect("a layer");
    let layer = open(folder.path()).expect("the layer");
    let mut group = criterion.benchmark_group("tar-split");
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("length of a layer of 2,000 files", |bencher| {
        bencher.iter(|| open(black_box(folder.path())).map(|layer| layer.len()));
    });
    group.bench_function("bytes of a layer of 2,000 files", |bencher| {
        bencher.iter(|| {
            let mut buffer = vec![0; 256 << 10];
            let mut reader = layer.raw_reader().expect("a reader");
            let mut sum = 0;
            while let n @ 1.. = reader.read(&mut buffer).expect("bytes") {
                sum += n;
            }
            sum
        });
    });
    group.finish();
}

/// A thousand repositories in memory.
struct Many(BTreeMap<String, ImageKey>);

impl Catalog for Many {
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error> {
        let tags = |key: &ImageKey| BTreeMap::from([("latest".to_owned(), vec![key.clone()])]);
        Ok(self.0.get(repository).map(tags))
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.0.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        Ok(self.0.values().filter(|key| key.id().starts_with(prefix)).cloned().collect())
    }
}

fn lookup(criterion: &mut Criterion) {
    let keys = Keyring::new();
    let image = |number: usize| {
        let id = Digest::of(&number.to_be_bytes()).hex();
        (format!("team/service-{number}"), keys.image("overlay2", id))
    };
    let many = Many((0..1_000).map(image).collect());
    let mut group = criterion.benchmark_group("lookup in 1,000 repositories");
    for (what, name) in [("a name", "team/service-500"), ("a name that is not there", "team/servce-500")] {
        group.bench_function(what, |bencher| {
            bencher.iter(|| resolve(&many, Spelling::Familiar, black_box(name)).map(|found| found.len()));
        });
    }
    group.finish();
}

criterion_group!(benches, tar_split, lookup);
criterion_main!(benches);
