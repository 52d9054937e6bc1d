//! `layerlift volumes` and `layerlift volume`, against what Docker and Podman said of theirs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output};
use crate::store::Store;

const ENGINES: [&str; 5] =
    ["docker-20.10", "docker-28.5", "docker-28.5-containerd", "podman-4.3", "podman-5.8"];

fn answer(engine: &str, file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/containers");
    fs::read_to_string(folder.join(engine).join(file)).expect("an answer")
}

fn volumes(root: &Path) -> (Option<i32>, BTreeMap<String, Value>, String) {
    let out = output(layerlift().args(["volumes", "--json", "--root"]).arg(root));
    let (status, errors) = ended(&out);
    let all: Vec<Value> = serde_json::from_slice(&out.stdout).expect("JSON");
    let named = |volume: Value| (volume["name"].as_str().expect("a name").to_owned(), volume);
    (status, all.into_iter().map(named).collect(), errors)
}

fn volume(root: &Path, arguments: &[&str]) -> Output {
    output(layerlift().arg("volume").args(arguments).arg("--root").arg(root))
}

#[test]
fn as_the_engines_list_them() {
    for engine in ENGINES {
        let store = Store::containers(engine);
        let (status, ours, errors) = volumes(&store.root);
        assert_eq!((status, &*errors), (Some(0), ""), "{engine}");
        let theirs: Vec<Value> = serde_json::from_str(&answer(engine, "volumes.json")).expect("JSON");
        assert_eq!(ours.len(), theirs.len(), "{engine}");
        for said in theirs {
            let volume = &ours[said["Name"].as_str().expect("a name")];
            assert_eq!(volume["driver"], said["Driver"], "{engine}");
            let labels = said["Labels"].as_object().cloned().unwrap_or_default();
            assert_eq!(volume["labels"], Value::Object(labels), "{engine}: {said}");
            let time = |value: &Value| -> jiff::Timestamp {
                value.as_str().expect("a time").parse().expect("RFC 3339")
            };
            let (ours, theirs) = (time(&volume["created"]), time(&said["CreatedAt"]));
            assert_eq!(ours.as_second(), theirs.as_second(), "{engine}: {said}");
            assert!(volume["path"].as_str().expect("a path").ends_with("/_data"));
        }
        for line in answer(engine, "volume-users.txt").lines() {
            let (name, users) = line.split_once(':').expect("a colon");
            let expected: Vec<&str> = users.split_whitespace().collect();
            assert_eq!(ours[name]["used_by"], serde_json::json!(expected), "{engine}: {name}");
        }
        assert_eq!((&ours["named"]["size"], &ours["unused"]["size"]), (&20.into(), &0.into()), "{engine}");
    }
}

/// Everything that a tree can have comes back out of the tar.
#[test]
fn data_come_back() {
    if !is_root("data_come_back", "to make devices and set owners") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let data = store.root.join("volumes/named/_data");
    let script = "cd \"$1\" && mkdir -p sub/deep && echo one > sub/one && ln sub/one sub/two \
                  && ln -s one sub/link && mkfifo sub/fifo && mknod sub/null c 1 3 && mknod sub/zero c 0 0 \
                  && echo x > .wh.file && chown 999:998 . sub/one && chmod 2750 sub \
                  && truncate -s 1M sub/sparse && touch -d @-5 sub/old";
    let made = Command::new("sh").args(["-c", script, "sh"]).arg(&data).status().expect("sh starts");
    assert!(made.success());
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("a mode");
    let out = store.beside("named.tar");
    assert_eq!(
        ended(&volume(&store.root, &["named", "-o", out.to_str().expect("UTF-8")])),
        (Some(0), String::new())
    );
    let back = store.beside("back");
    fs::create_dir(&back).expect("a folder");
    let unpacked =
        Command::new("tar").arg("-xpf").arg(&out).arg("-C").arg(&back).output().expect("tar starts");
    assert!(unpacked.status.success(), "{unpacked:?}");
    let listed = |folder: &Path| {
        let format = "%P %y %m %U:%G %T@ %n %l\\n";
        let found = Command::new("find").arg(folder).args(["-printf", format]).output().expect("find starts");
        let text = String::from_utf8(found.stdout).expect("UTF-8");
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.iter().map(|line| without_fraction(line)).collect::<Vec<_>>()
    };
    assert_eq!(listed(&data), listed(&back));
    let metadata = back.metadata().expect("it is there");
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (999, 998, 0o700));
    let part = volume(&store.root, &["named", "--path", "/sub/deep/../one"]);
    assert_eq!(ended(&part).0, Some(2));
    let part = volume(&store.root, &["named", "--path", "/sub/one"]);
    let names = |tar: &[u8]| -> Vec<PathBuf> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().expect("a tar");
        entries.map(|entry| entry.expect("an entry").path().expect("a name").into_owned()).collect()
    };
    assert_eq!(names(&part.stdout), [Path::new("sub/one")]);
    let part = volume(&store.root, &["named", "--path", "sub"]);
    assert_eq!(names(&part.stdout).len(), 10);
}

