//! Indexes: several platforms, attestations, nesting, names, and artifacts that are not images.

use layerlift_store::{Error, Hint, LeadsTo, OpenOptions, Platform, Subject, open};

use crate::contract;
use crate::made::{
    CONFIG, INDEX, MANIFEST, Tar, config, descriptor, file, index, layer, manifest, named, refused, store,
    text,
};

const PLATFORMS: &[(&str, &str)] =
    &[("linux", "s390x"), ("linux", "amd64"), ("linux", "arm64"), ("plan9", "mips")];

/// A layout with an image for each platform below a nested index, and the ids in the order of the platforms.
fn multi(platforms: &[(&str, &str)], attest: bool) -> (Vec<u8>, Vec<String>) {
    let mut tar = Tar::new();
    let mut descriptors = Vec::new();
    let mut ids = Vec::new();
    for (os, architecture) in platforms {
        let layer = layer(architecture);
        let config = config(&[&layer], &format!(r#""os":"{os}","architecture":"{architecture}","#));
        let manifest = manifest(&config, &[&layer]);
        let platform = format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}"#);
        descriptors.push(descriptor(MANIFEST, &manifest, &platform));
        ids.push(layerlift_archive::Digest::of(config.as_bytes()).hex());
        tar = tar.blob(&layer).blob(&config).blob(&manifest);
    }
    if attest {
        let unknown = r#","platform":{"os":"unknown","architecture":"unknown"}"#;
        descriptors.push(descriptor(MANIFEST, "{}", unknown));
    }
    let inner = index(&descriptors);
    let outer = index(&[descriptor(INDEX, &inner, "")]);
    let top = index(&[descriptor(INDEX, &outer, &named("multi:1"))]);
    (tar.blob(&inner).blob(&outer).file("index.json", top).finish(), ids)
}

/// The image that `multi` is for a platform; the listing has the same, and only that.
fn chosen(bytes: &[u8], platform: Option<&str>) -> Result<String, String> {
    let (_dir, path) = file(bytes);
    let platform: Option<Platform> = platform.map(|text| text.parse().unwrap());
    let text = |error: Error| {
        if let Error::NoPlatform { here, .. } = &error {
            // A single platform leaves nothing to choose.
            let expected = if here.len() > 1 { vec![Hint::ChoosePlatform] } else { Vec::new() };
            assert_eq!(error.hints(), expected);
        }
        text(&error)
    };
    let store = open(&path, &OpenOptions::default()).map_err(text)?;
    let selected = store.resolve("multi").map_err(text)?;
    assert!(matches!(&selected[0].subject, Subject::Index(index) if !index.members.is_empty()));
    let listing = store.images().map_err(text)?.on(&*store, platform.as_ref());
    let key = match selected[0].choose(&*store, platform.as_ref()) {
        Ok(key) => key,
        // Who lists everything sees it, with the first of its images.
        Err(error @ Error::NoPlatform { wanted: None, .. }) => {
            assert_eq!((listing.images.len(), listing.broken.len()), (1, 0));
            assert_eq!(listing.images[0].references.len(), 1);
            return Err(text(error));
        }
        Err(error) => {
            let [broken] = &listing.broken[..] else { panic!("{listing:?}") };
            assert_eq!(broken.error.to_string(), error.to_string());
            assert_eq!(broken.references, selected[0].reference.iter().cloned().collect::<Vec<_>>());
            return Err(text(error));
        }
    };
    store.image(&key).map_err(text)?;
    assert_eq!((listing.images.len(), listing.broken.len()), (1, 0));
    assert_eq!(listing.images[0].key, key);
    assert_eq!(listing.images[0].references.len(), 1);
    Ok(key.id().to_owned())
}

#[test]
fn choice() {
    let (all, ids) = multi(PLATFORMS, true);
    for (i, (os, architecture)) in PLATFORMS.iter().enumerate() {
        assert_eq!(chosen(&all, Some(&format!("{os}/{architecture}"))).as_ref(), Ok(&ids[i]));
    }
    let error = chosen(&all, Some("linux/386")).unwrap_err();
    assert!(error.contains("linux/s390x, linux/amd64, linux/arm64, plan9/mips"), "{error}");
    assert!(error.ends_with("not for linux/386"), "{error}");
    let (only, ids) = multi(&PLATFORMS[3..], true);
    assert_eq!(chosen(&only, None).as_ref(), Ok(&ids[0]), "an attestation is not a choice");
    let (foreign, _) = multi(&[("plan9", "mips"), ("plan9", "arm")], false);
    let error = chosen(&foreign, None).unwrap_err();
    assert!(error.contains("plan9/mips, plan9/arm"), "{error}");
}

/// An image for another platform is not listed, but is found by its id.
#[test]
fn others_by_id() {
    let (all, ids) = multi(PLATFORMS, false);
    let store = store(&all).unwrap();
    for id in &ids {
        let selected = store.resolve(id).unwrap();
        assert_eq!((contract::image(&selected[0]).id(), selected.len()), (&**id, 1));
        assert_eq!(store.image(&contract::image(&selected[0])).unwrap().layers.len(), 1);
    }
}

/// An index may name platforms that were left out of the archive.
#[test]
fn platforms_left_out() {
    let layer = layer("x");
    let config = config(&[&layer], "");
    let here = manifest(&config, &[&layer]);
    let platform = |arch: &str| format!(r#","platform":{{"os":"linux","architecture":"{arch}"}}"#);
    let inner = index(&[
        descriptor(MANIFEST, "elsewhere", &platform("amd64")),
        descriptor(MANIFEST, "elsewhere too", &platform("arm64")),
        descriptor(MANIFEST, &here, &platform("mips")),
    ]);
    let top = index(&[descriptor(INDEX, &inner, &named("multi:1"))]);
    let bytes =
        Tar::new().blob(&layer).blob(&config).blob(&here).blob(&inner).file("index.json", top).finish();
    assert!(chosen(&bytes, None).is_ok());
    assert!(chosen(&bytes, Some("linux/arm64")).unwrap_err().contains("is missing"));
}

#[test]
fn artifacts_are_not_images() {
    let config = config(&[], "");
    let image = manifest(&config, &[]);
    let chart = image.replace(CONFIG, "application/vnd.cncf.helm.config.v1+json");
    let top = index(&[
        descriptor(MANIFEST, &image, &named("image")),
        descriptor(MANIFEST, &chart, &named("chart:1")),
    ]);
    let bytes = Tar::new().blob(&config).blob(&image).blob(&chart).file("index.json", top).finish();
    let store = store(&bytes).unwrap();
    let listing = store.images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (1, 0));
    let selected = store.resolve("chart:1").unwrap();
    refused(store.image(&contract::image(&selected[0])), &["is not an image but an artifact", "helm"]);
}

/// Signatures, SBOMs and attestations have the config of an image, or an empty one.
#[test]
fn artifacts_with_the_config_of_an_image() {
    let tar = layer("x");
    let image_config = config(&[&tar], "");
    let image = manifest(&image_config, &[&tar]);
    let note = br#"{"critical":{}}"#.as_slice();
    let of_note = config(&[note], "");
    let typed = |text: String, kind: &str| text.replace("application/vnd.oci.image.layer.v1.tar", kind);
    for (of_artifact, artifact, kind) in [
        (&*of_note, manifest(&of_note, &[note]), "application/vnd.dev.cosign.simplesigning.v1+json"),
        (&*of_note, manifest(&of_note, &[note]), "text/spdx+json"),
        (&*of_note, manifest(&of_note, &[note]), "application/vnd.wasm.content.layer.v1+wasm"),
        // By its types it is an image; its config says nothing of one.
        ("{}", manifest("{}", &[note]), "application/vnd.oci.image.layer.v1.tar"),
        ("{}", manifest("{}", &[]), "application/vnd.oci.image.layer.v1.tar"),
    ] {
        let artifact = typed(artifact, kind);
        let top = index(&[
            descriptor(MANIFEST, &image, &named("app:1")),
            descriptor(MANIFEST, &artifact, &named("app:sha256-0123.sig")),
        ]);
        let blobs = Tar::new().blob(&tar).blob(&image_config).blob(&image);
        let blobs = blobs.blob(note).blob(of_artifact).blob(&artifact);
        let store = store(&blobs.file("index.json", top).finish()).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (1, 0), "{kind}");
        let [found] = &listing.artifacts[..] else { panic!("{kind}: {:?}", listing.artifacts) };
        assert_eq!(found.names, ["app:sha256-0123.sig"]);
        assert!(found.line.contains("sha256-0123.sig"));
        let blobs = found.blobs.as_ref().unwrap();
        assert!(blobs.len() >= 2 && blobs.last().unwrap().content.digest == Some(found.digest));
    }
}

