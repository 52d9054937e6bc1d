//! Every pair of images that share layers, in the stores and archives of all fixtures: a part has no byte of
//! a layer that its base has, and with the base it is the whole, byte for byte. In docker-archive these are
//! all pairs; of stores with many images, the other formats have every third image, for time.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use layerlift_export::{Format, Options, OtherSide};
use layerlift_store::{Error, OpenOptions, Opened, Requirements, Store, open_all};

mod common;

use common::parts::{Folder, joined, since, whole};
use common::{Entry, data_root, document, entries, entry, exported};

/// An image as an archive has it.
struct Full {
    name: String,
    bytes: Vec<u8>,
    file: PathBuf,
    /// The layers, by their paths.
    layers: BTreeMap<String, Vec<u8>>,
}

/// What was tried.
#[derive(Default)]
struct Tried {
    pairs: usize,
    formats: BTreeSet<&'static str>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures")
}

/// All archives, and all folders that are packed, whether they have a store or not. What engines have
/// answered is not a store.
fn fixtures() -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".tar.xz") && name != "answers.tar.xz" {
                found.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The stores in a folder, or else in the folders below it.
fn stores(folder: &Path, depth: usize) -> Vec<Opened> {
    let open = |partition: Option<&String>| {
        let mut options = OpenOptions::default();
        options.partition = partition.cloned();
        open_all(folder, &options).unwrap_or_default()
    };
    let with_namespaces = |opened| match opened {
        Ok(opened) => vec![opened],
        Err(Error::SeveralNamespaces { present, .. }) => {
            let each = present.iter().flat_map(|(name, _)| open(Some(name)));
            each.filter_map(Result::ok).collect()
        }
        Err(_) => Vec::new(),
    };
    let found: Vec<Opened> = open(None).into_iter().flat_map(with_namespaces).collect();
    if !found.is_empty() || depth == 0 || !folder.is_dir() {
        return found;
    }
    let below = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut below: Vec<PathBuf> = below.filter(|path| path.is_dir() && !path.is_symlink()).collect();
    below.sort();
    below.iter().flat_map(|folder| stores(folder, depth - 1)).collect()
}

/// A name of each image.
fn names(store: &dyn Store) -> Vec<String> {
    let listing = store.images().unwrap();
    let name = |image: &layerlift_store::ImageSummary| {
        image.references.first().map_or_else(|| image.key.id().to_owned(), ToString::to_string)
    };
    listing.images.iter().map(name).collect::<BTreeSet<String>>().into_iter().collect()
}

/// The paths of the layers, as the documents name them.
fn layers(entries: &[Entry]) -> BTreeMap<String, Vec<u8>> {
    let has = |path: &str| entries.iter().any(|entry| entry.path == path);
    let listed: Vec<String> = if has("manifest.json") {
        let manifest = document(entries, "manifest.json");
        let images = manifest.as_array().unwrap().iter();
        let layers = images.flat_map(|image| image["Layers"].as_array().unwrap().clone());
        layers.map(|path| path.as_str().unwrap().to_owned()).collect()
    } else {
        entries.iter().filter(|entry| entry.path.ends_with("/layer.tar")).map(|e| e.path.clone()).collect()
    };
    listed.into_iter().map(|path| (path.clone(), entry(entries, &path).to_vec())).collect()
}

/// Tries each pair of images of a store in a format.
fn every_pair(store: &dyn Store, names: &[&String], what: &str, format: Format) -> Vec<Result<(), String>> {
    let folder = Folder::new();
    let options = Options::default().with_format(format);
    let full = |name: &&String| {
        // What cannot be saved at all is not tested here.
        let bytes = exported(store, &[name], &options).ok()?;
        let file = folder.add(&format!("{:x}.tar", names.iter().position(|one| one == name)?), &bytes);
        Some(Full { name: (*name).clone(), layers: layers(&entries(&bytes)), bytes, file })
    };
    let fulls: Vec<Full> = names.iter().filter_map(full).collect();
    let all = fulls.iter().flat_map(|base| fulls.iter().map(move |app| (base, app)));
    let mut seen = HashSet::new();
    let sharing: Vec<(&Full, &Full)> = all
        .filter(|(base, app)| {
            let paths = |full: &Full| full.layers.keys().cloned().collect::<Vec<String>>();
            base.name != app.name
                && app.layers.keys().any(|layer| base.layers.contains_key(layer))
                // Once, if several images have the same layers.
                && seen.insert((paths(base), paths(app)))
        })
        .collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((base, app)) = sharing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = one_pair(store, base, app, &options)
                .map_err(|why| format!("{what}: {} without {}, {format}: {why}", app.name, base.name));
            results.lock().unwrap().push(result);
        }
    };
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    results.into_inner().unwrap()
}

