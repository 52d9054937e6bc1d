//! containers-storage that Podman, Buildah and skopeo wrote: names, listing, manifests, chains, bytes,
//! places, damage.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

#[path = "../contract/mod.rs"]
mod contract;
mod damage;
mod fixture;
mod lists;
mod lost;
mod pulled_in_parts;
mod split;

use fixture::{APP, BASE, Disk, MANY, TORTURE, root_user};
use layerlift_archive::{Digest, Hasher};
use layerlift_store::{
    Document, Error, Hint, ImageSummary, LayerTar, OpenOptions, Store, StoreKind, detect, discover, open,
};

const NEEDS_ROOT: &str = "layers have devices, foreign owners and files that nobody else may read";

/// The output of `podman images --no-trunc`: repository, tag, id, size.
fn engine_listing() -> Vec<[String; 4]> {
    let text = include_str!("../fixtures/podman-4.3-images.txt");
    let row = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned);
        let [repository, tag, _digest, id, _created, size] =
            cells.collect::<Vec<_>>().try_into().expect("six columns");
        [repository, tag, id, size]
    };
    let mut rows: Vec<_> = text.lines().skip(1).map(row).collect();
    rows.sort();
    rows
}

fn our_listing(images: &[ImageSummary]) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for image in images {
        let size = match image.size.expect("Podman records sizes") as f64 {
            size if size >= 1e6 => format!("{:.2} MB", size / 1e6),
            size => format!("{:.0} kB", size / 1e3),
        };
        for name in &image.references {
            let id = format!("sha256:{}", image.key.id());
            rows.push([name.repository().to_owned(), name.tag_or_digest().to_owned(), id, size.clone()]);
        }
    }
    rows.sort();
    rows
}

#[test]
fn lists_what_the_engine_lists() {
    let listing = Disk::bench(false).store("bench").images().unwrap();
    assert_eq!(our_listing(&listing.images), engine_listing());
    assert!(listing.broken.is_empty(), "{:?}", listing.broken);
    let layers = listing.images.iter().map(|i| (i.key.id(), i.layers)).collect::<Vec<_>>();
    assert_eq!(layers, [(MANY, 60), (TORTURE, 11)]);
    assert_eq!(listing.images[0].created.as_deref(), Some("2023-11-14T22:13:20.123456789Z"));
}

#[test]
fn is_detected() {
    let disk = Disk::small("vfs").and_small("additional", "vfs");
    let detected = detect(&disk.join("vfs")).unwrap();
    assert_eq!(detected.len(), 1);
    assert_eq!(detected[0].kind, StoreKind::ContainersStorage);
    assert_eq!(detected[0].partitions, ["overlay", "vfs"]);
    assert_eq!(detected[0].evidence, ["overlay-images", "vfs-images"]);
    assert!(detect(disk.path()).unwrap().is_empty());
}

