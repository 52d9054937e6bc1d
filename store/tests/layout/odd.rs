//! Archives and layouts that are odd, and what they name nevertheless.

use std::fs;
use std::path::Path;

use layerlift_store::{ErrorKind, Listing, OpenOptions, Store, open};

use crate::made::{
    CONFIG, INDEX, MANIFEST, Tar, config, descriptor, fixture, index, layer, manifest, named, refused, store,
    text, verify,
};

/// Config and layer of an image.
fn image(content: &str) -> (String, Vec<u8>) {
    let layer = layer(content);
    (config(&[&layer], ""), layer)
}

/// What a tar holds, unpacked.
fn unpacked(tar: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(tar).unpack(dir.path()).unwrap();
    dir
}

fn decompressed(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(fixture(name)).unwrap();
    std::io::copy(&mut liblzma::read::XzDecoder::new(file), &mut bytes).unwrap();
    bytes
}

fn open_dir(dir: &Path) -> Box<dyn Store> {
    open(dir, &OpenOptions::default()).unwrap()
}

/// Ids (12 digits) with the names, sorted.
fn rows(listing: &Listing) -> Vec<String> {
    let mut rows: Vec<String> = listing
        .images
        .iter()
        .map(|image| {
            let names: Vec<String> = image.references.iter().map(ToString::to_string).collect();
            format!("{} {}", &image.key.id()[..12], names.join(" ")).trim_end().to_owned()
        })
        .collect();
    rows.sort();
    rows
}

/// Two images: `index.json` has only the first, `manifest.json` has both.
fn both(index_json: &[u8], manifest_json: Option<&[u8]>) -> Vec<u8> {
    let mut tar = Tar::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    for content in ["one", "two"] {
        let (config, layer) = image(content);
        tar = tar.blob(&layer).blob(manifest(&config, &[&layer])).blob(&config);
    }
    tar = tar.file("index.json", index_json);
    match manifest_json {
        Some(json) => tar.file("manifest.json", json),
        None => tar,
    }
    .finish()
}

