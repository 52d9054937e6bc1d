//! Archives that Docker, Podman, skopeo and containerd wrote.

use std::fs;

use layerlift_archive::Compression;
use layerlift_store::{Document, LayerTar, OpenOptions, StoreKind, detect, open};

use crate::contract::{self, image, key};
use crate::made::{bytes, compressed, file, fixture, refused, verify};

const MANY: &str = "801433d13fa6fae5aa5baadc88eb1eb6d0b1ff6fec624d97ed4518b506d90574";
const TORTURE: &str = "dd67daf7d3910c26d9039541b9cedbc978c9a91ccf11c993aefbf6167e4a408e";

/// The archive, its kind, the images with their names, the number of layers.
type Expected = (&'static str, StoreKind, &'static [(&'static str, &'static [&'static str])], usize);

const ENGINES: &[Expected] = &[
    (
        "docker-20.10-save",
        StoreKind::DockerArchive,
        &[(TORTURE, &["bench/torture:1.0"]), (MANY, &["bench/many:1.0"])],
        71,
    ),
    ("docker-20.10-save-by-id", StoreKind::DockerArchive, &[(MANY, &[])], 60),
    (
        "podman-4.3-docker-archive",
        StoreKind::DockerArchive,
        &[(TORTURE, &["localhost/bench/torture:1.0"]), (MANY, &["localhost/bench/many:1.0"])],
        71,
    ),
    ("podman-4.3-oci-archive", StoreKind::OciLayout, &[("", &["localhost/bench/torture:1.0"])], 11),
    (
        "skopeo-1.9-docker-archive",
        StoreKind::DockerArchive,
        &[(TORTURE, &["docker.io/bench/torture:1.0"])],
        11,
    ),
    ("skopeo-1.9-oci-archive", StoreKind::OciLayout, &[("", &["bench/many:1.0"])], 60),
    (
        "ctr-1.6-export",
        StoreKind::DockerArchive,
        &[(TORTURE, &["bench/torture:1.0"]), (MANY, &["bench/many:1.0", "bench/many:latest"])],
        71,
    ),
    ("ctr-1.6-export-gzip", StoreKind::DockerArchive, &[("", &["127.0.0.1:5555/bench/torture:1.0"])], 11),
];

#[test]
fn images_and_layers() {
    for &(name, kind, images, layers) in ENGINES {
        let (dir, path) = file(&bytes(name));
        let store = open(&path, &OpenOptions::default()).unwrap();
        assert_eq!(store.kind(), kind, "{name}");
        assert_eq!(detect(&path).unwrap()[0].kind, kind, "{name}");
        let listing = store.images().unwrap();
        assert!(listing.broken.is_empty(), "{name}: {:?}", listing.broken);
        let mut found: Vec<_> = listing
            .images
            .iter()
            .map(|image| (image.key.id(), image.references.iter().map(|r| r.to_string()).collect::<Vec<_>>()))
            .collect();
        found.sort_by_key(|(_, names)| std::cmp::Reverse(names.first().cloned()));
        assert_eq!(found.len(), images.len(), "{name}: {found:?}");
        for ((found_id, found_names), (id, names)) in found.iter().zip(images) {
            assert!(found_id.ends_with(id), "{name}: {found_id}");
            assert_eq!(found_names, names, "{name}");
        }
        assert_eq!(verify(&*store), layers, "{name}");
        contract::check(dir.path(), &|| open(&path, &OpenOptions::default()).unwrap(), &[]);
    }
}

/// Every compression of the file as a whole gives the same images and bytes.
#[test]
fn compressed_as_a_whole() {
    let plain = bytes("skopeo-1.9-oci-archive");
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut bzip2, &plain).unwrap();
    let (first, second) = plain.split_at(plain.len() / 2);
    let all = [
        ("gzip", gzip(&plain)),
        ("two members", [gzip(first), gzip(second)].concat()),
        ("padding", [gzip(&plain), vec![0; 10_240]].concat()),
        ("zstd", zstd::stream::encode_all(&plain[..], 1).unwrap()),
        (
            "pzstd",
            [
                &b"\x50\x2a\x4d\x18\x04\0\0\0\x01\x02\x03\x04"[..],
                &zstd::stream::encode_all(&plain[..], 1).unwrap(),
            ]
            .concat(),
        ),
        ("bzip2", bzip2.finish().unwrap()),
        ("xz", fs::read(compressed("skopeo-1.9-oci-archive")).unwrap()),
    ];
    let temporary = tempfile::tempdir().unwrap();
    for (name, bytes) in all {
        let (_dir, path) = file(&bytes);
        let options = OpenOptions::default().with_temp_dir(temporary.path());
        let store = open(&path, &options).unwrap();
        assert_eq!(verify(&*store), 60, "{name}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "{name}: no file has a name");
        let nowhere = OpenOptions::default().with_temp_dir("/nonexistent");
        refused(open(&path, &nowhere), &["write a temporary file in /nonexistent", "No such file"]);
    }
}

/// A tape, or a block device, ends with zeros; anything else behind the end is reported, and hides nothing.
#[test]
fn behind_the_end_of_a_compressed_archive() {
    let padded = fs::read(fixture("gzip-with-zero-padding/input.tar.gz")).unwrap();
    let bare: Vec<u8> = padded[..padded.len() - 512].to_vec();
    let listing = |bytes: &[u8]| crate::made::store(bytes).unwrap().images().unwrap();
    for zeros in [0, 1, 512, 5000] {
        let listing = listing(&[bare.clone(), vec![0; zeros]].concat());
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 0), "{zeros}");
    }
    for garbage in [&b"\0\0x"[..], b"trailing"] {
        let listing = listing(&[&bare, garbage].concat());
        assert_eq!((listing.images.len(), listing.lost.len()), (1, 1));
        let error = &listing.lost[0];
        assert_eq!(error.kind(), layerlift_store::ErrorKind::Malformed);
        assert!(error.to_string().contains("follows the end of the gzip stream"), "{error}");
    }
}

#[test]
fn found_by_every_name() {
    type Names = &'static [(&'static str, Option<&'static str>)];
    let tests: &[(&str, Names)] = &[
        (
            "docker-20.10-save",
            &[
                ("bench/torture", Some("bench/torture:1.0")),
                ("bench/torture:1.0", Some("bench/torture:1.0")),
                ("docker.io/bench/torture:1.0", Some("bench/torture:1.0")),
                (TORTURE, None),
                ("dd67daf7", None),
                ("sha256:dd67daf7d3910c26d9039541b9cedbc978c9a91ccf11c993aefbf6167e4a408e", None),
            ],
        ),
        (
            "podman-4.3-docker-archive",
            &[
                ("bench/torture", Some("localhost/bench/torture:1.0")),
                ("torture:1.0", Some("localhost/bench/torture:1.0")),
                ("localhost/bench/torture", Some("localhost/bench/torture:1.0")),
            ],
        ),
        (
            "ctr-1.6-export",
            &[
                ("bench/torture:1.0", Some("bench/torture:1.0")),
                ("docker.io/bench/torture", Some("bench/torture:1.0")),
                (
                    "bench/torture@sha256:0ede7a05b76a3a6979128666f2a98585c1a1198362b2ba406d92ce3e0fa90d6f",
                    None,
                ),
                ("sha256:0ede7a05b76a3a6979128666f2a98585c1a1198362b2ba406d92ce3e0fa90d6f", None),
            ],
        ),
    ];
    for (archive, names) in tests {
        let store = open(&compressed(archive), &OpenOptions::default()).unwrap();
        for (name, reference) in *names {
            let selected = store.resolve(name).unwrap_or_else(|error| panic!("{archive}: {name}: {error}"));
            let found: Vec<_> = selected
                .iter()
                .map(|s| (image(s).id().to_owned(), s.reference.as_ref().map(|r| r.to_string())))
                .collect();
            assert_eq!(found, [(TORTURE.to_owned(), reference.map(str::to_owned))], "{archive}: {name}");
        }
        let all_tags = if *archive == "ctr-1.6-export" { 2 } else { 1 };
        assert_eq!(store.resolve("bench/many").unwrap().len(), all_tags, "{archive}");
    }
}

/// Manifests and compressed blobs come out as they were written. Compression is detected from the bytes.
#[test]
fn manifests_and_blobs() {
    for (name, compression, manifests) in [
        ("docker-20.10-save", Compression::None, 0),
        ("ctr-1.6-export", Compression::None, 1),
        ("ctr-1.6-export-gzip", Compression::Gzip, 1),
        ("skopeo-1.9-oci-archive", Compression::Gzip, 1),
    ] {
        let kind = detect(&compressed(name)).unwrap()[0].kind;
        let options = OpenOptions::default().with_kind(kind);
        let store = open(&compressed(name), &options).unwrap();
        for image in store.images().unwrap().images {
            let image = store.image(&image.key).unwrap();
            let Document::Config { manifests: found, .. } = &image.document else { panic!("{name}") };
            assert_eq!(found.len(), manifests, "{name}");
            for layer in &image.layers {
                let LayerTar::Blob(blob) = store.layer(&layer.key).unwrap() else { panic!("{name}") };
                assert_eq!(blob.compression, compression, "{name}");
                let digest =
                    layerlift_archive::digest(&layerlift_archive::Check { name, content: &blob.stored });
                assert_eq!(Some(digest.unwrap()), blob.digest(), "{name}: the blob's digest");
            }
        }
    }
}

/// A layer that is stored once and linked to has one key.
#[test]
fn links_are_the_same_layer() {
    let store = open(&compressed("docker-20.10-save"), &OpenOptions::default()).unwrap();
    let image = store.image(&key(&*store, "bench/torture")).unwrap();
    let keys: std::collections::BTreeSet<_> = image.layers.iter().map(|layer| &layer.key).collect();
    let diff_ids: std::collections::BTreeSet<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
    assert_eq!((image.layers.len(), keys.len()), (11, diff_ids.len()));
}

/// Archives of Docker until 24, of Podman and skopeo also have the directories of docker-v1.
#[test]
fn as_docker_v1() {
    for name in ["docker-20.10-save", "podman-4.3-docker-archive"] {
        let (dir, path) = file(&bytes(name));
        let options = OpenOptions::default().with_kind(StoreKind::DockerV1Archive);
        let store = open(&path, &options).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (2, 0), "{name}");
        assert_eq!(verify(&*store), 71, "{name}");
        assert_eq!(store.resolve("bench/many").unwrap().len(), 1, "{name}");
        contract::check(dir.path(), &|| open(&path, &options).unwrap(), &[]);
    }
}

/// An export that failed left a truncated tar.
#[test]
fn cut_off_by_its_engine() {
    refused(
        open(&compressed("ctr-1.6-export-failed"), &OpenOptions::default()),
        &["1536", "what names its images is missing"],
    );
}

/// An archive that was unpacked with its links, none of which leads out.
#[test]
fn directory_with_links() {
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(&bytes("docker-20.10-save")[..]).unpack(dir.path()).unwrap();
    let open = || open(dir.path(), &OpenOptions::default());
    assert_eq!(verify(&*open().unwrap()), 71);
    let links =
        walkdir::WalkDir::new(dir.path()).into_iter().map(Result::unwrap).filter(|e| e.path_is_symlink());
    for link in links.collect::<Vec<_>>() {
        fs::remove_file(link.path()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", link.path()).unwrap();
    }
    let listing = open().unwrap().images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (1, 1));
    refused::<()>(Err(listing.broken.into_iter().next().unwrap().error), &["out of the directory"]);
}

/// Blobs that were moved elsewhere, with a link left behind: all of them, those of one algorithm, or one.
#[test]
fn blobs_behind_links() {
    let disk = tempfile::tempdir().unwrap();
    let (root, moved) = (disk.path().join("layout"), disk.path().join("moved"));
    let unpack = || {
        let _ = (fs::remove_dir_all(&root), fs::remove_dir_all(&moved), fs::remove_file(&moved));
        tar::Archive::new(&bytes("ctr-1.6-export")[..]).unpack(&root).unwrap();
    };
    let one = || fs::read_dir(root.join("blobs/sha256")).unwrap().next().unwrap().unwrap().path();
    let (all, algorithm) = (root.join("blobs"), root.join("blobs/sha256"));
    unpack();
    let blob = one();
    let options = OpenOptions::default();
    let count = verify(&*open(&root, &options).unwrap());
    for (what, up) in [(all, "../"), (algorithm, "../../"), (blob, "../../../")] {
        let absolute = moved.display().to_string();
        for target in [format!("{up}moved"), "/moved".to_owned(), absolute] {
            unpack();
            fs::rename(&what, &moved).unwrap();
            std::os::unix::fs::symlink(&target, &what).unwrap();
            let within = options.clone().with_within(disk.path());
            assert_eq!(verify(&*open(&root, &within).unwrap()), count, "{target}");
            // Nothing outside of what was named.
            let listing = open(&root, &options).and_then(|store| store.images());
            if what.parent() != Some(&*root.join("blobs/sha256")) {
                assert!(listing.map_or(true, |listing| listing.images.is_empty()), "{target}");
                let follow = options.clone().with_follow([what.clone()]);
                assert_eq!(verify(&*open(&root, &follow).unwrap()), count, "{target}");
            }
        }
    }
}

/// The same layout as a directory.
#[test]
fn directory() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("layout");
    tar::Archive::new(&bytes("ctr-1.6-export")[..]).unpack(&root).unwrap();
    let store = open(&root, &OpenOptions::default()).unwrap();
    assert_eq!(store.kind(), StoreKind::OciLayout);
    assert_eq!(verify(&*store), 71);
    contract::check(&root, &|| open(&root, &OpenOptions::default()).unwrap(), &[]);
}
