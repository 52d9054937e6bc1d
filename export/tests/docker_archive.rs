//! docker-archive: its contents and their order, which only depend on the store and the request.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::fs;

use common::fake::{Fake, Kept};
use common::{check_blobs, data_root, document, entries, entry, exported, planned, store, threaded, written};
use layerlift_export::{Options, TagPolicy, plan, select_all, tree};
use serde_json::json;

const MANY: &str = "801433d13fa6fae5aa5baadc88eb1eb6d0b1ff6fec624d97ed4518b506d90574";
const TORTURE: &str = "dd67daf7d3910c26d9039541b9cedbc978c9a91ccf11c993aefbf6167e4a408e";

#[test]
fn documents() {
    let mut store = Fake::default();
    let (a, b) = (store.add_layer("a", Kept::Plain), store.add_layer("b", Kept::Plain));
    let id = store.add_image(&[a, b, a], &["base:1", "base:latest"], "");
    let (a, b) = (store.diff_id(a).0, store.diff_id(b).0);
    let plan = planned(&store, &["base"], &Options::default()).unwrap();
    assert_eq!(plan.images().next().unwrap().image_id.unwrap().0.hex(), id);
    let tar_len = plan.tar_len();
    let tar = written(&tree(&plan.prepare(&threaded(1)).unwrap()), 1);
    assert_eq!(tar_len, Some(tar.len() as u64));
    let entries = entries(&tar);
    check_blobs(&entries);
    let index = document(&entries, "index.json");
    let manifest = index["manifests"][0]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let paths: Vec<_> = entries.iter().map(|entry| entry.path.clone()).collect();
    let blob = |hex: &str| format!("blobs/sha256/{hex}");
    let order = [
        "blobs/".to_owned(),
        "blobs/sha256/".to_owned(),
        blob(&a.hex()),
        blob(&b.hex()),
        blob(&id),
        blob(manifest),
        "oci-layout".to_owned(),
        "index.json".to_owned(),
        "repositories".to_owned(),
        "manifest.json".to_owned(),
    ];
    assert_eq!(paths, order);
    assert!(entries.iter().all(|entry| entry.mtime == 0));

    let kind = "application/vnd.oci.image.layer.v1.tar";
    let layer = |digest: &layerlift_archive::Digest| {
        let digest = digest.to_string();
        json!({"mediaType": kind, "digest": digest, "size": 2048})
    };
    let config = entry(&entries, &blob(&id));
    assert_eq!(
        document(&entries, &blob(manifest)),
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": format!("sha256:{id}"),
                "size": config.len(),
            },
            "layers": [layer(&a), layer(&b), layer(&a)],
        })
    );
    let named = |tag: &str| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": format!("sha256:{manifest}"),
            "size": entry(&entries, &blob(manifest)).len(),
            "annotations": {
                "io.containerd.image.name": format!("docker.io/library/base:{tag}"),
                "org.opencontainers.image.ref.name": tag,
            },
        })
    };
    assert_eq!(index["manifests"], json!([named("1"), named("latest")]));
    assert_eq!(document(&entries, "oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let top = a.hex();
    let repositories = format!("{{\"base\":{{\"1\":\"{top}\",\"latest\":\"{top}\"}}}}\n");
    assert_eq!(entry(&entries, "repositories"), repositories.as_bytes());
    assert_eq!(
        document(&entries, "manifest.json"),
        json!([{
            "Config": blob(&id),
            "RepoTags": ["base:1", "base:latest"],
            "Layers": [blob(&a.hex()), blob(&b.hex()), blob(&a.hex())],
            "LayerSources": {a.to_string(): layer(&a), b.to_string(): layer(&b)},
        }])
    );
}

/// Layers, config and id are those of the store, whatever driver keeps them. The bytes depend on neither the
/// number of threads nor the place.
#[test]
fn from_the_store_of_today() {
    let mut archives = Vec::new();
    for driver in ["overlay2", "vfs"] {
        let Some(root) = data_root(&format!("docker-20.10-{driver}.tar.xz")) else { return };
        let store = store(root.path());
        let plan = plan(&*store, select_all(&*store, None).unwrap(), &Options::default()).unwrap();
        assert_eq!(plan.first_pass_len(), Some(0));
        let ids: Vec<_> = plan.images().map(|image| image.image_id.unwrap().0.hex()).collect();
        assert_eq!(ids.len(), 2);
        assert!(ids.contains(&MANY.to_owned()) && ids.contains(&TORTURE.to_owned()));
        let tree = tree(&plan.prepare(&threaded(2)).unwrap());
        let tar = written(&tree, 8);
        assert!(tar == written(&tree, 1));
        let entries = entries(&tar);
        check_blobs(&entries);
        let stored = root.path().join("image").join(driver).join("imagedb/content/sha256");
        for id in ids {
            let config = fs::read(stored.join(&id)).unwrap();
            assert_eq!(entry(&entries, &format!("blobs/sha256/{id}")), config);
        }
        archives.push(tar);
    }
    assert!(archives[0] == archives[1]);
}

#[test]
fn names_by_policy() {
    let mut store = Fake::default();
    let a = store.add_layer("a", Kept::Plain);
    let id = store.add_image(&[a], &["b:1", "a:2"], "");
    let digest = format!("c@sha256:{}", "0".repeat(64));
    store.add_image(&[a], &[&digest], ", \"os\": \"linux\"");
    for (names, tags, expected) in [
        (&[id.as_str()][..], TagPolicy::Named, json!(null)),
        (&[&id], TagPolicy::Keep, json!(["b:1", "a:2"])),
        (&[&id, "a:2", &id], TagPolicy::Named, json!(["a:2"])),
        (&["a:2"], TagPolicy::Keep, json!(["a:2"])),
        (&[&digest], TagPolicy::Named, json!(null)),
    ] {
        let options = Options::default().with_tags(tags);
        let entries = entries(&exported(&store, names, &options).unwrap());
        let manifest = document(&entries, "manifest.json");
        assert_eq!(manifest[0]["RepoTags"], expected, "{names:?}");
        assert_eq!(manifest.as_array().unwrap().len(), 1);
        let unnamed = expected.is_null();
        assert_eq!(entries.iter().any(|entry| entry.path == "repositories"), !unnamed);
        let annotations = document(&entries, "index.json")["manifests"][0]["annotations"].clone();
        assert_eq!(annotations.is_null(), unnamed);
    }
}

/// A single bad name makes engines refuse a whole archive, and a name can only mean one image.
#[test]
fn names_that_have_no_place() {
    let mut store = Fake::default();
    let a = store.add_layer("a", Kept::Plain);
    let first = store.add_image(&[a], &["x:1", "docker.io/library/x:1", "Bad:1", "y:-1", "a..b:1"], "");
    let second = store.add_image(&[a], &["library/x:1", "x:2"], ", \"os\": \"linux\"");
    let plan = plan(&store, select_all(&store, None).unwrap(), &Options::default()).unwrap();
    let names: Vec<Vec<String>> =
        plan.images().map(|image| image.references.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(names, [vec!["x:1"], vec!["x:2"]]);
    let warnings: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "the name Bad:1 is left out: its repository is not valid today".to_owned(),
            "the name y:-1 is left out: its tag is not valid today".to_owned(),
            "the name a..b:1 is left out: its repository is not valid today".to_owned(),
            format!("the name x:1 stays with image {first}; image {second} loses it"),
        ]
    );
}

