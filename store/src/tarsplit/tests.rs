//! Synthetic layers with metadata as engines write it. Layers that engines wrote are tested with their
//! stores.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A layer directory with metadata beside it.
pub(super) struct Layer {
    dir: tempfile::TempDir,
    lines: String,
}

impl Layer {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        Layer { dir, lines: String::new() }
    }

    pub(super) fn path(&self, name: &[u8]) -> PathBuf {
        self.dir.path().join("tree").join(std::ffi::OsStr::from_bytes(name))
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.lines += &format!("{{\"type\":2,\"payload\":\"{}\",\"position\":0}}\n", STANDARD.encode(bytes));
        self
    }

    /// A file on disk and its line, which may record another name.
    pub(super) fn file(mut self, on_disk: &[u8], recorded: &str, contents: &[u8]) -> Self {
        let path = self.path(on_disk);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        let mut checksum = checksum::Checksum::new();
        checksum.update(contents);
        let crc = STANDARD.encode(checksum.finish().to_be_bytes());
        let size = contents.len();
        self.lines +=
            &format!("{{\"type\":1,\"name\":\"{recorded}\",\"size\":{size},\"payload\":\"{crc}\"}}\n");
        self
    }

    pub(super) fn gzip(&self) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(self.lines.as_bytes()).unwrap();
        gzip.finish().unwrap()
    }

    pub(super) fn open(&self, metadata: &[u8], diff_id: Option<DiffId>) -> Result<SplitLayer, Error> {
        let path = self.dir.path().join("tar-data.json.gz");
        fs::write(&path, metadata).unwrap();
        SplitLayer::open(Root::open(&self.path(b"")).unwrap(), File::open(&path).unwrap(), path, diff_id)
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        let layer = self.open(&self.gzip(), None).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        layer.raw_reader().unwrap().read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        assert_eq!(bytes.len() as u64, layer.len());
        Ok(bytes)
    }
}

fn sample() -> Layer {
    Layer::new().bytes(b"<head>").file(b"a/b", "./a/b", b"contents").bytes(b"<tail>")
}

#[test]
fn segments_and_files_in_turn() {
    assert_eq!(sample().read().unwrap(), b"<head>contents<tail>");
    assert_eq!(Layer::new().read().unwrap(), b"");
}

#[test]
fn buffers_of_any_size() {
    let layer = sample().file(b"c", "/c", &[7; 1000]);
    let whole = layer.read().unwrap();
    let opened = layer.open(&layer.gzip(), None).unwrap();
    for size in [1, 2, 7, 8, 9, 64, 999, 1000, 1001] {
        let mut reader = opened.raw_reader().unwrap();
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                n => bytes.extend_from_slice(&buffer[..n]),
            }
        }
        assert_eq!(bytes, whole, "buffer of {size}");
    }
}

/// The line of a header whose size is `size`, and the line that tar-split makes of it.
fn header(layer: Layer, name: &str, kind: u8, size: u64) -> Layer {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.as_mut_bytes()[156] = kind;
    header.set_cksum();
    let mut layer = layer.bytes(header.as_bytes());
    layer.lines +=
        &format!("{{\"type\":1,\"name\":\"{name}\",\"size\":{size},\"payload\":\"AAAAAAAAAAA=\"}}\n");
    layer
}

/// Links, devices and directories whose headers have a size: nothing follows them, and what has their name
/// is not opened.
#[test]
fn headers_without_contents() {
    for (name, kind) in
        [("hard", b'1'), ("link", b'2'), ("c", b'3'), ("b", b'4'), ("dir/", b'5'), ("p", b'6'), ("old/", 0)]
    {
        let layer = header(Layer::new(), name, kind, 9).file(b"next", "next", b"contents").bytes(b"<tail>");
        let bytes = layer.read().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&bytes[512..], b"contents<tail>", "{name}");
        let opened = layer.open(&layer.gzip(), Some(DiffId(Digest::of(b"")))).unwrap();
        let text = opened.explain().unwrap().to_string();
        assert!(text.contains("every file of the layer is what it says"), "{name}: {text}");
    }
    for (name, kind) in [("file", b'0'), ("file", 0), ("dir/", b'0')] {
        let error = header(Layer::new(), name, kind, 9).read().unwrap_err();
        assert!(error.contains("cannot open"), "{name}: {error}");
    }
}

