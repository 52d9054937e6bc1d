//! The other half of partial archives: with what they lack, they are the whole, byte for byte.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

use layerlift_export::{CheckedRoot, Format, LayerCompression, Options, OtherSide, Presence, check};
use layerlift_store::{OpenOptions, Store, open};

mod common;

use common::fake::{Fake, Kept};
use common::parts::{Folder, joined, opened, since, whole};
use common::{data_root, entries, exported, store, threaded};

/// Every pair of images of a store, in all formats and compressions.
fn every_pair(store: &dyn Store, names: &[String]) -> usize {
    let folder = Folder::new();
    let mut pairs = 0;
    for format in [Format::DockerArchive, Format::OciArchive, Format::DockerV1] {
        for compression in ["as stored", "none", "gzip", "zstd"] {
            let layers = match compression {
                "as stored" => LayerCompression::AsStored,
                _ if format == Format::DockerV1 => continue,
                "none" => LayerCompression::Plain,
                level => LayerCompression::With(level.parse().unwrap()),
            };
            let options = Options::default().with_format(format).with_layers(layers);
            for base_name in names {
                let Ok(base) = exported(store, &[base_name], &options) else { continue };
                let base = folder.add("base.tar", &base);
                for name in names {
                    let Ok(full) = exported(store, &[name], &options) else { continue };
                    let part = options.clone().with_other_side(since(&base));
                    let part = exported(store, &[name], &part).unwrap();
                    if !entries(&part).iter().any(|entry| entry.path == "requires.json") {
                        assert!(part == full, "{name} has nothing of {base_name}");
                        continue;
                    }
                    let part = folder.add("part.tar", &part);
                    let as_is = Options::default().with_format(format);
                    for order in [[&*base, &part], [&part, &base]] {
                        let (found, warnings) = whole(&joined(&order), &as_is).unwrap();
                        let what = format!("{name} without {base_name}, {format}, {compression}");
                        assert!(found == full, "{what}: {warnings}");
                    }
                    pairs += 1;
                }
            }
        }
    }
    pairs
}

/// Names of a store, one for each image.
fn names(store: &dyn Store, most: usize) -> Vec<String> {
    let listing = store.images().unwrap();
    let named =
        listing.images.iter().flat_map(|image| image.references.iter().find(|name| !name.is_digest()));
    named.map(ToString::to_string).take(most).collect()
}

#[test]
fn part_and_base_are_the_whole() {
    let mut pairs = 0;
    for (fixture, below, most) in [
        ("podman-4.3-small.tar.xz", "vfs", 3),
        ("podman-4.3-small.tar.xz", "manifests", 3),
        ("docker-graph/1.8.3-overlay/store.tar.xz", "", 4),
    ] {
        let Some(root) = data_root(fixture) else { return };
        let store = store(&root.path().join(below));
        let found = every_pair(&*store, &names(&*store, most));
        assert!(found > 0, "{fixture} {below}");
        pairs += found;
    }
    eprintln!("{pairs} pairs");
}

/// Archives of Docker and of containerd keep their manifests, whatever their media types.
#[test]
fn of_containerd() {
    let mut pairs = 0;
    for fixture in ["containerd-2.1", "docker-28"] {
        let Some(root) = data_root(&format!("containerd/{fixture}/store.tar.xz")) else { return };
        let inside = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
        let Ok(store) = open(&inside, &OpenOptions::default()) else { continue };
        pairs += every_pair(&*store, &names(&*store, 3));
    }
    assert!(pairs > 0);
}

/// A chain of parts: each lacks what the ones before it have.
#[test]
fn chains_of_parts() {
    let mut fake = Fake::default();
    let layers = ["a", "b", "c", "d"].map(|text| fake.add_layer(text, Kept::Plain));
    for (version, count) in [(1, 2), (2, 3), (3, 4)] {
        fake.add_image(&layers[..count], &[&format!("app:{version}")], "");
    }
    let folder = Folder::new();
    let base = folder.add("1.tar", &exported(&fake, &["app:1"], &Options::default()).unwrap());
    let options = Options::default().with_other_side(since(&base));
    let second = folder.add("2.tar", &exported(&fake, &["app:2"], &options).unwrap());
    let options = Options::default().with_other_side(since(&second));
    let third = folder.add("3.tar", &exported(&fake, &["app:3"], &options).unwrap());
    let both = exported(&fake, &["app:2", "app:3"], &Options::default()).unwrap();
    let (found, _) = whole(&joined(&[&base, &second, &third]), &Options::default()).unwrap();
    assert!(found == both);

    let error = whole(&joined(&[&second, &third]), &Options::default()).unwrap_err();
    assert!(error.contains("leaves out 2 layers of app:1: sha256:"), "{error}");
    let missing = joined(&[&second, &third]).needs().unwrap();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert_eq!(missing[0].1.layers, 2);
}

