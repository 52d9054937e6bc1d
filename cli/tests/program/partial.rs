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
