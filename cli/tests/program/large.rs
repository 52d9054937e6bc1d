//! A large layer: memory stays bounded, and a signal in the middle leaves nothing behind.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Pid, Signal, kill_process};

use crate::program::{ended, save, skipped};
use crate::store::{BASE, Store};

const MIB: u64 = 1 << 20;

/// Puts a sparse file of zeros into the layer of `base`, and records it as tar-split does.
fn enlarge(store: &Store, len: u64) {
    let big = File::create(store.root.join("vfs/dir").join(BASE).join("big")).unwrap();
    big.set_len(len).unwrap();
    let mut crc = Digest::new(CrcAlgorithm::Crc64GoIso);
    let zeros = vec![0; MIB as usize];
    (0..len / MIB).for_each(|_| crc.update(&zeros));
    let mut header = tar::Header::new_ustar();
    header.set_path("big").unwrap();
    header.set_mode(0o644);
    header.set_size(len);
    header.set_cksum();
    let split = File::create(store.root.join("graph").join(BASE).join("tar-data.json.gz")).unwrap();
    let mut gzip = GzEncoder::new(split, Compression::default());
    let header = STANDARD.encode(header.as_bytes());
    writeln!(gzip, r#"{{"type":2,"payload":"{header}","position":0}}"#).unwrap();
    let crc = STANDARD.encode(crc.finalize().to_be_bytes());
    writeln!(gzip, r#"{{"type":1,"name":"big","size":{len},"payload":"{crc}","position":1}}"#).unwrap();
    let end = STANDARD.encode([0; 1024]);
    writeln!(gzip, r#"{{"type":2,"payload":"{end}","position":2}}"#).unwrap();
    gzip.finish().unwrap();
}

/// The most memory a process has had so far, in KiB, without the pages of the program's own file: a build for
/// tests has tens of megabytes of those.
fn peak_kib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    Some(field("VmHWM:")?.saturating_sub(field("RssFile:")?))
}

#[test]
fn memory_is_bounded() {
    let store = Store::example();
    enlarge(&store, 256 * MIB);
    for (what, output) in [("file", store.beside("out.tar")), ("stream", "/dev/null".into())] {
        for format in ["docker-v1", "docker-archive"] {
            let mut command = save(&store.root);
            command.args(["base:latest", "-j8", "--format", format, "-o"]).arg(&output);
            let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
            let mut peak = 0;
            while child.try_wait().unwrap().is_none() {
                peak = peak_kib(&child).unwrap_or_default().max(peak);
                sleep(Duration::from_millis(5));
            }
            assert!(child.wait().unwrap().success());
            assert!(peak > 0, "{what}, {format}: the program ended before it could be measured");
            assert!(peak < 24 * 1024, "{what}, {format}: {peak} KiB resident");
        }
    }
}

#[test]
fn interrupted_in_the_middle() {
    let store = Store::example();
    let len = 4096 * MIB;
    let stat = rustix::fs::statvfs(store.folder()).unwrap();
    if stat.f_bavail * stat.f_frsize < 2 * len {
        return skipped("interrupted_in_the_middle", "needs 8 GiB free in the temporary folder");
    }
    enlarge(&store, len);
    for (signal, expected) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let folder = tempfile::tempdir().unwrap();
        let existing = folder.path().join("existing.tar");
        fs::write(&existing, "precious").unwrap();
        let mut command = save(&store.root);
        command.args(["base:latest", "--format=docker-v1", "-o"]).arg(&existing).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        wait_for_an_open_file(child.id(), folder.path());
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (status, said) = ended(&child.wait_with_output().unwrap());
        assert_eq!((status, &*said), (Some(expected), "layerlift: interrupted\n"));
        assert_eq!(fs::read(&existing).unwrap(), b"precious");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
    }
}

/// Waits until the program has a file in the folder open, which need not have a name.
fn wait_for_an_open_file(pid: u32, folder: &Path) {
    let began = Instant::now();
    let is_there = || {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.starts_with(folder)))
    };
    while !is_there() {
        assert!(began.elapsed() < Duration::from_secs(60), "the program does not begin to write");
        sleep(Duration::from_millis(2));
    }
}

/// While a reader keeps the program waiting, no output has a name yet, so a signal ends it at once.
#[test]
fn interrupted_while_the_reader_sleeps() {
    let store = Store::example();
    enlarge(&store, 64 * MIB);
    let mut command = save(&store.root);
    command.args(["base:latest", "--format=docker-v1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pipe = child.stdout.take().unwrap();
    sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (status, _) = ended(&child.wait_with_output().unwrap());
    assert_eq!(status, Some(130));
    drop(pipe);
}
