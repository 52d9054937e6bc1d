//! Graph stores that daemons of Docker 1.7 and 1.8 wrote, and the answers of those daemons: names, chains,
//! listing, damage.
//!
//! `fixtures/docker-graph/<store>/` has `store.tar.xz`, a data root, and `cases.json.xz`: for each request,
//! the entries and the `repositories` of the archive that `docker save` wrote, or its error.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod contract;
#[path = "graph/made.rs"]
mod made;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerlift_store::{Document, Error, OpenOptions, Store, StoreKind, detect, open};
use liblzma::read::XzDecoder;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    case: String,
    names: Vec<String>,
    ok: bool,
    #[serde(default)]
    error: String,
    #[serde(default)]
    repositories: Option<String>,
    #[serde(default)]
    entries: Vec<Vec<serde_json::Value>>,
}

type Repositories = BTreeMap<String, BTreeMap<String, String>>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/docker-graph").join(name)
}

fn cases(name: &str) -> Vec<Case> {
    let file = File::open(fixture(name).join("cases.json.xz")).unwrap();
    let cases: Cases = serde_json::from_reader(std::io::BufReader::new(XzDecoder::new(file))).unwrap();
    cases.cases
}

/// A copy of a data root. `None` if its devices and owners cannot be restored, which is printed.
fn data_root(name: &str) -> Option<tempfile::TempDir> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped, needs root: {name} has devices and the files of other users");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut tar = Command::new("tar")
        .args(["--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--directory"])
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tar is installed");
    let mut xz = XzDecoder::new(File::open(fixture(name).join("store.tar.xz")).unwrap());
    std::io::copy(&mut xz, &mut tar.stdin.take().unwrap()).unwrap();
    assert!(tar.wait().unwrap().success(), "cannot unpack {name}");
    Some(dir)
}

fn store(root: &Path) -> Box<dyn Store> {
    open(root, &OpenOptions::default()).unwrap()
}

/// The contents of an archive of these names: `repositories`, and a folder for each layer.
fn archive(store: &dyn Store, names: &[String]) -> Result<(Repositories, BTreeSet<String>), Error> {
    let (mut repositories, mut layers) = (Repositories::new(), BTreeSet::new());
    for name in names {
        for selected in store.resolve(name)? {
            let image = contract::image(&selected);
            let found = store.image(&image)?.layers;
            layers.extend(found.into_iter().map(|layer| layer.key.id().to_owned()));
            if let Some(reference) = selected.reference {
                let tags = repositories.entry(reference.repository().to_owned()).or_default();
                tags.insert(reference.tag_or_digest().to_owned(), image.id().to_owned());
            }
        }
    }
    Ok((repositories, layers))
}

/// Compares the cases of a store that `wanted` picks with the daemon's answers.
fn compare(name: &str, root: &Path, wanted: impl Fn(&Case) -> bool) {
    let store = store(root);
    let mut compared = 0;
    for case in cases(name).into_iter().filter(wanted) {
        let ours = archive(store.as_ref(), &case.names);
        if !case.ok {
            assert!(ours.is_err(), "{name} {}: found, where the daemon said {}", case.case, case.error);
        } else {
            let ours = ours.unwrap_or_else(|e| panic!("{name} {}: {e}", case.case));
            let repositories = case.repositories.as_deref().map_or_else(Repositories::new, |text| {
                serde_json::from_str(text).unwrap_or_else(|e| panic!("{name} {}: {e}", case.case))
            });
            let folders = case.entries.iter().filter(|entry| entry[0] == "dir");
            let folders = folders.map(|entry| entry[3].as_str().unwrap().to_owned()).collect();
            assert_eq!(ours, (repositories, folders), "{name} {}", case.case);
        }
        compared += 1;
    }
    assert!(compared > 20, "{name}: only {compared} cases");
}

/// Failures of the daemon that concern the bytes of a layer, not names and chains.
fn bytes(case: &Case) -> bool {
    ["no such id", "Multiple IDs", "No such image", "wrong id", "Prefix can't", "/json: no such"]
        .iter()
        .all(|text| !case.error.contains(text))
        && !case.ok
}

