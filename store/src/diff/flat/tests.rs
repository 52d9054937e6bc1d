//! Layers that are put on top of each other: what engines do with them, case by case, and any layers against
//! a model.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};

use layerlift_archive::tar::{Dialect, Encoder, Header, padding};
use layerlift_archive::{Compression, Digest, Plain};
use proptest::prelude::*;

use super::super::encode::{self, Encoding, Pass};
use super::super::files::Files;
use super::*;
use crate::DiffId;
use crate::image_files::tar_layer;
use crate::layer::{BlobLayer, LayerTar};

/// A layer that a test may change.
#[derive(Clone)]
struct TarLayer {
    name: String,
    tar: LayerTar,
}

fn read(layers: &[TarLayer], folder: &Path, observer: &dyn Observer) -> Result<(Records, Flat), Error> {
    let layers: Vec<_> =
        layers.iter().map(|layer| tar_layer(layer.name.clone(), layer.tar.clone())).collect();
    super::read(&layers, folder, observer)
}

/// A tar, entry by entry.
#[derive(Default)]
struct Made(Vec<u8>);

impl Made {
    fn entry(mut self, header: Header<'_>, content: &[u8]) -> Self {
        let header = Header { size: content.len() as u64, mode: header.mode | 0o600, ..header };
        Encoder::new(Dialect::Pax).encode(&header, &mut self.0);
        self.0.extend(content);
        self.0.resize(self.0.len() + padding(content.len() as u64) as usize, 0);
        self
    }

    /// `a/` is a directory, `a -> b` a symbolic link, `a => b` a hard link; `a=b` a file with contents, and
    /// all others are empty files.
    fn with(self, entry: &str) -> Self {
        let of = |name: &str, kind, link: &str| -> Self {
            let header = Header { name: name.as_bytes(), kind, link: link.as_bytes(), ..Header::default() };
            Made(Vec::new()).entry(header, b"")
        };
        let made = match entry {
            dir if dir.ends_with('/') => of(dir, b'5', ""),
            link if link.contains(" -> ") => link.split_once(" -> ").map(|(a, b)| of(a, b'2', b)).unwrap(),
            link if link.contains(" => ") => link.split_once(" => ").map(|(a, b)| of(a, b'1', b)).unwrap(),
            file => {
                let (name, content) = file.split_once('=').unwrap_or((file, ""));
                let header = Header { name: name.as_bytes(), kind: b'0', ..Header::default() };
                Made::default().entry(header, content.as_bytes())
            }
        };
        Made([self.0, made.0].concat())
    }

    /// The layer; every second one is compressed.
    fn layer(mut self, number: usize) -> TarLayer {
        self.0.extend([0; 1024]);
        let diff_id = DiffId(Digest::of(&self.0));
        let (bytes, compression) = match number % 2 {
            0 => (self.0, Compression::None),
            _ => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                gzip.write_all(&self.0).unwrap();
                (gzip.finish().unwrap(), Compression::Gzip)
            }
        };
        of_bytes(number, &bytes, compression, diff_id)
    }
}

fn of_bytes(number: usize, bytes: &[u8], compression: Compression, diff_id: DiffId) -> TarLayer {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let digest = Some(Digest::of(bytes));
    let stored = FileRange { file: Arc::new(file), offset: 0, len: bytes.len() as u64, digest };
    let tar = LayerTar::Blob(BlobLayer::new(stored, compression, Some(diff_id)));
    TarLayer { name: number.to_string(), tar }
}

fn layers(of: &[&[&str]]) -> Vec<TarLayer> {
    let made = of.iter().map(|layer| layer.iter().fold(Made::default(), |made, entry| made.with(entry)));
    made.enumerate().map(|(number, made)| made.layer(number)).collect()
}

fn tar(layers: &[TarLayer]) -> Result<Vec<u8>, Error> {
    let (records, flat) = read(layers, &std::env::temp_dir(), &())?;
    let mut out = Vec::new();
    let encoding = Encoding::Today;
    let files = || Files::in_tars(&flat, &records, encoding.wanted());
    let measure = encode::tree(files(), None, false, encoding, Pass::Measure)?;
    encode::tree(files(), None, false, encoding, Pass::Write(&mut Plain(&mut out), Some(&measure)))?;
    assert_eq!(measure.len, out.len() as u64);
    Ok(out)
}

/// The entries as [`Made::with`] takes them.
fn shown(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        match (entry.header().entry_type().as_byte(), link, &*content) {
            (b'2', Some(link), _) => format!("{name} -> {link}"),
            (b'1', Some(link), _) => format!("{name} => {link}"),
            (_, _, "") => name,
            _ => format!("{name}={content}"),
        }
    });
    entries.collect()
}

