//! What is there, as the engines list it.

use std::collections::BTreeSet;

use layerlift_store::{Document, Error, ErrorKind, OpenOptions, StoreKind, open};

use crate::contract::{self, key};
use crate::fixture::{CONTAINERD, Copy, DISCARDED, DOCKER, OLD, digest, listed};

/// The config of the images whose names are in `ctr images ls` as what they are.
const ARTIFACT: &str = "docker.io/bench/artifact:1.0";

/// Every name leads to what `ctr images ls` has for it, in the spelling of the store.
#[test]
fn every_name_leads_to_its_digest() {
    for fixture in [DOCKER, CONTAINERD, DISCARDED, OLD] {
        let copy = Copy::of(fixture);
        let listed = listed(fixture);
        let mut names = 0;
        for (namespace, images) in &listed {
            let store = copy.namespace(namespace);
            assert_eq!(store.kind(), StoreKind::Containerd);
            for (name, expected) in images {
                names += 1;
                let found = store.resolve(name).unwrap_or_else(|error| panic!("{fixture}: {name}: {error}"));
                assert_eq!(found.len(), 1, "{fixture}: {name}");
                assert_eq!(&digest(&found[0]).to_string(), expected, "{fixture}: {name}");
                if name != ARTIFACT {
                    assert!(found[0].choose(&*store, None).is_ok(), "{fixture}: {name}");
                }
            }
        }
        let expected = match fixture {
            DOCKER => (1, 25),
            CONTAINERD => (3, 17),
            DISCARDED => (2, 19),
            _ => (3, 7),
        };
        assert_eq!((listed.len(), names), expected, "{fixture}");
    }
}

/// Layers hash to their diff ids; those that are not there are the ones that the engine lacks, too.
#[test]
fn keeps_the_contract() {
    for (fixture, namespace, missing) in [
        (DOCKER, "moby", 0),
        (CONTAINERD, "default", 0),
        (CONTAINERD, "k8s.io", 0),
        (CONTAINERD, "partial", 0),
        (OLD, "default", 0),
        (OLD, "k8s.io", 0),
        (OLD, "partial", 0),
    ] {
        let copy = Copy::of(fixture);
        let store = copy.namespace(namespace);
        let mut lacks = BTreeSet::new();
        for summary in store.images().unwrap().on(&*store, None).images {
            for layer in store.image(&summary.key).unwrap().layers {
                if let Err(error) = store.layer(&layer.key) {
                    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
                    lacks.insert(layer.key.id().to_owned());
                }
            }
        }
        assert_eq!(lacks.len(), missing, "{fixture}, {namespace}: {lacks:?}");
        let lacks: Vec<&str> = lacks.iter().map(String::as_str).collect();
        contract::check(copy.root(), &|| copy.namespace(namespace), &lacks);
    }
}

/// Docker's list: untagged images have no names, and an image with several has one row.
#[test]
fn as_docker_lists_them() {
    let copy = Copy::of(DOCKER);
    let store = open(copy.root(), &OpenOptions::default()).unwrap();
    let listing = store.images().unwrap().on(&*store, None);
    assert!(listing.broken.is_empty(), "{:?}", listing.broken);
    let untagged: BTreeSet<&str> = listing
        .images
        .iter()
        .filter(|image| image.references.is_empty())
        .map(|image| &image.key.id()[..12])
        .collect();
    assert_eq!(untagged, BTreeSet::from(["073189e7b969", "0e342d0818c1", "100fc3b12702", "d5cd2afb742a"]));
    let zstd = key(&*store, "bench/zstd:1.0");
    let row = listing.images.iter().find(|image| image.key == zstd).unwrap();
    let names: Vec<String> = row.references.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "docker.io/bench/zstd:1.0",
            "docker.io/library/plain:latest",
            "docker.io/other/name:a",
            "localhost:5000/x/y:b"
        ]
    );
    assert_eq!(listing.images.len(), 18);
}

/// The CRI's three names of an image are one row, and the one that is an id is not a tag.
#[test]
fn names_of_the_cri() {
    let copy = Copy::of(DISCARDED);
    let store = copy.namespace("k8s.io");
    let listing = store.images().unwrap().on(&*store, None);
    assert_eq!(listing.images.len(), 5);
    for image in &listing.images {
        let names: Vec<String> = image.references.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("127.0.0.1:5777/bench/")), "{names:?}");
    }
}

