//! A tar as lines, one for each entry: type, mode, owner, size, time, device, start of the contents' digest,
//! attributes, name, link.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use layerlift_archive::Digest;
use tar::EntryType;

/// Whether this process may make devices and set owners. If not, prints why the test is skipped.
pub(crate) fn root_user(why: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped, needs root: {why}");
    }
    root
}

pub(crate) fn fixture(name: &str) -> impl Read + use<> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    liblzma::read::XzDecoder::new(fs::File::open(path).unwrap())
}

/// Unpacks a fixture with GNU tar, which restores fractions of seconds and attributes.
pub(crate) fn unpack(name: &str, members: &[&str], into: &Path) {
    let mut tar = Command::new("tar")
        .args(["--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--directory"])
        .arg(into)
        .args(members)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tar is installed");
    let copied = std::io::copy(&mut fixture(name), &mut tar.stdin.take().unwrap());
    let status = tar.wait().unwrap();
    assert!(status.success(), "cannot unpack {name}: {status}, {copied:?}");
}

/// The lines of a tar.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(bytes);
    archive.entries().unwrap().map(|entry| line(entry.unwrap())).collect()
}

fn line(mut entry: tar::Entry<'_, &[u8]>) -> String {
    let mut attributes = Vec::new();
    let mut time = None;
    for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
        let extension = extension.unwrap();
        if extension.key_bytes() == b"mtime" {
            time = extension.value().unwrap().parse::<f64>().ok();
        }
        attributes.extend(extension.key().unwrap().strip_prefix("SCHILY.xattr.").map(str::to_owned));
    }
    let header = entry.header().clone();
    let kind = match header.entry_type() {
        EntryType::Link => "hardlink",
        EntryType::Symlink => "symlink",
        EntryType::Char => "char",
        EntryType::Block => "block",
        EntryType::Directory => "dir",
        EntryType::Fifo => "fifo",
        EntryType::Regular => "file",
        other => panic!("unexpected type {other:?}"),
    };
    let name = entry.path_bytes().into_owned();
    let name = name.strip_suffix(b"/").unwrap_or(&name);
    let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
    let mut contents = Vec::new();
    entry.read_to_end(&mut contents).unwrap();
    let digest = if kind == "file" { Digest::of(&contents).hex()[..16].to_owned() } else { "-".to_owned() };
    let device = match kind {
        "char" | "block" => [header.device_major(), header.device_minor()].map(|n| n.unwrap().unwrap_or(0)),
        _ => [0, 0],
    };
    let device = format!("{},{}", device[0], device[1]);
    let whiteout = name.rsplit(|&byte| byte == b'/').next().unwrap().starts_with(b".wh.");
    // Go's writer puts 0 for a time that does not fit in 33 bits.
    let time = time.map_or(header.mtime().unwrap() as i64, |time| time.floor() as i64);
    let time = if (0..1 << 33).contains(&time) { time } else { 0 };
    let mtime = if whiteout { "-".to_owned() } else { time.to_string() };
    [
        kind.to_owned(),
        format!("{:04o}", header.mode().unwrap()),
        format!("{}:{}", header.uid().unwrap(), header.gid().unwrap()),
        entry.size().to_string(),
        mtime,
        device,
        digest,
        or_dash(attributes.join(",")),
        escape(name),
        or_dash(escape(&link)),
    ]
    .join(" ")
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn escape(name: &[u8]) -> String {
    name.escape_ascii().to_string().replace(' ', "\\x20")
}
