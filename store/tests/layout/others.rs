//! What people have instead of an archive: skopeo's `dir:`, an archive in a folder, and files that are
//! something else, which are called by their names.

use std::fs;
use std::path::Path;

use layerlift_archive::Digest;
use layerlift_store::{Error, Hint, OpenOptions, StoreKind, detect, open};

use crate::contract;
use crate::made::{
    INDEX, MANIFEST, Tar, config, descriptor, file, fixture, index, layer, manifest, refused, store, verify,
};

/// Unpacks a fixture into a directory.
fn unpack(tar: &[u8], dir: &Path) {
    tar::Archive::new(tar).unpack(dir).unwrap();
}

fn skopeo_dir() -> Vec<u8> {
    let file = fs::File::open(fixture("skopeo-dir.tar.xz")).unwrap();
    let mut tar = Vec::new();
    std::io::copy(&mut liblzma::read::XzDecoder::new(file), &mut tar).unwrap();
    tar
}

#[test]
fn skopeos_dir() {
    let tar = skopeo_dir();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("image");
    unpack(&tar, &root);
    assert_eq!(detect(&root).unwrap()[0].kind, StoreKind::Dir);
    let opened = open(&root, &OpenOptions::default()).unwrap();
    let asked = open(&root, &OpenOptions::default().with_kind(StoreKind::Dir)).unwrap();
    for store in [opened, asked, store(&tar).unwrap()] {
        assert_eq!(store.kind(), StoreKind::Dir);
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 0), "{:?}", listing.broken);
        assert!(listing.images[0].key.id().starts_with("8e2e53498092"));
        assert_eq!(verify(&*store), 2);
    }
    contract::check(dir.path(), &|| open(&root, &OpenOptions::default()).unwrap(), &[]);
    // A layer that has changed is called by its own name.
    let layer = root.join("42fbd25437a346d483ad31b664d9c6baeaa8a64b0e5126188b4494a6c2470a1c");
    fs::write(&layer, "short").unwrap();
    let listing = open(&root, &OpenOptions::default()).unwrap().images().unwrap();
    let error = listing.broken[0].error.to_string();
    assert!(error.contains(layer.to_str().unwrap()) && error.contains("is damaged"), "{error}");
}

