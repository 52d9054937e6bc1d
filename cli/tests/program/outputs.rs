//! Where an archive goes (files, directories, pipes, terminals), and the progress that is shown.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::listing::entries;
use crate::program::{ended, layerlift, output, save};
use crate::store::{BASE, CHILD, Store};

#[test]
fn never_on_a_terminal() {
    let store = Store::example();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    for args in [&["base:latest"][..], &["base:latest", "-o", "-"]] {
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let (status, said) =
            ended(&output(save(&store.root).args(args).stdout(slave).stderr(Stdio::piped())));
        assert_eq!(status, Some(2));
        insta::allow_duplicates! { insta::assert_snapshot!(said, @r"
        layerlift: error: refusing to write an archive to a terminal
        hint: write to a file with -o FILE, or pipe it: layerlift save … | docker load
        ") };
    }
}

#[test]
fn closed_pipe() {
    let store = Store::example();
    let status = |command: &mut std::process::Command| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        ended(&child.wait_with_output().unwrap())
    };
    // A truncated archive must not pass for a complete one, but a truncated table has served its purpose.
    assert_eq!(status(save(&store.root).arg("base:latest")), (Some(141), String::new()));
    assert_eq!(status(layerlift().arg("images").arg("--root").arg(&store.root)), (Some(0), String::new()));
}

#[test]
fn file_pipe_and_directory_are_the_same() {
    let store = Store::example();
    let file = store.beside("out.tar");
    for format in ["docker-v1", "docker-archive"] {
        let command = || {
            let mut command = save(&store.root);
            command.args(["base", "--format", format]);
            command
        };
        assert_eq!(ended(&output(command().arg("-o").arg(&file))), (Some(0), String::new()));
        let tar = fs::read(&file).unwrap();
        assert!(output(&mut command()).stdout == tar, "{format}: a pipe gets other bytes");
        let folder = store.beside(&format!("{format}/"));
        assert_eq!(ended(&output(command().arg("-o").arg(format!("{}/", folder.display())))).0, Some(0));
        for entry in entries(&tar).unwrap() {
            let path = folder.join(&entry.row.name);
            match &*entry.row.kind {
                "dir" => assert!(path.is_dir(), "{path:?}"),
                "file" => assert!(fs::read(&path).unwrap() == entry.bytes, "{path:?} has other bytes"),
                other => panic!("{path:?} is a {other}"),
            }
        }
    }
}

#[test]
fn formats_hold_the_same_layers() {
    let store = Store::example();
    let layers = |format: &str| {
        let tar = output(save(&store.root).args(["base:child", "--format", format])).stdout;
        let is_layer =
            |name: &str, bytes: &[u8]| name.ends_with("/layer.tar") || bytes.get(257..262) == Some(b"ustar");
        let mut layers: Vec<Vec<u8>> = entries(&tar)
            .unwrap()
            .into_iter()
            .filter(|entry| is_layer(&entry.row.name, &entry.bytes))
            .map(|entry| entry.bytes)
            .collect();
        layers.sort();
        layers
    };
    let v1 = layers("docker-v1");
    assert_eq!(v1.len(), 2);
    assert!(layers("docker-archive") == v1);
}

#[test]
fn dry_run_writes_nothing() {
    let store = Store::example();
    let out = store.beside("out.tar");
    let plan = output(save(&store.root).args(["--all", "--dry-run", "-o"]).arg(&out));
    assert_eq!(ended(&plan), (Some(0), String::new()));
    let text = String::from_utf8(plan.stdout).unwrap();
    assert!(text.contains("base:latest") && text.contains("base:child"), "{text}");
    assert!(!out.exists());
}

#[test]
fn json_progress_is_json() {
    let store = Store::example();
    let out = store.beside("out.tar");
    let (status, said) =
        ended(&output(save(&store.root).args(["base", "--progress", "json", "-o"]).arg(&out)));
    assert_eq!(status, Some(0), "{said}");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = events.last().unwrap();
    assert_eq!(last["event"], "done");
    assert_eq!(last["output"], out.to_str().unwrap());
    assert_eq!(last["bytes"], fs::metadata(&out).unwrap().len());
    assert_eq!((&last["images"], &last["layers"]), (&2.into(), &2.into()));
    let write = events.iter().find(|event| event["event"] == "start" && event["phase"] == "write").unwrap();
    assert_eq!(write["total"], last["bytes"]);

    let (status, said) =
        ended(&output(save(&store.root).args(["nosuch", "--progress", "json", "-o"]).arg(&out)));
    assert_eq!(status, Some(2));
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&error["event"], &error["message"]), (&"error".into(), &"no such image: nosuch".into()));

    // A warning is a value: machines need not read the sentence.
    let names = store.root.join("repositories-vfs");
    let text = fs::read_to_string(&names).unwrap().replacen(r#""latest":"#, r#"".old":"#, 1);
    fs::write(&names, text).unwrap();
    let (status, said) =
        ended(&output(save(&store.root).args(["--all", "--progress", "json", "-o"]).arg(&out)));
    assert_eq!(status, Some(0), "{said}");
    let mut events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let warning = events.find(|event| event["event"] == "warning").unwrap_or_else(|| panic!("{said}"));
    assert_eq!((&warning["kind"], &warning["name"]), (&"name-left-out".into(), &"base:.old".into()));
    let message = warning["message"].as_str().unwrap();
    assert!(message.starts_with("the name base:.old is left out: "), "{message}");
    assert!(message.ends_with(warning["why"].as_str().unwrap()), "{message}");
}

