//! Indexes and platforms, in every command.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::{ended, layerlift, output, save};
use crate::store::{BASE, CHILD, Store};
use crate::system_calls::layout;

fn json(args: &[&str], root: &Path) -> Value {
    let output = output(layerlift().args(args).arg("--root").arg(root));
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An image of Docker 1.8 is for one platform, which its documents name.
#[test]
fn of_a_store_without_indexes() {
    let store = Store::example();
    let archive = store.beside("archive.tar");
    let refused = output(save(&store.root).args(["base", "--platform", "linux/arm64", "-o"]).arg(&archive));
    let expected = "layerlift: error: base:1.0 is here for linux/amd64, not for linux/arm64\n";
    assert_eq!(ended(&refused), (Some(2), expected.to_owned()));
    assert!(!archive.exists());
    for (args, status) in [
        (&["images", "--platform", "linux/arm64"][..], 1),
        (&["verify", "--platform", "linux/arm64"], 1),
        (&["inspect", "base:1.0", "--platform", "linux/arm64"], 2),
        (&["save", "--all", "--dry-run", "--platform", "linux/arm64"], 2),
        (&["save", "--all", "--dry-run", "--keep-going", "--platform", "linux/amd64"], 0),
        (&["images", "--platform", "linux/amd64"], 0),
        (&["images", "--platform", "foo"], 2),
        (&["images", "--platform", "linux/"], 2),
    ] {
        let (found, said) = ended(&output(layerlift().args(args).arg("--root").arg(&store.root)));
        assert_eq!(found, Some(status), "{args:?}: {said}");
        let why = if args.contains(&"foo") || args.contains(&"linux/") {
            "is not a platform"
        } else if status == 0 {
            ""
        } else {
            "is here for linux/amd64, not for linux/arm64"
        };
        assert!(said.contains(why) && !said.contains("damaged"), "{args:?}: {said}");
    }
    let verified =
        output(layerlift().args(["verify", "--platform", "linux/arm64", "--root"]).arg(&store.root));
    let table = String::from_utf8(verified.stdout).unwrap();
    assert!(table.contains("NOT FOUND") && !table.contains("DAMAGED"), "{table}");
    let verified = output(
        layerlift().args(["verify", "--json", "--platform", "linux/arm64", "--root"]).arg(&store.root),
    );
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&verified["damaged"], &verified["unsound"]), (&json!(0), &json!(2)));
    assert_eq!(verified["images"][0]["kind"], "not-found");
    let images = json(&["images", "--json", "--platform", "linux/amd64"], &store.root);
    let ids: Vec<&str> =
        images.as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [CHILD, BASE]);
}

/// The platform chooses a member of an index, and `inspect` shows all of them.
#[test]
fn of_an_index() {
    let store = Store::example();
    let (layout, _) = layout(&store);
    let inspected = json(&["inspect", "multi:1", "--platform", "linux/arm64"], &layout);
    let [image] = inspected.as_array().unwrap().as_slice() else { panic!("{inspected}") };
    // The name that was asked for comes first.
    let base = ["1.0", "dup", "latest"].map(|tag| format!("base:{tag}"));
    assert_eq!(image["references"], json!([&["multi:1".to_owned()], &base[..]].concat()));
    let [index] = image["indexes"].as_array().unwrap().as_slice() else { panic!("{image}") };
    let members = index["members"].as_array().unwrap();
    let of = |platform: &str| members.iter().find(|member| member["platform"] == platform).unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(of("linux/arm64")["id"], image["id"]);
    assert_ne!(of("linux/amd64")["id"], image["id"]);
    let direct = json(&["inspect", image["id"].as_str().unwrap()], &layout);
    assert!(direct[0].get("indexes").is_none());

    let listed = json(&["images", "--json"], &layout);
    let named = |image: &&Value| image["references"].as_array().unwrap().contains(&json!("multi:1"));
    assert_eq!(listed.as_array().unwrap().iter().filter(named).count(), 1, "{listed}");
}