/// Why, the layers, and what they make.
type Case<'a> = (&'a str, &'a [&'a [&'a str]], &'a [&'a str]);

#[test]
fn as_engines_do_it() {
    let cases: &[Case<'_>] = &[
        ("the top wins", &[&["a=1", "b=1"], &["a=2"]], &["a=2", "b=1"]),
        ("the last wins", &[&["a=1", "a=2"]], &["a=2"]),
        ("a whiteout", &[&["d/", "d/a", "d/b"], &["d/.wh.a"]], &["d/", "d/b"]),
        ("of a directory", &[&["d/", "d/a", "e"], &[".wh.d"]], &["e"]),
        ("of nothing that is there", &[&["a"], &[".wh.b"]], &["a"]),
        ("a whiteout spares its own layer", &[&["a=1"], &["a=2", ".wh.a"]], &["a=2"]),
        ("and what is in a directory", &[&["d/", "d/a"], &["d/b", ".wh.d"]], &["d/", "d/b"]),
        ("removed and there again", &[&["a=1"], &[".wh.a"], &["a=3"]], &["a=3"]),
        (
            "opaque, first",
            &[&["d/", "d/a", "d/e/", "d/e/f"], &["d/", "d/.wh..wh..opq", "d/b"]],
            &["d/", "d/b"],
        ),
        (
            "opaque, last",
            &[&["d/", "d/a", "d/e/", "d/e/f"], &["d/e/g", "d/.wh..wh..opq"]],
            &["d/", "d/e/", "d/e/g"],
        ),
        ("a root that is opaque", &[&["a", "d/", "d/b"], &[".wh..wh..opq", "c"]], &["c"]),
        ("file over directory", &[&["d/", "d/a"], &["d=1"]], &["d=1"]),
        ("directory over file", &[&["d=1"], &["d/", "d/a"]], &["d/", "d/a"]),
        ("link over directory", &[&["d/", "d/a"], &["d -> e"]], &["d -> e"]),
        ("directory over link", &[&["d -> e", "e/", "e/x"], &["d/a"]], &["d/", "d/a", "e/", "e/x"]),
        (
            "a link of its own is followed",
            &[&["lib -> usr/lib", "usr/lib/", "lib/a"]],
            &["lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/a"],
        ),
        (
            "never out of the root",
            &[&["out -> ../../..", "out/a", "abs -> /etc", "abs/b"]],
            &["a", "abs -> /etc", "etc/", "etc/b", "out -> ../../.."],
        ),
        ("a hard link", &[&["b=1", "a => b"]], &["a=1", "b => a"]),
        ("to a layer below", &[&["a=1"], &["b => a"]], &["a=1", "b => a"]),
        ("whose first name is hidden", &[&["a=1", "b => a"], &[".wh.a"]], &["b=1"]),
        ("or replaced", &[&["a=1", "b => a"], &["a=2"]], &["a=2", "b=1"]),
        ("to a link", &[&["a -> x", "b => a"]], &["a -> x", "b => a"]),
        ("names as they come", &[&["./a", "/b", "c//d/../e", "./"]], &["a", "b", "c/", "c/e"]),
        (
            "what aufs has for itself",
            &[&[".wh..wh.plnk/", ".wh..wh.plnk/1.2=x", ".wh..wh.aufs", "a => .wh..wh.plnk/1.2"]],
            &["a=x"],
        ),
    ];
    for (why, of, expected) in cases {
        let got = tar(&layers(of)).map(|tar| shown(&tar)).map_err(|error| error.to_string());
        assert_eq!(got, Ok(expected.iter().map(|line| (*line).to_owned()).collect()), "{why}");
    }
}

#[test]
fn what_engines_refuse() {
    for (of, why) in [
        (&["../a"][..], "layer 1 is malformed: entry ../a leads out of it"),
        (&["d/", "d/../../a"], "leads out"),
        (&["a => b"], "a is a hard link to b, which is not there"),
        (&["d/", "a => d"], "which is a directory"),
        (&["a => ../b"], "leads out"),
        (&["a=1", "a/b"], "it has a file a and names below it"),
        (&["a -> b", "b -> a", "a/c"], "too many links"),
        (&["d/.wh."], "a whiteout of nothing"),
        (&["d/.wh..."], "a whiteout of nothing"),
    ] {
        let error = tar(&layers(&[&["x"], of])).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Malformed, "{of:?}");
        assert!(error.to_string().contains(why), "{error}: {why}");
    }
    let fifo = Header { name: b"x", kind: b'Q', ..Header::default() };
    let error = tar(&[Made::default().entry(fifo, b"").layer(0)]).unwrap_err();
    assert!(error.to_string().contains("type 'Q'"), "{error}");
}

/// Metadata, attributes and times as a disk has them.
#[test]
fn metadata_is_kept() {
    let capability = (b"security.capability".to_vec(), b"\x01\x00\x00\x02\n=\x00".to_vec());
    let user = (b"user.a".to_vec(), b"1".to_vec());
    let other = (b"trusted.x".to_vec(), b"1".to_vec());
    let attributes = [capability.clone(), user.clone(), other];
    let of = |name, kind| Header {
        name,
        kind,
        uid: 3_000_000,
        mtime: -5,
        xattrs: &attributes,
        ..Header::default()
    };
    let long = [&b"\xff"[..], &[b'n'; 150]].concat();
    let made = Made::default()
        .entry(of(&long, b'0'), b"x")
        .entry(Header { link: b"t", ..of(b"link", b'2') }, b"")
        .entry(Header { device: (8, 300), mtime: 1 << 33, ..of(b"dev", b'4') }, b"");
    let (records, flat) = read(&[made.layer(1)], &std::env::temp_dir(), &()).unwrap();
    let get = |name: &[u8]| records.metadata(records.find(name).unwrap());
    let file = get(&long);
    assert_eq!((file.mode, file.uid, file.mtime, file.size), (0o100600, 3_000_000, 0, 1));
    assert_eq!(flat.attributes(&file, Wanted::CapabilityAndUsers), [capability.clone(), user]);
    assert_eq!(flat.attributes(&file, Wanted::Capability), std::slice::from_ref(&capability));
    assert_eq!(flat.attributes(&get(b"link"), Wanted::CapabilityAndUsers), [capability]);
    assert_eq!((get(b"link").mode, get(b"dev").mtime), (0o120777, 1 << 33));
    assert_eq!(get(b"dev").rdev, rustix::fs::makedev(8, 300));
}

/// A hard link gives its metadata to the file; a directory keeps them where a layer does not have it.
#[test]
fn metadata_of_links_and_directories() {
    let of = |name, kind, mode| Header { name, kind, mode, ..Header::default() };
    let base = Made::default().entry(of(b"d/", b'5', 0o711), b"").entry(of(b"d/a", b'0', 0o640), b"1");
    let top = Made::default().with("d/b=2").entry(Header { link: b"d/a", ..of(b"c", b'1', 0o604) }, b"");
    let (records, _) = read(&[base.layer(0), top.layer(1)], &std::env::temp_dir(), &()).unwrap();
    let mode = |name: &[u8]| records.metadata(records.find(name).unwrap()).mode & 0o7777;
    assert_eq!((mode(b"d"), mode(b"d/a"), mode(b"c"), mode(b"d/b")), (0o711, 0o604, 0o604, 0o600));
}

/// The words of a wrong digest count, not those of what it made of the tar.
#[test]
fn damaged_layers() {
    for number in [0, 1] {
        let good = layers(&[&["a=1"], &["b=2"]]);
        let LayerTar::Blob(blob) = &good[number].tar else { unreachable!() };
        let mut bytes = vec![0; blob.stored.len as usize];
        blob.stored.file.read_exact_at(&mut bytes, 0).unwrap();
        for at in [0, 20, bytes.len() / 2, bytes.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x41;
            let changed = of_bytes(number, &bytes, blob.compression, blob.diff_id.unwrap());
            let LayerTar::Blob(mut changed) = changed.tar else { unreachable!() };
            changed.stored.digest = blob.stored.digest;
            let mut bad = good.clone();
            bad[number].tar = LayerTar::Blob(changed);
            let error = tar(&bad).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Damaged, "{at}: {error}");
            assert!(error.to_string().starts_with(&format!("layer {number} is damaged")), "{error}");
        }
    }
}