/// The id of an image is its manifest's digest; its config's finds it, too.
#[test]
fn ids() {
    let copy = Copy::of(DOCKER);
    let store = copy.namespace("moby");
    let image = store.image(&key(&*store, "bench/many:1.0")).unwrap();
    let own = image.own_manifest().unwrap();
    assert_eq!(own.digest.hex(), image.key.id());
    assert!(matches!(&image.document, Document::Config { manifests, .. } if manifests.len() == 1));
    let config = image.image_id().unwrap();
    assert!(config.to_string().starts_with("sha256:801433d13fa6"));
    assert_eq!(key(&*store, &config.to_string()), image.key);
    // Two manifests have this config, one of them without its layers.
    assert_eq!(key(&*store, "00e3826985ad"), key(&*store, "bench/zstd:1.0"));
}

#[test]
fn namespaces() {
    let copy = Copy::of(CONTAINERD);
    let error = open(copy.root(), &OpenOptions::default()).err().unwrap();
    let Error::SeveralNamespaces { present, .. } = &error else { panic!("{error}") };
    let present: Vec<(&str, usize)> = present.iter().map(|(name, count)| (&**name, *count)).collect();
    assert_eq!(present, [("default", 13), ("k8s.io", 2), ("partial", 2)]);
    let wanted = OpenOptions::default().with_partition("moby");
    let error = open(copy.root(), &wanted).err().unwrap();
    assert!(matches!(&error, Error::NoNamespace { present, .. } if present.len() == 3), "{error}");
    let all = copy.all();
    let listing = all.images().unwrap().on(&*all, None);
    let partitions: BTreeSet<&str> = listing.images.iter().map(|image| image.key.partition()).collect();
    assert_eq!(partitions, BTreeSet::from(["default", "k8s.io", "partial"]));
    for image in &listing.images {
        assert!(all.image(&image.key).is_ok());
    }
    // Blobs of BuildKit's history are in a namespace without images.
    let copy = Copy::of(DOCKER);
    assert_eq!(open(copy.root(), &OpenOptions::default()).unwrap().kind(), StoreKind::Containerd);
}

/// A blob that only another namespace has is not there, though its file is.
#[test]
fn blobs_of_other_namespaces() {
    let copy = Copy::of(CONTAINERD);
    let (partial, default) = (copy.namespace("partial"), copy.namespace("default"));
    let name = "docker.io/bench/multi:1.0";
    let here = |store: &dyn layerlift_store::Store| {
        let error = store.resolve(name).unwrap()[0].choose(store, Some(&"plan9/mips".parse().unwrap()));
        let Err(Error::NoPlatform { here, missing, .. }) = error else { panic!("{error:?}") };
        (here, missing)
    };
    let (amd64, arm64, arm) =
        ("linux/amd64".to_owned(), "linux/arm64/v8".to_owned(), "linux/arm/v7".to_owned());
    assert_eq!(here(&*default), (vec![amd64.clone(), arm64.clone(), arm.clone()], vec![]));
    assert_eq!(here(&*partial), (vec![amd64.clone(), arm.clone()], vec![arm64.clone()]));
    // Pulled for one platform: ctr has the documents of the others, too, but not their layers.
    let k8s = copy.namespace("k8s.io");
    let selected = k8s.resolve("127.0.0.1:5777/bench/multi:1.0").unwrap();
    let error = selected[0].choose(&*k8s, Some(&"linux/arm64".parse().unwrap())).unwrap_err();
    assert!(matches!(&error, Error::NoPlatform { here, .. } if *here == [amd64.clone()]), "{error}");
}

/// What is not an image is listed apart.
#[test]
fn artifacts() {
    let copy = Copy::of(CONTAINERD);
    let store = copy.namespace("default");
    let listing = store.images().unwrap();
    let names: Vec<&[String]> = listing.artifacts.iter().map(|artifact| &*artifact.names).collect();
    assert_eq!(names, [[ARTIFACT]]);
    assert_eq!(listing.artifacts[0].blobs.as_ref().unwrap().len(), 3);
    let error = store.resolve(ARTIFACT).unwrap()[0].choose(&*store, None).map(|key| store.image(&key));
    assert!(matches!(error, Ok(Err(Error::Unsupported { .. }))), "{error:?}");
}
