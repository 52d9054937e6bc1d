//! What `rootfs` and `volume` do with files that are large, have holes, or cannot be read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output, skipped};
use crate::store::Store;
use crate::system_calls::traced;

fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON on each line")).collect()
}

/// The total is known before the first byte, and is what is written.
#[test]
fn progress() {
    let store = Store::containers("docker-28.5");
    fs::write(store.root.join("volumes/named/_data/more"), vec![1; 3 << 20]).expect("a file");
    for (command, out) in [
        (&["rootfs", "changed"][..], "out.tar"),
        (&["rootfs", "changed"], "out/"),
        (&["rootfs", "changed", "--path", "etc", "--keep-going"], "etc.tar"),
        (&["volume", "named"], "volume.tar"),
    ] {
        let out = store.beside(out);
        let run = |how: &str| {
            let _ = fs::remove_dir_all(&out);
            let place = ["--progress", how, "--root"];
            output(layerlift().args(command).args(place).arg(&store.root).arg("-o").arg(&out))
        };
        let events = events(&run("json"));
        let event = |name: &str| {
            events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("{name}: {events:?}"))
        };
        let total = &event("start")["total"];
        assert_eq!((&event("start")["phase"], total), (&"write".into(), &event("done")["bytes"]));
        assert!(total.as_u64() > Some(1024), "{total}");
        if out.is_file() {
            assert_eq!(total, &Value::from(out.metadata().expect("it is there").len()));
        }
        let (status, plain) = ended(&run("plain"));
        assert_eq!(status, Some(0));
        assert!(plain.contains(&format!("layerlift: wrote {}: ", out.display())), "{plain}");
        assert_eq!(ended(&run("none")), (Some(0), String::new()));
    }
}

/// A file of 64 GiB, all holes but for 4 bytes.
fn sparse(at: &Path) -> bool {
    let file = File::create(at).expect("a file");
    let made = file.set_len(64 << 30).and_then(|()| file.write_all_at(b"data", 20 << 30));
    made.is_ok() && file.metadata().is_ok_and(|made| made.blocks() * 512 < 1 << 20)
}

#[test]
fn holes_are_neither_read_nor_written() {
    let what = "holes_are_neither_read_nor_written";
    let store = Store::containers("docker-28.5");
    let data = store.root.join("volumes/named/_data");
    fs::create_dir(data.join("only")).expect("a folder");
    if !sparse(&data.join("only/big")) {
        return skipped(what, "the file system has no sparse files of 64 GiB");
    }
    let trace = store.beside("trace");
    let traced_to = trace.to_str().expect("UTF-8");
    let options = ["-o", traced_to, "-y", "-e", "trace=read,pread64,write,pwrite64,lseek"];
    let Some(mut command) = traced(what, &options) else {
        return;
    };
    let out = store.beside("out.tar");
    command.args(["volume", "named", "--path", "only", "-o"]).arg(&out).arg("--root").arg(&store.root);
    let ran = output(&mut command);
    assert_eq!(ended(&ran), (Some(0), String::new()));
    let trace = fs::read_to_string(trace).expect("a trace");
    let of_big = trace.lines().filter(|line| line.contains("only/big>"));
    let (seeks, reads): (Vec<&str>, Vec<&str>) = of_big.partition(|line| line.contains("lseek("));
    assert!(seeks.iter().any(|line| line.contains("SEEK_DATA")), "{seeks:?}");
    let read: u64 = reads.iter().filter_map(|line| line.rsplit(" = ").next()?.parse::<u64>().ok()).sum();
    let block = fs::metadata(data.join("only/big")).expect("it is there").blocks() * 512;
    assert!((4..=block).contains(&read), "{read} bytes of {block}: {reads:?}");
    let (tar, found) = (File::open(&out).expect("the tar"), out.metadata().expect("it is there"));
    // The two blocks at the end are all that follows it.
    let start = found.len() - (64 << 30) - 1024;
    assert!(found.blocks() * 512 < 1 << 20, "{} bytes on the disk", found.blocks() * 512);
    let mut four = [0; 4];
    tar.read_exact_at(&mut four, start + (20 << 30)).expect("it is long enough");
    assert_eq!(&four, b"data");
}

