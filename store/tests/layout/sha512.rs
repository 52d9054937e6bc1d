//! Blobs with SHA-512 digests.

use layerlift_archive::Digest;
use layerlift_store::{Document, ErrorKind};
use sha2::{Digest as _, Sha512};

use crate::made::{CONFIG, LAYER, MANIFEST, Tar, config, descriptor, index, layer, manifest, named, store};
use crate::made::{refused, text, verify};

fn sha512(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A descriptor with a SHA-512 digest.
fn line(media_type: &str, bytes: &[u8], extra: &str) -> String {
    let (hex, size) = (sha512(bytes), bytes.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"sha512:{hex}","size":{size}{extra}}}"#)
}

struct Parts {
    layer: Vec<u8>,
    config: String,
    manifest: String,
}

impl Parts {
    fn new() -> Self {
        let layer = layer("of sha512");
        let config = config(&[&layer], "");
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            line(CONFIG, config.as_bytes(), ""),
            line(LAYER, &layer, "")
        );
        Parts { layer, config, manifest }
    }

    /// An archive with this image beside one whose digests are SHA-256.
    fn archive(&self, lines: &[String]) -> Vec<u8> {
        let good = layer("good");
        let of_good = config_of_good();
        let manifest = manifest(&of_good, &[&good]);
        let mut tar = Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        tar = tar.blob(&good).blob(&of_good).blob(&manifest);
        for bytes in [&self.layer, self.config.as_bytes(), self.manifest.as_bytes()] {
            tar = tar.file_with_long_name(&format!("blobs/sha512/{}", sha512(bytes)), bytes);
        }
        let lines: Vec<String> =
            lines.iter().cloned().chain([descriptor(MANIFEST, &manifest, &named("t/good:1"))]).collect();
        tar.file("index.json", index(&lines)).finish()
    }
}

fn config_of_good() -> String {
    config(&[&layer("good")], r#""os":"linux","#)
}

#[test]
fn an_image() {
    let parts = Parts::new();
    let archive = parts.archive(&[line(MANIFEST, parts.manifest.as_bytes(), &named("t/s512:1"))]);
    let store = store(&archive).unwrap();
    let listing = store.images().unwrap();
    assert!(listing.broken.is_empty() && listing.lost.is_empty(), "{:?}", listing.broken);
    assert_eq!(listing.images.len(), 2);
    let [found] = &*store.resolve("t/s512:1").unwrap() else { panic!("it is one image") };
    let key = found.choose(&*store, None).unwrap();
    // The id is what every engine gives this config.
    assert_eq!(key.id(), Digest::of(parts.config.as_bytes()).hex());
    let image = store.image(&key).unwrap();
    let Document::Config { raw, manifests } = &image.document else { panic!("it has a config") };
    assert_eq!((raw.as_slice(), manifests.len()), (parts.config.as_bytes(), 0));
    assert!(image.notices.iter().any(|notice| notice.to_string().contains("SHA-512")), "{:?}", image.notices);
    assert_eq!(verify(&*store), 2);
}

#[test]
fn what_is_damaged_or_missing() {
    let parts = Parts::new();
    let lines = [line(MANIFEST, parts.manifest.as_bytes(), &named("t/s512:1"))];
    let whole = parts.archive(&lines);
    for (what, bytes) in [
        ("manifest", parts.manifest.as_bytes()),
        ("config", parts.config.as_bytes()),
        ("layer", &parts.layer),
    ] {
        let name = format!("blobs/sha512/{}", sha512(bytes));
        // Another byte in the middle.
        let at = whole.windows(bytes.len()).position(|window| window == bytes).unwrap();
        let mut archive = whole.clone();
        archive[at + bytes.len() / 2] ^= 1;
        let damaged = store(&archive).unwrap();
        let listing = damaged.images().unwrap();
        assert_eq!(listing.images.len(), 1, "{what}");
        let [broken] = &*listing.broken else { panic!("{what}: {:?}", listing.broken) };
        let words = text(&broken.error);
        assert_eq!(broken.error.kind(), ErrorKind::Damaged, "{what}: {words}");
        assert!(words.contains(&name) && words.contains("its digest is sha512:"), "{what}: {words}");
        assert_eq!(broken.references[0].to_string(), "t/s512:1", "{what}");
        // Under another name it is missing.
        let mut archive = whole.clone();
        let at = whole.windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
        archive[at + 20] = b'x';
        let missing = store(&archive).unwrap();
        let listing = missing.images().unwrap();
        let [broken] = &*listing.broken else { panic!("{what}: {:?}", listing.broken) };
        let words = text(&broken.error);
        assert_eq!(broken.error.kind(), ErrorKind::Missing, "{what}: {words}");
        assert!(words.contains(&format!("sha512:{}", sha512(bytes))), "{what}: {words}");
    }
}

#[test]
fn in_an_index() {
    let parts = Parts::new();
    let platform = r#","platform":{"os":"linux","architecture":"amd64"}"#;
    let inner = index(&[line(MANIFEST, parts.manifest.as_bytes(), platform)]);
    let tar = parts.archive(&[line(crate::made::INDEX, inner.as_bytes(), &named("t/multi:1"))]);
    // The archive has a file more.
    let name = format!("blobs/sha512/{}", sha512(inner.as_bytes()));
    let with_index = Tar::new().file_with_long_name(&name, &inner).finish();
    let end = with_index.len() - 1024;
    let archive = [&with_index[..end], &tar].concat();
    let store = store(&archive).unwrap();
    let [found] = &*store.resolve("t/multi:1").unwrap() else { panic!("it is one") };
    assert_eq!(found.choose(&*store, None).unwrap().id(), Digest::of(parts.config.as_bytes()).hex());
}

#[test]
fn what_is_not_a_digest() {
    let parts = Parts::new();
    let odd = line(MANIFEST, parts.manifest.as_bytes(), "").replace("sha512:", "sha384:");
    let listing = store(&parts.archive(&[odd])).unwrap().images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (1, 1));
    refused(Err::<(), _>(listing.broken[0].error.clone()), &["sha384:", "is not a digest"]);
}
