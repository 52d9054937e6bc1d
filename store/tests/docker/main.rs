//! The store of Docker 20.10 with two drivers, as its daemon wrote it: names, listing, chains, bytes, damage.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

#[path = "../contract/mod.rs"]
mod contract;
mod damage;
mod drivers;
mod fixture;
mod links;
mod lost;
mod names;
mod records;

use fixture::{DataRoot, MANY, TORTURE, root_user};
use layerlift_archive::{Digest, Hasher};
use layerlift_store::{ChainId, Document, ImageSummary, LayerTar, Reference, StoreKind, detect};

/// The output of `docker images --digests --no-trunc`, without the column CREATED.
fn engine_listing() -> Vec<[String; 5]> {
    let text = include_str!("../fixtures/docker-20.10-images.txt");
    let row = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned);
        let [repository, tag, digest, id, _created, size] =
            cells.collect::<Vec<_>>().try_into().expect("six columns");
        [repository, tag, digest, id, size]
    };
    text.lines().skip(1).map(row).collect()
}

/// A listing in the same form. Docker prints a line for each tag, and the digests of its repository in a
/// column.
fn our_listing(images: &[ImageSummary]) -> Vec<[String; 5]> {
    let mut rows = Vec::new();
    for image in images {
        for reference in image.references.iter().filter(|reference| !reference.is_digest()) {
            let same_repository = |r: &&Reference| r.is_digest() && r.repository() == reference.repository();
            let digest =
                image.references.iter().find(same_repository).and_then(|r| r.digest()).unwrap_or("<none>");
            rows.push([
                reference.repository().to_owned(),
                reference.tag_or_digest().to_owned(),
                digest.to_owned(),
                format!("sha256:{}", image.key.id()),
                human(image.size.expect("Docker records sizes")),
            ]);
        }
    }
    rows.sort();
    rows
}

/// A size as Docker prints it: three digits and a decimal unit.
fn human(size: u64) -> String {
    match size as f64 {
        size if size >= 1e6 => format!("{:.2}MB", size / 1e6),
        size => format!("{:.1}kB", size / 1e3),
    }
}

#[test]
fn lists_what_the_engine_lists() {
    for driver in ["overlay2", "vfs"] {
        let data = DataRoot::metadata(driver);
        let listing = data.store().images().unwrap();
        assert_eq!(our_listing(&listing.images), engine_listing(), "{driver}");
        assert!(listing.broken.is_empty(), "{driver}: {:?}", listing.broken);
        let layers = listing.images.iter().map(|i| (i.key.id(), i.layers)).collect::<Vec<_>>();
        assert_eq!(layers, [(MANY, 60), (TORTURE, 11)], "{driver}: newest first");
    }
}

#[test]
fn is_detected() {
    let data = DataRoot::metadata("overlay2");
    let detected = detect(data.path()).unwrap();
    assert_eq!(detected.len(), 1);
    assert_eq!(detected[0].kind, StoreKind::Docker);
    assert_eq!(detected[0].partitions, ["overlay2"]);
    assert_eq!(detected[0].evidence, ["image/overlay2/imagedb"]);
    for evidence in &detected[0].evidence {
        assert!(data.path().join(evidence).exists());
    }
}

#[test]
fn finds_every_spelling_of_a_name() {
    let data = DataRoot::metadata("overlay2");
    let store = data.store();
    let resolve = |name: &str| {
        let selected = store.resolve(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let line = |s: &layerlift_store::Selected| {
            let reference = s.reference.as_ref().map_or("no tag".to_owned(), ToString::to_string);
            format!("{} {reference}", &contract::image(s).id()[..4])
        };
        selected.iter().map(line).collect::<Vec<_>>()
    };
    let digest = "sha256:9e3bca3d368f68b063c28e5bb170564ccc903b6e615d9e6064ae972e080659f7";
    for (name, expected) in [
        ("bench/many:1.0", &["8014 bench/many:1.0"][..]),
        ("docker.io/bench/many:1.0", &["8014 bench/many:1.0"]),
        ("bench/many", &["8014 bench/many:1.0", "8014 bench/many:latest"]),
        ("127.0.0.1:5555/bench/many:1.0", &["8014 127.0.0.1:5555/bench/many:1.0"]),
        (&format!("127.0.0.1:5555/bench/many@{digest}"), &["8014 no tag"]),
        (MANY, &["8014 no tag"]),
        (&format!("sha256:{TORTURE}"), &["dd67 no tag"]),
        ("801433d13fa6", &["8014 no tag"]),
        ("d", &["dd67 no tag"]),
    ] {
        assert_eq!(resolve(name), expected, "{name}");
    }
    for name in ["bench/nope:1.0", "bench/many:2", "0123", "820de19c2aff", "library/bench/many:2"] {
        assert!(store.resolve(name).is_err(), "{name}");
    }
}

#[test]
fn image_is_its_config_and_its_chain() {
    let data = DataRoot::metadata("overlay2");
    let store = data.store();
    for (id, layers) in [(MANY, 60), (TORTURE, 11)] {
        let image = store.image(&contract::key(&*store, id)).unwrap();
        let Document::Config { raw, manifests } = &image.document else { panic!("a config") };
        assert_eq!(Digest::of(raw).hex(), id);
        assert!(manifests.is_empty());
        assert_eq!(image.layers.len(), layers);
        let mut chain = None;
        for layer in &image.layers {
            chain = Some(ChainId::new(chain, layer.diff_id.expect("Docker records it")));
            assert_eq!(chain.map(|chain| chain.0.hex()).as_deref(), Some(layer.key.id()));
        }
    }
}

#[test]
fn keeps_the_contract() {
    if !root_user("layers have devices, foreign owners and files that nobody else may read") {
        return;
    }
    let data = DataRoot::complete("overlay2").and_complete("vfs");
    contract::check(data.path(), &|| data.store(), &[]);
}

/// Every layer hashes to its diff id, the strongest check that there is.
#[test]
fn every_layer_hashes_to_its_diff_id() {
    if !root_user("layers have devices, foreign owners and files that nobody else may read") {
        return;
    }
    for driver in ["overlay2", "vfs"] {
        let data = DataRoot::complete(driver);
        let store = data.store();
        let mut layers = 0;
        for image in store.images().unwrap().images {
            for layer in store.image(&image.key).unwrap().layers {
                let tar = store.layer(&layer.key).unwrap();
                assert!(matches!(tar, LayerTar::Split(_)));
                assert_eq!(tar.diff_id(), layer.diff_id);
                let mut hasher = Hasher::default();
                let written = tar.write_to(&mut hasher).unwrap();
                assert_eq!(Some(hasher.finish()), layer.diff_id.map(|id| id.0), "{}", layer.key.id());
                assert_eq!(Some(written.len), tar.tar_len());
                layers += 1;
            }
        }
        assert_eq!(layers, 71, "{driver}");
    }
}
