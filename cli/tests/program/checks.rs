//! `check`: by what the images themselves name, and for each store of an engine. And what a plan warns of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output, save};
use crate::store::Store;

struct Folder {
    store: Store,
    dir: tempfile::TempDir,
}

impl Folder {
    /// A base, an image on it, and a part of that without the base.
    fn new() -> Self {
        let folder = Folder { store: Store::example(), dir: tempfile::tempdir().unwrap() };
        for (name, args) in [
            ("base.tar", &["base:latest"][..]),
            ("full.tar", &["base:child"]),
            ("part.tar", &["base:child", "--exclude", "base:latest"]),
        ] {
            assert_eq!(folder.save(&[args, &["-o", name]].concat()).0, Some(0));
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn save(&self, args: &[&str]) -> (Option<i32>, String) {
        ended(&output(save(&self.store.root).args(args).current_dir(self.dir.path())))
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = output(layerlift().args(args).current_dir(self.dir.path()));
        let (status, messages) = ended(&output);
        (status, String::from_utf8_lossy(&output.stdout).into_owned(), messages)
    }

    /// A copy of an archive with another list of what it requires, or without one.
    fn with_list(&self, of: &str, name: &str, list: Option<&str>) {
        let sh = |script: &str| {
            let status = Command::new("sh").args(["-ec", script]).current_dir(self.dir.path()).status();
            assert!(status.unwrap().success(), "{script}");
        };
        // Not with `tar --delete`, which loses other members of small archives.
        sh(&format!("rm -rf files; mkdir files; tar -xf {of} -C files; rm files/requires.json"));
        if let Some(list) = list {
            fs::write(self.path("files/requires.json"), list).unwrap();
        }
        sh(&format!("cd files; tar -cf ../{name} *"));
    }

    fn list(&self, of: &str) -> Value {
        let tar =
            Command::new("tar").args(["-xOf", of, "requires.json"]).current_dir(self.dir.path()).output();
        serde_json::from_slice(&tar.unwrap().stdout).unwrap()
    }
}

/// What an archive says of itself explains what is missing, and does not decide it.
#[test]
fn what_no_list_says() {
    let folder = Folder::new();
    let list = folder.list("part.tar");
    let layer = list["layers"][0].clone();
    let mut strange = layer.clone();
    let other = format!("sha256:{}", "ab".repeat(32));
    (strange["digest"], strange["diff_id"]) = (other.clone().into(), other.into());
    let of = |layers: Value| serde_json::json!({"version": 1, "layers": layers}).to_string();
    let (empty, strange) = (of(serde_json::json!([])), of(serde_json::json!([strange])));
    let full = fs::read(folder.path("full.tar")).unwrap();
    for list in [None, Some(&*empty), Some(&*strange)] {
        folder.with_list("part.tar", "odd.tar", list);
        let (status, text, messages) = folder.run(&["check", "odd.tar"]);
        assert_eq!(status, Some(1), "{list:?}: {text}{messages}");
        assert!(text.contains("MISSING") && text.contains("incomplete: needs 1 layer"), "{list:?}: {text}");
        assert!(text.contains(&layer["diff_id"].as_str().unwrap()[7..19]), "{text}");
        assert!(messages.contains("1 layer is missing from the archive"), "{list:?}: {messages}");
        let (_, json, _) = folder.run(&["check", "odd.tar", "--json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["complete"], &json["saves"]), (&false.into(), &false.into()));
        assert_eq!(json["layers"][0]["digest"], layer["digest"], "{list:?}");
        assert_eq!(json["layers"][0]["listed"], false);

        // Another archive has it.
        let (status, text, _) = folder.run(&["check", "odd.tar", "--root", "base.tar"]);
        assert_eq!(
            (status, &*text),
            (Some(0), "complete: all of 1 layer that it needs are here (bytes of layers were not read)\n"),
            "{list:?}"
        );
        let (status, _, messages) = folder.run(&["join", "odd.tar", "base.tar", "-o", "joined.tar"]);
        assert_eq!((status, &*messages), (Some(0), ""), "{list:?}");
        assert!(fs::read(folder.path("joined.tar")).unwrap() == full, "{list:?}");
        fs::remove_file(folder.path("joined.tar")).unwrap();
        // Alone, a command that needs its bytes fails.
        let (status, _, messages) = folder.run(&["join", "odd.tar", "-o", "joined.tar"]);
        assert!(status == Some(1) && messages.contains("is missing"), "{list:?}: {messages}");
        assert!(!folder.path("joined.tar").exists());
    }
}

/// Parts come through pipes, too.
#[test]
fn on_standard_input() {
    let folder = Folder::new();
    let piped = |args: &[&str]| {
        let part = fs::File::open(folder.path("part.tar")).unwrap();
        let mut command = layerlift();
        let output = output(command.args(args).current_dir(folder.dir.path()).stdin(part));
        assert_eq!(ended(&output), (Some(0), String::new()), "{args:?}");
        output.stdout
    };
    let full = fs::read(folder.path("full.tar")).unwrap();
    assert!(piped(&["join", "-", "base.tar"]) == full);
    assert!(String::from_utf8_lossy(&piped(&["check", "-", "--root", "base.tar"])).starts_with("complete"));
    piped(&["save", "--root", "full.tar", "--all", "--since", "-", "-o", "none.tar"]);
    assert!(folder.run(&["images", "--root", "none.tar"]).1.contains("2 layers"));
}

/// Nobody knows what an archive needs that cannot be read.
#[test]
fn what_cannot_be_read_is_not_complete() {
    let folder = Folder::new();
    let mut lie = folder.list("part.tar");
    lie["layers"][0]["diff_id"] = format!("sha256:{}", "ab".repeat(32)).into();
    folder.with_list("part.tar", "lies.tar", Some(&lie.to_string()));
    folder.with_list("part.tar", "broken.tar", Some("{"));
    let full = fs::read(folder.path("full.tar")).unwrap();
    fs::write(folder.path("cut.tar"), &full[..full.len() / 2]).unwrap();
    for name in ["lies.tar", "broken.tar", "cut.tar"] {
        for root in [&[][..], &["--root", "base.tar"]] {
            let (status, json, messages) = folder.run(&[&["check", name, "--json"], root].concat());
            assert!(matches!(status, Some(1 | 2)) && messages.contains("error"), "{name}: {messages}");
            let json: Value = serde_json::from_str(&json).unwrap_or_default();
            assert_ne!(json["complete"], true, "{name}");
            let (_, text, _) = folder.run(&[&["check", name], root].concat());
            assert!(!text.contains("complete") || text.contains("incomplete"), "{name}: {text}");
        }
        let (status, _, _) = folder.run(&["join", name, "base.tar", "-o", "joined.tar"]);
        assert!(matches!(status, Some(1 | 2)) && !folder.path("joined.tar").exists(), "{name}");
    }
}

/// What only the list of a docker-v1 archive says of a layer is not known of it.
#[test]
fn a_digest_that_nobody_can_verify() {
    let folder = Folder::new();
    let (_, json, _) = folder.run(&["inspect", "--root", "full.tar", "base:child"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let top = json[0]["layers"][1]["diff_id"].clone();
    let args = ["base:latest", "--exclude", "base:latest", "--format", "docker-v1", "-o", "v1.tar"];
    assert_eq!(folder.save(&args).0, Some(0));
    let mut lie = folder.list("v1.tar");
    lie["layers"][0]["diff_id"] = top;
    folder.with_list("v1.tar", "lies.tar", Some(&lie.to_string()));
    let args = ["save", "--root", "full.tar", "base:child", "--since", "lies.tar", "-o", "part.tar"];
    assert_eq!(folder.run(&args).0, Some(0));
    let (_, table, _) = folder.run(&["images", "--root", "part.tar"]);
    assert!(!table.contains("1 layer"), "the other side has some layer of that id: {table}");
}

/// A data root of Docker that was switched has both stores, and they have different rules.
#[test]
fn each_store_of_a_root() {
    if !is_root("each_store_of_a_root", "to unpack stores") {
        return;
    }
    let store = Store::containerd("docker-28");
    let root = store.root.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join("part.tar");
    let part = part.to_str().unwrap();
    let run = |args: &[&str]| {
        let output = output(layerlift().args(args));
        let (status, messages) = ended(&output);
        (status, String::from_utf8_lossy(&output.stdout).into_owned(), messages)
    };
    let kept = ["save", "--root", root, "bench/zstd:1.0", "--exclude", "bench/zstd:1.0", "-o", part];
    assert_eq!(run(&kept).0, Some(0));
    let (status, text, messages) = run(&["check", part, "--root", root]);
    assert_eq!((status, &*messages), (Some(0), ""), "{text}");
    assert!(text.starts_with("complete"), "one store needs no name: {text}");

    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures");
    for old in ["docker-20.10-overlay2.tar.xz", "docker-20.10-vfs.tar.xz"] {
        let mut tar = Command::new("tar");
        tar.args(["--warning=no-timestamp", "-xJf"]).arg(packed.join(old)).arg("-C").arg(root);
        assert!(tar.status().unwrap().success());
    }
    let (status, text, messages) = run(&["check", part, "--root", root]);
    assert_eq!(status, Some(1), "{text}");
    for verdict in [
        "docker (overlay2): incomplete: needs 3 layers",
        "docker (vfs): incomplete: needs 3 layers",
        "containerd/daemon, containerd: complete: all of 3 layers",
    ] {
        assert!(text.contains(verdict), "{text}");
    }
    assert!(messages.contains("name it with --store"), "{messages}");
    let (_, json, _) = run(&["check", part, "--root", root, "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let stores: Vec<(&str, bool)> = json["stores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["store"].as_str().unwrap(), one["complete"].as_bool().unwrap()))
        .collect();
    assert_eq!(stores, [("docker", false), ("docker", false), ("containerd", true)]);
    assert_eq!(json["complete"], false);
    for (args, expected) in [
        (&["--store", "containerd"][..], Some(0)),
        (&["--store", "docker"], Some(1)),
        (&["--store", "docker", "--driver", "vfs"], Some(1)),
    ] {
        assert_eq!(run(&[&["check", part, "--root", root], args].concat()).0, expected, "{args:?}");
    }
}

/// Only what is known is warned of.
#[test]
fn warnings_of_parts() {
    let folder = Folder::new();
    // Docker 1.8 records no digests, but its layers have the same parents everywhere.
    let (status, messages) = folder.save(&["base:child", "--exclude", "base:latest", "-o", "some.tar"]);
    assert_eq!((status, &*messages), (Some(0), ""));
    if !is_root("warnings_of_parts", "to unpack a store of containerd") {
        return;
    }
    let store = Store::containerd("docker-28");
    let out = folder.path("other.tar");
    let save = |args: &[&str]| ended(&output(save(&store.root).args(args).arg("-o").arg(&out)));
    for (args, warned) in [
        (&["bench/raw:1.0", "--exclude", "bench/zstd:1.0"][..], true),
        (&["bench/zstd:1.0", "--exclude", "bench/raw:1.0"], true),
        (&["bench/zstd:1.0", "--exclude", "bench/zstd:1.0"], false),
        // Both sides get what this writes.
        (&["bench/raw:1.0", "--exclude", "bench/zstd:1.0", "--compress", "none"], false),
    ] {
        let (status, messages) = save(args);
        assert_eq!(status, Some(0), "{args:?}: {messages}");
        assert_eq!(messages.contains("compressed in another way"), warned, "{args:?}: {messages}");
    }
}