/// A list of referrers is an artifact with all that it names; an index without members is nothing.
#[test]
fn an_index_of_artifacts() {
    let image_config = config(&[], "");
    let image = manifest(&image_config, &[]);
    let chart = image.replace(CONFIG, "application/vnd.cncf.helm.config.v1+json");
    let attestation = image.replace(CONFIG, "application/vnd.oci.empty.v1+json");
    let unknown = r#","platform":{"os":"unknown","architecture":"unknown"}"#;
    let list = index(&[descriptor(MANIFEST, &chart, ""), descriptor(MANIFEST, &attestation, unknown)]);
    let with_image = index(&[descriptor(MANIFEST, &image, ""), descriptor(MANIFEST, &attestation, unknown)]);
    let top = index(&[
        descriptor(INDEX, &list, &named("app:sha256-0123")),
        descriptor(INDEX, &with_image, &named("app:1")),
        descriptor(INDEX, index(&[]), &named("empty:1")),
    ]);
    let blobs = Tar::new().blob(&image_config).blob(&image).blob(&chart).blob(&attestation).blob(index(&[]));
    let blobs = blobs.blob(&list).blob(&with_image).file("index.json", top);
    let store = store(&blobs.finish()).unwrap();
    let listing = store.images().unwrap().on(&*store, None);
    assert_eq!((listing.images.len(), listing.broken.len()), (1, 0));
    let [found] = &listing.artifacts[..] else { panic!("{:?}", listing.artifacts) };
    assert_eq!(
        (found.names.clone(), found.blobs.as_ref().unwrap().len()),
        (vec!["app:sha256-0123".into()], 5)
    );
    // The attestation of the image belongs to its index.
    let [found] = &store.resolve("app:1").unwrap()[..] else { panic!("app:1 is one index") };
    let Subject::Index(of_image) = &found.subject else { panic!("{found:?}") };
    let tree = store.tree(of_image).unwrap().unwrap();
    assert_eq!(tree.raw, with_image.as_bytes());
    let [image_line, beside] = &tree.lines[..] else { panic!("{:?}", tree.lines) };
    assert!(matches!(&image_line.leads_to, LeadsTo::Image(key) if *key == listing.images[0].key));
    let LeadsTo::Artifact(artifact) = &beside.leads_to else { panic!("{beside:?}") };
    assert_eq!((artifact.digest, &artifact.line), (beside.digest, &beside.raw));
}