/// Docker 1.8 wrote names that are digests into an archive, and a Docker that has digests of its own refuses
/// all of it.
#[test]
fn digests_as_names_of_docker_v1() {
    let store = Store::example();
    let file = store.root.join("repositories-vfs");
    let digest = format!("sha256:{}", "d".repeat(64));
    let names = fs::read_to_string(&file).unwrap();
    fs::write(&file, names.replacen(r#""latest":"#, &format!(r#""{digest}":"{BASE}","latest":"#), 1))
        .unwrap();
    let repositories = |output: &std::process::Output| {
        let entries = entries(&output.stdout).unwrap();
        let found = entries.into_iter().find(|entry| entry.row.name == "repositories").unwrap();
        String::from_utf8(found.bytes).unwrap()
    };
    let all = output(save(&store.root).args(["--all", "--format", "docker-v1"]));
    let (status, said) = ended(&all);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(&format!("the name base@{digest} is left out: Docker since 1.10")), "{said}");
    assert!(!repositories(&all).contains(&digest));
    // As 1.8 did.
    let named = output(save(&store.root).args(["base", "--format", "docker-v1"]));
    assert_eq!(ended(&named), (Some(0), String::new()));
    assert!(repositories(&named).contains(&digest));
}

#[test]
fn keeps_going() {
    let store = Store::example();
    let child = store.root.join("vfs/dir").join(CHILD).join("etc/passwd");
    fs::write(&child, "changed").unwrap();
    let stopped = output(save(&store.root).arg("--all"));
    assert_eq!(stopped.status.code(), Some(1));
    let went_on = output(save(&store.root).args(["--all", "--keep-going", "--format", "docker-v1"]));
    let (status, said) = ended(&went_on);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(CHILD) && said.contains("etc/passwd"), "{said}");
    let names: Vec<String> =
        entries(&went_on.stdout).unwrap().into_iter().map(|entry| entry.row.name).collect();
    assert!(names.contains(&format!("{BASE}/layer.tar")), "{names:?}");
    assert!(!names.contains(&format!("{CHILD}/layer.tar")), "{names:?}");

    let verified = output(layerlift().args(["verify", "--json", "--root"]).arg(&store.root));
    assert_eq!(verified.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!((&report["damaged"], &report["unsound"]), (&1.into(), &1.into()));
    let sound = |id: &str| {
        let images = report["images"].as_array().unwrap();
        images.iter().find(|image| image["id"] == id).map(|image| image["sound"] == true)
    };
    assert_eq!((sound(BASE), sound(CHILD)), (Some(true), Some(false)));
}

/// What `verify` says on the way, at the end, and with `-q`.
#[test]
fn verify_says_how_far_it_is() {
    let store = Store::example();
    let verify = |args: &[&str]| {
        let output = output(layerlift().arg("verify").args(args).arg("--root").arg(&store.root));
        let (status, said) = ended(&output);
        (status, String::from_utf8(output.stdout).unwrap(), said)
    };
    let (status, shown, said) = verify(&["--progress", "json"]);
    assert_eq!(status, Some(0));
    assert!(shown.contains("base:1.0, base:dup, base:latest"), "{shown}");
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let images = of("image");
    assert_eq!((images.len(), &images[0]["image"], &images[1]["images"]), (2, &1.into(), &2.into()));
    assert!(images.iter().any(|image| image["references"] == json!(["base:child"])), "{said}");
    assert!(images.iter().all(|image| image["sound"] == true && image["kind"].is_null()), "{said}");
    let done = of("done")[0];
    let numbers = ["images", "layers", "unsound"].map(|field| done[field].as_u64().unwrap());
    assert_eq!(numbers, [2, 2, 0]);
    assert!(done["bytes"].as_u64().unwrap() > 300_000);

    let (_, _, said) = verify(&["--progress", "plain"]);
    assert!(said.contains("verify: 2 of 2: base:"), "{said}");
    assert!(said.contains("verified 2 images, 2 layers, ") && said.contains(": all sound"), "{said}");
    assert_eq!(verify(&["-q"]), (Some(0), String::new(), String::new()));

    fs::write(store.root.join("vfs/dir").join(CHILD).join("etc/passwd"), "changed").unwrap();
    let (status, shown, said) = verify(&["-q"]);
    assert_eq!((status, &*shown), (Some(1), ""));
    assert!(said.contains("etc/passwd"), "{said}");
}

#[test]
fn listings_of_the_example() {
    let store = Store::example();
    let json = |args: &[&str]| -> Value {
        let output = output(layerlift().args(args).arg("--root").arg(&store.root));
        assert_eq!(ended(&output), (Some(0), String::new()), "{args:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let images = json(&["images", "--json"]);
    let references = |id: &str| {
        let image = images.as_array().unwrap().iter().find(|image| image["id"] == id).unwrap();
        serde_json::to_string(&image["references"]).unwrap()
    };
    assert_eq!(references(BASE), r#"["base:1.0","base:dup","base:latest"]"#);
    assert_eq!(references(CHILD), r#"["base:child"]"#);

    let inspected = json(&["inspect", "base:child"]);
    assert_eq!(inspected[0]["id"], CHILD);
    assert_eq!(json(&["inspect", BASE])[0]["references"], json!(["base:1.0", "base:dup", "base:latest"]));
    assert_eq!(
        json(&["inspect", "base:latest"])[0]["references"],
        json!(["base:latest", "base:1.0", "base:dup"])
    );
    let layers: Vec<&Value> =
        inspected[0]["layers"].as_array().unwrap().iter().map(|layer| &layer["id"]).collect();
    assert_eq!(layers, [BASE, CHILD]);
    assert_eq!(inspected[0]["documents"][1]["parent"], BASE);
    assert!(inspected[0]["layers"][0]["tar_size"].as_u64().unwrap() > 300_000);

    let stores = json(&["stores", "--json"]);
    assert_eq!((&stores[0]["kind"], &stores[0]["images"]), (&"docker-graph".into(), &2.into()));
    assert_eq!(json(&["verify", "--json"])["damaged"], 0);
}

/// A disk of another host, with the store in the usual place below the disk's root.
#[test]
fn stores_below_a_disk() {
    let store = Store::example();
    let disk = store.beside("disk");
    fs::create_dir_all(disk.join("var/lib")).unwrap();
    fs::rename(&store.root, disk.join("var/lib/docker")).unwrap();
    let output = output(layerlift().args(["stores", "--root"]).arg(&disk));
    assert_eq!(output.status.code(), Some(0));
    let table = String::from_utf8(output.stdout).unwrap().replace(disk.to_str().unwrap(), "");
    let rows: Vec<String> =
        table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        rows,
        ["STORE DRIVERS IMAGES SIZE PATH STATE", "docker-graph vfs 2 635kB /var/lib/docker readable"]
    );
}

/// Two stores in the usual places of a user.
#[test]
fn several_stores() {
    let store = Store::example();
    let data = store.beside("data");
    fs::create_dir_all(data.join("containers")).unwrap();
    let places = [data.join("docker"), data.join("containers/storage")];
    let other = Store::example();
    fs::rename(&other.root, &places[1]).unwrap();
    fs::rename(&store.root, &places[0]).unwrap();
    fs::write(
        places[1].join("repositories-vfs"),
        format!(r#"{{"Repositories":{{"other":{{"1":"{BASE}"}}}}}}"#),
    )
    .unwrap();
    let run = |args: &[&str]| {
        let output = output(layerlift().args(args).env("XDG_DATA_HOME", &data));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
    };
    let both = places.each_ref().map(|place| format!("--root {} --store docker-graph", place.display()));

    // An id that both stores have; two names, each in one store; a name that is in one of them.
    let (status, said, _) = run(&["save", BASE]);
    assert_eq!(status, Some(2));
    assert!(both.iter().all(|store| said.contains(store)) && said.contains("--root"), "{said}");
    let (status, said, _) = run(&["save", "base:latest", "other:1"]);
    assert_eq!(status, Some(2));
    assert!(said.contains(&format!("base:latest in {}", both[0])), "{said}");
    assert!(said.contains(&format!("other:1 in {}", both[1])), "{said}");
    let (status, said, tar) = run(&["save", "other:1"]);
    assert_eq!((status, &*said), (Some(0), ""));
    assert!(!tar.is_empty());
}

/// The mode of a new file, and of the files in a directory, is what the umask leaves.
#[test]
fn modes_are_those_of_the_umask() {
    let store = Store::example();
    for (mask, expected) in [("077", 0o600), ("022", 0o644), ("002", 0o664)] {
        let file = store.beside(&format!("{mask}.tar"));
        let folder = store.beside(&format!("{mask}.d"));
        for out in [file.display().to_string(), format!("{}/", folder.display())] {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("umask {mask}; exec \"$@\""), "sh"]);
            let program = layerlift();
            command.arg(program.get_program()).args(["save", "base", "-o", &out, "--root"]).arg(&store.root);
            assert_eq!(ended(&output(&mut command)), (Some(0), String::new()));
        }
        let mode = |path: &Path| path.metadata().expect("it was written").permissions().mode() & 0o777;
        assert_eq!(mode(&file), expected, "{mask}");
        assert_eq!(mode(&folder.join("manifest.json")), expected, "{mask}");
    }
}