/// Headers of sparse files in all forms, of large files, and of ordinary ones.
#[test]
fn sizes_that_a_record_cannot_explain() {
    fn with(records: &[u8], kind: u8, stored: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut add = |kind: u8, size: u64| {
            let mut header = tar::Header::new_gnu();
            header.set_size(size);
            header.as_mut_bytes()[156] = kind;
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
        };
        if !records.is_empty() {
            add(b'x', records.len() as u64);
        }
        add(kind, stored);
        if !records.is_empty() {
            let mut block = records.to_vec();
            block.resize(records.len().next_multiple_of(512), 0);
            bytes.splice(512..512, block);
        }
        bytes
    }
    let sparse = b"22 GNU.sparse.major=1\n";
    for (what, header, plain, found) in [
        ("ordinary", with(b"", b'0', 100), true, None),
        ("GNU", with(b"", b'S', 10), false, Some(10)),
        ("PAX", with(sparse, b'0', 50), false, Some(50)),
        ("PAX, with a size", with(&[&sparse[..], b"11 size=60\n"].concat(), b'0', 0), false, Some(60)),
        ("a size in PAX", with(b"12 size=100\n", b'0', 0), false, None),
        ("not a header", b"<head>".to_vec(), false, None),
    ] {
        for padding in [0, 1, 300] {
            let mut first = vec![b'p'; padding];
            first.extend_from_slice(&header);
            let layer = Layer::new()
                .bytes(&vec![0; (512 - padding) % 512])
                .bytes(&first)
                .file(b"file", "file", &[1; 100])
                .bytes(b"<tail>");
            let mut opened = layer.open(&layer.gzip(), None).unwrap();
            assert_eq!(opened.measure().unwrap(), plain, "{what}");
            let sparse = sparse::find(opened.lines()).unwrap();
            assert_eq!(sparse.map(|sparse| sparse.stored), found, "{what} {padding}");
        }
    }
}

/// Without a diff id, the headers' own checksums tell of damage in them.
#[test]
fn headers_have_checksums() {
    for (damage, id, found) in [
        (None, None, ""),
        (Some(3), None, "line 1: the header of naue has another checksum than it says"),
        (Some(3), Some(DiffId(Digest::of(b""))), ""),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_path("name").unwrap();
        header.set_size(8);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        if let Some(at) = damage {
            bytes[at - 1] = b'u';
        }
        let layer = Layer::new().bytes(&bytes).file(b"name", "name", b"contents").bytes(b"<tail>");
        let error = layer.open(&layer.gzip(), id).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error.is_empty(), found.is_empty(), "{error}");
        assert!(error.ends_with(found), "{error}");
    }
}

#[test]
fn damage_is_named() {
    type Damage = fn(&Path);
    use std::path::Path;
    let cases: &[(&str, Damage, &str)] = &[
        ("missing", |p| fs::remove_file(p).unwrap(), "cannot open"),
        ("changed", |p| fs::write(p, b"CONTENTS").unwrap(), "checksum"),
        ("grown", |p| fs::write(p, b"contents and more").unwrap(), "longer"),
        ("shorter", |p| fs::write(p, b"cont").unwrap(), "shorter, 4 of 8 bytes"),
        (
            "a directory",
            |p| {
                fs::remove_file(p).unwrap();
                fs::create_dir(p).unwrap();
            },
            "a directory now",
        ),
        (
            "a link out",
            |p| {
                fs::remove_file(p).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", p).unwrap();
            },
            "symbolic link",
        ),
    ];
    for (what, damage, message) in cases {
        let layer = sample();
        damage(&layer.path(b"a/b"));
        let error = layer.read().unwrap_err();
        assert!(error.contains(message) && error.contains("a/b"), "{what}: {error}");
    }
}

