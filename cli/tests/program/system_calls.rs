//! The program under strace: system calls that an old kernel lacks or a sandbox refuses, and threads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerlift_archive::Digest;
use serde_json::{Value, json};

use crate::program::{layerlift, output, skipped};
use crate::store::{BASE, Store};

/// `layerlift` under strace with these options. Prints a message and returns `None` if strace does not work
/// here.
pub(crate) fn traced(what: &str, options: &[&str]) -> Option<Command> {
    let trial = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    match trial {
        Ok(status) if status.success() => {}
        Ok(_) => {
            skipped(what, "strace cannot trace here");
            return None;
        }
        Err(_) => {
            skipped(what, "strace is not installed");
            return None;
        }
    }
    let program = layerlift();
    let mut command = Command::new("strace");
    command.stdin(Stdio::null()).env_remove("XDG_DATA_HOME").env("HOME", "/nonexistent");
    command.args(["-f", "-qq"]).args(options).arg(program.get_program());
    Some(command)
}

/// Seccomp filters of older container runtimes answer EPERM, kernels before 5.6 ENOSYS.
#[test]
fn without_openat2() {
    let store = Store::example();
    // One layer without tar-split data has to be computed from its directory.
    std::fs::remove_file(store.root.join(format!("graph/{BASE}/tar-data.json.gz"))).unwrap();
    for error in ["EPERM", "ENOSYS"] {
        let inject = format!("inject=openat2:error={error}");
        for args in [&["images", "--no-trunc"][..], &["verify"], &["save", "--all"]] {
            let Some(mut command) =
                traced("without_openat2", &["-o", "/dev/null", "-e", "trace=openat2", "-e", &inject])
            else {
                return;
            };
            let expected = output(layerlift().args(args).arg("--root").arg(&store.root));
            let refused = output(command.args(args).arg("--root").arg(&store.root));
            assert!(expected.status.success() && !expected.stdout.is_empty(), "{args:?}: {expected:?}");
            assert_eq!(String::from_utf8_lossy(&refused.stderr), "", "{error} {args:?}");
            assert!(refused.status.success(), "{error} {args:?}");
            assert!(refused.stdout == expected.stdout, "{error} {args:?}");
        }
    }
}

/// An image layout of the example, whose images are also the platforms of an index named `multi:1`, and the
/// paths of its documents.
pub(crate) fn layout(store: &Store) -> (PathBuf, Vec<String>) {
    let layout = store.beside("layout");
    let mut save = layerlift();
    save.args(["save", "--all", "--format", "oci-archive", "-o"]).arg(layout.join("")).arg("--root");
    let saved = output(save.arg(&store.root));
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    let file = |name: &str| layout.join(name);
    let json = |name: &str| serde_json::from_slice::<Value>(&std::fs::read(file(name)).unwrap()).unwrap();
    let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));

    let mut index = json("index.json");
    let mut lines: BTreeMap<String, Value> = BTreeMap::new();
    for line in index["manifests"].as_array().unwrap() {
        let (mut line, digest) = (line.clone(), line["digest"].as_str().unwrap().to_owned());
        line.as_object_mut().unwrap().remove("annotations");
        let architecture = ["amd64", "arm64", "s390x"].get(lines.len()).copied().unwrap_or("mips64");
        line["platform"] = json!({ "os": "linux", "architecture": architecture });
        lines.entry(digest).or_insert(line);
    }
    let mut documents = vec!["oci-layout".to_owned(), "index.json".to_owned()];
    for digest in lines.keys() {
        let manifest = json(&blob(digest));
        documents.extend([blob(digest), blob(manifest["config"]["digest"].as_str().unwrap())]);
    }
    let inner =
        json!({ "schemaVersion": 2, "manifests": lines.into_values().collect::<Vec<_>>() }).to_string();
    let digest = Digest::of(inner.as_bytes()).to_string();
    std::fs::write(file(&blob(&digest)), &inner).unwrap();
    index["manifests"].as_array_mut().unwrap().push(json!({
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest,
        "size": inner.len(),
        "annotations": { "org.opencontainers.image.ref.name": "multi:1" },
    }));
    std::fs::write(file("index.json"), index.to_string()).unwrap();
    documents.push(blob(&digest));
    (layout, documents)
}

/// Each document is opened and read once, whatever asks for it: a listing, a selection, a plan.
#[test]
fn documents_of_a_layout_are_opened_once() {
    let store = Store::example();
    let (layout, documents) = layout(&store);
    let trace = tempfile::NamedTempFile::new().unwrap();
    let options = ["-o", trace.path().to_str().unwrap(), "-e", "trace=open,openat,openat2"];
    let out = store.beside("out.tar");
    for args in [
        &["images"][..],
        &["images", "--platform", "linux/arm64"],
        &["save", "--all", "--format", "oci-archive", "-o", out.to_str().unwrap()],
        &["save", "multi:1", "base", "--platform", "linux/amd64", "--dry-run"],
        &["inspect", "multi:1", "base:latest"],
        &["verify"],
    ] {
        let Some(mut command) = traced("documents_of_a_layout_are_opened_once", &options) else { return };
        let ended = output(command.args(args).arg("--root").arg(&layout));
        assert!(
            !ended.stdout.is_empty() || out.exists(),
            "{args:?}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
        let calls = std::fs::read_to_string(trace.path()).unwrap();
        for document in &documents {
            let opened = format!("{document}\"");
            let opened =
                calls.lines().filter(|line| line.contains(&opened) && !line.contains("O_PATH")).count();
            let all = args[0] == "images" || args.contains(&"--all");
            assert!(opened == 1 || opened == 0 && !all, "{args:?}: {document} {opened} times");
        }
    }
}

/// The number of threads and processes that are started in a trace.
fn starts(args: &[&str], root: &Path) -> Option<usize> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let file = trace.path().to_str().unwrap();
    let mut command = traced("jobs_are_obeyed", &["-o", file, "-e", "trace=clone,clone3"])?;
    let ended = output(command.args(args).arg("--root").arg(root));
    assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    let lines = std::fs::read_to_string(trace.path()).unwrap();
    Some(lines.lines().filter(|line| line.contains("clone") && !line.contains("resumed")).count())
}