/// A line of `find` with times in seconds, as the tar has them.
fn without_fraction(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.split_once('.') {
        Some((seconds, fraction)) if fraction.len() == 10 => seconds,
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn data_that_are_elsewhere() {
    let store = Store::containers("docker-28.5");
    let options =
        r#"{"MountType":"none","MountOpts":"bind","MountDevice":"/srv/elsewhere","Quota":{"Size":0}}"#;
    fs::write(store.root.join("volumes/named/opts.json"), options).expect("written");
    let (status, all, _) = volumes(&store.root);
    assert_eq!(status, Some(0));
    assert_eq!((&all["named"]["device"], &all["named"]["size"]), (&"/srv/elsewhere".into(), &Value::Null));
    let out = store.beside("out.tar");
    let failed = volume(&store.root, &["named", "-o", out.to_str().expect("UTF-8")]);
    let (status, errors) = ended(&failed);
    assert_eq!(status, Some(2));
    assert!(errors.contains("not in the store: they are at /srv/elsewhere"), "{errors}");
    assert!(!out.exists());
}

/// A volume of `type=tmpfs` has lost its data with its host, whichever record says so.
#[test]
fn data_that_were_in_memory() {
    let options = r#"{"MountType":"tmpfs","MountOpts":"size=1m","MountDevice":"tmpfs"}"#;
    for store in [Store::containers("docker-28.5"), Store::containers("docker-20.10")] {
        fs::write(store.root.join("volumes/named/opts.json"), options).expect("written");
        let (status, all, _) = volumes(&store.root);
        assert_eq!((status, &all["named"]["device"]), (Some(0), &"tmpfs".into()));
        let listed = output(layerlift().args(["volumes", "--root"]).arg(&store.root));
        let listed = String::from_utf8(listed.stdout).expect("UTF-8");
        assert!(listed.contains("(data in memory)") && !listed.contains("at tmpfs"), "{listed}");
        let (status, errors) = ended(&volume(&store.root, &["named"]));
        assert_eq!(status, Some(2), "{errors}");
        assert!(errors.contains("they are lost, because they were in memory"), "{errors}");
    }
}

/// A path that leads through a link is not taken for one that does not exist, nor for damage.
#[test]
fn paths_behind_links() {
    let store = Store::containers("docker-28.5");
    let data = store.root.join("volumes/named/_data");
    fs::create_dir(data.join("real")).expect("made");
    fs::write(data.join("real/file"), "x").expect("written");
    symlink("real", data.join("link")).expect("a link");
    symlink("/etc", data.join("real/out")).expect("a link");
    for (path, link) in [("link/file", "link"), ("/link/none/x", "link"), ("real/out/passwd", "real/out")] {
        let (status, errors) = ended(&volume(&store.root, &["named", "--path", path]));
        assert_eq!(status, Some(2), "{errors}");
        let words = format!("{path} in volume named is behind the symbolic link {link}, which is not");
        assert!(errors.contains(&words), "{errors}");
    }
    for path in ["link", "real/out", "real/file"] {
        assert_eq!(ended(&volume(&store.root, &["named", "--path", path])).0, Some(0), "{path}");
    }
}

/// Docker 1.10 had no database of volumes: its volumes are all there.
#[test]
fn volumes_of_docker_without_a_database() {
    let store = Store::containers("docker-20.10-vfs-killed");
    fs::remove_file(store.root.join("volumes/metadata.db")).expect("it was there");
    for newer in ["swarm", "plugins", "buildkit", "runtimes"] {
        let _ = fs::remove_dir_all(store.root.join(newer));
    }
    let (status, all, errors) = volumes(&store.root);
    assert_eq!((status, all.len()), (Some(0), 2), "{errors}");
    assert!(errors.contains("metadata.db: not there"), "{errors}");
}

#[test]
fn data_that_podman_has_elsewhere() {
    for engine in ["podman-4.3-options", "podman-5.8-options"] {
        let store = Store::containers(engine);
        let (status, all, _) = volumes(&store.root);
        assert_eq!(status, Some(0));
        assert_eq!(all["elsewhere"]["device"], "/srv/elsewhere", "{engine}");
        assert_eq!(all["elsewhere"]["labels"]["backup"], "yes", "{engine}");
        assert_eq!(all["plain"]["device"], Value::Null, "{engine}");
        let (status, errors) = ended(&volume(&store.root, &["elsewhere"]));
        assert_eq!(status, Some(2), "{engine}");
        assert!(errors.contains("not in the store: they are at /srv/elsewhere"), "{errors}");
    }
}

/// `metadata.db` and `opts.json` both say where the data are. With one of them, nothing is lost.
#[test]
fn either_record_says_that_data_are_elsewhere() {
    const PLACE: &str = "/tmp/work-rounds/fx/k/elsewhere";
    let out = |store: &Store| store.beside("out.tar");
    let taken = |store: &Store| {
        let (status, errors) =
            ended(&volume(&store.root, &["elsewhere", "-o", out(store).to_str().expect("UTF-8")]));
        assert_eq!(out(store).exists(), status < Some(2), "{errors}");
        (status, errors)
    };
    for damage in [None, Some(&b""[..]), Some(&[0; 100]), Some(b"{\"MountType\":\"no")] {
        let store = Store::containers("docker-20.10-vfs-killed");
        // As every Docker has that has the database.
        fs::create_dir_all(store.root.join("buildkit")).expect("made");
        let file = store.root.join("volumes/elsewhere/opts.json");
        match damage {
            Some(bytes) => fs::write(&file, bytes).expect("written"),
            None => fs::remove_file(&file).expect("it was there"),
        }
        let (status, all, errors) = volumes(&store.root);
        assert_eq!(status, Some(i32::from(damage.is_some())), "{errors}");
        assert_eq!(errors.contains("volumes/elsewhere/opts.json is malformed"), damage.is_some(), "{errors}");
        assert_eq!((&all["elsewhere"]["device"], &all["elsewhere"]["size"]), (&PLACE.into(), &Value::Null));
        let (status, errors) = taken(&store);
        assert_eq!(status, Some(2), "{errors}");
        assert!(errors.contains(&format!("not in the store: they are at {PLACE}")), "{errors}");

        let database = store.root.join("volumes/metadata.db");
        for gone in [false, true] {
            match gone {
                true => fs::remove_file(&database).expect("it was there"),
                false => fs::write(&database, [0; 5000]).expect("written"),
            }
            let (status, all, errors) = volumes(&store.root);
            assert_eq!((status, all.len()), (Some(1), 2), "{errors}");
            let (status, warned) = taken(&store);
            assert_eq!(status, Some(1), "{warned}");
            assert!(warned.contains("volume elsewhere has no data here"), "{warned}");
            for said in [errors, warned] {
                let words =
                    if gone { "volumes/metadata.db is missing" } else { "volumes/metadata.db is malformed" };
                assert!(said.contains(words), "{said}");
            }
            fs::remove_file(out(&store)).expect("it was made");
        }
    }
    let store = Store::containers("docker-20.10-vfs-killed");
    fs::remove_file(store.root.join("volumes/metadata.db")).expect("it was there");
    assert_eq!(taken(&store).0, Some(2), "opts.json says it");
}

#[test]
fn what_is_damaged_hides_no_other() {
    for (engine, database) in [("docker-28.5", "volumes/metadata.db"), ("podman-5.8", "db.sql")] {
        let store = Store::containers(engine);
        let data = store.root.join("volumes/unused/_data");
        fs::remove_dir_all(&data).expect("it was there");
        symlink("/etc", &data).expect("a link");
        let (status, all, errors) = volumes(&store.root);
        assert_eq!((status, &all["unused"]["size"]), (Some(1), &Value::Null), "{engine}");
        assert!(errors.contains("volumes/unused/_data"), "{errors}");
        assert_eq!(ended(&volume(&store.root, &["unused"])).0, Some(1));
        let count = all.len();
        fs::write(store.root.join(database), [0; 5000]).expect("written");
        let (status, all, errors) = volumes(&store.root);
        assert_eq!((status, all.len()), (Some(1), count), "{engine}: the folders have the names");
        assert!(errors.contains(database), "{errors}");
    }
}

#[test]
fn names_that_nobody_has() {
    let store = Store::containers("podman-5.8");
    let out = store.beside("out.tar");
    for (name, path) in [("nmaed", None), ("named", Some("no/such")), ("4f3e7da7e5b2", None)] {
        let mut arguments = vec![name, "-o", out.to_str().expect("UTF-8")];
        arguments.extend(path.iter().flat_map(|path| ["--path", path]));
        let (status, errors) = ended(&volume(&store.root, &arguments));
        if name.len() == 12 {
            assert_eq!((status, &*errors), (Some(0), ""));
        } else {
            assert_eq!(status, Some(2), "{errors}");
            assert!(errors.contains(path.unwrap_or(name)) && !out.exists(), "{errors}");
        }
    }
}

/// The folders have the data; what is lost is said.
#[test]
fn without_the_database_of_podman() {
    let store = Store::containers("podman-5.8");
    let (_, whole, _) = volumes(&store.root);
    fs::remove_file(store.root.join("db.sql")).expect("it was there");
    let (status, all, errors) = volumes(&store.root);
    assert_eq!((status, all.len()), (Some(1), whole.len()));
    assert!(errors.contains("db.sql is missing: it had labels and drivers of volumes"), "{errors}");
    let (status, errors) = ended(&volume(&store.root, &["named"]));
    assert_eq!(status, Some(0));
    assert!(errors.contains("warning: ") && errors.contains("db.sql is missing"), "{errors}");
}

/// What is lost with it is above all which volumes are elsewhere.
#[test]
fn a_database_of_podman_that_is_damaged() {
    for (damage, words) in [
        (
            None,
            "db.sql is missing: it had labels and drivers of volumes, and which of them are kept elsewhere",
        ),
        (Some(0), "db.sql is malformed: it is empty"),
        (Some(20_000), "db.sql is malformed: it has only zero bytes"),
    ] {
        let store = Store::containers("podman-5.8-options");
        let file = store.root.join("db.sql");
        match damage {
            Some(len) => fs::write(&file, vec![0; len]).expect("written"),
            None => fs::remove_file(&file).expect("it was there"),
        }
        let (status, _, errors) = volumes(&store.root);
        assert_eq!(status, Some(1), "{errors}");
        assert!(errors.contains(words), "{errors}");
        let (status, errors) = ended(&volume(&store.root, &["elsewhere"]));
        assert_eq!(status, Some(1), "{errors}");
        assert!(errors.contains("layerlift: warning: ") && errors.contains(words), "{errors}");
    }
}

/// A page of containerd's database says nothing about containers and volumes that have records of their own.
#[test]
fn a_database_of_containerd_that_is_cut_off() {
    let store = Store::containers("docker-28.5-containerd");
    let (_, whole, _) = volumes(&store.root);
    let database = store.root.join("containerd/daemon/io.containerd.metadata.v1.bolt/meta.db");
    fs::File::options().write(true).open(&database).expect("it is there").set_len(1 << 18).expect("cut");
    let (status, all, errors) = volumes(&store.root);
    assert_eq!((status, all.len()), (Some(1), whole.len()), "{errors}");
    assert!(errors.contains("meta.db is malformed: page 93 is cut off"), "{errors}");
    assert_eq!(all["named"]["used_by"], whole["named"]["used_by"]);
    let listed = output(layerlift().args(["containers", "--json", "--root"]).arg(&store.root));
    let (status, errors) = ended(&listed);
    assert_eq!(status, Some(1), "{errors}");
    assert!(
        errors.contains("error: ") && errors.contains("meta.db is malformed: page 93 is cut off"),
        "{errors}"
    );
    let all: Vec<Value> = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(all.len(), 5);
}

/// A message names the output that refused bytes, and not the place that was read.
#[test]
fn outputs_that_refuse_bytes() {
    if !is_root("outputs_that_refuse_bytes", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("podman-5.8");
    for command in ["volume", "rootfs"] {
        let name = if command == "volume" { "named" } else { "changed" };
        let full = output(layerlift().args([command, name, "-o", "/dev/full", "--root"]).arg(&store.root));
        let (status, errors) = ended(&full);
        assert_eq!(status, Some(2), "{errors}");
        assert!(errors.contains("cannot write /dev/full: no space left on device"), "{errors}");
        let closed = Command::new("sh")
            .args([
                "-c",
                "\"$0\" \"$@\" >/dev/full",
                env!("CARGO_BIN_EXE_layerlift"),
                command,
                name,
                "--root",
            ])
            .arg(&store.root)
            .output();
        let (status, errors) = ended(&closed.expect("sh starts"));
        assert_eq!(status, Some(2), "{errors}");
        assert!(errors.contains("cannot write") && !errors.contains("overlay/"), "{errors}");
    }
}

/// Holes cost no reading.
#[test]
fn a_file_of_holes() {
    if !is_root("a_file_of_holes", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("podman-5.8");
    let file = fs::File::create(store.root.join("volumes/named/_data/holes")).expect("a file");
    file.set_len(64 << 30).expect("a file system with holes");
    let (_, listed, _) = volumes(&store.root);
    assert_eq!(listed["named"]["size"], (64u64 << 30) + 20);
    // The pipe takes what fits into it, and what was read until then is counted.
    let script = r#"strace -f -e trace=read,pread64,preadv -o "$1" "$2" volume named --root "$3" |
        head -c 300000000 | wc -c"#;
    let log = store.beside("calls");
    let out = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&log, Path::new(env!("CARGO_BIN_EXE_layerlift")), &store.root])
        .output()
        .expect("sh starts");
    let Ok(calls) = fs::read_to_string(&log) else {
        crate::program::skipped("a_file_of_holes", "strace is not installed");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "300000000", "{out:?}");
    let read = calls.lines().filter_map(|line| line.rsplit_once("= ")?.1.trim().parse::<u64>().ok());
    let read: u64 = read.sum();
    assert!(read < 10_000_000, "{read}");
}