#[test]
fn damaged_metadata_is_named() {
    let layer = sample();
    let gzip = layer.gzip();
    for (what, metadata) in
        [("empty", &b""[..]), ("not gzip", b"{\"type\":2}\n"), ("cut", &gzip[..gzip.len() - 9])]
    {
        let error = layer.open(metadata, None).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|e| e.contains("tar-data.json.gz")), "{what}: {error:?}");
    }
    let mut layer = sample();
    layer.lines += "{\"type\":2,\"payload\":\"AA";
    assert!(layer.read().unwrap_err().contains("line 4"), "a last line that is cut");
}

#[test]
fn names_with_replaced_bytes() {
    let layer = Layer::new().file(b"d\xff/caf\xe8", "d\u{fffd}/other", b"grave").file(
        b"d\xff/caf\xe9",
        "d\u{fffd}/caf\u{fffd}",
        b"acute",
    );
    let lines = layer.lines.replace("other", "caf\u{fffd}");
    let layer = Layer { lines, ..layer };
    assert_eq!(layer.read().unwrap(), b"graveacute", "only the checksum tells them apart");
}

/// Messages use the name on disk, not the recorded one.
#[test]
fn messages_have_the_name_on_disk() {
    let layer = Layer::new().file(b"real\xe9", "real\u{fffd}", b"contents");
    let opened = layer.open(&layer.gzip(), None).unwrap();
    let mut reader = opened.raw_reader().unwrap();
    reader.read_exact(&mut [0; 4]).unwrap();
    fs::write(layer.path(b"real\xe9"), b"cont").unwrap();
    let error = reader.read(&mut [0; 4]).unwrap_err();
    let error = error.get_ref().and_then(|error| error.source()?.downcast_ref::<Error>());
    assert!(
        matches!(error, Some(Error::Damaged { path, .. }) if *path == layer.path(b"real\xe9")),
        "{error:?}"
    );
}

#[test]
fn folders_that_are_links_lead_inside() {
    let layer = Layer::new().file(b"usr/lib/x", "lib/x", b"library");
    std::os::unix::fs::symlink("/usr/lib", layer.path(b"lib")).unwrap();
    assert_eq!(layer.read().unwrap(), b"library");
}

/// Consecutive files of one folder, which goes by several names.
#[test]
fn names_in_every_form() {
    let mut layer = Layer::new();
    fs::create_dir_all(layer.path(b"usr/lib")).unwrap();
    fs::create_dir_all(layer.path(b"a")).unwrap();
    std::os::unix::fs::symlink("usr/lib", layer.path(b"lib")).unwrap();
    let mut expected = Vec::new();
    for (on_disk, recorded) in [
        ("usr/lib/a", "lib/a"),
        ("usr/lib/b", "usr/lib/b"),
        ("usr/lib/c", "lib/c"),
        ("usr/lib/d", "lib/d"),
        ("usr/lib/e", "./usr/lib/e"),
        ("x", "./x"),
        ("z", "z"),
        ("abs/y", "/abs/y"),
        ("abs/z", "/abs/z"),
        ("b", "a/../b"),
        ("c", "a/../c"),
        ("usr/lib/f", "usr/lib/f"),
    ] {
        layer = layer.file(on_disk.as_bytes(), recorded, recorded.as_bytes());
        expected.extend_from_slice(recorded.as_bytes());
    }
    assert_eq!(layer.read().unwrap(), expected);
}