/// `skopeo copy --all` keeps the members of a list under names of their own.
#[test]
fn a_list_in_a_dir() {
    let layer = layer("x");
    let member = |arch: &str| {
        let config = config(&[&layer], &format!(r#""os":"linux","architecture":"{arch}","#));
        (manifest(&config, &[&layer]), config)
    };
    let members = [member("amd64"), member("arm64")];
    let hex = |bytes: &str| Digest::of(bytes.as_bytes()).hex();
    let line = |(manifest, _): &(String, String)| descriptor(MANIFEST, manifest, "");
    let list = index(&members.iter().map(line).collect::<Vec<_>>()).replacen(
        '{',
        &format!(r#"{{"mediaType":"{INDEX}","#),
        1,
    );
    let mut tar = Tar::new()
        .file("image/manifest.json", &list)
        .file("image/version", "Directory Transport Version: 1.1\n");
    for (manifest, config) in &members {
        tar = tar.file(&format!("image/{}.manifest.json", hex(manifest)), manifest);
        tar = tar.file(&format!("image/{}", hex(config)), config);
    }
    let tar = tar.file(&format!("image/{}", Digest::of(&layer).hex()), &layer).finish();
    let store = store(&tar).unwrap();
    assert_eq!(store.kind(), StoreKind::Dir);
    let listing = store.images().unwrap();
    assert_eq!((listing.indexes.len(), listing.broken.len()), (1, 0), "{:?}", listing.broken);
    assert_eq!(listing.indexes[0].index.members.len(), 2);
}

/// `tar cf x.tar image/`, and deeper; a file beside the folder is not ignored.
#[test]
fn an_archive_in_a_folder() {
    let path = fixture("in-a-folder.tar");
    let found = open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(found.kind(), StoreKind::DockerArchive);
    assert_eq!(detect(&path).unwrap()[0].kind, StoreKind::DockerArchive);
    assert_eq!(verify(&*found), 2);
    let layer = layer("x");
    let config = config(&[&layer], "");
    let manifest = manifest(&config, &[&layer]);
    let index = index(&[descriptor(MANIFEST, &manifest, "")]);
    let oci = |folder: &str| {
        let mut tar = Tar::new().file(&format!("{folder}index.json"), &index);
        for blob in [&layer[..], config.as_bytes(), manifest.as_bytes()] {
            tar = tar.file(&format!("{folder}blobs/sha256/{}", Digest::of(blob).hex()), blob);
        }
        tar
    };
    for folder in ["", "./", "layout/", "./a/b/c/"] {
        let store = store(&oci(folder).finish()).unwrap();
        assert_eq!((store.kind(), verify(&*store)), (StoreKind::OciLayout, 1), "{folder}");
    }
    let id = "a".repeat(64);
    let json = format!(r#"{{"id":"{id}"}}"#);
    let v1 = Tar::new().file(&format!("x/{id}/json"), json).file(&format!("x/{id}/layer.tar"), &layer);
    let v1 = store(&v1.file("x/repositories", "{}").finish()).unwrap();
    assert_eq!((v1.kind(), verify(&*v1)), (StoreKind::DockerV1Archive, 1));
    refused(store(&oci("a/").file("b", "").finish()), &["it has no index.json"]);
    // An error names the whole path.
    let path = format!("x.tar/layout/blobs/sha256/{}", Digest::of(&layer).hex());
    let damaged = Tar::new().file("layout/index.json", &index).blob("").finish();
    refused(store(&damaged), &["it has no index.json"]);
    let damaged = Tar::new().file("layout/index.json", &index);
    let damaged = [&config, &manifest].iter().fold(damaged, |tar, blob| {
        tar.file(&format!("layout/blobs/sha256/{}", Digest::of(blob.as_bytes()).hex()), blob)
    });
    let listing = store(&damaged.finish()).unwrap().images().unwrap();
    assert!(listing.broken[0].error.to_string().contains(&path), "{:?}", listing.broken);
}

/// The error, and where the root is once the file is unpacked or mounted.
fn named(bytes: &[u8], why: &str) -> Option<String> {
    let (_dir, path) = file(bytes);
    let error = open(&path, &OpenOptions::default()).err().unwrap();
    let Error::NoStore { why: Some(found), hint: Some(hint), .. } = error else { panic!("{error}") };
    assert!(found.contains(why), "{found}: {why}");
    match hint {
        Hint::NameContents { below, .. } => Some(below.display().to_string()),
        _ => None,
    }
}

#[test]
fn something_else() {
    let read = |name: &str| fs::read(fixture(name)).unwrap();
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(named(&read("docker-export.tar"), "docker export"), None);
    let system = ["etc/passwd", "usr/bin/sh", "proc/", "var/lib/x"];
    let system = system.iter().fold(Tar::new(), |tar, name| tar.file(name.trim_end_matches('/'), ""));
    assert_eq!(named(&system.finish(), "docker export"), None);
    let image = "image/overlay2/imagedb/content/sha256/x";
    for (name, below, why) in [
        (image.to_owned(), "", "data root of Docker"),
        (format!("./var/lib/docker/{image}"), "var/lib/docker", "data root of Docker"),
        ("storage/overlay-images/images.json".to_owned(), "storage", "store of Podman"),
        ("io.containerd.content.v1.content/blobs/sha256/x".to_owned(), "", "store of containerd"),
    ] {
        let tar = Tar::new().file(&name, "").finish();
        assert_eq!(named(&tar, why).as_deref(), Some(below));
        assert_eq!(named(&gzip(&tar), why).as_deref(), Some(below));
    }
    assert_eq!(named(&gzip(&gzip(&read("in-a-folder.tar"))), "compressed twice"), None);
    for (at, magic, why) in [
        (0x438, &b"\x53\xef"[..], "ext4"),
        (0, b"XFSB", "XFS"),
        (0x10040, b"_BHRfS_M", "btrfs"),
        (0, b"QFI\xfb", "qcow2"),
        (510, b"\x55\xaa", "partitions"),
    ] {
        let mut disk = vec![0; 1 << 20];
        disk[at..at + magic.len()].copy_from_slice(magic);
        assert_eq!(named(&disk, why).as_deref(), Some(""));
        assert_eq!(named(&gzip(&disk), why).as_deref(), Some(""));
    }
}

/// Neither a device nor a folder with an odd name is an archive.
#[test]
fn neither_file_nor_folder() {
    for device in ["/dev/zero", "/dev/null", "/dev/full"] {
        refused(open(Path::new(device), &OpenOptions::default()), &["it is a character device"]);
        refused(detect(Path::new(device)), &["it is a character device"]);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a".repeat(64)), "x").unwrap();
    assert!(detect(dir.path()).unwrap().is_empty());
    fs::write(dir.path().join("manifest.json"), r#"{"name":"a web site"}"#).unwrap();
    assert!(detect(dir.path()).unwrap().iter().all(|found| found.kind != StoreKind::Dir));
}

/// A layout whose `index.json` is the cache itself.
#[test]
fn a_build_cache() {
    let cache = "application/vnd.buildkit.cacheconfig.v0";
    let line = crate::made::descriptor(cache, "{}", "");
    let tar = Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let tar = tar.file("index.json", crate::made::index(&[line])).finish();
    crate::made::refused(crate::made::store(&tar), &["it is a build cache of BuildKit"]);
}
