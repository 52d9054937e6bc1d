//! Several platforms of one image, and what belongs to it, held against what `docker save` and `ctr images
//! export` wrote of the same stores.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::collections::BTreeSet;

use common::{Entry, chain, check_blobs, data_root, document, entries, entry, threaded, written};
use layerlift_export::{
    ErrorKind, Format, Layout, Options, Prepared, Selection, Warning, plan, push, select, select_all, tree,
};
use layerlift_store::{OpenOptions, Platform, Platforms, Store, open};
use serde_json::{Value, json};

const MULTI: &str = "sha256:2d2f5817d89151d0fd49ca86c4c5c430920c393b3de3cc540e4026ee00be625e";
const KIT: &str = "sha256:c19d40e025b35c394ae4d4494005a82776001d670ad7a8f64f3bef829b9c3e4e";
const MLIST: &str = "sha256:47b3beb594d15309f07d3847751d9acb21035df7097c092cd9de3c3aade3892a";
const FORMATS: [Format; 2] = [Format::DockerArchive, Format::OciArchive];

fn of(platforms: &[&str]) -> Platforms {
    Platforms::of(platforms.iter().map(|text| text.parse().unwrap()))
}

fn namespace(fixture: &str, namespace: &str) -> Option<(tempfile::TempDir, Box<dyn Store>)> {
    let root = data_root(&format!("containerd/{fixture}/store.tar.xz"))?;
    let below = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    let store = open(&below, &OpenOptions::default().with_partition(namespace)).unwrap();
    Some((root, store))
}

fn prepared(store: &dyn Store, name: &str, platforms: &Platforms, options: &Options) -> Prepared {
    let selection = select(store, &[name], platforms.clone()).unwrap();
    let plan = plan(store, selection, options).unwrap();
    let expected = |warning: &Warning| matches!(warning, Warning::LayersRefused { .. });
    assert!(plan.warnings().iter().all(expected), "{name}: {:?}", plan.warnings());
    let len = plan.tar_len();
    let prepared = plan.prepare(&threaded(2)).unwrap();
    assert_eq!(len, Some(tree(&prepared).tar_len()));
    prepared
}

fn saved(store: &dyn Store, name: &str, platforms: &Platforms, options: &Options) -> Vec<Entry> {
    let entries = entries(&written(&tree(&prepared(store, name, platforms, options)), 2));
    check_blobs(&entries);
    entries
}

fn path(digest: &str) -> String {
    digest.replace("sha256:", "blobs/sha256/")
}

/// The digests of blobs that an archive has.
fn blobs(archive: &[Entry]) -> BTreeSet<String> {
    let names = archive.iter().filter_map(|entry| entry.path.strip_prefix("blobs/sha256/"));
    names.filter(|hex| !hex.is_empty()).map(|hex| format!("sha256:{hex}")).collect()
}

/// All that is named from a digest down; what is not there is in the second set.
fn named(archive: &[Entry], digest: &str, here: &mut BTreeSet<String>, missing: &mut BTreeSet<String>) {
    if !blobs(archive).contains(digest) {
        missing.insert(digest.to_owned());
        return;
    }
    here.insert(digest.to_owned());
    let Ok(found) = serde_json::from_slice::<Value>(entry(archive, &path(digest))) else { return };
    let lists = ["manifests", "layers"].iter().filter_map(|key| found[key].as_array()).flatten();
    for line in lists.chain([&found["config"]]).filter_map(|line| line["digest"].as_str()) {
        named(archive, line, here, missing);
    }
}

/// The one line of `index.json`, and what is named below it; nothing else is in the archive.
fn only(archive: &[Entry]) -> (Value, BTreeSet<String>) {
    let index = document(archive, "index.json");
    let [line] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    let (mut here, mut missing) = (BTreeSet::new(), BTreeSet::new());
    named(archive, line["digest"].as_str().unwrap(), &mut here, &mut missing);
    assert_eq!(here, blobs(archive));
    (line.clone(), missing)
}

/// The index that a line names.
fn index(archive: &[Entry], line: &Value) -> Value {
    document(archive, &path(line["digest"].as_str().unwrap()))
}