fn line(content: &str, name: &str) -> String {
    let (config, layer) = image(content);
    let name = format!(r#","annotations":{{"io.containerd.image.name":"{name}"}}"#);
    descriptor(MANIFEST, manifest(&config, &[&layer]), &name)
}

fn items() -> String {
    let item = |content: &str, tags: &str| {
        let (config, layer) = image(content);
        let blob = |bytes: &[u8]| format!("blobs/sha256/{}", layerlift_archive::Digest::of(bytes).hex());
        format!(
            r#"{{"Config":"{}","RepoTags":{tags},"Layers":["{}"]}}"#,
            blob(config.as_bytes()),
            blob(&layer)
        )
    };
    format!("[{},{}]", item("one", r#"["t/one:1"]"#), item("two", r#"["t/two:1"]"#))
}

fn id(content: &str) -> String {
    layerlift_archive::Digest::of(image(content).0.as_bytes()).hex()[..12].to_owned()
}

fn expect(rows_of: &Listing, names: [&str; 2]) {
    let mut expected: Vec<String> = ["one", "two"]
        .iter()
        .zip(names)
        .map(|(content, name)| format!("{} {name}", id(content)).trim_end().to_owned())
        .collect();
    expected.sort();
    assert_eq!(rows(rows_of), expected);
    assert!(rows_of.broken.is_empty(), "{:?}", rows_of.broken);
}

#[test]
fn archives_of_docker_25() {
    for (name, expected) in [
        ("docker-both-documents/manifests-null.tar.xz", &["8e2e53498092"][..]),
        ("docker-both-documents/one-in-the-index.tar.xz", &["8e2e53498092", "cfc87061b9ec"]),
    ] {
        let tar = decompressed(name);
        let of_tar = store(&tar).unwrap();
        let dir = unpacked(&tar);
        let of_dir = open_dir(dir.path());
        for store in [of_tar, of_dir] {
            let listing = store.images().unwrap();
            assert_eq!(rows(&listing), expected, "{name}");
            assert!(listing.broken.is_empty() && listing.lost.is_empty() && listing.notices.is_empty());
            assert!(verify(&*store) > 0);
        }
    }
}

/// What one document does not say, the other does: nothing is lost.
#[test]
fn either_document_is_enough() {
    let good = index(&[line("one", "t/one:1"), line("two", "t/two:1")]);
    let (cut, nuls, items) = (&good[..good.len() / 2], vec![0; good.len()], items());
    for (index_json, manifest_json, noticed) in [
        (br#"{"schemaVersion":2,"manifests":null}"#.as_slice(), items.as_bytes(), None),
        (br#"{"schemaVersion":2}"#, items.as_bytes(), None),
        (index(&[line("one", "t/one:1")]).as_bytes(), items.as_bytes(), None),
        (b"", items.as_bytes(), Some("index.json: it is empty; the images are those of manifest.json")),
        (&nuls, items.as_bytes(), Some("index.json: it has only zero bytes")),
        (cut.as_bytes(), items.as_bytes(), Some("index.json: ")),
        (b"[]", items.as_bytes(), Some("index.json: it is not a JSON object")),
        (good.as_bytes(), b"", Some("manifest.json: it is empty; the images are those of index.json")),
        (good.as_bytes(), &nuls, Some("manifest.json: it has only zero bytes")),
        (good.as_bytes(), b"[{", Some("manifest.json: ")),
    ] {
        let tar = both(index_json, Some(manifest_json));
        let dir = unpacked(&tar);
        for store in [store(&tar).unwrap(), open_dir(dir.path())] {
            let listing = store.images().unwrap();
            expect(&listing, ["t/one:1", "t/two:1"]);
            assert!(listing.lost.is_empty(), "{:?}", listing.lost);
            let notices: Vec<String> = listing.notices.iter().map(ToString::to_string).collect();
            match noticed {
                None => assert!(notices.is_empty(), "{notices:?}"),
                Some(words) => assert!(notices.len() == 1 && notices[0].contains(words), "{notices:?}"),
            }
            assert_eq!(verify(&*store), 2);
        }
    }
}

/// With neither, the blobs say which images there are, and their names are lost.
#[test]
fn blobs_without_what_names_them() {
    let one = index(&[line("one", "t/one:1")]);
    for (index_json, manifest_json, names, lost) in [
        (&b""[..], None, ["", ""], &["index.json"][..]),
        (&[0; 100], None, ["", ""], &["index.json"]),
        (br#"{"manifests":[{"#, None, ["", ""], &["index.json"]),
        (br#"{"manifests":null}"#, None, ["", ""], &["index.json"]),
        (b"", Some(&b""[..]), ["", ""], &["index.json", "manifest.json"]),
        (one.as_bytes(), Some(b""), ["t/one:1", ""], &["manifest.json"]),
    ] {
        let tar = both(index_json, manifest_json);
        let dir = unpacked(&tar);
        for store in [store(&tar).unwrap(), open_dir(dir.path())] {
            let listing = store.images().unwrap();
            expect(&listing, names);
            assert_eq!(listing.lost.len(), lost.len(), "{:?}", listing.lost);
            for (error, name) in listing.lost.iter().zip(lost) {
                assert_eq!(error.kind(), ErrorKind::Malformed);
                assert!(text(error).contains(name), "{}", text(error));
            }
            assert_eq!(verify(&*store), 2);
            store.resolve(&id("two")).unwrap();
        }
    }
    // Nothing is there that could be found.
    refused(store(&Tar::new().file("index.json", "").finish()), &["index.json is malformed: it is empty"]);
}

/// Tools that change a layout and know nothing of `manifest.json` leave it behind.
#[test]
fn layout_that_others_have_changed() {
    let tar = both(index(&[line("two", "t/two:1")]).as_bytes(), Some(items().as_bytes()));
    let dir = unpacked(&tar);
    let (config, _) = image("one");
    let blob = layerlift_archive::Digest::of(config.as_bytes()).hex();
    fs::remove_file(dir.path().join("blobs/sha256").join(blob)).unwrap();
    let listing = open_dir(dir.path()).images().unwrap();
    assert_eq!(rows(&listing), [format!("{} t/two:1", id("two"))]);
    assert!(listing.broken.is_empty() && listing.lost.is_empty() && listing.notices.len() == 1);
}

/// Nothing but its name says that the digest of a config should be another, so every engine takes it.
#[test]
fn configs_named_otherwise() {
    let (config, layer) = image("one");
    let hex = "a".repeat(64);
    let of_kaniko = format!("sha256:{}", "b".repeat(64));
    for name in [format!("{hex}.json"), hex.clone(), of_kaniko, format!("folder/{hex}.json")] {
        let item = format!(r#"[{{"Config":"{name}","RepoTags":["t/a:1"],"Layers":["layer.tar"]}}]"#);
        let tar = Tar::new().file(&name, &config).file("layer.tar", &layer).file("manifest.json", item);
        let store = store(&tar.finish()).unwrap();
        let listing = store.images().unwrap();
        assert_eq!(rows(&listing), [format!("{} t/a:1", id("one"))], "{name}");
        let image = store.image(&listing.images[0].key).unwrap();
        assert_eq!(image.notices, listing.notices, "{name}");
        let [notice] = &*image.notices else { panic!("{name}: {:?}", image.notices) };
        assert!(notice.path.ends_with(&name) && notice.what.contains(&id("one")), "{notice}");
        assert_eq!(verify(&*store), 1);
    }
    // A name that is not a digest promises nothing.
    let item = r#"[{"Config":"config.json","Layers":["layer.tar"]}]"#;
    let tar = Tar::new().file("config.json", &config).file("layer.tar", &layer).file("manifest.json", item);
    assert!(store(&tar.finish()).unwrap().images().unwrap().notices.is_empty());
    // A blob has the digest of its name, or it is damaged.
    let item = format!(r#"[{{"Config":"blobs/sha256/{hex}","Layers":["layer.tar"]}}]"#);
    let tar = Tar::new().file(&format!("blobs/sha256/{hex}"), &config).file("layer.tar", &layer);
    let listing = store(&tar.file("manifest.json", item).finish()).unwrap().images().unwrap();
    assert_eq!(listing.broken[0].error.kind(), ErrorKind::Damaged);

    let store = store(&decompressed("config-named-otherwise/input.tar.xz")).unwrap();
    assert_eq!(rows(&store.images().unwrap()), ["8e2e53498092 t/a:1"]);
    assert!(verify(&*store) > 0);
}

/// `oci-layout` says nothing that is needed.
#[test]
fn a_layout_file_that_says_nothing() {
    for (bytes, why) in [
        ("", "it is empty"),
        ("\0\0\0", "it has only zero bytes"),
        (r#"{"imageLayoutVer"#, "its end is missing"),
        ("[]", "it is not a JSON object"),
        ("{}", "it has no imageLayoutVersion"),
    ] {
        let good = index(&[line("one", "t/one:1"), line("two", "t/two:1")]);
        let dir = unpacked(&both(good.as_bytes(), None));
        fs::write(dir.path().join("oci-layout"), bytes).unwrap();
        let listing = open_dir(dir.path()).images().unwrap();
        expect(&listing, ["t/one:1", "t/two:1"]);
        let said: Vec<String> = listing.notices.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(why), "{bytes}: {said:?}");
    }
}

/// A name that no engine takes is shown as it is, and found. A word that is not a name is said.
#[test]
fn names_that_engines_refuse() {
    let (config, layer) = image("one");
    let long = format!("t/{}:1", "x".repeat(300));
    let names = ["T/App:1", "t/gr\u{f6}\u{df}e:1", &long, "t/app:a tag"];
    let id = layerlift_archive::Digest::of(config.as_bytes()).hex();
    let tags = names.map(|name| format!("\"{name}\"")).join(",");
    let archive = Tar::new()
        .file(&format!("{id}.json"), &config)
        .file("layer.tar", &layer)
        .file(
            "manifest.json",
            format!(r#"[{{"Config":"{id}.json","RepoTags":[{tags}],"Layers":["layer.tar"]}}]"#),
        )
        .finish();
    let manifest = manifest(&config, &[&layer]);
    let line = |name: &str| {
        let name = format!(r#","annotations":{{"io.containerd.image.name":"{name}"}}"#);
        descriptor(MANIFEST, &manifest, &name)
    };
    let layout = Tar::new()
        .blob(&layer)
        .blob(&config)
        .blob(&manifest)
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", index(&names.map(line)))
        .finish();
    for bytes in [archive, layout] {
        let store = store(&bytes).unwrap();
        let listing = store.images().unwrap();
        assert_eq!(rows(&listing), [format!("{} {}", &id[..12], names.join(" "))]);
        for name in names {
            let [found] = &*store.resolve(name).unwrap() else { panic!("{name} is one image") };
            assert_eq!(found.reference.as_ref().map(ToString::to_string).as_deref(), Some(name));
        }
    }
    let word = named("1.0-RC1");
    let layout = Tar::new()
        .blob(&layer)
        .blob(&config)
        .blob(&manifest)
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", index(&[descriptor(MANIFEST, &manifest, &word)]))
        .finish();
    let store = store(&layout).unwrap();
    let [found] = &*store.resolve("1.0-RC1").unwrap() else { panic!("it is one image") };
    let notices = store.image(&found.choose(&*store, None).unwrap()).unwrap().notices;
    assert_eq!(notices.len(), 1);
    assert!(notices[0].to_string().contains("\"1.0-RC1\", which is not the name of an image"));
}

/// `umoci init` makes a layout without images.
#[test]
fn a_new_layout() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
    fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(dir.path().join("index.json"), r#"{"schemaVersion":2,"manifests":null}"#).unwrap();
    let listing = open_dir(dir.path()).images().unwrap();
    assert!(listing.images.is_empty() && listing.lost.is_empty() && listing.broken.is_empty());
    fs::write(dir.path().join("index.json"), r#"{"schemaVersion":2}"#).unwrap();
    assert!(open(dir.path(), &OpenOptions::default()).is_err());
}

/// A name that leads to an empty index is reported, not lost.
#[test]
fn an_index_without_images() {
    let (layer, empty) = (layer("x"), index(&[]));
    let image_config = config(&[&layer], "");
    let image = manifest(&image_config, &[&layer]);
    let top = index(&[
        descriptor(MANIFEST, &image, &named("t/x:1")),
        descriptor(INDEX, &empty, &named("t/none:1")),
    ]);
    let tar = Tar::new().blob(&layer).blob(&image_config).blob(&image).blob(&empty);
    let listing = store(&tar.file("index.json", top).finish()).unwrap().images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (1, 0), "{listing:?}");
    let notices: Vec<String> = listing.notices.iter().map(ToString::to_string).collect();
    assert!(notices.concat().contains("t/none:1 leads to this index, which names no image"), "{notices:?}");
}

/// Without a config it is neither an image nor, if it has no type of its own, an artifact.
#[test]
fn a_manifest_without_config() {
    let layer = layer("x");
    let image_config = config(&[&layer], "");
    let whole = manifest(&image_config, &[&layer]);
    let config = format!(r#""config":{},"#, descriptor(CONFIG, &image_config, ""));
    for (member, expected) in [
        ("", "malformed"),
        (r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#, "malformed"),
        (r#""mediaType":"application/vnd.example.thing+json","#, "artifact"),
        (r#""artifactType":"application/vnd.example.thing","#, "artifact"),
    ] {
        let without = whole.replace(&config, member);
        assert_ne!(without, whole);
        let index = index(&[descriptor(MANIFEST, &without, &named("t/odd:1"))]);
        let tar = Tar::new().blob(&layer).blob(&image_config).blob(&without).file("index.json", index);
        let listing = store(&tar.finish()).unwrap().images().unwrap();
        match expected {
            "artifact" => assert_eq!((listing.artifacts.len(), listing.broken.len()), (1, 0), "{listing:?}"),
            _ => {
                let [broken] = &listing.broken[..] else { panic!("{member}: {listing:?}") };
                assert_eq!(broken.error.kind(), ErrorKind::Malformed);
                assert!(broken.error.to_string().contains("it has no config"), "{}", broken.error);
            }
        }
    }
}
