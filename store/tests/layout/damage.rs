//! Damage and malice: an error says what is wrong, and every other image is not affected.

use layerlift_archive::Digest;
use tar::EntryType;

use crate::contract::{image, key};
use crate::made::{
    INDEX, LAYER, MANIFEST, Tar, bytes, config, descriptor, header, index, layer, manifest, named, refused,
    store, text, whole,
};

#[test]
fn what_is_not_an_archive() {
    for (bytes, part) in [
        (&b""[..], "the file is empty"),
        (b"\xff\xfeb\0l\0o\0b\0s\0", "PowerShell"),
        (b"PK\x03\x04xxxx", "it is a zip"),
        (b"hello", "neither a tar nor"),
        (&[b'x'; 2048], "neither a tar nor"),
        (&[0; 10240], "it has no index.json, manifest.json or repositories"),
        (b"\x1f\x8b\x08\0\0", "cannot decompress"),
    ] {
        refused(store(bytes), &[part]);
    }
    refused(store(&Tar::new().file("etc/passwd", "x").finish()), &["it has no index.json"]);
}

/// Wherever a header is damaged, the files behind it are found, and with them all images that do not need the
/// file of this header. The contents of a layer are not taken for entries of the archive.
#[test]
fn a_damaged_header() {
    for name in ["docker-20.10-save", "podman-4.3-oci-archive"] {
        let good = bytes(name);
        let all = store(&good).unwrap().images().unwrap().images.len();
        let mut found = 0;
        let mut tar = tar::Archive::new(&good[..]);
        let headers = tar.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.raw_header_position() as usize, entry.path().unwrap().into_owned())
        });
        for (at, path) in headers.collect::<Vec<_>>() {
            for fill in [0, b'!'] {
                let mut damaged = good.clone();
                damaged[at..at + 512].fill(fill);
                let Ok(store) = store(&damaged) else {
                    assert_eq!((at, fill), (0, b'!'), "{name}, {}", path.display());
                    continue;
                };
                let Ok(listing) = store.images() else { continue };
                let words: String = listing.lost.iter().map(|error| text(error)).collect();
                let says = [
                    format!("at byte {at} is not the header of an entry"),
                    format!("ends at byte {at}, with something that is not an entry"),
                ];
                let said = says.iter().any(|says| words.contains(says));
                assert!(said, "{name}, {}: {words}", path.display());
                for image in &listing.images {
                    assert!(whole(&*store, &image.key).is_ok(), "{name}, {}", path.display());
                }
                found += listing.images.len();
            }
        }
        assert!(found > 2 * all, "{name}: {found}");
    }
}

/// A docker-archive of one layer; each case replaces one of its parts.
fn archive(manifest_json: &str, more: impl FnOnce(Tar) -> Tar) -> Vec<u8> {
    let layer = layer("x");
    let good = config(&[&layer], "");
    let tar = Tar::new().file("layer.tar", &layer).file("good.json", &good);
    let entry = r#"{"Config":"good.json","RepoTags":["good:1"],"Layers":["layer.tar"]}"#;
    more(tar).file("manifest.json", manifest_json.replace("GOOD", entry)).finish()
}