/// Several platforms in one archive, which has an index of its own.
#[test]
fn several() {
    let store = Store::example();
    let (layout, _) = layout(&store);
    let lines = |args: &[&str]| {
        let out = store.beside("several");
        let _ = std::fs::remove_dir_all(&out);
        let written = output(save(&layout).args(args).args(["multi:1", "-o"]).arg(out.join("")));
        assert_eq!(ended(&written), (Some(0), String::new()), "{args:?}");
        let json = |path: &str| -> Value {
            serde_json::from_slice(&std::fs::read(out.join(path)).unwrap()).unwrap()
        };
        let (top, items) = (json("index.json"), json("manifest.json"));
        let digest = top["manifests"][0]["digest"].as_str().unwrap();
        let below = json(&digest.replace("sha256:", "blobs/sha256/"));
        let tags = |item: &Value| !item["RepoTags"].is_null();
        let items = items.as_array().unwrap();
        let platforms = below["manifests"].as_array().map(|lines| {
            let of = |line: &Value| line["platform"]["architecture"].as_str().unwrap().to_owned();
            lines.iter().map(of).collect::<Vec<_>>()
        });
        (platforms.unwrap_or_default(), items.len(), items.iter().filter(|item| tags(item)).count())
    };
    let both = vec!["arm64".to_owned(), "amd64".to_owned()];
    for format in ["docker-archive", "oci-archive"] {
        for (more, expected) in [
            (&["--platform", "linux/arm64"][..], (Vec::new(), 1, 1)),
            (&["--platform", "linux/arm64", "--platform", "linux/amd64"], (both.clone(), 2, 1)),
            (&["--all-platforms"], (both.clone(), 2, 1)),
            (&["--platform", "linux/arm64", "--keep-index"], (both.clone(), 1, 1)),
        ] {
            let args: Vec<&str> = ["--format", format].iter().chain(more).copied().collect();
            assert_eq!(lines(&args), expected, "{args:?}");
        }
    }
    for (args, part) in [
        (&["--all-platforms", "--platform", "linux/arm64"][..], "cannot be used with"),
        (&["--keep-index", "--format", "docker-v1"], "docker-v1 cannot hold an index"),
        (
            &["--platform", "linux/arm64", "--platform", "linux/s390x"],
            "multi:1 is here for linux/arm64, linux/amd64, not for linux/s390x",
        ),
    ] {
        let (status, said) = ended(&output(save(&layout).args(args).args(["multi:1", "--dry-run"])));
        assert!(status == Some(2) && said.contains(part), "{args:?}: {status:?} {said}");
    }
}

