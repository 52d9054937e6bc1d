//! How an image is found.

use layerlift_store::{Error, Store};

use crate::fixture::{CONTAINERD, Copy, DISCARDED, DOCKER, digest};

const ZSTD: &str = "8863183051fe0f74855fe499da5aa891825cd49072f0418749ff19466a280f47";
const MULTI: &str = "2d2f5817d89151d0fd49ca86c4c5c430920c393b3de3cc540e4026ee00be625e";
const MULTI_AMD64: &str = "b6eef48066e80da84ced53f482b0d11aeba8fc5ee8fec6ccc76a8f0bfae5050f";
const KIT: &str = "c19d40e025b35c394ae4d4494005a82776001d670ad7a8f64f3bef829b9c3e4e";
const UNTAGGED: &str = "d5cd2afb742a80e05b5cb7289cac05f3892ab285b7752095c79f52d6d9eb57b5";

/// The digest that a name leads to, and the tag that an archive keeps.
fn found(store: &dyn Store, name: &str) -> (String, Option<String>) {
    let selected = store.resolve(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let reference = selected[0].reference.as_ref().map(ToString::to_string);
    (digest(&selected[0]).hex(), reference)
}

#[test]
fn of_docker() {
    let copy = Copy::of(DOCKER);
    let store = copy.namespace("moby");
    let untagged = format!("moby-dangling@sha256:{UNTAGGED}");
    let by_digest = format!("127.0.0.1:5777/bench/multi@sha256:{MULTI}");
    let of_member = format!("bench/multi@sha256:{MULTI_AMD64}");
    for (name, id, reference) in [
        ("docker.io/bench/zstd:1.0", ZSTD, Some("docker.io/bench/zstd:1.0")),
        ("bench/zstd:1.0", ZSTD, Some("docker.io/bench/zstd:1.0")),
        ("bench/zstd", ZSTD, Some("docker.io/bench/zstd:1.0")),
        ("plain", ZSTD, Some("docker.io/library/plain:latest")),
        ("library/plain", ZSTD, Some("docker.io/library/plain:latest")),
        ("localhost:5000/x/y:b", ZSTD, Some("localhost:5000/x/y:b")),
        (&format!("sha256:{ZSTD}"), ZSTD, None),
        (&ZSTD[..12], ZSTD, None),
        (&untagged, UNTAGGED, None),
        (&UNTAGGED[..12], UNTAGGED, None),
        ("bench/multi:1.0", MULTI, Some("docker.io/bench/multi:1.0")),
        (&by_digest, MULTI, None),
        (&MULTI[..12], MULTI, None),
        (&of_member, MULTI_AMD64, None),
        (&MULTI_AMD64[..12], MULTI_AMD64, None),
        ("built/kit:1", KIT, Some("docker.io/built/kit:1")),
        (&KIT[..12], KIT, None),
    ] {
        let expected = (id.to_owned(), reference.map(str::to_owned));
        let found = found(&*store, name);
        // By a digest an image is found, and has no tag in an archive.
        let is_digest = found.1.as_ref().is_some_and(|reference| reference.contains('@'));
        assert!(found == expected || (found.0 == expected.0 && is_digest), "{name}: {found:?}");
    }
    let error = store.resolve("bench/zstb:1.0").unwrap_err();
    let Error::NotFound { suggestions, .. } = &error else { panic!("{error:?}") };
    assert!(suggestions.iter().any(|name| name == "docker.io/bench/zstd:1.0"), "{suggestions:?}");
}

/// All tags of a repository, with both spellings.
#[test]
fn of_a_repository() {
    let copy = Copy::of(CONTAINERD);
    let store = copy.namespace("default");
    for name in ["bench/many", "docker.io/bench/many"] {
        let found: Vec<String> = store
            .resolve(name)
            .unwrap()
            .iter()
            .map(|selected| selected.reference.as_ref().unwrap().to_string())
            .collect();
        assert_eq!(found, ["docker.io/bench/many:1.0", "docker.io/bench/many:latest"], "{name}");
    }
}

/// The config digest is a name for the CRI; `crictl images` shows it as the id.
#[test]
fn of_the_cri() {
    let copy = Copy::of(DISCARDED);
    let store = copy.namespace("k8s.io");
    for image in store.images().unwrap().on(&*store, None).images {
        let config = store.image(&image.key).unwrap().image_id().unwrap();
        for name in [config.to_string(), config.0.hex(), config.0.hex()[..13].to_owned()] {
            let selected = store.resolve(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(selected[0].choose(&*store, None).unwrap(), image.key, "{name}");
        }
    }
}