fn platforms(index: &Value) -> Vec<String> {
    let platform = |line: &Value| {
        let of = |key: &str| line["platform"][key].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", of("os"), of("architecture"))
    };
    index["manifests"].as_array().unwrap().iter().map(platform).collect()
}

/// All that the index names is here, so it stays as it is: its digest is what `docker save` gives.
#[test]
fn all_of_an_index() {
    for (fixture, partition, name) in
        [("docker-28", "moby", "bench/multi:1.0"), ("containerd-2.1", "default", "docker.io/bench/multi:1.0")]
    {
        let Some((_root, store)) = namespace(fixture, partition) else { return };
        for format in FORMATS {
            let options = Options::default().with_format(format);
            let archive = saved(&*store, name, &Platforms::All, &options);
            let (line, missing) = only(&archive);
            assert_eq!((line["digest"].as_str(), missing.len()), (Some(MULTI), 0), "{fixture} as {format}");
            // The one for this machine has the name.
            let items = document(&archive, "manifest.json");
            let tags: Vec<&Value> = items.as_array().unwrap().iter().map(|item| &item["RepoTags"]).collect();
            assert!(tags.len() > 1 && *tags[0] == json!(["bench/multi:1.0"]), "{items}");
            assert!(tags[1..].iter().all(|tags| tags.is_null()), "{items}");
        }
    }
}

/// With some of its platforms there is a new index: the lines are those of the stored one.
#[test]
fn some_platforms() {
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    for format in FORMATS {
        let options = Options::default().with_format(format);
        let all = saved(&*store, "bench/multi:1.0", &Platforms::All, &options);
        let stored = document(&all, &path(MULTI));
        let wanted = of(&["linux/arm", "linux/arm64"]);
        let archive = saved(&*store, "bench/multi:1.0", &wanted, &options);
        let (line, missing) = only(&archive);
        assert_eq!(missing.len(), 0, "no blob is named that is not there");
        let made = index(&archive, &line);
        assert_ne!(line["digest"], MULTI);
        assert_eq!(made["mediaType"], stored["mediaType"]);
        let lines = made["manifests"].as_array().unwrap();
        let stored = stored["manifests"].as_array().unwrap();
        assert!(lines.iter().all(|line| stored.contains(line)) && lines.len() >= 2, "{made}");
        let images = platforms(&made).into_iter().filter(|platform| platform != "unknown/unknown");
        assert_eq!(images.collect::<Vec<_>>(), ["linux/arm64", "linux/arm"], "in the order of the index");
        // What was asked for first is the default choice, where this machine's is not among them.
        let items = document(&archive, "manifest.json");
        assert_eq!(
            (items.as_array().unwrap().len(), &items[0]["RepoTags"]),
            (2, &json!(["bench/multi:1.0"]))
        );
        let config = document(&archive, items[0]["Config"].as_str().unwrap());
        assert_eq!(config["architecture"], "arm");
    }
}

/// Images that are here for other platforms than the usual one are not left out in silence; with a requested
/// platform, that is what was asked for. What was never pulled is not left out.
#[test]
fn platforms_left_out() {
    if !Platform::host().matches(&"linux/amd64".parse().unwrap()) {
        eprintln!("skipped: the stores have no image for this machine");
        return;
    }
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    let left_out = |selection: Selection, options: &Options| {
        let plan = plan(&*store, selection, options).unwrap();
        let of = |warning: &Warning| match warning {
            Warning::PlatformsLeftOut { image, platforms } => {
                Some((image.trim_start_matches("docker.io/").to_owned(), platforms.join(" ")))
            }
            _ => None,
        };
        plan.warnings().iter().filter_map(of).collect::<BTreeSet<_>>()
    };
    let named = |name: &str, platforms: Platforms| select(&*store, &[name], platforms).unwrap();
    let two = BTreeSet::from([("built/two:1".to_owned(), "linux/arm64".to_owned())]);
    for options in [Options::default(), Options::default().with_keep_index(true)] {
        assert_eq!(left_out(named("built/two:1", Platforms::Usual), &options), two);
        for (name, platforms) in [
            ("built/two:1", Platforms::All),
            ("built/two:1", of(&["linux/amd64"])),
            // Of these, the host has pulled one platform, or there is only one.
            ("127.0.0.1:5777/bench/mlist:1.0", Platforms::Usual),
            ("bench/foreign:1.0", Platforms::Usual),
            ("built/kit:1", Platforms::Usual),
        ] {
            assert_eq!(left_out(named(name, platforms.clone()), &options), BTreeSet::new(), "{name}");
        }
    }
    let all = left_out(select_all(&*store, None).unwrap(), &Options::default());
    let multi = ("bench/multi:1.0".to_owned(), "linux/arm64/v8 linux/arm/v7".to_owned());
    assert!(all.is_superset(&two) && all.contains(&multi), "{all:?}");
    let everything = select_all(&*store, Platforms::All).unwrap();
    assert_eq!(left_out(everything, &Options::default()), BTreeSet::new());
}