/// A listing without an image says what there is instead.
#[test]
fn only_an_artifact() {
    let image_config = config(&[], "");
    let chart = manifest(&image_config, &[]).replace(CONFIG, "application/vnd.cncf.helm.config.v1+json");
    let top = index(&[descriptor(MANIFEST, &chart, &named("app:1"))]);
    let tar = Tar::new().blob(&image_config).blob(&chart).file("index.json", top).finish();
    let listing = store(&tar).unwrap().images().unwrap();
    assert_eq!((listing.images.len(), listing.artifacts.len(), listing.broken.len()), (0, 1, 0));
    let said: Vec<String> = listing.notices.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with("is not an image but an artifact (application/vnd.cncf.helm.config.v1+json)"));
}

/// An image of Docker until 1.9, as a registry keeps it: layerlift cannot read it, and says so.
#[test]
fn schema_1() {
    let image_config = config(&[], "");
    let image = manifest(&image_config, &[]);
    let old = r#"{"schemaVersion":1,"name":"old","tag":"1","fsLayers":[],"history":[],"signatures":[]}"#;
    for kind in ["application/vnd.docker.distribution.manifest.v1+prettyjws", MANIFEST] {
        let top =
            index(&[descriptor(MANIFEST, &image, &named("app:1")), descriptor(kind, old, &named("old:1"))]);
        let blobs = Tar::new().blob(&image_config).blob(&image).blob(old).file("index.json", top);
        let store = store(&blobs.finish()).unwrap();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.artifacts.len()), (1, 0));
        let [broken] = &listing.broken[..] else { panic!("{:?}", listing.broken) };
        assert_eq!(broken.references[0].to_string(), "old:1");
        assert!(broken.error.to_string().contains("schema 1"), "{}", broken.error);
    }
}