/// A tar that is written to after it was read.
#[test]
fn contents_that_change() {
    let all = layers(&[&["a=1234"]]);
    let (records, flat) = read(&all, &std::env::temp_dir(), &()).unwrap();
    let LayerTar::Blob(blob) = &all[0].tar else { unreachable!() };
    let mut bytes = vec![0; blob.stored.len as usize];
    blob.stored.file.read_exact_at(&mut bytes, 0).unwrap();
    bytes[512] = b'9';
    let changed = of_bytes(0, &bytes, Compression::None, blob.diff_id.unwrap());
    let LayerTar::Blob(changed) = changed.tar else { unreachable!() };
    let flat = Flat { tars: vec![Some(changed.stored)], ..flat };
    let files = Files::in_tars(&flat, &records, Wanted::Capability);
    let out = &mut Vec::new();
    let error =
        encode::tree(files, None, false, Encoding::Today, Pass::Write(&mut Plain(out), None)).unwrap_err();
    assert!(error.to_string().starts_with("layer 0/a is damaged"), "{error}");
}

/// What a layer of the model does.
#[derive(Debug, Clone)]
enum Step {
    File(String, u8),
    Dir(String),
    Whiteout(String),
    Opaque(String),
    Link(String, String),
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::collection::vec("[abc]", 1..4).prop_map(|parts| parts.join("/"));
    prop_oneof![
        4 => (path(), 0..9u8).prop_map(|(path, content)| Step::File(path, content)),
        2 => path().prop_map(Step::Dir),
        2 => path().prop_map(Step::Whiteout),
        1 => path().prop_map(Step::Opaque),
        1 => (path(), path()).prop_map(|(path, target)| Step::Link(path, target)),
    ]
}

