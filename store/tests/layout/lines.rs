//! Lines of `index.json` and items of `manifest.json` that say something else than they should.

use layerlift_archive::Digest;
use layerlift_store::Listing;

use crate::made::{MANIFEST, Tar, config, index, layer, manifest, store, text, verify};

const LOCAL: &str = "docker.io/library/x:1";

fn rows(listing: &Listing) -> Vec<String> {
    let names = |image: &layerlift_store::ImageSummary| -> Vec<String> {
        image.references.iter().map(ToString::to_string).collect()
    };
    listing.images.iter().map(|image| names(image).join(" ")).collect()
}

/// A layout with one image, and this line for it. `DIGEST` and `SIZE` in the line are those of its manifest.
fn with_line(line: &str) -> Vec<u8> {
    let layer = layer("x");
    let config = config(&[&layer], "");
    let manifest = manifest(&config, &[&layer]);
    let line = line
        .replace("DIGEST", &Digest::of(manifest.as_bytes()).to_string())
        .replace("SIZE", &manifest.len().to_string());
    Tar::new()
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .blob(&layer)
        .blob(&config)
        .blob(&manifest)
        .file("index.json", index(&[line]))
        .finish()
}

/// An archive with one image, and this item for it.
fn with_item(item: &str) -> Vec<u8> {
    let layer = layer("x");
    let config = config(&[&layer], "");
    let (config_name, layer_name) = (
        format!("{}.json", Digest::of(config.as_bytes()).hex()),
        format!("{}.tar", Digest::of(&layer).hex()),
    );
    let item = item.replace("CONFIG", &config_name).replace("LAYER", &layer_name);
    Tar::new()
        .file(&layer_name, &layer)
        .file(&config_name, &config)
        .file("manifest.json", format!("[{item}]"))
        .finish()
}

/// What is listed, and what is said.
fn listed(archive: &[u8]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let store = store(archive).unwrap();
    let listing = store.images().unwrap();
    // Whatever is listed can be read.
    verify(&*store);
    let broken = listing.broken.iter().map(|broken| {
        let names: Vec<String> = broken.references.iter().map(ToString::to_string).collect();
        format!("{}: {}", names.join(" "), text(&broken.error))
    });
    let lost = listing.lost.iter().map(|error| text(error)).chain(broken).collect();
    let notices = listing.notices.iter().map(|notice| notice.what.clone()).collect();
    (rows(&listing), lost, notices)
}

#[test]
fn a_line_needs_only_its_digest() {
    let name = r#""annotations":{"io.containerd.image.name":"docker.io/library/x:1"}"#;
    let ref_name = r#""org.opencontainers.image.ref.name":"docker.io/library/x:1""#;
    let other = format!(r#""annotations":{{"io.containerd.image.name":"",{ref_name}}}"#);
    for (line, notice) in [
        (format!(r#"{{"mediaType":"{MANIFEST}","digest":"DIGEST","size":"SIZE",{name}}}"#), "size is \""),
        (format!(r#"{{"mediaType":5,"digest":"DIGEST","size":SIZE,{name}}}"#), "mediaType is the number 5"),
        (format!(r#"{{"digest":"DIGEST",{name}}}"#), ""),
        (format!(r#"{{"digest":"DIGEST",{other}}}"#), ""),
        (format!(r#"{{"mediaType":"{MANIFEST}","digest":"DIGEST","size":SIZE,{other}}}"#), ""),
        (format!(r#"{{"digest":"DIGEST","size":SIZE,"platform":"amd64",{name}}}"#), "in platform, "),
        (format!(r#"{{"digest":"DIGEST","size":SIZE,"urls":"x",{name}}}"#), "urls is \"x\", not a list"),
    ] {
        let (rows, lost, notices) = listed(&with_line(&line));
        assert_eq!((&*rows, &*lost), (&[LOCAL.to_owned()][..], &[][..]), "{line}");
        match notice {
            "" => assert_eq!(notices.len(), 0, "{notices:?}"),
            notice => assert!(notices.iter().any(|said| said.contains(notice)), "{line}: {notices:?}"),
        }
    }
}

/// The image is there without the name, and the loss is reported.
#[test]
fn a_name_that_cannot_be_read() {
    for (annotations, why) in [
        (r#""x""#, "in manifests, annotations is \"x\", not an object"),
        (r#"{"io.containerd.image.name":5}"#, "the annotation io.containerd.image.name is the number 5"),
    ] {
        let line = format!(r#"{{"digest":"DIGEST","size":SIZE,"annotations":{annotations}}}"#);
        let (rows, lost, _) = listed(&with_line(&line));
        assert_eq!(rows, [""], "{line}");
        assert!(matches!(&*lost, [error] if error.contains(why)), "{lost:?}");
    }
    let other = r#"{"digest":"DIGEST","size":SIZE,"annotations":{"x":5,"io.containerd.image.name":"x:1"}}"#;
    let (rows, lost, _) = listed(&with_line(other));
    assert_eq!((rows, lost), (vec!["x:1".to_owned()], Vec::new()));
}

/// The image is found by its blobs, and the line keeps its name.
#[test]
fn a_digest_that_cannot_be_read() {
    let name = r#""annotations":{"io.containerd.image.name":"docker.io/library/x:1"}"#;
    for digest in ["5", "\"sha256:0\"", "null"] {
        let (rows, lost, _) = listed(&with_line(&format!(r#"{{"digest":{digest},"size":SIZE,{name}}}"#)));
        assert_eq!(rows, [""], "{digest}");
        assert!(matches!(&*lost, [error] if error.starts_with(&format!("{LOCAL}: "))), "{digest}: {lost:?}");
    }
}

#[test]
fn items() {
    for (item, name, why) in [
        (r#"{"Config":"CONFIG","RepoTags":["x:1"],"Layers":"LAYER"}"#, "x:1", "Layers is \""),
        (r#"{"Config":"CONFIG","RepoTags":[null,"x:1",5],"Layers":["LAYER"]}"#, "x:1", "RepoTags[0] is null"),
        (r#"{"Config":"CONFIG","RepoTags":"x:1","Layers":["LAYER"]}"#, "", "RepoTags is \"x:1\", not a list"),
        (r#"{"Config":5,"RepoTags":["x:1"],"Layers":["LAYER"]}"#, "", "Config is the number 5, not a string"),
    ] {
        let (rows, lost, _) = listed(&with_item(item));
        assert_eq!(rows, [name], "{item}");
        assert!(lost.iter().any(|error| error.contains(why)), "{item}: {lost:?}");
    }
    let sources = r#"{"Config":"CONFIG","RepoTags":["x:1"],"Layers":["LAYER"],"LayerSources":[]}"#;
    let (rows, lost, notices) = listed(&with_item(sources));
    assert_eq!((&*rows, lost.len(), notices.len()), (&["x:1".to_owned()][..], 0, 1), "{notices:?}");
}