#[test]
fn one_damaged_image_hides_no_other() {
    let unchanged = |tar: Tar| tar;
    let two = |tar: Tar| tar.file("two.json", config(&[b"a", b"b"], ""));
    let entry = |config: &str, layer: &str| {
        format!(r#"[{{"Config":"{config}","RepoTags":["bad:1"],"Layers":["{layer}"]}},GOOD]"#)
    };
    type Change = Box<dyn FnOnce(Tar) -> Tar>;
    let cases: Vec<(String, Change, &str)> = vec![
        (entry("no.json", "layer.tar"), Box::new(unchanged), "needs config no.json, which is missing"),
        (entry("good.json ", "layer.tar"), Box::new(unchanged), "is missing"),
        (entry("../good.json", "layer.tar"), Box::new(unchanged), "leads out of it"),
        (entry("/good.json", "layer.tar"), Box::new(unchanged), "leads out of it"),
        (entry("two.json", "layer.tar"), Box::new(two), "1 layers, but 2 diff ids"),
        (entry("array.json", "layer.tar"), Box::new(|tar| tar.file("array.json", "[]")), "not a JSON object"),
        (
            entry("types.json", "layer.tar"),
            Box::new(|tar| tar.file("types.json", r#"{"rootfs":{"type":"layers","diff_ids":[1]}}"#)),
            "not a string",
        ),
        (
            entry("digest.json", "layer.tar"),
            Box::new(|tar| {
                tar.file("digest.json", r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../x"]}}"#)
            }),
            "is not a digest",
        ),
        (
            entry("deep.json", "layer.tar"),
            Box::new(|tar| tar.file("deep.json", format!(r#"{{"rootfs":{}"#, "[".repeat(100_000)))),
            "deep.json is malformed",
        ),
        (
            entry("one.json", "missing.tar"),
            Box::new(|tar| tar.file("one.json", config(&[b"x"], ""))),
            "needs layer sha256:",
        ),
        (
            entry("one.json", "link"),
            Box::new(|tar| {
                tar.file("one.json", config(&[b"x"], "")).link("link", "nowhere", EntryType::Symlink)
            }),
            "which is not there",
        ),
        (
            entry("one.json", "link"),
            Box::new(|tar| {
                tar.file("one.json", config(&[b"x"], "")).link("link", "link", EntryType::Symlink)
            }),
            "leads to itself",
        ),
        (
            entry("one.json", "link"),
            Box::new(|tar| tar.file("one.json", config(&[b"x"], "")).link("link", "link", EntryType::Link)),
            "leads to itself",
        ),
        (
            entry("one.json", "a/link"),
            Box::new(|tar| {
                tar.file("one.json", config(&[b"x"], "")).link(
                    "a/link",
                    "../../etc/passwd",
                    EntryType::Symlink,
                )
            }),
            "out of the archive",
        ),
        (
            entry("one.json", "a/link"),
            Box::new(|tar| {
                tar.file("one.json", config(&[b"x"], "")).link("a/link", "/etc/passwd", EntryType::Link)
            }),
            "out of the archive",
        ),
        (
            entry("one.json", "pipe"),
            Box::new(|tar| tar.file("one.json", config(&[b"x"], "")).link("pipe", "", EntryType::Fifo)),
            "not a regular file",
        ),
        (r#"[{"Config":5},GOOD]"#.to_owned(), Box::new(unchanged), "Config is the number 5, not a string"),
        (
            r#"[["good.json",["bad:1"],["layer.tar"]],GOOD]"#.to_owned(),
            Box::new(unchanged),
            "not a JSON object",
        ),
    ];
    for (manifest_json, more, expected) in cases {
        let store = store(&archive(&manifest_json, more)).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 1), "{manifest_json}");
        let error = text(&listing.broken[0].error);
        assert!(error.contains(expected), "{manifest_json}: {error}");
        let good = store.resolve("good").unwrap();
        assert_eq!(store.image(&image(&good[0])).unwrap().layers.len(), 1);
        if manifest_json.contains("bad:1") && !manifest_json.contains("[[") {
            let bad = store.resolve("bad").unwrap();
            refused(whole(&*store, &image(&bad[0])), &[expected]);
        }
    }
}

#[test]
fn documents_of_the_whole_archive() {
    for (manifest_json, expected) in [
        ("{}", "manifest.json is malformed"),
        ("", "manifest.json is malformed"),
        ("[", "manifest.json is malformed"),
        ("5", "manifest.json is malformed"),
        (&"[".repeat(200_000), "manifest.json is malformed"),
        (&" ".repeat(17 << 20), "larger than 16 MiB"),
    ] {
        refused(store(&archive(manifest_json, |tar| tar)), &[expected]);
    }
    for index in ["{}", "[]", r#"{"manifests":5}"#] {
        refused(store(&Tar::new().file("index.json", index).finish()), &["index.json is malformed"]);
    }
    let newer =
        Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#).file("index.json", index(&[]));
    refused(store(&newer.finish()), &["2.0.0"]);
}

/// Entries that lead out of the archive are reported and never used. Of several with one name, the last
/// counts.
#[test]
fn names_of_entries() {
    let bytes =
        archive("[GOOD]", |tar| tar.file("../x", "x").file("/etc/passwd", "x").file("a/../../b", "x"));
    let listing = store(&bytes).unwrap().images().unwrap();
    assert_eq!((listing.images.len(), listing.lost.len()), (1, 1));
    refused::<()>(Err(listing.lost.into_iter().next().unwrap()), &["\"../x\"", "\"/etc/passwd\"", "b"]);

    let twice = archive("[GOOD]", |tar| tar.file("manifest.json", "[]"));
    assert_eq!(store(&twice).unwrap().images().unwrap().images.len(), 1);
    let dotted = archive("[GOOD]", |tar| tar.link("./", "", EntryType::Directory));
    assert!(store(&dotted).unwrap().images().unwrap().broken.is_empty());
}

#[test]
fn sizes_that_lie() {
    let mut tar = archive("[GOOD]", |tar| tar);
    tar.truncate(tar.len() - 1024);
    let huge = header("last.tar", EntryType::Regular, u64::MAX >> 2);
    tar.extend_from_slice(huge.as_bytes());
    let listing = store(&tar).unwrap().images().unwrap();
    assert_eq!((listing.images.len(), listing.lost.len()), (1, 1));
    refused::<()>(Err(listing.lost.into_iter().next().unwrap()), &["in the middle of last.tar"]);

    let (layer, missing) = (layer("x"), layer("y"));
    let config = config(&[&layer], "");
    let right = manifest(&config, &[&layer]);
    let size = format!(r#""size":{}"#, layer.len());
    for (what, change) in [
        ("10 are recorded", right.replace(&size, r#""size":10"#)),
        ("size is the number -1, not a whole number", right.replace(&size, r#""size":-1"#)),
        ("not a whole number", right.replace(&size, r#""size":"10""#)),
        ("is not a digest", right.replace(&Digest::of(&layer).to_string(), "sha256:../../etc/passwd")),
        ("is missing", right.replace(&Digest::of(&layer).to_string(), &Digest::of(&missing).to_string())),
        (
            "may not be distributed",
            right
                .replace(&Digest::of(&layer).to_string(), &Digest::of(&missing).to_string())
                .replace(LAYER, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
        ),
        ("is encrypted", right.replace(LAYER, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted")),
    ] {
        let top = index(&[
            descriptor(MANIFEST, &right, &named("good:1")),
            descriptor(MANIFEST, &change, &named("bad:1")),
        ]);
        let bytes = Tar::new().blob(&layer).blob(&config).blob(&right).blob(&change).file("index.json", top);
        let store = store(&bytes.finish()).unwrap();
        assert_eq!(
            store.images().unwrap().images.iter().filter(|i| i.references[0].repository() == "good").count(),
            1
        );
        let alone = index(&[descriptor(MANIFEST, &change, &named("bad:1"))]);
        let bytes = Tar::new().blob(&layer).blob(&config).blob(&change).file("index.json", alone);
        let store = crate::made::store(&bytes.finish()).unwrap();
        refused(whole(&*store, &key(&*store, "bad:1")), &[what]);
    }
    // A blob that does not hash to its name.
    let other = Tar::new()
        .blob(&layer)
        .blob(&config)
        .file(&format!("blobs/sha256/{}", Digest::of(right.as_bytes()).hex()), right.replace('2', "3"));
    let top = index(&[descriptor(MANIFEST, &right, &named("bad:1"))]);
    let store = store(&other.file("index.json", top).finish()).unwrap();
    assert!(store.images().unwrap().images.is_empty());
    refused(store.image(&key(&*store, "bad:1")), &["not its name"]);
}

/// An index that names itself a thousand times is read once.
#[test]
fn indexes_below_indexes() {
    let mut inner = index(&[]);
    let mut tar = Tar::new();
    for _ in 0..20 {
        tar = tar.blob(&inner);
        inner = index(&vec![descriptor(INDEX, &inner, ""); 100]);
    }
    let top = index(&[descriptor(INDEX, &inner, &named("deep:1"))]);
    let store = store(&tar.blob(&inner).file("index.json", top).finish()).unwrap();
    let listing = store.images().unwrap();
    assert!(listing.images.is_empty());
    let image = &key(&*store, "deep:1");
    assert!(store.image(image).is_err());
}

/// The directories of docker-v1: cycles, parents that are missing or invalid, ids that differ.
#[test]
fn docker_v1() {
    let id = |digit: &str| digit.repeat(64);
    let json = |own: &str, parent: &str| format!(r#"{{"id":"{own}","parent":"{parent}"}}"#);
    let add = |tar: Tar, id: &str, json: &str| {
        tar.file(&format!("{id}/VERSION"), "1.0")
            .file(&format!("{id}/json"), json)
            .file(&format!("{id}/layer.tar"), layer("x"))
    };
    let (a, b, c) = (id("a"), id("b"), id("c"));
    let good = format!(r#"{{"good":{{"1":"{a}"}},"bad":{{"1":"{c}"}}}}"#);
    for (json_of_c, expected) in [
        (json(&c, &b), "missing"),
        (json(&c, &c), "its own parents"),
        (json(&c, "../x"), "is not an id"),
        (json(&b, &a), "not its directory's name"),
        ("[]".to_owned(), "not a JSON object"),
        (r#"{"id":5}"#.to_owned(), "id is the number 5, not a string"),
        ("{}".to_owned(), "it has no id"),
        (format!(r#"{{"parent":"{a}"}}"#), "it has no id"),
    ] {
        let tar = add(Tar::new(), &a, &format!(r#"{{"id":"{a}"}}"#));
        let store = store(&add(tar, &c, &json_of_c).file("repositories", &good).finish()).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 1), "{json_of_c}");
        refused(store.image(&key(&*store, "bad")), &[expected]);
        assert_eq!(store.image(&key(&*store, "good")).unwrap().layers.len(), 1);
    }
    for repositories in ["[]", "", r#"{"a":{"1":5}}"#, r#"{"a":null,"bad":{"1":null}}"#] {
        let tar = add(Tar::new(), &a, &format!(r#"{{"id":"{a}"}}"#));
        let store = store(&tar.file("repositories", repositories).finish()).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.lost.len()), (1, 1), "{repositories}");
        refused(store.resolve("good"), &["repositories is malformed"]);
    }
}

/// A name that is wrong hides no other, and a layer that is not a whole tar is named.
#[test]
fn parts_of_docker_v1() {
    let id = "a".repeat(64);
    let archive = |layer: &[u8], repositories: &str| {
        let tar = Tar::new().file(&format!("{id}/json"), format!(r#"{{"id":"{id}"}}"#));
        tar.file(&format!("{id}/layer.tar"), layer).file("repositories", repositories).finish()
    };
    let names = format!(r#"{{"a":null,"b":{{"1":"{id}","2":[]}},"c":5,"d":{{"1":"{id}"}}}}"#);
    let store = store(&archive(&layer("x"), &names)).unwrap();
    let listing = store.images().unwrap();
    let references: Vec<String> = listing.images[0].references.iter().map(ToString::to_string).collect();
    assert_eq!((references, listing.lost.len()), (vec!["b:1".to_owned(), "d:1".to_owned()], 3));
    for (layer, why) in [
        (&b""[..], "it is empty"),
        (&[0x5a; 2048], "is not the header of a tar"),
        (&layer("a long content")[..515], "it is cut off at byte 515"),
    ] {
        let store = crate::made::store(&archive(layer, &names)).unwrap();
        let image = store.image(&key(&*store, "b:1")).unwrap();
        refused(store.layer(&image.layers[0].key), &["layer.tar is malformed", why]);
    }
}

/// Random bytes of real archives are changed: errors are fine, panics and endless loops are not.
#[test]
fn changed_bytes() {
    let mut random = 1u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    for name in ["skopeo-1.9-oci-archive", "ctr-1.6-export-gzip", "docker-20.10-save-by-id"] {
        let whole = bytes(name);
        for _ in 0..100 {
            let mut changed = whole.clone();
            for _ in 0..1 + next(8) {
                changed[next(whole.len())] = b"\0\xff7/.\"{["[next(8)];
            }
            let Ok(store) = store(&changed) else { continue };
            let Ok(listing) = store.images() else { continue };
            for image in listing.images {
                let Ok(image) = store.image(&image.key) else { continue };
                for layer in image.layers {
                    if let Ok(tar) = store.layer(&layer.key) {
                        drop(tar.write_to(&mut std::io::sink()));
                    }
                }
            }
        }
    }
}
