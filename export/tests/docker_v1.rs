//! docker-v1 archives, compared with those that real daemons wrote.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{Entry, data_root, entries, exported, planned, store, threaded, unpacked, written};
use layerlift_archive::Digest;
use layerlift_export::{Format, Options, tree};
use serde_json::Value;

fn options() -> Options {
    Options::default().with_format(Format::DockerV1)
}

/// The same entries, bytes and modes as `docker save` of 20.10, which adds two documents of newer formats.
#[test]
fn from_the_store_of_today() {
    for driver in ["overlay2", "vfs"] {
        let Some(root) = data_root(&format!("docker-20.10-{driver}.tar.xz")) else { return };
        let store = store(root.path());
        for (names, saved) in [
            (&["bench/torture:1.0"][..], "torture"),
            (&["bench/torture:1.0", "bench/many:1.0"], "both"),
            (&["801433d13fa6"], "many-byid"),
            (&["127.0.0.1:5555/bench/many:1.0", "bench/many:1.0"], "many-2names"),
            (
                &[
                    "127.0.0.1:5555/bench/many@sha256:9e3bca3d368f68b063c28e5bb170564ccc903b6e615d9e6064ae972e080659f7",
                ],
                "many-bydigest",
            ),
        ] {
            let ours = entries(&exported(&*store, names, &options()).unwrap());
            let mut theirs = entries(&unpacked(&format!("docker-20.10-save/{saved}.tar.xz")));
            theirs.retain(|entry| !entry.path.ends_with(".json"));
            let listing = |entries: &[Entry]| -> Vec<_> {
                let row = |e: &Entry| (e.path.clone(), e.mode, Digest::of(&e.bytes));
                entries.iter().map(row).collect()
            };
            assert_eq!(listing(&ours), listing(&theirs), "{driver} {saved}");
            if saved == "many-byid" {
                // No layer occurs twice, so the daemon's times must match too.
                assert_eq!(ours, theirs, "{driver}");
            }
        }
    }
}

/// Layers that are computed from directories, and of which nobody needs a digest: the length is known before
/// a file is read, and nothing comes first.
#[test]
fn computed_layers_are_streamed_at_once() {
    let Some(root) = data_root("docker-graph/1.8.2-vfs/store.tar.xz") else { return };
    let mut lost = 0;
    for image in fs::read_dir(root.path().join("graph")).unwrap() {
        lost += usize::from(fs::remove_file(image.unwrap().path().join("tar-data.json.gz")).is_ok());
    }
    assert!(lost > 1);
    let store = store(root.path());
    let nowhere = options().with_temp_dir("/nowhere/at/all");
    let plan = planned(&*store, &["base"], &nowhere).unwrap();
    let (len, first) = (plan.tar_len(), plan.first_pass_len());
    let archive = written(&tree(&plan.prepare(&threaded(2)).unwrap()), 2);
    assert_eq!((len, first), (Some(archive.len() as u64), Some(0)));
}

/// Compares with what a daemon of Docker 1.8.2 wrote for `docker save` of the names in its own store.
#[test]
fn from_the_graph_store() {
    let Some(root) = data_root("docker-graph/1.8.2-vfs/store.tar.xz") else { return };
    let store = store(root.path());
    let cases = fs::File::open(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../store/tests/fixtures/docker-graph/1.8.2-vfs/cases.json.xz"
    ));
    let cases: Value = serde_json::from_reader(liblzma::read::XzDecoder::new(cases.unwrap())).unwrap();
    let mut compared = 0;
    for case in cases["cases"].as_array().unwrap() {
        let label = &case["case"];
        let names: Vec<&str> =
            case["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let ours = exported(&*store, &names, &options());
        if case["ok"] != true {
            // layerlift can save some images that the daemon could not. Other tests check those.
            compared += usize::from(ours.is_err());
            continue;
        }
        let ours = entries(&ours.unwrap_or_else(|error| panic!("{label}: {error}")));
        let expected = case["entries"].as_array().unwrap();
        let paths: Vec<_> = ours.iter().map(|entry| entry.path.trim_end_matches('/')).collect();
        let expected_paths: Vec<_> = expected.iter().map(|row| row[3].as_str().unwrap()).collect();
        assert_eq!(paths, expected_paths, "{label}");
        for (entry, row) in ours.iter().zip(expected) {
            check_entry(root.path(), entry, row);
        }
        let repositories = ours.iter().find(|entry| entry.path == "repositories");
        let repositories = repositories.map(|entry| String::from_utf8(entry.bytes.clone()).unwrap());
        assert_eq!(repositories.as_deref(), case["repositories"].as_str(), "{label}");
        compared += 1;
    }
    assert!(compared > 100, "only {compared} cases");
}

fn check_entry(root: &std::path::Path, entry: &Entry, row: &Value) {
    let Entry { path, mode, bytes, .. } = entry;
    let recorded = u32::from_str_radix(row[1].as_str().unwrap().trim_start_matches("0o"), 8).unwrap();
    assert_eq!(mode & 0o7777, recorded & 0o7777, "{path}");
    let (id, file) = path.split_once('/').unwrap_or((path, ""));
    let graph = root.join("graph").join(id);
    match file {
        "json" => assert_eq!(*bytes, fs::read(graph.join("json")).unwrap(), "{path}"),
        // Without tar-split data, the daemon gave whiteouts the time of its run.
        "layer.tar" if !graph.join("tar-data.json.gz").exists() => {}
        _ if row.get(4).is_some() => assert_eq!(Digest::of(bytes).hex(), row[4].as_str().unwrap(), "{path}"),
        _ => {}
    }
}

/// Folders have the time of their image, and the order of the request does not matter.
#[test]
fn order_and_times() {
    let Some(root) = data_root("docker-graph/1.8.2-vfs/store.tar.xz") else { return };
    let store = store(root.path());
    let one = entries(&exported(&*store, &["app", "base"], &options()).unwrap());
    let other = entries(&exported(&*store, &["base", "app", "base:latest"], &options()).unwrap());
    assert_eq!(one, other);
    let times: BTreeMap<&str, u64> = one
        .iter()
        .filter(|entry| entry.path.ends_with("/json"))
        .map(|entry| (&entry.path[..64], entry.mtime))
        .collect();
    for Entry { path, mtime, .. } in &one {
        let expected = path.get(..64).map_or(0, |id| times[id]);
        assert_eq!(*mtime, expected, "{path}");
    }
    assert!(times.values().any(|&time| time > 1_000_000_000));
}