/// A warning names the platforms that are left out, and one hint the options that take them.
#[test]
fn platforms_left_out() {
    let store = Store::containerd("docker-28");
    let hint = "hint: --all-platforms takes all that are here; --platform chooses";
    let run = |args: &[&str]| {
        let archive = store.beside("archive.tar");
        ended(&output(
            save(&store.root).args(["bench/multi:1.0", "built/two:1", "-o"]).arg(archive).args(args),
        ))
    };
    let two =
        "warning: docker.io/built/two:1: the store also has its image for linux/arm64, which is left out";
    for args in [&[][..], &["--keep-index"]] {
        let (status, said) = run(args);
        assert_eq!((status, said.matches(hint).count()), (Some(0), 1), "{args:?}: {said}");
        assert!(said.contains("its images for linux/arm64/v8, linux/arm/v7, which are left out"), "{said}");
        assert!(said.contains(two), "{said}");
    }
    let (_, said) = run(&["--progress", "json"]);
    assert!(said.contains(r#""kind":"platforms-left-out","image":"docker.io/built/two:1""#), "{said}");
    for args in [&["--platform", "linux/amd64"][..], &["--all-platforms"]] {
        assert_eq!(run(args), (Some(0), String::new()), "{args:?}");
    }
}

/// A column for platforms where an image has several, and all lines of an index as a tree.
#[test]
fn what_is_here_of_an_index() {
    let store = Store::containerd("docker-28");
    let listed = output(layerlift().args(["images", "--root"]).arg(&store.root));
    let table = String::from_utf8(listed.stdout).unwrap();
    let platforms = |name: &str| {
        let row = table.lines().find(|row| row.starts_with(name)).unwrap();
        row.rsplit("   ").next().unwrap()
    };
    for (name, expected) in [
        ("REPOSITORY", "PLATFORMS"),
        ("docker.io/bench/multi ", "linux/amd64, linux/arm64/v8, linux/arm/v7"),
        ("127.0.0.1:5777/bench/mlist ", "linux/amd64"),
        ("docker.io/bench/foreign ", "linux/riscv64"),
    ] {
        assert_eq!(platforms(name), expected, "{table}");
    }
    let images = json(&["images", "--json"], &store.root);
    let of = |name: &str| {
        let has = |image: &&Value| image["references"][0].as_str().unwrap_or_default().starts_with(name);
        images.as_array().unwrap().iter().find(has).unwrap()["platforms"].as_array().unwrap().clone()
    };
    let [here, missing] = &*of("127.0.0.1:5777/bench/mlist") else { panic!("two platforms") };
    assert_eq!((&here["platform"], here["id"].is_string()), (&json!("linux/amd64"), true));
    assert_eq!((&missing["platform"], &missing["id"]), (&json!("linux/s390x"), &Value::Null));
    // Without an index, what its own manifest and config say.
    let [foreign] = &*of("docker.io/bench/foreign") else { panic!("one platform") };
    assert_eq!(foreign["platform"], "linux/riscv64");
    assert_eq!(foreign["manifest"], format!("sha256:{}", foreign["id"].as_str().unwrap()));
    // docker images shows this digest as the id.
    let mlist = "sha256:47b3beb594d15309f07d3847751d9acb21035df7097c092cd9de3c3aade3892a";
    let has = |image: &&Value| image["indexes"] == json!([mlist]);
    assert_eq!(images.as_array().unwrap().iter().filter(has).count(), 1);

    let tree = output(
        layerlift()
            .args(["inspect", "--tree", "127.0.0.1:5777/bench/mlist", "built/kit", "--root"])
            .arg(&store.root),
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let rows: Vec<Vec<&str>> =
        tree.lines().skip(1).map(|row| row.split_whitespace().skip(1).collect()).collect();
    assert_eq!(
        rows,
        [
            &["index", "here", "127.0.0.1:5777/bench/mlist:1.0"][..],
            &["image", "linux/amd64", "here"],
            &["image", "linux/s390x", "missing"],
            &["index", "here", "docker.io/built/kit:1"],
            &["image", "linux/amd64", "here"],
            &["attestation", "linux/amd64", "here"],
        ],
        "{tree}"
    );
    let inspected = json(&["inspect", "built/kit"], &store.root);
    let lines = &inspected[0]["indexes"][0]["lines"];
    let of = |place: usize| (lines[place]["kind"].clone(), lines[place]["state"].clone());
    assert_eq!(of(0), (json!("image"), json!("here")));
    assert_eq!(of(1), (json!("attestation"), json!("here")));
    assert_eq!(lines[1]["about"], lines[0]["digest"]);
}

/// An index of an index, one image of which was never pulled as a whole.
#[test]
fn an_index_of_an_index() {
    let store = Store::containerd("containerd-2.1");
    let tree = |root: &Path, name: &str| {
        let output = output(
            layerlift().args(["inspect", "--tree", name, "--namespace", "default", "--root"]).arg(root),
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let nested = tree(&store.root, "bench/nested:1.0");
    let depths: Vec<usize> = nested.lines().skip(1).map(|row| row.len() - row.trim_start().len()).collect();
    assert_eq!(depths, [0, 2, 4, 4], "{nested}");
    assert!(nested.contains("linux/arm64   in part"), "{nested}");
}

/// Without names, a platform is a filter: images for others are left out.
#[test]
fn verify_for_a_platform() {
    let store = Store::containerd("containerd-2.1");
    let verify = |platform: &str| {
        let found = output(
            layerlift()
                .args(["verify", "--namespace", "default", "--platform", platform, "--root"])
                .arg(&store.root),
        );
        let (status, said) = ended(&found);
        (status, said, String::from_utf8(found.stdout).unwrap())
    };
    let (status, said, table) = verify("linux/arm64");
    assert_eq!((status, &*said), (Some(0), ""), "{table}");
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert!(matches!(&*rows, [row] if row.starts_with("docker.io/bench/multi:1.0 ")), "{table}");
    // If the filter leaves nothing over, the errors say what there is.
    let (status, said, table) = verify("linux/mips");
    assert_eq!(status, Some(1), "{said}");
    assert!(table.contains("NOT FOUND") && said.contains("is here for linux/amd64"), "{said}");
}

/// What is not an image, and images whose blobs are not all there.
#[test]
fn what_a_tree_says() {
    let tree = |store: &Store, namespace: &str, name: &str| {
        let mut inspect = layerlift();
        inspect.args(["inspect", "--tree", name, "--namespace", namespace, "--root"]).arg(&store.root);
        String::from_utf8(output(&mut inspect).stdout).unwrap()
    };
    let store = Store::containerd("containerd-2.1");
    let artifact = tree(&store, "default", "docker.io/bench/artifact:1.0");
    let row: Vec<&str> = artifact.lines().nth(1).unwrap().split_whitespace().skip(1).collect();
    assert_eq!(row, ["application/vnd.bench.thing", "here", "docker.io/bench/artifact:1.0"]);
    let store = Store::containerd("containerd-2.1-discarded");
    let multi = tree(&store, "k8s.io", "127.0.0.1:5777/bench/multi:1.0");
    assert!(multi.contains("linux/amd64      unpacked"), "{multi}");
}

/// If the image for this machine is damaged, the others of its index are listed all the same.
#[test]
fn the_rest_of_a_damaged_index() {
    const CONFIG: &str = "dc041c6fadb082c5e488f29c8b05e41beb862a82846ffe4ed589ff323c9eb148";
    let store = Store::containerd("docker-28");
    let path =
        store.root.join("containerd/daemon/io.containerd.content.v1.content/blobs/sha256").join(CONFIG);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let list = |args: &[&str]| {
        let found = output(layerlift().arg("images").args(args).arg("--root").arg(&store.root));
        let (status, said) = ended(&found);
        assert!(said.contains("bench/multi:1.0"), "{said}");
        (status, String::from_utf8(found.stdout).unwrap())
    };
    let (status, table) = list(&[]);
    let row = table.lines().find(|row| row.starts_with("docker.io/bench/multi ")).unwrap();
    assert!(status == Some(1) && row.ends_with("linux/arm64/v8, linux/arm/v7"), "{table}");
    let (status, table) = list(&["--platform", "linux/amd64"]);
    assert!(status == Some(1) && !table.contains("docker.io/bench/multi "), "{table}");
}