#[test]
fn store_of_1_8() {
    let Some(root) = data_root("1.8.2-vfs") else { return };
    compare("1.8.2-vfs", root.path(), |case| !bytes(case));
    listing(root.path());
    // Docker 1.8 recorded files that it never unpacked: those of aufs itself, the contents of a global
    // header.
    let unreadable = [
        "48337d6a23dc8807e5752058ebe6d60ab3a6751c640b697b5a01acafa453e79e",
        "6916fb8c1dc8fb266fcdf90c7e1ed67bc15729c8db170d3353b4217ac3cddd06",
    ];
    contract::check(root.path(), &|| store(root.path()), &unreadable);
}

#[test]
fn store_of_1_7() {
    let Some(root) = data_root("1.7.1-overlay") else { return };
    // 1.8 changed the rules for these.
    let other = ["pfx_", "dig_", "repoid", "err_", "id", "amb_"];
    let other = |case: &Case| other.iter().any(|start| case.case.starts_with(start));
    compare("1.7.1-overlay", root.path(), |case| !bytes(case) && !other(case));
    contract::check(root.path(), &|| store(root.path()), &[]);
}

#[test]
fn damaged_store() {
    let Some(root) = data_root("1.8.3-vfs-broken") else { return };
    // The daemon answered some cases that make no sense (a folder with half an id, a chain without an end),
    // and failed in others because of a size that no archive needs.
    let other = [
        "cycle",
        "selfparent",
        "short",
        "emptyid",
        "emptyrepo",
        "nlsize",
        "badsize",
        "repo_json",
        "halfghost",
    ];
    let odd = |case: &Case| other.iter().any(|part| case.case.contains(part));
    compare("1.8.3-vfs-broken", root.path(), |case| !bytes(case) && !odd(case));
    damaged_listing(root.path());
}