/// Tries a pair: what is left out of one image because of the other.
fn one_pair(store: &dyn Store, base: &Full, app: &Full, options: &Options) -> Result<(), String> {
    let mut excluded = OtherSide::default();
    excluded.add_selected(store, &base.name, &store.resolve(&base.name).unwrap()).unwrap();
    let mut part = Vec::new();
    for other in [excluded, since(&base.file)] {
        part = exported(store, &[&app.name], &options.clone().with_other_side(other))?;
        for Entry { path, bytes, .. } in entries(&part) {
            // Docker up to 1.9, which reads docker-v1, knows layers by their ids alone.
            let same = options.format != Format::DockerV1 && base.layers.values().any(|one| *one == bytes);
            if same || base.layers.contains_key(&path) {
                return Err(format!("{path} is in both"));
            }
        }
    }
    let folder = Folder::new();
    let parted = entries(&part);
    let part = folder.add("part.tar", &part);
    let (found, warnings) =
        whole(&joined(&[&base.file, &part]), &Options::default().with_format(options.format))?;
    // Of the same tar in another compression, the blob may come out with other bytes. That is said.
    let same_blobs = same_blobs(&parted, base);
    match found == app.bytes || (!same_blobs && warnings.contains("its blob is")) {
        true => Ok(()),
        false => Err(format!("joined, it is another: {warnings}")),
    }
}

/// Whether the base has each layer that the part requires as the blob that its manifest names.
fn same_blobs(part: &[Entry], base: &Full) -> bool {
    let Some(required) = part.iter().find(|entry| entry.path == "requires.json") else { return true };
    let required = Requirements::parse(&required.bytes).unwrap();
    let digests = required.layers.iter().filter_map(|layer| layer.digest);
    digests.map(|digest| format!("blobs/sha256/{}", digest.hex())).all(|path| base.layers.contains_key(&path))
}

#[test]
fn every_pair_of_every_fixture() {
    let mut tried: BTreeMap<String, Tried> = BTreeMap::new();
    let mut failed = Vec::new();
    for fixture in fixtures() {
        let file = root().join(&fixture);
        let root;
        let place = match fixture.starts_with("archives/") {
            true => &*file,
            false => {
                root = data_root(&fixture);
                let Some(root) = &root else { return };
                root.path()
            }
        };
        for Opened { store, .. } in stores(place, 3) {
            let names = names(&*store);
            for format in [Format::DockerArchive, Format::OciArchive, Format::DockerV1] {
                let step = if format == Format::DockerArchive || names.len() < 40 { 1 } else { 3 };
                let names: Vec<&String> = names.iter().step_by(step).collect();
                let all = every_pair(&*store, &names, &fixture, format);
                let pairs = all.len();
                failed.extend(all.into_iter().filter_map(Result::err));
                let tried = tried.entry(store.kind().to_string()).or_default();
                tried.pairs += pairs;
                tried.formats.extend((pairs > 0).then_some(format.name()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Each kind of store has images that share layers, and each format can hold them.
    for kind in ["containerd", "containers-storage", "docker", "docker-graph"] {
        let tried = &tried[kind];
        eprintln!("{kind}: {} pairs", tried.pairs);
        assert_eq!(tried.formats.len(), 3, "{kind}: {:?}", tried.formats);
    }
}
