//! Exports that leave out what the other side has.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{ended, layerlift, output, save};
use crate::store::Store;

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = output(layerlift().args(args));
    let (status, messages) = ended(&output);
    (status, String::from_utf8(output.stdout).unwrap(), messages)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_left_out_is_said() {
    let store = Store::example();
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join("part.tar");
    let done = output(
        save(&store.root)
            .args(["base:child", "--exclude", "base:latest", "--progress", "json", "-o"])
            .arg(&part),
    );
    let (status, messages) = ended(&done);
    assert_eq!(status, Some(0), "{messages}");
    let event: Value = serde_json::from_str(messages.lines().last().unwrap()).unwrap();
    assert_eq!(event["left_out"]["layers"], 1, "{messages}");

    let (status, table, messages) = run(&["images", "--root", text(&part)]);
    assert_eq!((status, &*messages), (Some(0), ""));
    assert!(table.contains("1 layer of base:latest"), "{table}");
    let (status, table, messages) = run(&["verify", "--root", text(&part)]);
    assert_eq!((status, &*messages), (Some(0), ""));
    assert!(table.contains("ok, needs 1 layer of base:latest"), "{table}");
    let (status, json, messages) = run(&["inspect", "--root", text(&part), "base:child"]);
    assert_eq!((status, &*messages), (Some(0), ""));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["needs"], serde_json::json!({"layers": 1, "of": ["base:latest"]}));

    let whole = dir.path().join("whole.tar");
    let (status, _, messages) = run(&["save", "--root", text(&part), "--all", "-o", text(&whole)]);
    assert_eq!(status, Some(1));
    assert!(messages.contains("part.tar leaves out layer sha256:"), "{messages}");
    assert!(!whole.exists());
}