/// Damage to the last of three files in a folder, which is open by then.
#[test]
fn damage_in_an_open_folder() {
    type Damage = fn(&Layer);
    let cases: &[(&str, Damage, &str)] = &[
        ("no file", |l| fs::remove_file(l.path(b"usr/lib/c")).unwrap(), "cannot open"),
        ("no folder", |l| fs::remove_dir_all(l.path(b"usr/lib")).unwrap(), "cannot open"),
        (
            "a file for a folder",
            |l| {
                fs::remove_dir_all(l.path(b"usr/lib")).unwrap();
                fs::write(l.path(b"usr/lib"), b"").unwrap();
            },
            "cannot open",
        ),
        (
            "a link to a file that fits",
            |l| {
                fs::rename(l.path(b"usr/lib/c"), l.path(b"usr/lib/d")).unwrap();
                std::os::unix::fs::symlink("d", l.path(b"usr/lib/c")).unwrap();
            },
            "a symbolic link is where the layer has a file",
        ),
    ];
    for (what, damage, message) in cases {
        let mut layer = Layer::new();
        for name in ["usr/lib/a", "usr/lib/b", "usr/lib/c"] {
            layer = layer.file(name.as_bytes(), name, name.as_bytes());
        }
        let opened = layer.open(&layer.gzip(), None).unwrap();
        let mut reader = opened.raw_reader().unwrap();
        let mut bytes = [0; 18];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"usr/lib/ausr/lib/b");
        damage(&layer);
        let error = reader.read(&mut bytes).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("tree/usr/lib/c"), "{what}: {error}");
    }
}

#[test]
fn a_wrong_digest_is_explained_by_files() {
    let layer = sample().file(b"c", "c", b"sound").file(b"d", "d", b"removed");
    fs::write(layer.path(b"a/b"), b"CONTENTS").unwrap();
    fs::remove_file(layer.path(b"d")).unwrap();
    let opened = layer.open(&layer.gzip(), Some(DiffId(Digest::of(b"other")))).unwrap();
    let text = opened.explain().unwrap().to_string();
    assert!(text.contains("tree/a/b has changed") && text.contains("tree/d"), "{text}");
    assert!(!text.contains("tree/c"), "{text}");
}

#[test]
fn damaged_files_are_counted() {
    for (count, first) in [
        (1, "1 of its files is not what was recorded:"),
        (2, "2 of its files are not what was recorded:"),
        (20, "20 of its files are not what was recorded:"),
        (21, "21 of its files are not what was recorded:"),
        (27, "27 of its files are not what was recorded:"),
    ] {
        let mut layer = Layer::new().file(b"sound", "sound", b"sound");
        for number in 0..count {
            let name = format!("file{number:02}");
            layer = layer.file(name.as_bytes(), &name, b"contents");
            fs::write(layer.path(name.as_bytes()), b"CONTENTS").unwrap();
        }
        let opened = layer.open(&layer.gzip(), Some(DiffId(Digest::of(b"other")))).unwrap();
        let text = opened.explain().unwrap().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], first);
        assert_eq!(lines.iter().filter(|line| line.contains("has changed")).count(), count.min(20));
        match count.checked_sub(20).filter(|more| *more > 0) {
            Some(more) => assert_eq!(lines[21..], [format!("  and {more} more")]),
            None => assert_eq!(lines.len(), count + 1),
        }
    }
}

proptest::proptest! {
    /// Any metadata give bytes or an error: never a panic, and never more bytes than announced.
    #[test]
    fn any_metadata(lines in proptest::collection::vec(any_line(), 0..12), cut in 0..400_usize) {
        let mut layer = sample();
        layer.lines += &lines.join("\n");
        let mut gzip = layer.gzip();
        gzip.truncate(gzip.len().max(cut) - cut / 4);
        if let Ok(opened) = layer.open(&gzip, None) {
            let mut bytes = Vec::new();
            if opened.raw_reader().unwrap().read_to_end(&mut bytes).is_ok() {
                assert_eq!(bytes.len() as u64, opened.len());
            }
        }
    }
}

fn any_line() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    prop_oneof![
        "\\PC{0,40}",
        (0..4_u8, "[a-b./\u{fffd}]{0,6}", -1..10_i64, "[A-Za-z0-9+/=]{0,13}").prop_map(
            |(kind, name, size, payload)| {
                format!("{{\"type\":{kind},\"name\":\"{name}\",\"size\":{size},\"payload\":\"{payload}\"}}")
            }
        ),
    ]
}