/// If the image that has the names of an index is damaged, the next one that is saved has them.
#[test]
fn names_stay_with_the_index() {
    const BLOBS: &str = "containerd/daemon/io.containerd.content.v1.content/blobs/sha256";
    const CONFIG: &str = "dc041c6fadb082c5e488f29c8b05e41beb862a82846ffe4ed589ff323c9eb148";
    let Some((root, store)) = namespace("docker-28", "moby") else { return };
    let below = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    let manifest = select(&*store, &["bench/multi:1.0"], of(&["linux/amd64"])).unwrap();
    let layer = store.image(&manifest.images[0].image).unwrap().layers[0].key.id().to_owned();
    let layer = layer.split('@').next().unwrap().rsplit([':', '/']).next().unwrap().to_owned();
    for (blob, is_layer) in [(CONFIG.to_owned(), false), (layer, true)] {
        let path = below.join(BLOBS).join(blob);
        let sound = std::fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        bytes[sound.len() / 2] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let store = open(&below, &OpenOptions::default().with_partition("moby")).unwrap();
        for format in [Format::DockerArchive, Format::OciArchive, Format::DockerV1] {
            let options = Options::default().with_format(format).with_keep_going(true);
            for selection in [
                select(&*store, &["bench/multi:1.0"], Platforms::All).unwrap(),
                select_all(&*store, Platforms::All).unwrap(),
            ] {
                let plan = plan(&*store, selection, &options).unwrap();
                let known = plan.left_out().len();
                let prepared = plan.prepare(&threaded(2)).unwrap();
                assert!(known + prepared.left_out().len() > 0, "{format}");
                let named = |image: &&layerlift_export::PlannedImage| {
                    image.references.iter().any(|name| name.familiar().to_string() == "bench/multi:1.0")
                };
                assert_eq!(prepared.images().iter().filter(named).count(), 1, "{format} {is_layer}");
                if format != Format::DockerV1 {
                    let archive = entries(&written(&tree(&prepared), 2));
                    let lines = document(&archive, "index.json")["manifests"].clone();
                    let name = "docker.io/bench/multi:1.0";
                    let line = lines.as_array().unwrap().iter();
                    let line = line.filter(|line| line["annotations"]["io.containerd.image.name"] == name);
                    let [line] = line.collect::<Vec<_>>()[..] else { panic!("{lines}") };
                    let made = index(&archive, line);
                    assert!(platforms(&made).contains(&"linux/arm64".to_owned()), "{made}");
                }
            }
        }
        std::fs::write(&path, sound).unwrap();
    }
}