/// A tree: the layer of each name, and its contents; `None` for a directory.
#[derive(Default)]
struct Model(BTreeMap<String, (usize, Option<u8>)>);

impl Model {
    /// `None` if engines refuse it.
    fn apply(&mut self, layer: usize, step: &Step) -> Option<()> {
        let (path, is_opaque) = match step {
            Step::File(path, _) | Step::Dir(path) | Step::Whiteout(path) | Step::Link(path, _) => {
                (path, false)
            }
            Step::Opaque(path) => (path, true),
        };
        for (at, _) in path.match_indices('/').chain(is_opaque.then_some((path.len(), ""))) {
            match self.0.get(&path[..at]) {
                Some((_, None)) => {}
                Some((of, _)) if *of == layer => return None,
                _ => {
                    self.remove(&path[..at]);
                    self.0.insert(path[..at].to_owned(), (layer, None));
                }
            }
        }
        match step {
            Step::File(path, content) => {
                self.remove(path);
                self.0.insert(path.clone(), (layer, Some(*content)));
            }
            Step::Dir(path) => {
                if self.0.get(path).is_some_and(|(_, content)| content.is_some()) {
                    self.remove(path);
                }
                self.0.insert(path.clone(), (layer, None));
            }
            Step::Link(path, target) => {
                // A directory that is there is removed, with what the link leads to.
                self.remove(path);
                let (_, content) = *self.0.get(target)?;
                self.0.insert(path.clone(), (layer, Some(content?)));
            }
            Step::Whiteout(path) => self.hide(path, true, layer),
            Step::Opaque(path) => self.hide(path, false, layer),
        }
        Some(())
    }

    fn below(&self, path: &str) -> Vec<String> {
        self.0
            .keys()
            .filter(|name| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
            .cloned()
            .collect()
    }

    fn remove(&mut self, path: &str) {
        for name in self.below(path) {
            self.0.remove(&name);
        }
        self.0.remove(path);
    }

    fn hide(&mut self, path: &str, itself: bool, layer: usize) {
        let names = self.below(path).into_iter().chain(itself.then(|| path.to_owned()));
        for name in names.collect::<Vec<_>>() {
            let own = |name: &String| self.0.get(name).is_some_and(|(of, _)| *of == layer);
            if !own(&name) && !self.below(&name).iter().any(own) {
                self.0.remove(&name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_layers(of in prop::collection::vec(prop::collection::vec(step(), 0..8), 1..5)) {
        let mut model = Model::default();
        let refused = of.iter().enumerate().any(|(layer, steps)| {
            steps.iter().any(|step| model.apply(layer, step).is_none())
        });
        let lines: Vec<Vec<String>> = of.iter().map(|steps| steps.iter().map(|step| match step {
            Step::File(path, content) => format!("{path}=content {content}"),
            Step::Dir(path) => format!("{path}/"),
            Step::Whiteout(path) => match path.rsplit_once('/') {
                Some((dir, name)) => format!("{dir}/.wh.{name}"),
                None => format!(".wh.{path}"),
            },
            Step::Opaque(path) => format!("{path}/.wh..wh..opq"),
            Step::Link(path, target) => format!("{path} => {target}"),
        }).collect()).collect();
        let lines: Vec<Vec<&str>> = lines.iter().map(|of| of.iter().map(String::as_str).collect()).collect();
        let made = layers(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let got = tar(&made);
        prop_assert_eq!(got.is_err(), refused);
        let Ok(got) = got else { return Ok(()) };
        let mut contents: BTreeMap<String, Option<String>> = BTreeMap::new();
        for line in shown(&got) {
            let content = match line.split_once(" => ") {
                Some((_, first)) => contents[first].clone(),
                None => line.split_once('=').map(|(_, content)| content.to_owned()),
            };
            let name = line.split([' ', '=']).next().unwrap_or_default().trim_end_matches('/');
            contents.insert(name.to_owned(), content);
        }
        let expected = model.0.into_iter().map(|(name, (_, content))| {
            (name, content.map(|content| format!("content {content}")))
        });
        prop_assert_eq!(contents, expected.collect::<BTreeMap<_, _>>());
    }
}