/// A base in another compression: a plain layer comes out of any, a compressed one perhaps.
#[test]
fn of_another_compression() {
    let mut fake = Fake::default();
    let mut gzipped = Fake::default();
    for (store, kept) in [(&mut fake, Kept::Plain), (&mut gzipped, Kept::Gzip)] {
        let layers = ["a", "b"].map(|text| store.add_layer(text, kept));
        store.add_image(&layers[..1], &["base:1"], "");
        store.add_image(&layers, &["app:1"], "");
    }
    let with = |level: &str| match level {
        "stored" => Options::default(),
        "none" => Options::default().with_layers(LayerCompression::Plain),
        level => Options::default().with_layers(LayerCompression::With(level.parse().unwrap())),
    };
    let folder = Folder::new();
    for (of_base, of_part, same) in [
        ("gzip", "none", true),
        ("zstd", "none", true),
        ("none", "gzip", true),
        ("zstd", "gzip", true),
        // The stored ones were compressed with another level.
        ("none", "stored", false),
    ] {
        let base = folder.add("base.tar", &exported(&fake, &["base:1"], &with(of_base)).unwrap());
        let options = with(of_part).with_other_side(since(&base));
        let store = if same { &fake } else { &gzipped };
        let part = folder.add("part.tar", &exported(store, &["app:1"], &options).unwrap());
        let full = exported(store, &["app:1"], &with(of_part)).unwrap();
        let (found, warnings) = whole(&joined(&[&base, &part]), &Options::default()).unwrap();
        assert_eq!(found == full, same, "{of_base} {of_part}: {warnings}");
        assert_eq!(warnings.contains("its blob is"), !same, "{of_base} {of_part}: {warnings}");
        let id = |bytes: &[u8]| common::document(&entries(bytes), "manifest.json")[0]["Config"].clone();
        assert_eq!(id(&found), id(&full), "the image keeps its id");
    }
}

/// Engines look for layers in different ways.
#[test]
fn what_a_check_says() {
    let mut fake = Fake::default();
    let layers = ["a", "b", "c"].map(|text| fake.add_layer(text, Kept::Plain));
    fake.add_image(&layers[..2], &["base:1"], "");
    fake.add_image(&layers, &["app:1"], "");
    let folder = Folder::new();
    let base = folder.add("base.tar", &exported(&fake, &["base:1"], &Options::default()).unwrap());
    let options = Options::default().with_other_side(since(&base));
    let part = folder.add("part.tar", &exported(&fake, &["app:1"], &options).unwrap());
    let (part, base) = (opened(&part).store, opened(&base).store);
    let root = |store| CheckedRoot { name: "x".to_owned(), store };
    let options = threaded(1);

    let alone = check(&[&*part], &[], &options).unwrap();
    assert!(!alone.is_complete());
    assert_eq!(
        (alone.count(Presence::Missing), alone.missing.to_string()),
        (2, "2 layers of base:1".to_owned())
    );
    let found = check(&[&*part], &[root(&*base)], &options).unwrap();
    assert!(found.is_complete() && found.count(Presence::Here) == 2);
    let whole = check(&[&*base], &[], &options).unwrap();
    assert!(whole.is_complete() && whole.layers.is_empty());
}

/// Images of ten thousand layers, all of which are left out. A manifest names 4096 at most.
#[test]
fn ten_thousand_layers() {
    let mut fake = Fake::default();
    let layers: Vec<usize> = (0..10_000).map(|n| fake.add_layer(&n.to_string(), Kept::Plain)).collect();
    let names = ["app:1", "app:2", "app:3", "app:4"];
    for (layers, name) in layers.chunks(2_500).zip(names) {
        fake.add_image(layers, &[name], "");
    }
    let ids: Vec<String> = layers.iter().map(|&layer| fake.diff_id(layer).to_string()).collect();
    let mut have = OtherSide::default();
    have.add_list(ids.join("\n").as_bytes()).unwrap();
    let folder = Folder::new();
    let options = Options::default().with_other_side(have);
    let part = folder.add("part.tar", &exported(&fake, &names, &options).unwrap());
    let opened = opened(&part).store;
    let listing = opened.images().unwrap();
    assert!(listing.images.len() == 4 && listing.broken.is_empty());
    assert!(listing.images.iter().all(|image| image.needs.to_string() == "2500 layers"));
    let checked = check(&[&*opened], &[], &threaded(1)).unwrap();
    assert_eq!(checked.count(Presence::Missing), 10_000);
    let error = whole(&joined(&[&part]), &Options::default()).unwrap_err();
    assert!(error.contains("part.tar leaves out 2500 layers: sha256:"), "{error}");
    assert!(error.ends_with(" and 2495 more"), "{error}");
    assert!(error.len() < 2_000, "{error:.2000}");
}

/// An archive that requires more layers than anyone has.
#[test]
fn ten_thousand_strange_layers() {
    let mut fake = Fake::default();
    let layer = fake.add_layer("a", Kept::Plain);
    let other = fake.add_layer("b", Kept::Plain);
    fake.add_image(&[layer, other], &["app:1"], "");
    let mut have = OtherSide::default();
    have.add_list(format!("{}\n", fake.diff_id(layer)).as_bytes()).unwrap();
    let part = exported(&fake, &["app:1"], &Options::default().with_other_side(have)).unwrap();
    let line = |n: usize| format!("{{\"digest\":\"sha256:{n:064x}\",\"of\":[\"many:{n}\"]}}");
    let lines: Vec<String> = (0..10_000).map(line).collect();
    let long = format!("{{\"version\":1,\"layers\":[{}]}}", lines.join(","));
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries(&part) {
        let bytes = if entry.path == "requires.json" { long.as_bytes() } else { &*entry.bytes };
        if entry.path.ends_with('/') {
            continue;
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, &entry.path, bytes).unwrap();
    }
    let folder = Folder::new();
    let path = folder.add("part.tar", &tar.into_inner().unwrap());
    let listing = opened(&path).store.images().unwrap();
    assert!(listing.images.is_empty() && listing.broken.len() == 1, "the image's own layer is not listed");
}