/// One platform without an attestation is an image: every engine loads it.
#[test]
fn one_platform() {
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    for format in FORMATS {
        let options = Options::default().with_format(format);
        let archive = saved(&*store, "127.0.0.1:5777/bench/mlist:1.0", &of(&["linux/amd64"]), &options);
        let (line, missing) = only(&archive);
        assert_eq!(missing.len(), 0);
        assert_eq!(line["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
        // The index stays if that is asked for, and names what is not there.
        let options = options.with_keep_index(true);
        let archive = saved(&*store, "127.0.0.1:5777/bench/mlist:1.0", &Platforms::Usual, &options);
        let (line, missing) = only(&archive);
        assert_eq!((line["digest"].as_str(), missing.len()), (Some(MLIST), 1));
    }
}

/// BuildKit's attestation belongs to its image, which keeps the index as `docker save` writes it.
#[test]
fn attestations_go_along() {
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    for format in FORMATS {
        let options = Options::default().with_format(format);
        for name in ["built/kit:1", "c19d40e025b3"] {
            let archive = saved(&*store, name, &Platforms::Usual, &options);
            let (line, missing) = only(&archive);
            assert_eq!((line["digest"].as_str(), missing.len()), (Some(KIT), 0), "{name}");
            assert_eq!(
                document(&archive, "manifest.json").as_array().unwrap().len(),
                1,
                "it is not an image"
            );
        }
        // Of two platforms, only the attestation of the one that is saved.
        let archive = saved(&*store, "built/two:1", &of(&["linux/arm64"]), &options);
        let (line, missing) = only(&archive);
        let made = index(&archive, &line);
        assert_eq!(
            (platforms(&made), missing.len()),
            (vec!["linux/arm64".into(), "unknown/unknown".into()], 0)
        );
        let [image, attestation] = made["manifests"].as_array().unwrap().as_slice() else { panic!("{made}") };
        assert_eq!(attestation["annotations"]["vnd.docker.reference.digest"], image["digest"]);
        // Its id names the image alone.
        let alone = saved(&*store, image["digest"].as_str().unwrap(), &Platforms::Usual, &options);
        assert_eq!(only(&alone).0["digest"], image["digest"]);
    }
    // docker-v1 has no place for it, and says so.
    let v1 = Options::default().with_format(Format::DockerV1);
    let selection = select(&*store, &["built/kit:1"], None).unwrap();
    let warnings = plan(&*store, selection, &v1).unwrap().warnings().to_vec();
    let left_out = warnings.iter().find_map(|warning| match warning {
        Warning::CompanionsLeftOut { image, count: 1, .. } => Some(image),
        _ => None,
    });
    let image = left_out.unwrap();
    assert_eq!(image, "docker.io/built/kit:1");
    let selection = select(&*store, &["built/kit:1"], None).unwrap();
    let error = plan(&*store, selection, &v1.with_keep_index(true)).err().unwrap();
    assert_eq!((error.kind(), &*chain(&error)), (ErrorKind::Request, "docker-v1 cannot hold an index"));
}

/// An attestation is about one manifest: where that becomes another one, it stays behind, and the index
/// cannot be kept.
#[test]
fn another_manifest() {
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    let layers = layerlift_export::LayerCompression::With(layerlift_archive::CompressionLevel::GZIP);
    let options = Options::default().with_layers(layers);
    let planned =
        |options: &Options| plan(&*store, select(&*store, &["built/kit:1"], None).unwrap(), options).unwrap();
    let prepared = planned(&options).prepare(&threaded(2)).unwrap();
    let left_out = |warning: &&Warning| matches!(warning, Warning::CompanionsLeftOut { count: 1, .. });
    assert_eq!(prepared.warnings().iter().filter(left_out).count(), 1, "{:?}", prepared.warnings());
    let archive = entries(&written(&tree(&prepared), 2));
    let (line, missing) = only(&archive);
    let made = index(&archive, &line);
    assert_eq!((platforms(&made), missing.len()), (vec!["linux/amd64".to_owned()], 0));
    let error = planned(&options.with_keep_index(true)).prepare(&threaded(2)).err().unwrap();
    assert!(
        chain(&error).contains("built/kit:1 cannot keep its index: the manifest of"),
        "{}",
        chain(&error)
    );
}

/// An archive of several platforms is read as what it is, and so is a layout that gets them.
#[test]
fn again() {
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    let dir = tempfile::tempdir().unwrap();
    let wanted = of(&["linux/amd64", "linux/arm64"]);
    for format in FORMATS {
        let file = dir.path().join(format.name());
        let options = Options::default().with_format(format);
        let archive = prepared(&*store, "bench/multi:1.0", &wanted, &options);
        std::fs::write(&file, written(&tree(&archive), 2)).unwrap();
        let again = common::store(&file);
        let images = select(&*again, &["bench/multi:1.0"], Platforms::All).unwrap().images;
        assert_eq!(images.len(), 2, "{format}");
        let second =
            entries(&written(&tree(&prepared(&*again, "bench/multi:1.0", &Platforms::All, &options)), 2));
        assert_eq!(blobs(&second), blobs(&entries(&std::fs::read(&file).unwrap())), "{format}");
    }
    let oci = Options::default().with_format(Format::OciArchive);
    let layout = dir.path().join("layout");
    std::fs::create_dir(&layout).unwrap();
    let first = prepared(&*store, "built/kit:1", &Platforms::Usual, &oci);
    layerlift_archive::write_dir(&tree(&first), &layout, &threaded(1)).unwrap();
    let target = Layout::try_open(&layout).unwrap().unwrap();
    let more = prepared(&*store, "bench/multi:1.0", &Platforms::All, &oci);
    push(more.bundle().unwrap(), &target, &threaded(1)).unwrap();
    let items: Value = serde_json::from_slice(&std::fs::read(layout.join("manifest.json")).unwrap()).unwrap();
    let named: Vec<&Value> =
        items.as_array().unwrap().iter().filter(|item| !item["RepoTags"].is_null()).collect();
    let tags: Vec<&Value> = named.iter().map(|item| &item["RepoTags"]).collect();
    assert_eq!(tags, [&json!(["built/kit:1"]), &json!(["bench/multi:1.0"])]);
    let config: Value = {
        let path = layout.join(named[1]["Config"].as_str().unwrap());
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(common::store(&layout).images().unwrap().indexes.len(), 2);
}

/// Everything, with all platforms that are here.
#[test]
fn everything() {
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    let options = Options::default().with_keep_going(true);
    let selection = select_all(&*store, Platforms::All).unwrap();
    let prepared = plan(&*store, selection, &options).unwrap().prepare(&threaded(2)).unwrap();
    let archive = entries(&written(&tree(&prepared), 2));
    check_blobs(&archive);
    let top = document(&archive, "index.json");
    let (mut here, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for line in top["manifests"].as_array().unwrap() {
        named(&archive, line["digest"].as_str().unwrap(), &mut here, &mut missing);
    }
    assert_eq!((missing.len(), here), (0, blobs(&archive)));
    let line = |name: &str| {
        let full = json!(format!("docker.io/{name}"));
        let lines = top["manifests"].as_array().unwrap().iter();
        lines.filter(|line| line["annotations"]["io.containerd.image.name"] == full).count()
    };
    for name in ["bench/multi:1.0", "built/kit:1", "built/two:1", "bench/many:1.0"] {
        assert_eq!(line(name), 1, "{name}");
    }
}

/// Images that only share a name in `index.json` have no index that could be kept; several get one.
#[test]
fn images_that_share_a_name() {
    let Some((_root, store)) = namespace("docker-28", "moby") else { return };
    let dir = tempfile::tempdir().unwrap();
    let oci = Options::default().with_format(Format::OciArchive);
    let all = prepared(&*store, "bench/multi:1.0", &Platforms::All, &oci);
    layerlift_archive::write_dir(&tree(&all), dir.path(), &threaded(1)).unwrap();
    let path_of = |name: &str| dir.path().join(name);
    let stored: Value = serde_json::from_slice(&std::fs::read(path_of(&path(MULTI))).unwrap()).unwrap();
    let mut lines: Vec<Value> = stored["manifests"].as_array().unwrap().clone();
    lines.retain(|line| line["platform"]["os"] != "unknown");
    for line in &mut lines {
        line["annotations"] = json!({"org.opencontainers.image.ref.name": "shared:1"});
    }
    let top = json!({"schemaVersion": 2, "manifests": lines});
    std::fs::write(path_of("index.json"), top.to_string()).unwrap();
    std::fs::remove_file(path_of("manifest.json")).unwrap();
    let layout = common::store(dir.path());
    let archive = saved(&*layout, "shared:1", &Platforms::All, &Options::default());
    let (line, missing) = only(&archive);
    assert_eq!((platforms(&index(&archive, &line)).len(), missing.len()), (lines.len(), 0));
    let selection = select(&*layout, &["shared:1"], None).unwrap();
    let error = plan(&*layout, selection, &oci.with_keep_index(true)).err().unwrap();
    assert!(chain(&error).contains("its images share a name"), "{}", chain(&error));
}