/// Docker finds `docker.io/foo/bar:1` by the name `foo/bar:1`. containerd may have an image of each name.
#[test]
fn a_name_in_full_comes_first() {
    let mut store = Fake::default();
    let layer = store.add_layer("a", Kept::Plain);
    let literal = store.add_image(&[layer], &["foo/bar:1"], "");
    let full = store.add_image(&[layer], &["docker.io/foo/bar:1"], ", \"os\": \"linux\"");
    let plan = plan(&store, select_all(&store, None).unwrap(), &Options::default()).unwrap();
    let names: Vec<Vec<String>> =
        plan.images().map(|image| image.references.iter().map(ToString::to_string).collect()).collect();
    assert_eq!(names, [vec![], vec!["foo/bar:1".to_owned()]]);
    let warnings: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [format!("the name foo/bar:1 stays with image {full}; image {literal} loses it")]);
}

/// The image ids are those that Docker 20.10 showed after it loaded the docker-v1 archives of the same
/// images.
#[test]
fn ids_of_the_graph_store() {
    let Some(root) = data_root("docker-graph/1.8.2-vfs/store.tar.xz") else { return };
    let store = store(root.path());
    let mut compared = 0;
    for line in include_str!("fixtures/docker-20.10-loaded-ids.txt").lines() {
        let (name, id) = line.split_once(' ').unwrap();
        let plan = planned(&*store, &[name], &Options::default()).unwrap();
        assert_eq!(plan.images().next().unwrap().image_id, None, "{name}: nothing has been hashed yet");
        assert!(plan.first_pass_len() > Some(0) && plan.to_string().contains("to be hashed"), "{plan}");
        let prepared =
            plan.prepare(&threaded(2)).unwrap_or_else(|error| panic!("{name}: {}", common::chain(&error)));
        assert_eq!(prepared.images()[0].image_id.unwrap().0.hex(), id, "{name}");
        let entries = entries(&written(&tree(&prepared), 2));
        check_blobs(&entries);
        assert_eq!(document(&entries, "manifest.json")[0]["Config"], format!("blobs/sha256/{id}"), "{name}");
        compared += 1;
    }
    assert!(compared > 60);
}