/// A store of Docker and one of Docker 1.8, each with `number` named images without layers.
fn many(number: usize) -> [tempfile::TempDir; 2] {
    let [docker, graph] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let (mut tags, mut ids) = (serde_json::Map::new(), serde_json::Map::new());
    let configs = docker.path().join("image/vfs/imagedb/content/sha256");
    std::fs::create_dir_all(&configs).unwrap();
    for image in 0..number {
        let config = format!(r#"{{"author":"{image}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#);
        let digest = Digest::of(config.as_bytes());
        std::fs::write(configs.join(digest.hex()), config).unwrap();
        tags.insert(format!("many:{image}"), digest.to_string().into());
        let id = digest.hex();
        for folder in ["graph", "vfs/dir"] {
            std::fs::create_dir_all(graph.path().join(folder).join(&id)).unwrap();
        }
        std::fs::write(graph.path().join("graph").join(&id).join("json"), format!(r#"{{"id":"{id}"}}"#))
            .unwrap();
        ids.insert(image.to_string(), id.into());
    }
    let names =
        |names: serde_json::Map<String, Value>| json!({ "Repositories": { "many": names } }).to_string();
    std::fs::write(docker.path().join("image/vfs/repositories.json"), names(tags)).unwrap();
    std::fs::write(graph.path().join("repositories-vfs"), names(ids)).unwrap();
    [docker, graph]
}

/// A listing starts no threads of its own, however long it is: the program starts as many threads for a short
/// one.
#[test]
fn jobs_are_obeyed() {
    for (long, short) in many(400).into_iter().zip(many(1)) {
        let args = |jobs| ["save", "--all", "--dry-run", "--jobs", jobs];
        let starts = |jobs, root: &tempfile::TempDir| starts(&args(jobs), root.path());
        let (Some(expected), Some(one), Some(eight)) =
            (starts("1", &short), starts("1", &long), starts("8", &long))
        else {
            return;
        };
        assert_eq!(one, expected);
        assert_eq!(eight, expected + 7);
    }
}

/// An image layout of the example in which the top layer of `base:child` is damaged: its path, that of the
/// layer, and those of the other layers.
pub(crate) fn damaged_layout(store: &Store) -> (PathBuf, PathBuf, Vec<PathBuf>) {
    let (layout, _) = layout(store);
    let mut blobs: Vec<PathBuf> = std::fs::read_dir(layout.join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::read(path).unwrap().first() != Some(&b'{'))
        .collect();
    // The top layer of an image that has others below it.
    let manifest = |name: &str| {
        let shown = output(layerlift().args(["inspect", name, "--root"]).arg(&layout));
        serde_json::from_slice::<Value>(&shown.stdout).unwrap()[0].clone()
    };
    let child = manifest("base:child");
    let top = child["layers"].as_array().unwrap().last().unwrap().to_string();
    blobs.sort_by_key(|path| top.contains(path.file_name().unwrap().to_str().unwrap()));
    let (damaged, sound) = (blobs.pop().unwrap(), blobs);
    let mut bytes = std::fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    (layout, damaged, sound)
}

/// A dying disk is read once: what turns out to be damaged is left out of the file.
#[test]
fn keep_going_reads_layers_once() {
    let store = Store::example();
    let (layout, damaged, sound) = damaged_layout(&store);
    let (file, pipe) = (store.beside("out.tar"), store.beside("piped.tar"));
    let args = ["save", "--all", "--keep-going", "--root", layout.to_str().unwrap()];
    let trace = tempfile::NamedTempFile::new().unwrap();
    for layer in sound.iter().chain([&damaged]) {
        let options =
            ["-o", trace.path().to_str().unwrap(), "-P", layer.to_str().unwrap(), "-e", "trace=pread64"];
        let Some(mut command) = traced("keep_going_reads_layers_once", &options) else { return };
        let ended = output(command.args(args).arg("-o").arg(&file));
        assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
        let calls = std::fs::read_to_string(trace.path()).unwrap();
        let read: u64 = calls
            .lines()
            .filter_map(|line| line.rsplit_once(" = ")?.1.trim().parse::<u64>().ok())
            .filter(|count| *count > 6)
            .sum();
        let len = std::fs::metadata(layer).unwrap().len();
        assert!(read <= len, "{read} of {len} bytes of {}: {calls}", layer.display());
    }
    // What was checked first, as for a pipe, is the same archive.
    let piped = output(layerlift().args(args).stdout(std::fs::File::create(&pipe).unwrap()));
    assert_eq!(piped.status.code(), Some(1));
    let [file, pipe] = [file, pipe].map(|path| std::fs::read(path).unwrap());
    assert!(file == pipe && !file.is_empty());
}