/// Names as skopeo and umoci write them.
#[test]
fn names() {
    let config = config(&[], "");
    let image = manifest(&config, &[]);
    for (name, reference, also) in [
        ("1.0", Some("1.0:latest"), "1.0"),
        ("1.0-RC1", None, "1.0-RC1"),
        // Engines refuse it, but it is there.
        ("a..b:1", Some("a..b:1"), "a..b"),
        ("localhost/a/b:c", Some("localhost/a/b:c"), "b"),
        ("docker.io/library/a:c", Some("docker.io/library/a:c"), "library/a:c"),
        ("a:c", Some("a:c"), "docker.io/library/a:c"),
    ] {
        let top = index(&[descriptor(MANIFEST, &image, &named(name))]);
        let bytes = Tar::new().blob(&config).blob(&image).file("index.json", top).finish();
        let store = store(&bytes).unwrap();
        for request in [name, also] {
            let selected = store.resolve(request).unwrap_or_else(|error| panic!("{request}: {error}"));
            let found = selected[0].reference.as_ref().map(|reference| reference.to_string());
            assert_eq!((selected.len(), found.as_deref()), (1, reference), "{request}");
        }
    }
}

/// Names keep the order of `index.json`, be they those of an index or of its image. Members have no names
/// of their own, but are found by the digests of their manifests.
#[test]
fn names_of_an_index_and_of_its_image() {
    let configs =
        ["amd64", "arm64"].map(|arch| config(&[], &format!(r#""os":"linux","architecture":"{arch}","#)));
    let manifests = configs.clone().map(|config| manifest(&config, &[]));
    let inner = index(&manifests.clone().map(|manifest| descriptor(MANIFEST, manifest, "")));
    let top = index(&[
        descriptor(MANIFEST, &manifests[0], &named("first:1")),
        descriptor(INDEX, &inner, &named("multi:1")),
        descriptor(MANIFEST, &manifests[0], &named("last:1")),
    ]);
    let mut tar = Tar::new().blob(&inner);
    for document in configs.iter().chain(&manifests) {
        tar = tar.blob(document);
    }
    let store = store(&tar.file("index.json", top).finish()).unwrap();
    let listing = store.images().unwrap().on(&*store, Some(&"linux/amd64".parse().unwrap()));
    let [image] = &listing.images[..] else { panic!("{listing:?}") };
    let names: Vec<String> = image.references.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["first:1", "multi:1", "last:1"]);
    for (manifest, config) in manifests.iter().zip(&configs) {
        let name = format!("multi@{}", layerlift_archive::Digest::of(manifest.as_bytes()));
        let [selected] = &store.resolve(&name).unwrap()[..] else { panic!("{name}") };
        let id = layerlift_archive::Digest::of(config.as_bytes()).hex();
        assert_eq!((contract::image(selected).id(), &selected.reference), (&*id, &None));
    }
    let by_index = format!("multi@{}", layerlift_archive::Digest::of(inner.as_bytes()));
    for name in ["multi", "multi:1", &by_index] {
        let [selected] = &store.resolve(name).unwrap()[..] else { panic!("{name}") };
        assert!(matches!(&selected.subject, Subject::Index(index) if index.members.len() == 2), "{name}");
    }
}

/// The same name twice, and no platform to tell the images apart.
#[test]
fn ambiguous() {
    let configs = ["1", "2"].map(|x| config(&[], &format!(r#""author":"{x}","#)));
    let manifests = configs.clone().map(|config| manifest(&config, &[]));
    let top = index(&manifests.clone().map(|manifest| descriptor(MANIFEST, manifest, &named("a:1"))));
    let mut tar = Tar::new();
    for document in configs.iter().chain(&manifests) {
        tar = tar.blob(document);
    }
    let store = store(&tar.file("index.json", top).finish()).unwrap();
    assert_eq!(store.images().unwrap().images.len(), 2);
    refused(store.resolve("a:1"), &["ambiguous"]);
}
