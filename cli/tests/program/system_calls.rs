//! The program under strace: calls that an old kernel does not know or a sandbox refuses, and threads.

use std::path::Path;
use std::process::{Command, Stdio};

use layerlift_archive::Digest;
use serde_json::{Value, json};

use crate::program::{layerlift, output, skipped};
use crate::store::{BASE, Store};

/// `layerlift` under strace with these options; `None`, said aloud, where nothing can be traced.
fn traced(what: &str, options: &[&str]) -> Option<Command> {
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
    // One layer has to be computed from its directory.
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

/// Starts of threads and processes in a trace.
fn starts(args: &[&str], root: &Path) -> Option<usize> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let file = trace.path().to_str().unwrap();
    let mut command = traced("jobs_are_obeyed", &["-o", file, "-e", "trace=clone,clone3"])?;
    let ended = output(command.args(args).arg("--root").arg(root));
    assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    let lines = std::fs::read_to_string(trace.path()).unwrap();
    Some(lines.lines().filter(|line| line.contains("clone") && !line.contains("resumed")).count())
}

/// `number` images without layers, each with a name: a store of Docker, and one of Docker 1.8.
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

/// A listing starts no threads of its own, however long it is. Those that the program starts for other work are as many
/// for a short one.
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