fn listing(root: &Path) {
    let [found] = <[_; 1]>::try_from(detect(root).unwrap()).unwrap();
    assert_eq!(found.kind, StoreKind::DockerGraph);
    assert_eq!(
        (found.partitions, found.evidence),
        (vec!["vfs".into()], vec!["graph".into(), "repositories-vfs".into()])
    );

    let store = store(root);
    let listing = store.images().unwrap();
    assert!(listing.broken.is_empty(), "{:?}", listing.broken);
    let mut names = Repositories::new();
    for image in &listing.images {
        for reference in &image.references {
            let tags = names.entry(reference.repository().to_owned()).or_default();
            tags.insert(reference.tag_or_digest().to_owned(), image.key.id().to_owned());
        }
        let Document::V1(documents) = store.image(&image.key).unwrap().document else {
            panic!("no v1 image")
        };
        let size = |id: &str| {
            let text = fs::read_to_string(root.join(format!("graph/{id}/layersize"))).ok()?;
            text.parse::<u64>().ok()
        };
        let sizes = documents.iter().map(|document| size(document.id.as_str()));
        assert_eq!(image.size, sizes.sum::<Option<u64>>(), "{}", image.key.id());
        let raw = fs::read(root.join(format!("graph/{}/json", image.key.id()))).unwrap();
        assert_eq!(documents.last().unwrap().raw, raw);
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Stored {
        repositories: Repositories,
    }
    let stored: Stored = serde_json::from_slice(&fs::read(root.join("repositories-vfs")).unwrap()).unwrap();
    assert_eq!(names, stored.repositories);
    let untagged: Vec<&str> =
        listing.images.iter().filter(|i| i.references.is_empty()).map(|i| &i.key.id()[..12]).collect();
    assert_eq!(untagged, ["5d74a42e0b9a"]);
    let times: Vec<_> = listing.images.iter().map(|i| i.created.as_deref().unwrap_or_default()).collect();
    assert_eq!(times.last(), Some(&"9999-12-31T23:59:59.999999999+14:00"), "what is not a time comes last");
}

fn damaged_listing(root: &Path) {
    let listing = store(root).images().unwrap();
    let broken: BTreeMap<String, String> = listing
        .broken
        .iter()
        .map(|broken| {
            let error = broken.error.to_string().replace(root.to_str().unwrap(), "ROOT");
            let what = broken.references.last().map_or(broken.what.clone(), ToString::to_string);
            (what, error)
        })
        .collect();
    let expected = [
        (
            "ghost:latest",
            "ghost:latest needs image 0000000000000000000000000000000000000000000000000000000000000000, \
             which is missing (ROOT/graph/",
        ),
        ("halfghost:zz", "halfghost:zz needs image 1111"),
        (
            "base:child",
            "base:child needs image c90a635a919b2a2d855077596482ebcdc4df6c053809ce6245b0443ad7ebdaec, \
             which is missing",
        ),
        (
            "localhost:5000/team/app:1.0",
            "image 37594723cb28803c661edb9d9e29bcf0f856d82b46f405ffcba64efc7f2b2d9f needs parent \
             c90a635a919b2a2d855077596482ebcdc4df6c053809ce6245b0443ad7ebdaec, which is missing \
             (ROOT/graph/c90a635a919b2a2d855077596482ebcdc4df6c053809ce6245b0443ad7ebdaec is not there)",
        ),
        (
            "nodriver:latest",
            "image 5d74a42e0b9a38e9a8aa946fb8af62c580e8bfee891819affcb36423efd1f735 needs layer \
             5d74a42e0b9a38e9a8aa946fb8af62c580e8bfee891819affcb36423efd1f735, which is missing \
             (ROOT/vfs/dir/5d74a42e0b9a38e9a8aa946fb8af62c580e8bfee891819affcb36423efd1f735 is not there)",
        ),
        (
            "json:dupkey",
            "ROOT/graph/c535cea9bc72a63ddb5eeb71d9b35e3b6ddc0b5d7fdf365e3ed30daeb92a2e83/json is \
             malformed: its end is missing",
        ),
        (
            "json:ws",
            "ROOT/graph/ac70d1d377a57a695a8761ef630676828e3714f3736ce22f823c2e685beeb23e/json is \
             malformed: it is empty",
        ),
        (
            "wrongid:latest",
            "ROOT/graph/7a70a39891d8a2b56d272f030948b49b496b20a5079fa1d359ec94cbfdeab94f/json is \
             malformed: it is stored as 7a70a39891d8a2b56d272f030948b49b496b20a5079fa1d359ec94cbfdeab94f\
             , but its id is \"5646c3006f06021f4fe4987166355fc616fb7c8888cc198d162f9932be5966a6\"",
        ),
        (
            "nojson:latest",
            "cannot open ROOT/graph/4b1383ed389848e088cf1f628f26a0e7042f65a74d37859157ba3c15ec173c5e/json",
        ),
        (
            "selfparent:latest",
            "ROOT/graph/ec23559c76aa0bacdade5076a7b24517e9615696bb6a5534689cbe5114a3acf3/json is \
             malformed: image ec23559c76aa0bacdade5076a7b24517e9615696bb6a5534689cbe5114a3acf3 is its own \
             parent",
        ),
        (
            "json:oldconfig",
            "its parent e186432624c2f3eecf3c8ec7017ff4e4cc10f3b7ec8c5320120f2ee5456d846c is \
             a descendant of image ef7abec546d4fb18d235d807a29fc9d70a4c4f71476eaf2ce242c3e727d25a91",
        ),
        (
            "json:rawutf8",
            "ROOT/graph/fcc0c2e1feac62c93d3eb193b94716a023c82db311f7d5e01797c8542e485819/json is \
             malformed: its parent \"short\" is not the id of an image here",
        ),
        (
            "emptyid:latest",
            "ROOT/repositories-vfs is malformed: emptyid:latest leads to \"\", which is \
             not the id of an image here",
        ),
    ];
    for (name, text) in expected {
        let error =
            broken.get(name).unwrap_or_else(|| panic!("{name} is not broken, but {:?}", broken.keys()));
        assert!(error.contains(text), "{name}: {error}");
    }
    let sound: BTreeSet<String> =
        listing.images.iter().flat_map(|i| &i.references).map(ToString::to_string).collect();
    for name in [
        "base:latest",
        "halfghost:a",
        "shortid:latest",
        "shortparent:latest",
        "nlsize:latest",
        "badsize:latest",
    ] {
        assert!(sound.contains(name), "{name}");
    }
    let all = listing.images.iter().map(|i| i.key.id()).chain(listing.broken.iter().map(|b| &*b.what));
    for id in all {
        assert!(!["_tmp", "notanid", "strayfile"].contains(&id));
    }
}