#[test]
fn lists_of_layers() {
    let store = Store::example();
    let dir = tempfile::tempdir().unwrap();
    let (list, out) = (dir.path().join("list"), dir.path().join("part.tar"));
    let base = dir.path().join("base.tar");
    assert_eq!(output(save(&store.root).args(["base:latest", "-o"]).arg(&base)).status.code(), Some(0));
    let (_, json, _) = run(&["inspect", "--root", text(&base), "base:latest"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let diff_id = json[0]["layers"][0]["diff_id"].as_str().unwrap();
    for have in [format!("{diff_id}\n"), format!(r#"[{{"RootFS":{{"Layers":["{diff_id}"]}}}}]"#)] {
        let mut child = save(&store.root)
            .args(["base:child", "--have", "-", "-o"])
            .arg(&out)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(have.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        let (_, table, _) = run(&["images", "--root", text(&out)]);
        assert!(table.contains("1 layer"), "{table}");
        fs::remove_file(&out).unwrap();
    }
    for (content, why) in
        [("", "it has no diff id"), ("base:1", "line 1 is not a diff id"), ("[]", "it has no diff id")]
    {
        fs::write(&list, content).unwrap();
        let done = output(save(&store.root).args(["base:child", "--have", text(&list), "-o"]).arg(&out));
        let (status, messages) = ended(&done);
        assert_eq!(status, Some(2), "{messages}");
        assert!(messages.contains(why), "{messages}");
        assert!(!out.exists());
    }
    for args in [["--exclude", "nosuch"], ["--since", "/nonexistent"], ["--have", "/nonexistent"]] {
        let done = output(save(&store.root).arg("base:child").args(args).arg("-o").arg(&out));
        assert_eq!(done.status.code(), Some(2), "{args:?}");
        assert!(!out.exists());
    }
}

/// An image, its base, a part of it without the base, and the whole.
struct Halves {
    dir: tempfile::TempDir,
}

impl Halves {
    fn new() -> Self {
        let (store, dir) = (Store::example(), tempfile::tempdir().unwrap());
        let halves = Halves { dir };
        for (name, args) in [
            ("base.tar", &["base:latest"][..]),
            ("full.tar", &["base:child"]),
            ("part.tar", &["base:child", "--exclude", "base:latest"]),
        ] {
            let done = output(save(&store.root).args(args).arg("-o").arg(halves.path(name)));
            assert_eq!(done.status.code(), Some(0), "{:?}", ended(&done));
        }
        halves
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = output(layerlift().current_dir(self.dir.path()).args(args));
        let (status, messages) = ended(&output);
        (status, String::from_utf8_lossy(&output.stdout).into_owned(), messages)
    }

    fn is_full(&self, name: &str) -> bool {
        fs::read(self.path(name)).unwrap() == fs::read(self.path("full.tar")).unwrap()
    }
}

#[test]
fn parts_become_whole() {
    let halves = Halves::new();
    for args in [
        &["join", "base.tar", "part.tar", "-o", "joined.tar"][..],
        &["join", "part.tar", "--root", "base.tar", "-o", "joined.tar"],
        &["join", "part.tar", "base.tar", "--image", "base:child", "-o", "joined.tar"],
        &["save", "--root", "base.tar", "--root", "part.tar", "base:child", "-o", "joined.tar"],
    ] {
        let (status, _, messages) = halves.run(args);
        assert_eq!((status, &*messages), (Some(0), ""), "{args:?}");
        assert!(halves.is_full("joined.tar"), "{args:?}");
        fs::remove_file(halves.path("joined.tar")).unwrap();
    }
    let (status, table, _) = halves.run(&["verify", "--root", "base.tar", "--root", "part.tar"]);
    assert_eq!(status, Some(0));
    assert!(table.contains("base:child") && !table.contains("needs"), "{table}");

    let (status, _, messages) = halves.run(&["join", "part.tar", "-o", "joined.tar"]);
    assert_eq!(status, Some(1));
    assert!(messages.contains("part.tar leaves out layer sha256:") && messages.contains("base:latest"));
    assert!(!halves.path("joined.tar").exists());
    let (status, _, messages) = halves.run(&["images", "--root", "part.tar", "--root", "/var/lib"]);
    assert_eq!(status, Some(2), "{messages}");
}

#[test]
fn cut_and_damaged_parts() {
    let halves = Halves::new();
    let part = fs::read(halves.path("part.tar")).unwrap();
    let base = fs::read(halves.path("base.tar")).unwrap();
    let mut damaged = base.clone();
    let layer = damaged.iter().position(|byte| *byte == b'b').unwrap() + 2048;
    damaged[layer] ^= 1;
    let with = |from: &str, to: &str| {
        let at = part.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        [&part[..at], to.as_bytes(), &part[at + to.len()..]].concat()
    };
    let requires = with("{\"version\":1,\"layers\"", "{\"version\":1,,layers\"");
    let own_layer = with("ustar", "usTar");
    let rounded = part.len() / 2 / 512 * 512;
    for (name, bytes) in [
        ("part.tar", &part[..part.len() / 2]),
        ("part.tar", &part[..rounded]),
        ("part.tar", &requires),
        ("part.tar", &own_layer),
        ("base.tar", &damaged[..]),
        ("base.tar", &base[..1024]),
    ] {
        let before = fs::read(halves.path(name)).unwrap();
        fs::write(halves.path(name), bytes).unwrap();
        let (status, _, messages) = halves.run(&["join", "base.tar", "part.tar", "-o", "joined.tar"]);
        assert!(matches!(status, Some(1 | 2)), "{name}: {messages}");
        assert!(!messages.is_empty() && !halves.path("joined.tar").exists(), "{name}: {messages}");
        fs::write(halves.path(name), before).unwrap();
    }
}

/// Each part is what an export made, but not of the same images, or not as the same blobs.
#[test]
fn parts_of_different_exports() {
    let halves = Halves::new();
    let store = Store::example();
    let save = |args: &[&str]| {
        let done = output(layerlift().args(["save", "--quiet", "--root"]).arg(&store.root).args(args));
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let path = |name: &str| halves.path(name).to_str().unwrap().to_owned();
    save(&["base:child", "--exclude", "base:latest", "--compress", "gzip", "-o", &path("gzip.tar")]);
    save(&["base:child", "--format", "docker-v1", "--exclude", "base:latest", "-o", &path("v1.tar")]);
    for (parts, lacking) in [
        (&["part.tar", "gzip.tar"][..], Some("part.tar leaves out layer sha256:")),
        (&["part.tar", "v1.tar"], Some("part.tar leaves out layer sha256:")),
        // It names layers by ids, which no other archive has.
        (&["base.tar", "v1.tar"], Some("v1.tar leaves out layer ")),
        (&["base.tar", "part.tar", "v1.tar"], Some("v1.tar leaves out layer ")),
        (&["base.tar", "gzip.tar"], None),
        (&["base.tar", "part.tar", "gzip.tar"], None),
    ] {
        let joined = halves.path("joined.tar");
        let (status, _, messages) = halves.run(&[&["join", "-o", "joined.tar"], parts].concat());
        match lacking {
            Some(lacking) => {
                assert_eq!(status, Some(1), "{parts:?}: {messages}");
                assert!(messages.contains(lacking) && messages.contains("base:latest"), "{messages}");
                assert!(!joined.exists(), "{parts:?}");
            }
            None => {
                assert_eq!((status, &*messages), (Some(0), ""), "{parts:?}");
                let (status, table, _) = halves.run(&["verify", "--root", "joined.tar"]);
                assert!(status == Some(0) && !table.contains("needs"), "{parts:?}: {table}");
                fs::remove_file(joined).unwrap();
            }
        }
    }
}

#[test]
fn what_is_missing() {
    let halves = Halves::new();
    let (status, text, messages) = halves.run(&["check", "part.tar"]);
    assert_eq!((status, &*messages), (Some(1), ""));
    assert!(text.contains("MISSING") && text.contains("incomplete: needs 1 layer of base:latest"), "{text}");
    let (status, text, _) = halves.run(&["check", "part.tar", "--root", "base.tar"]);
    let complete = "complete: all of 1 layer that it needs are here (bytes of layers were not read)\n";
    assert_eq!((status, &*text), (Some(0), complete));
    let (status, text, _) = halves.run(&["check", "full.tar"]);
    let complete = "complete: nothing is left out (bytes of layers were not read)\n";
    assert_eq!((status, &*text), (Some(0), complete));
    let (status, text, _) = halves.run(&["check", "part.tar", "--json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (status, &json["complete"], &json["layers"][0]["result"]),
        (Some(1), &false.into(), &"missing".into())
    );
    // The store that it came from records no digests: they are computed. That Docker loads another format.
    let store = Store::example();
    let (status, text, _) = halves.run(&["check", "part.tar", "--root", text_of(&store.root)]);
    assert_eq!(
        (status, &*text),
        (Some(1), "refused: Docker until 1.9 loads docker-v1 archives only\n"),
        "{text}"
    );
    let (status, _, _) = halves.run(&["check", "part.tar", "--root", "/nonexistent"]);
    assert_eq!(status, Some(2));
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The error names all that an image lacks, and says nothing that was done already.
#[test]
fn several_missing_layers() {
    let store = Store::podman("vfs");
    let path = |name: &str| store.beside(name).to_str().unwrap().to_owned();
    let (part, out) = (path("part.tar"), path("joined.tar"));
    let args = ["save", "--quiet", "--root", text(&store.root), "demo/app:2.0", "--exclude", "demo/app:2.0"];
    let (status, _, messages) = run(&[&args[..], &["-o", &part]].concat());
    assert_eq!(status, Some(0), "{messages}");
    let (status, _, messages) = run(&["join", &part, "-o", &out]);
    assert_eq!(status, Some(1), "{messages}");
    assert!(
        messages.contains("part.tar leaves out 2 layers of ") && !messages.contains("more"),
        "{messages}"
    );
    assert_eq!(messages.matches("sha256:").count(), 2, "{messages}");
    assert!(!messages.contains("use layerlift join"), "{messages}");
    assert!(!Path::new(&out).exists());
}
