//! What `check` does not call complete: parts that the engine refuses, and layers that are on record alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output};
use crate::store::Store;

/// Runs the program in a folder.
fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = output(layerlift().current_dir(folder).args(args));
    let (status, messages) = ended(&output);
    (status, String::from_utf8_lossy(&output.stdout).into_owned(), messages)
}

/// Writes `out` from a store.
fn save(store: &Store, names: &[&str], out: &str, more: &[&str]) {
    let root = store.root.to_str().unwrap();
    let args = [&["save", "--quiet", "--root", root], names, &["-o", out], more].concat();
    let (status, _, messages) = run(store.folder(), &args);
    assert_eq!(status, Some(0), "{args:?}: {messages}");
}

/// What `check` says of an archive against the store: the status, and the JSON.
fn checked(store: &Store, archive: &str) -> (Option<i32>, Value) {
    let root = store.root.to_str().unwrap();
    let (status, json, messages) = run(store.folder(), &["check", archive, "--root", root, "--json"]);
    (status, serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}{messages}")))
}

/// A store of Docker 20.10 with overlay2.
fn docker() -> Store {
    let store = Store::example();
    let packed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/docker-20.10-overlay2.tar.xz");
    fs::remove_dir_all(&store.root).unwrap();
    fs::create_dir(&store.root).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--warning=no-timestamp", "-xJf"]).arg(packed).arg("-C").arg(&store.root);
    assert!(tar.status().unwrap().success());
    store
}

#[test]
fn parts_that_the_engine_refuses() {
    if !is_root("parts_that_the_engine_refuses", "to unpack stores") {
        return;
    }
    let podman = Store::podman("vfs");
    let base = ["--exclude", "demo/base:1.0"];
    let v1 = [&base[..], &["--format", "docker-v1"]].concat();
    save(&podman, &["demo/app:2.0"], "part.tar", &base);
    save(&podman, &["demo/app:2.0"], "v1.tar", &v1);
    save(&podman, &["demo/app:2.0", "docker.io/library/app:latest"], "names.tar", &base);
    save(&podman, &["--all"], "all.tar", &base);
    save(&podman, &["demo/app:2.0"], "whole-v1.tar", &["--format", "docker-v1"]);
    save(&podman, &["--all"], "whole.tar", &[]);
    for (archive, why) in [
        ("part.tar", None),
        ("whole.tar", None),
        ("v1.tar", Some("docker-v1")),
        ("whole-v1.tar", Some("docker-v1")),
        ("names.tar", Some("several images or names")),
        ("all.tar", Some("several images or names")),
    ] {
        let (status, json) = checked(&podman, archive);
        assert_eq!(status, Some(i32::from(why.is_some())), "{archive}: {json}");
        assert_eq!(json["complete"], why.is_none(), "{archive}: {json}");
        assert_eq!(json["saves"], why.is_none(), "{archive}: {json}");
        for refused in [&json["refused"], &json["stores"][0]["refused"]] {
            let said = refused.as_str().map(|said| why.is_some_and(|why| said.contains(why)));
            assert_eq!(said, why.map(|_| true), "{archive}: {json}");
        }
        let root = podman.root.to_str().unwrap();
        let (_, text, _) = run(podman.folder(), &["check", archive, "--root", root]);
        assert_eq!(text.contains("refused: Podman"), why.is_some(), "{archive}: {text}");
    }

    let containerd = Store::containerd("docker-28");
    let path = podman.beside("v1.tar");
    for store in [docker(), containerd] {
        let (status, json) = checked(&store, path.to_str().unwrap());
        assert_eq!((status, &json["complete"]), (Some(1), &false.into()), "{json}");
        assert!(json["refused"].as_str().is_some_and(|why| why.contains("docker-v1")), "{json}");
    }
}

/// A graph store of Docker does not say the version of its engine.
#[test]
fn layers_that_only_newer_versions_read() {
    if !is_root("layers_that_only_newer_versions_read", "to unpack a store") {
        return;
    }
    let store = docker();
    save(&store, &["bench/many:1.0"], "zstd.tar", &["--compress", "zstd"]);
    save(&store, &["bench/many:1.0"], "gzip.tar", &["--compress", "gzip"]);
    for (archive, warns) in [("zstd.tar", true), ("gzip.tar", false)] {
        let (status, json) = checked(&store, archive);
        assert_eq!((status, &json["complete"]), (Some(0), &true.into()), "{json}");
        let said = json["warnings"].to_string();
        assert_eq!(said.contains("Docker before 23") && said.contains("zstd"), warns, "{said}");
        let root = store.root.to_str().unwrap();
        let (_, _, messages) = run(store.folder(), &["check", archive, "--root", root]);
        assert_eq!(messages.contains("warning: Docker before 23"), warns, "{messages}");
    }
}

/// Whether each directory of a store that is taken away makes a part incomplete, one at a time.
fn without_files(store: &Store, part: &str, dirs: &[PathBuf]) -> usize {
    let away = store.beside("away");
    let mut incomplete = 0;
    for dir in dirs {
        fs::rename(dir, &away).unwrap();
        let (status, json) = checked(store, part);
        let layers = json["layers"].as_array().unwrap();
        // Docker until 1.9 looks for the directory, too.
        let lacking = if store.root.join("graph").exists() { "missing" } else { "record only" };
        let lacks = layers.iter().any(|layer| layer["result"] == lacking);
        assert_eq!((json["complete"] == false, status), (lacks, Some(i32::from(lacks))), "{json}");
        incomplete += usize::from(lacks);
        fs::rename(&away, dir).unwrap();
    }
    assert_eq!(checked(store, part).0, Some(0));
    incomplete
}

fn dirs(of: &Path) -> Vec<PathBuf> {
    fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn layers_that_are_on_record_alone() {
    if !is_root("layers_that_are_on_record_alone", "to unpack stores") {
        return;
    }
    let docker = docker();
    save(&docker, &["bench/torture:1.0"], "part.tar", &["--exclude", "bench/torture:1.0"]);
    let records = dirs(&docker.root.join("image/overlay2/layerdb/sha256"));
    let cache_id = |record: &PathBuf| fs::read_to_string(record.join("cache-id")).unwrap();
    let of_layers: Vec<PathBuf> =
        records.iter().map(|record| docker.root.join("overlay2").join(cache_id(record))).collect();
    assert_eq!(without_files(&docker, "part.tar", &of_layers), 11);
    // The record alone.
    let (status, text, _) = {
        fs::remove_dir_all(docker.root.join("overlay2")).unwrap();
        run(docker.folder(), &["check", "part.tar", "--root", docker.root.to_str().unwrap()])
    };
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("on record, without its files") && text.contains("incomplete: needs 10 "),
        "{text}"
    );

    let podman = Store::podman("vfs");
    save(&podman, &["demo/app:2.0"], "part.tar", &["--exclude", "demo/base:1.0"]);
    save(&podman, &["demo/app:2.0"], "none.tar", &["--exclude", "demo/app:2.0"]);
    let of_layers = dirs(&podman.root.join("vfs/dir"));
    let of_part = without_files(&podman, "part.tar", &of_layers);
    let of_none = without_files(&podman, "none.tar", &of_layers);
    assert!(of_part == 1 && of_none == 2, "{of_part} {of_none}");

    let old = Store::example();
    save(&old, &["base:child"], "v1.tar", &["--format", "docker-v1", "--exclude", "base:latest"]);
    assert_eq!(without_files(&old, "v1.tar", &dirs(&old.root.join("vfs/dir"))), 1);
}
