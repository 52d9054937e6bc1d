//! What scripts do with `docker images` and `docker save`, and people out of habit.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{ended, layerlift, output};
use crate::store::Store;

/// What the arguments print; they succeed without a word on standard error.
fn printed(root: &Path, args: &[&str]) -> String {
    let output = output(layerlift().args(args).arg("--root").arg(root));
    assert_eq!(ended(&output), (Some(0), String::new()), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The first column of each line of the table.
fn names(table: &str) -> Vec<String> {
    let row = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(":");
    table.lines().skip(1).map(row).collect()
}

/// `localhost/demo/rl:1`, and on top of it `localhost/demo/rl:2`, which is `localhost/demo/copy:1`, too.
fn podman() -> Store {
    Store::podman("rootless-native")
}

const COPY: &str = "localhost/demo/copy:1";
const FIRST: &str = "localhost/demo/rl:1";
const SECOND: &str = "localhost/demo/rl:2";

#[test]
fn images_of_a_name() {
    let store = podman();
    let id = printed(&store.root, &["images", "-q", "--no-trunc", FIRST]);
    let id = id.trim();
    assert_eq!(id.len(), 64);
    for (args, expected) in [
        (&["images"][..], &[COPY, SECOND, FIRST][..]),
        (&["ls", "demo/rl"], &[SECOND, FIRST]),
        (&["image", "ls", "localhost/demo/rl:1"], &[FIRST]),
        (&["images", "demo/*:1"], &[COPY, FIRST]),
        (&["images", "*:1"], &[]),
        (&["images", "rl"], &[]),
        (&["images", "demo/copy", "demo/rl:1"], &[COPY, FIRST]),
        (&["images", id], &[FIRST]),
        (&["images", &id[..12]], &[FIRST]),
        (&["images", &id[..11]], &[]),
        (&["images", "--filter", "reference=demo/c*"], &[COPY]),
        (&["images", "--filter", "dangling=true"], &[]),
        (&["images", "-f", "dangling=false", "-f", "reference=*/r?:2"], &[SECOND]),
        (&["images", "--filter", "before=demo/rl:2"], &[FIRST]),
        (&["images", "--filter", "since=demo/rl:1"], &[COPY, SECOND]),
        (&["images", "--filter", "label=nosuch"], &[]),
        (&["images", "--sort", "tag"], &[COPY, FIRST, SECOND]),
        (&["images", "--sort", "size"], &[FIRST, COPY, SECOND]),
    ] {
        assert_eq!(names(&printed(&store.root, args)), expected, "{args:?}");
    }
    // A script asks whether there is an image, and takes a word on standard error for a failure.
    assert_eq!(printed(&store.root, &["images", "-q", "nosuch"]), "");
    let unknown = output(layerlift().args(["images", "--filter", "since=nosuch", "--root"]).arg(&store.root));
    assert_eq!(unknown.status.code(), Some(2));
    let json: Value = serde_json::from_str(&printed(&store.root, &["images", "--json", "demo/rl"])).unwrap();
    let references = |image: &Value| image["references"].as_array().unwrap().len();
    assert_eq!(json.as_array().unwrap().iter().map(references).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn images_in_a_form() {
    let store = podman();
    let short = printed(&store.root, &["images", "-q", FIRST]);
    let short = short.trim();
    for (template, expected) in [
        ("{{.Repository}}:{{.Tag}}", format!("{FIRST}\n")),
        ("{{.ID}}\\t{{lower .Size}}", format!("{short}\t6.42kb\n")),
        ("table {{.ID}}\\t{{.Tag}}", format!("IMAGE ID       TAG\n{short}   1\n")),
    ] {
        assert_eq!(printed(&store.root, &["images", FIRST, "--format", template]), expected, "{template}");
    }
    let line: Value =
        serde_json::from_str(&printed(&store.root, &["images", FIRST, "--format", "json"])).unwrap();
    assert_eq!((&line["ID"], &line["Containers"]), (&short.into(), &"N/A".into()));
    assert!(line["CreatedAt"].as_str().unwrap().ends_with(" +0000 UTC"), "{line}");
    assert!(line["Digest"].as_str().unwrap().starts_with("sha256:"), "{line}");
    let refused = output(layerlift().args(["images", "--format", "{{.Name}}", "--root"]).arg(&store.root));
    let (status, said) = ended(&refused);
    assert_eq!(status, Some(2));
    assert!(said.contains("the fields are .Containers"), "{said}");
}

/// The names in an archive that a save with these arguments writes.
fn saved(root: &Path, args: &[&str]) -> Result<Vec<String>, (Option<i32>, String)> {
    let output = output(layerlift().args(args).arg("--root").arg(root));
    if !output.status.success() || !output.stderr.is_empty() {
        return Err(ended(&output));
    }
    let mut archive = tar::Archive::new(&*output.stdout);
    let manifest = archive.entries().unwrap().map(Result::unwrap).find_map(|entry| {
        (entry.path().unwrap() == Path::new("manifest.json")).then(|| serde_json::from_reader(entry).unwrap())
    });
    let items: Vec<Value> = manifest.expect("it has a manifest.json");
    let tags = |item: &Value| item["RepoTags"].as_array().into_iter().flatten().cloned().collect::<Vec<_>>();
    Ok(items.iter().flat_map(tags).map(|tag| tag.as_str().unwrap().to_owned()).collect())
}

#[test]
fn saves_of_patterns_lists_and_other_names() {
    let store = podman();
    let list = store.beside("list");
    fs::write(&list, "# images\r\ndemo/rl:1\r\n\r\ndemo/copy=team/copied  # renamed\r\n").unwrap();
    let list = list.to_str().unwrap();
    for (args, expected) in [
        (&["save", "demo/*:1"][..], &[COPY, FIRST][..]),
        (&["image", "save", "demo/r?"], &[FIRST, SECOND]),
        (&["save", "demo/rl:1=other/app:5"], &["other/app:5"]),
        (&["save", "demo/rl=other/app"], &["other/app:1", "other/app:2"]),
        (&["save", "demo/r*=other/app"], &["other/app:1", "other/app:2"]),
        (&["save", "--from-file", list], &[FIRST, "team/copied:1"]),
        (&["save", "--from-file", list, SECOND], &[SECOND, "team/copied:1", FIRST]),
    ] {
        let mut found = saved(&store.root, args).unwrap();
        let mut expected: Vec<&str> = expected.to_vec();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{args:?}");
    }
    for (args, says) in [
        (&["save", "demo/x*"][..], "no such image: demo/x*"),
        (&["save", "demo/rl=other/app:5"], "demo/rl means several images"),
        (&["save", "demo/*=other/app:5"], "means several images"),
        (&["save", "demo/rl:1=Other"], "\"Other\" cannot be the name of an image"),
        (&["save", "demo/[=x"], "is not a pattern of names"),
        (&["save", "--from-file", "/nonexistent"], "cannot read the list of names /nonexistent"),
        (&["save", "--label", "nosuch=1"], "no image has the label nosuch=1"),
        (&["save"], "hint: name images, or take every image with --all"),
    ] {
        let (status, said) = saved(&store.root, args).unwrap_err();
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}

/// A list is an input like others: no output replaces it, standard input may be one, and a push takes it.
#[test]
fn lists_are_inputs() {
    let store = podman();
    let list = store.beside("list");
    fs::write(&list, "demo/rl:1\n").unwrap();
    let from = |output: &Path| {
        let mut command = layerlift();
        command.args(["save", "--from-file"]).arg(&list).arg("-o").arg(output).arg("--root").arg(&store.root);
        ended(&crate::program::output(&mut command))
    };
    let (status, said) = from(&list);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("is read for this, and the archive would replace it"), "{said}");
    assert_eq!(fs::read_to_string(&list).unwrap(), "demo/rl:1\n");
    let mut stdin = layerlift();
    stdin.args(["save", "--from-file", "-", "--dry-run", "--root"]).arg(&store.root);
    let planned = output(stdin.stdin(fs::File::open(&list).unwrap()));
    assert_eq!(ended(&planned), (Some(0), String::new()));
    assert!(String::from_utf8_lossy(&planned.stdout).contains(FIRST));
    fs::write(&list, "# nothing\n").unwrap();
    assert!(from(&store.beside("x.tar")).1.contains("nothing is named to save"));
    fs::write(&list, "demo/rl:1\n").unwrap();
    let layout = store.beside("layout");
    let to = format!("oci:{}", layout.display());
    let pushed =
        output(layerlift().args(["push", "--from-file"]).arg(&list).arg(to).arg("--root").arg(&store.root));
    assert_eq!(ended(&pushed), (Some(0), String::new()));
    assert_eq!(names(&printed(&layout, &["images"])), [FIRST]);
}

/// An image with labels, in an archive.
#[test]
fn saves_and_images_of_labels() {
    let store = podman();
    let layout = store.beside("layout");
    let status = output(
        layerlift()
            .args(["save", FIRST, SECOND, "--format=oci-archive", "--root"])
            .arg(&store.root)
            .arg("-o")
            .arg({
                let mut folder = layout.clone().into_os_string();
                folder.push("/");
                folder
            }),
    );
    assert!(status.status.success(), "{:?}", ended(&status));
    let configured = Command::new("umoci")
        .args(["config", "--config.label", "team=blue", "--config.label", "tier=db", "--image"])
        .arg(format!("{}:{FIRST}", layout.display()))
        .output();
    match configured {
        Ok(output) if output.status.success() => {}
        other => return crate::program::skipped("saves_and_images_of_labels", &format!("umoci: {other:?}")),
    }
    for (args, expected) in [
        (&["save", "--label", "team"][..], Ok(&[FIRST][..])),
        (&["save", "--label", "team=blue", "--label", "tier=db"], Ok(&[FIRST])),
        (&["save", "--label", "team=red"], Err(Some(2))),
    ] {
        let found = saved(&layout, args);
        let found = found.as_deref().map_err(|(status, _)| *status);
        let expected = expected.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expected.as_deref().map_err(|status| *status), "{args:?}");
    }
    for (filter, expected) in [("label=team", 1), ("label=team=blue", 1), ("label=team=red", 0)] {
        let lines = printed(&layout, &["images", "-q", "--filter", filter]);
        assert_eq!(lines.lines().count(), expected, "{filter}");
    }
}

/// Options before the command and in the environment.
#[test]
fn places() {
    let store = podman();
    let ids = printed(&store.root, &["images", "-q"]);
    let said = |command: &mut Command| {
        let output = output(command);
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap(), ended(&output).1)
    };
    let before = |args: &[&str]| said(layerlift().arg("--root").arg(&store.root).args(args));
    assert_eq!(before(&["images", "-q"]), (Some(0), ids.clone(), String::new()));
    assert_eq!(before(&["--store", "containers-storage", "images", "-q"]).1, ids);
    for args in [&["images", "--root", "/x"][..], &["version"], &["completions", "bash"]] {
        assert_eq!(before(args).0, Some(2), "{args:?}");
    }
    let set = |args: &[&str]| said(layerlift().env("LAYERLIFT_ROOT", &store.root).args(args));
    assert_eq!(set(&["images", "-q"]), (Some(0), ids.clone(), String::new()));
    assert_eq!(set(&["--root", "/nonexistent", "images"]).0, Some(2), "an option comes first");
    assert_eq!(set(&["images", "--root", "/nonexistent"]).0, Some(2), "an option comes first");
    assert_eq!(set(&["version"]).0, Some(0));
    let of = |kind: &str| {
        said(layerlift().env("LAYERLIFT_STORE", kind).args(["images", "-q", "--root"]).arg(&store.root))
    };
    assert_eq!(of("containers-storage").1, ids);
    assert_eq!(of("").1, ids);
    assert_eq!(of("docker").0, Some(2));
    let (status, _, messages) = of("nosuch");
    assert_eq!(status, Some(2));
    assert!(messages.contains("LAYERLIFT_STORE is \"nosuch\""), "{messages}");
}

#[test]
fn other_spellings() {
    let text = |args: &[&str]| String::from_utf8(output(layerlift().args(args)).stdout).unwrap();
    assert_eq!(text(&["help", "save"]), text(&["save", "--help"]));
    assert_eq!(text(&["help"]), text(&["--help"]));
    assert_eq!(text(&["version"]), text(&["--version"]));
    let unknown = output(layerlift().args(["help", "nosuch"]));
    assert_eq!(unknown.status.code(), Some(2));
}

/// Errors of the command line look like the program's own, and machines read them as they read those.
#[test]
fn usage() {
    let (status, said) = ended(&output(layerlift().args(["save", "--formt", "x"])));
    assert_eq!(status, Some(2));
    let expected = "layerlift: error: unexpected argument '--formt' found\n\
                    hint: a similar argument exists: '--format'\n\
                    hint: layerlift save --help shows how it is used\n";
    assert_eq!(said, expected);
    let (status, said) = ended(&output(layerlift().args(["save", "--progress=json", "--formt", "x"])));
    assert_eq!(status, Some(2));
    let event: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(event["event"], "error");
    assert_eq!(event["message"], "unexpected argument '--formt' found");
    let store = podman();
    let of_file = output(layerlift().args(["save", "nosuch", "--progress=json", "--root"]).arg(&store.root));
    let event: Value = serde_json::from_str(&ended(&of_file).1).unwrap();
    assert_eq!(event["kind"], "not-found");
}