fn resolve(store: &dyn Store, name: &str) -> Vec<String> {
    let selected = store.resolve(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let line = |s: &layerlift_store::Selected| {
        let reference = s.reference.as_ref().map_or("no tag".to_owned(), ToString::to_string);
        format!("{} {reference}", &contract::image(s).id()[..4])
    };
    selected.iter().map(line).collect()
}

#[test]
fn finds_every_spelling_of_a_name() {
    let store = Disk::bench(false).store("bench");
    let first = "sha256:19f298cc8607fbdaa7a9e680f00bb94b81695988c154ad72959f1311e8470b0b";
    let last = "sha256:9e3bca3d368f68b063c28e5bb170564ccc903b6e615d9e6064ae972e080659f7";
    for (name, expected) in [
        ("localhost/bench/many:1.0", &["8014 localhost/bench/many:1.0"][..]),
        ("bench/many:1.0", &["8014 localhost/bench/many:1.0"]),
        ("bench/many", &["8014 localhost/bench/many:1.0", "8014 localhost/bench/many:latest"]),
        ("torture", &["dd67 localhost/bench/torture:1.0"]),
        ("127.0.0.1:5555/bench/many:1.0", &["8014 127.0.0.1:5555/bench/many:1.0"]),
        (&format!("bench/many@{first}"), &["8014 no tag"]),
        (&format!("127.0.0.1:5555/bench/many@{last}"), &["8014 no tag"]),
        (&format!("sha256:{TORTURE}"), &["dd67 no tag"]),
        ("801433d13fa6", &["8014 no tag"]),
        ("d", &["dd67 no tag"]),
    ] {
        assert_eq!(resolve(store.as_ref(), name), expected, "{name}");
    }
    for name in ["bench/nope:1.0", "bench/many:2", "0123", "c1-layer", &format!("bench/torture@{first}")] {
        assert!(matches!(store.resolve(name), Err(Error::NotFound { .. })), "{name}");
    }
}

#[test]
fn image_has_its_config_and_all_its_manifests() {
    let (bench, small) = (Disk::bench(false), Disk::small("manifests"));
    for (store, id, layers, expected) in [
        // The manifest that was stored last comes first.
        (bench.store("bench"), MANY, 60, &["9e3bca3d", "19f298cc"][..]),
        (bench.store("bench"), TORTURE, 11, &["37c2b967"]),
        (small.store("manifests"), APP, 2, &["60c00118", "346afeae", "4eb21054"]),
    ] {
        let image = store.image(&contract::key(&*store, id)).unwrap();
        let Document::Config { raw, manifests } = &image.document else { panic!("a config") };
        assert_eq!(Digest::of(raw).hex(), id);
        assert_eq!(image.image_id().unwrap().0.hex(), id);
        assert_eq!(image.layers.len(), layers);
        for manifest in manifests {
            assert_eq!(Digest::of(&manifest.raw), manifest.digest);
        }
        let digests =
            manifests.iter().map(|manifest| manifest.digest.hex()[..8].to_owned()).collect::<Vec<_>>();
        assert_eq!(digests, expected, "{id}");
    }
}

/// `layers.json` has the digest of the blob that was pulled; a layer that was made here has none but its own.
#[test]
fn layers_remember_the_blobs_they_were_pulled_as() {
    let digests = |name: &str| {
        let disk = Disk::small(name);
        let store = disk.store(name);
        let listing = store.images().unwrap();
        let image = store.image(&listing.images[0].key).unwrap();
        let of_layer = |layer: &layerlift_store::Layer| {
            store.remembered(&layer.key, layer.diff_id.unwrap()).into_iter().map(|found| found.digest.hex())
        };
        image.layers.iter().flat_map(of_layer).map(|hex| hex[..8].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(digests("manifests"), ["f87d0618", "402afc07"]);
    assert_eq!(digests("vfs"), [""; 0]);
}

#[test]
fn what_has_no_config_hides_nothing() {
    let disk = Disk::small("manifests");
    let store = disk.store("manifests");
    let listing = store.images().unwrap().on(&*store, None);
    assert_eq!(listing.images.len(), 1);
    assert_eq!(listing.broken.len(), 1, "an empty list is not an image: {:?}", listing.broken);
    assert_eq!(listing.broken[0].references[0].to_string(), "localhost/demo/v2s1:1");
    let error = store.image(&contract::key(&*store, "demo/v2s1:1")).unwrap_err();
    assert!(error.to_string().contains("is of Docker's schema 1") && error.hints().len() == 1, "{error}");
}

/// Reads all layers, each from its own store, and returns their number.
fn hash_all(store: &dyn Store, what: &str) -> usize {
    let mut layers = 0;
    for image in store.images().unwrap().images {
        for layer in store.image(&image.key).unwrap().layers {
            let tar = store.layer(&layer.key).unwrap();
            assert!(matches!(tar, LayerTar::Split(_)));
            assert_eq!(tar.diff_id(), layer.diff_id);
            let mut hasher = Hasher::default();
            let written = tar.write_to(&mut hasher).unwrap();
            assert_eq!(Some(hasher.finish()), layer.diff_id.map(|id| id.0), "{what} {}", layer.key.id());
            assert_eq!(Some(written.len), tar.tar_len());
            layers += 1;
        }
    }
    layers
}

/// Every layer hashes to its diff id, the strongest check that there is; and the contract of all stores
/// holds.
#[test]
fn every_layer_hashes_to_its_diff_id() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let bench = Disk::bench(true);
    assert_eq!(hash_all(bench.store("bench").as_ref(), "bench"), 71);
    contract::check(&bench.join("bench"), &|| bench.store("bench"), &[]);
    for name in ["vfs", "btrfs", "additional", "rootless-fuse", "rootless-native"] {
        let disk = Disk::small(name);
        assert_eq!(hash_all(disk.store(name).as_ref(), name), 3, "{name}");
        contract::check(&disk.join(name), &|| disk.store(name), &[]);
    }
    let manifests = Disk::small("manifests");
    assert_eq!(hash_all(manifests.store("manifests").as_ref(), "manifests"), 2);
}

#[test]
fn several_drivers_in_one_root() {
    let disk = Disk::small("vfs").and_small("additional", "vfs");
    let store = disk.store("vfs");
    let listing = store.images().unwrap();
    let drivers = listing
        .images
        .iter()
        .map(|i| format!("{} {}", &i.key.id()[..4], i.key.partition()))
        .collect::<Vec<_>>();
    assert_eq!(drivers, ["296f overlay", "8295 vfs", "aa4a overlay", "aa4a vfs"]);
    // An image that both drivers have comes from the preferred one. Two images with one name are for the user
    // to decide.
    let base = contract::key(&*store, "demo/base:1.0");
    assert_eq!((base.partition(), base.id()), ("overlay", BASE));
    assert!(matches!(store.resolve("demo/app:2.0"), Err(Error::Ambiguous { .. })));
    let only = OpenOptions::default().with_partition("vfs");
    let vfs = open(&disk.join("vfs"), &only).unwrap();
    assert_eq!(contract::key(&*vfs, "demo/app:2.0").partition(), "vfs");
    let none = OpenOptions::default().with_partition("aufs");
    let error = open(&disk.join("vfs"), &none).err().unwrap().to_string();
    assert!(error.contains("no images of driver aufs, only of overlay, vfs"), "{error}");
    let known = contract::key(&*store, BASE);
    // Malformed records of one driver hide nothing of the other.
    disk.write("vfs/overlay-images/images.json", "no JSON");
    let store = disk.store("vfs");
    let listing = store.images().unwrap();
    assert_eq!(listing.images.len(), 4, "those of overlay by their folders");
    assert!(listing.broken.is_empty());
    assert!(listing.lost[0].to_string().contains("overlay-images/images.json is malformed"));
    assert!(matches!(store.resolve("demo/nope"), Err(Error::Malformed { .. })), "it may be there");
    assert!(matches!(store.image(&known), Err(Error::NotFound { .. })), "a key of the store before");
}

#[test]
fn finds_images_of_additional_stores_through_the_main_one() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let disk = Disk::small("main").and_small("additional", "usr/lib/containers/storage");
    assert!(
        matches!(disk.store("main").resolve("demo/base"), Err(Error::NotFound { .. })),
        "without settings"
    );
    let store = disk.store("main");
    let top = contract::key(&*store, "a15db76950e7a4881880cb7dfbed7b11ef6a76c43e128411b7fd9f46b3c3b851");
    let image = store.image(&top).unwrap();
    let missing =
        |layer: &layerlift_store::Layer| matches!(layer.lost, Some(Error::Missing { what: "layer", .. }));
    assert_eq!(image.layers.iter().filter(|layer| missing(layer)).count(), 1, "{:?}", image.layers);

    disk.write(
        "etc/containers/storage.conf",
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"/main\"\n\
         [storage.options]\nadditionalimagestores = [\n  \"/usr/lib/containers/storage\", \"/nowhere\",\n]\n",
    );
    let store = disk.store("main");
    assert_eq!(resolve(store.as_ref(), "demo/top"), ["a15d localhost/demo/top:3"]);
    assert_eq!(resolve(store.as_ref(), "demo/base"), ["aa4a localhost/demo/base:1.0"]);
    assert_eq!(hash_all(store.as_ref(), "main"), 5);
    contract::check(disk.path(), &|| disk.store("main"), &[]);
    assert!(discover::below(disk.path()).iter().any(|place| place.path == disk.join("main")));

    disk.write("usr/lib/containers/storage/overlay-images/images.json", "[");
    let listing = disk.store("main").images().unwrap();
    assert_eq!(listing.images.len(), 3);
    assert!(listing.lost[0].to_string().contains("images.json is malformed"), "{:?}", listing.lost);
}

#[test]
fn a_home_or_a_disk_is_enough() {
    let folder = "home/ada/.local/share/containers/storage";
    let disk = Disk::small("vfs").and_small("rootless-fuse", folder);
    let options = OpenOptions::default();
    for path in [disk.join(folder), disk.join("home/ada"), disk.path().to_owned()] {
        let store = open(&path, &options).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(store.resolve("demo/rl:1").unwrap().len(), 1);
    }
    let disk = disk.and_small("vfs", "var/lib/containers/storage");
    assert!(matches!(
        open(disk.path(), &options),
        Err(Error::SeveralStores { choose: Hint::ChooseRoot, .. })
    ));
    assert!(matches!(open(&disk.join("home"), &options), Err(Error::NoStore { .. })));
}