/// What cannot be read is left out, named, and nothing else is missing.
#[test]
fn files_that_cannot_be_read() {
    if !is_root("files_that_cannot_be_read", "to become a user who may not read all") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let data = store.root.join("volumes/named/_data");
    fs::create_dir(data.join("closed")).expect("a folder");
    let opened =
        Command::new("chmod").args(["-R", "a+rX"]).arg(store.folder()).status().expect("chmod starts");
    assert!(opened.success());
    for (name, mode) in [("a-secret", 0o600), ("closed/in", 0o644), ("open", 0o644)] {
        fs::write(data.join(name), "text").expect("a file");
        fs::set_permissions(data.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    // The next name of a file that is left out cannot be a link to it.
    fs::hard_link(data.join("a-secret"), data.join("second")).expect("a link");
    fs::set_permissions(data.join("closed"), fs::Permissions::from_mode(0o700)).expect("a mode");
    let run = |more: &[&str]| {
        let mut command = layerlift();
        command.args(["volume", "named"]).args(more).arg("--root").arg(&store.root).uid(65_534).gid(65_534);
        output(&mut command)
    };
    let refused = run(&[]);
    let (status, said) = ended(&refused);
    assert!(status == Some(1) && said.contains("_data/closed/: permission denied"), "{said}");
    let partial = run(&["--keep-going"]);
    let (status, said) = ended(&partial);
    assert_eq!(status, Some(1), "{said}");
    for name in ["closed/", "a-secret", "second"] {
        assert!(said.contains("left out: cannot ") && said.contains(&format!("_data/{name}: ")), "{said}");
    }
    let mut archive = tar::Archive::new(&*partial.stdout);
    let mut found = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let entry = entry.expect("an entry");
        found.push(entry.path().expect("a name").to_str().expect("UTF-8").to_owned());
    }
    assert!(found.contains(&"open".to_owned()) && found.contains(&"closed/".to_owned()), "{found:?}");
    assert!(!found.iter().any(|name| ["a-secret", "second", "closed/in"].contains(&&**name)), "{found:?}");
}

/// As a database writes to its volume. The reader waits, so that the file changes at a certain moment:
/// after the walk, and before it is read.
#[test]
fn a_file_that_changes() {
    const SIZE: usize = 700_000;
    let store = Store::containers("docker-28.5");
    let data = store.root.join("volumes/named/_data");
    fs::write(data.join("0-large"), vec![b'0'; 8 << 20]).expect("a file");
    let run = |more: &[&str], now: usize| {
        fs::write(data.join("1-log"), vec![b'1'; SIZE]).expect("a file");
        let mut command = layerlift();
        command.args(["volume", "named"]).args(more).arg("--root").arg(&store.root);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut tar = vec![0; 512];
        let stdout = child.stdout.as_mut().expect("a pipe");
        stdout.read_exact(&mut tar).expect("a header");
        fs::write(data.join("1-log"), vec![b'2'; now]).expect("a file");
        stdout.read_to_end(&mut tar).expect("the rest");
        (tar, ended(&child.wait_with_output().expect("it ends")))
    };
    for now in [100, SIZE, SIZE + 100] {
        let (_, (status, said)) = run(&[], now);
        assert!(status == Some(1) && said.contains("_data/1-log is damaged: it"), "{now}: {said}");
        let (tar, (status, said)) = run(&["--keep-going"], now);
        assert_eq!((status, said.lines().count()), (Some(1), 1), "{now}: {said}");
        assert!(said.contains("_data/1-log changed while it was read: it has the size"), "{now}: {said}");
        let mut archive = tar::Archive::new(&*tar);
        let entries = archive.entries().expect("a tar").map(|entry| entry.expect("an entry"));
        let mut sizes = BTreeMap::new();
        for mut entry in entries {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("its bytes");
            let name = entry.path().expect("a name").to_str().expect("UTF-8").to_owned();
            sizes.insert(name, bytes);
        }
        let mut expected = vec![b'2'; now.min(SIZE)];
        expected.resize(SIZE, 0);
        assert!(sizes["1-log"] == expected, "{now}: at the size of its header");
        assert_eq!(sizes["0-large"].len(), 8 << 20);
    }
}
