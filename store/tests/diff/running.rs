//! A file that a running container writes to while its layer is read.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use layerlift_archive::Content;
use layerlift_store::{DiffLayer, ErrorKind, Fault, LayerDir, Root};

/// The names of files that changed while they were read.
fn changed(layer: &DiffLayer) -> Vec<&str> {
    let mut names = Vec::new();
    for fault in layer.faults_met() {
        let Fault::Changed(path) = fault else { panic!("{fault:?}") };
        names.extend(path.file_name().and_then(|name| name.to_str()));
    }
    names
}

/// Changes the length of a file when its header is written.
struct Meddler {
    file: PathBuf,
    to: u64,
    tar: Vec<u8>,
}

impl Write for Meddler {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.extend_from_slice(bytes);
        if self.tar.windows(3).any(|window| window == b"log") {
            fs::File::options().write(true).open(&self.file)?.set_len(self.to)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_changes() {
    const SIZE: u64 = 3 << 20;
    for (to, taken) in [(SIZE + 700_000, SIZE), (1 << 20, 1 << 20), (0, 0), (100, 100)] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("log");
        let write = |layer: &DiffLayer| {
            fs::write(&file, vec![b'x'; SIZE as usize]).unwrap();
            let mut out = Meddler { file: file.clone(), to, tar: Vec::new() };
            layer.write_to(&mut out).map(|()| out.tar)
        };
        fs::write(dir.path().join("other"), "sound").unwrap();
        let layer = DiffLayer::new(Root::open(dir.path()).unwrap(), LayerDir::Upper, 0);
        let error = write(&layer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains("log"), "{error}");
        let layer = layer.as_it_is_read();
        let tar = write(&layer).unwrap();
        let mut found = Vec::new();
        for entry in tar::Archive::new(&*tar).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            found.push((entry.path().unwrap().into_owned(), bytes));
        }
        let [(log, bytes), (other, sound)] = &*found else { panic!("{to}: {} entries", found.len()) };
        assert_eq!(
            (log.as_os_str(), other.as_os_str(), &**sound),
            ("log".as_ref(), "other".as_ref(), &b"sound"[..])
        );
        assert_eq!(bytes.len() as u64, SIZE, "{to}: the size that the header has");
        let read = bytes.iter().position(|byte| *byte != b'x').unwrap_or(bytes.len());
        // What was read before the header left the buffer is there, too.
        assert!(read as u64 >= taken && bytes[read..].iter().all(|byte| *byte == 0), "{to}: {read}");
        assert_eq!(changed(&layer), ["log"]);
    }
}

/// Changes a file in place when its header is written, and gives it its time again, as an editor may.
struct Editor {
    file: PathBuf,
    tar: Vec<u8>,
    done: bool,
}

impl Write for Editor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.extend_from_slice(bytes);
        if !self.done && self.tar.windows(3).any(|window| window == b"log") {
            self.done = true;
            let file = fs::File::options().write(true).open(&self.file)?;
            let time = file.metadata()?.modified()?;
            file.write_all_at(b"y", (3 << 20) - 1)?;
            file.set_times(fs::FileTimes::new().set_modified(time))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Neither size nor time say it.
#[test]
fn a_file_that_changes_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
    fs::write(dir.path().join("other"), "sound").unwrap();
    let write = |layer: &DiffLayer| {
        let mut out = Editor { file: file.clone(), tar: Vec::new(), done: false };
        layer.write_to(&mut out).map(|()| out.tar)
    };
    let layer = DiffLayer::new(Root::open(dir.path()).unwrap(), LayerDir::Upper, 0);
    let error = write(&layer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(
        error.to_string().ends_with("log is damaged: it changed while it was read: something writes to it")
    );
    let layer = layer.as_it_is_read();
    let tar = write(&layer).unwrap();
    assert_eq!(tar::Archive::new(&*tar).entries().unwrap().count(), 2);
    assert_eq!(changed(&layer), ["log"]);
}

/// Another name of a file changes its ctime, and nothing in it.
#[test]
fn a_file_that_gets_a_name() {
    struct Linker(PathBuf, PathBuf);
    impl Write for Linker {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = fs::hard_link(&self.0, &self.1);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (dir, beside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = dir.path().join("log");
    fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
    let layer = DiffLayer::new(Root::open(dir.path()).unwrap(), LayerDir::Upper, 0);
    layer.write_to(&mut Linker(file, beside.path().join("link"))).unwrap();
    assert!(beside.path().join("link").exists());
}

/// The length is known from metadata alone. What changes afterwards is named, even within a second.
#[test]
fn a_layer_is_measured_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for (name, len) in [("a", 0), ("d/n\u{e4}me", 1), ("log", 700_000), (&"l".repeat(150), 512)] {
        fs::write(dir.path().join(name), vec![b'x'; len]).unwrap();
    }
    fs::hard_link(dir.path().join("log"), dir.path().join("d/link")).unwrap();
    std::os::unix::fs::symlink("t".repeat(200), dir.path().join("symlink")).unwrap();
    let root = || Root::open(dir.path()).unwrap();
    for layer in
        [LayerDir::Upper, LayerDir::Full { parent: None }].map(|holds| DiffLayer::new(root(), holds, 0))
    {
        assert!(layer.tar().is_none() && layer.measured_len().is_none());
        let len = layer.measure().unwrap().unwrap();
        let mut written = Vec::new();
        layer.write_to(&mut written).unwrap();
        let tar = layer.tar().unwrap();
        let mut read = Vec::new();
        tar.raw_reader().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!((tar.len(), read.len() as u64), (len, len));
        assert!(read == written);
        assert_eq!(layer.clone().as_it_is_read().measure().unwrap(), None, "it may be another one each time");
    }
    type Change<'c> = (&'c str, &'c dyn Fn());
    let at = |name: &str| dir.path().join(name);
    let long = "l".repeat(150);
    let changes: [Change<'_>; 3] = [
        // The first of its names.
        ("d/link", &|| fs::write(at("log"), vec![b'y'; 700_001]).unwrap()),
        (&long, &|| fs::remove_file(at(&long)).unwrap()),
        ("symlink", &|| fs::remove_file(at("symlink")).unwrap()),
    ];
    for (named, change) in changes {
        let layer = DiffLayer::new(root(), LayerDir::Upper, 0);
        layer.measure().unwrap();
        change();
        let error = layer.write_to(&mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        let path = dir.path().join(named);
        let text = error.to_string();
        let path = path.to_string_lossy();
        let named = text.starts_with(path.trim_end_matches('/'));
        assert!(named && text.contains(": something writes to it"), "{text}");
    }
    // What comes later is not in it.
    let layer = DiffLayer::new(root(), LayerDir::Upper, 0);
    let len = layer.measure().unwrap().unwrap();
    fs::write(at("new"), "").unwrap();
    let mut written = Vec::new();
    layer.write_to(&mut written).unwrap();
    assert_eq!(written.len() as u64, len);
}
