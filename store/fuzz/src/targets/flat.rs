//! The files that tars of layers make: what comes out is one tar of them, from which the same comes out.

use std::collections::BTreeSet;

use layerlift_archive::tar::{Dialect, Encoder, Header, TRAILER, padding};
use layerlift_store::fuzz;

use crate::corpus;

/// Begins the next layer.
const NEXT: &[u8] = b"\x1elayer\n";

pub(super) fn run(bytes: &[u8]) -> String {
    let tar = match fuzz::flatten(&layers(bytes)) {
        Ok(tar) => tar,
        // Names differ from input to input, and would be taken for new answers.
        Err(why) => return why.split(['"', '\'', '/']).next().unwrap_or_default().to_owned(),
    };
    let mut names = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for entry in tar::Archive::new(tar.as_slice()).entries().expect("a tar") {
        let entry = entry.expect("an entry is malformed");
        let name = entry.path_bytes().into_owned();
        let shown = name.escape_ascii().to_string();
        let kind = entry.header().entry_type();
        if kind.is_hard_link() {
            let target = entry.link_name_bytes().expect("a target").into_owned();
            assert!(names.contains(&target), "{shown}: its first name has not come yet");
        }
        assert!(names.insert(name), "{shown} is there twice");
        kinds.insert(char::from(kind.as_byte()));
    }
    let again = fuzz::flatten(std::slice::from_ref(&tar)).expect("the tar can be read");
    assert!(again == tar, "what was made of the tar differs from it");
    kinds.into_iter().collect()
}

fn layers(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut layers = Vec::new();
    while let Some(at) = bytes.windows(NEXT.len()).position(|window| window == NEXT) {
        layers.push(bytes[..at].to_vec());
        bytes = &bytes[at + NEXT.len()..];
    }
    layers.push(bytes.to_vec());
    layers
}

/// A tar of entries: name, kind, link, content.
fn tar(entries: &[(&str, u8, &str, &str)]) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut encoder = Encoder::new(Dialect::Pax);
    let attribute = [(b"user.x".to_vec(), b"1".to_vec())];
    for &(name, kind, link, content) in entries {
        let xattrs = if name.contains("attribute") { &attribute[..] } else { &[] };
        let (name, link, size) = (name.as_bytes(), link.as_bytes(), content.len() as u64);
        encoder
            .encode(&Header { name, kind, link, size, mode: 0o644, xattrs, ..Header::default() }, &mut tar);
        tar.extend(content.as_bytes());
        tar.resize(tar.len() + padding(size) as usize, 0);
    }
    tar.resize(tar.len() + TRAILER as usize, 0);
    tar
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let long = "long/".repeat(40);
    let base = [
        ("bin/", b'5', "", ""),
        ("bin/sh", b'0', "", "program"),
        ("bin/ash", b'1', "bin/sh", ""),
        ("lib", b'2', "usr/lib", ""),
        ("fifo", b'6', "", ""),
        ("null", b'3', "", ""),
        ("attribute", b'0', "", "x"),
        (&*long, b'5', "", ""),
    ];
    let top = [
        ("bin/.wh.sh", b'0', "", ""),
        ("etc/", b'5', "", ""),
        ("etc/.wh..wh..opq", b'0', "", ""),
        ("etc/passwd", b'0', "", "root"),
        ("lib/", b'5', "", ""),
        ("lib/x", b'1', "etc/passwd", ""),
    ];
    let made = [tar(&base), tar(&top)].join(NEXT);
    let is_tar = |bytes: &&Vec<u8>| bytes.get(257..262) == Some(b"ustar");
    let bundles = corpus::archives();
    let files = || bundles.iter().flat_map(|bundle| bundle.0.iter().map(|(_, bytes)| bytes));
    let all: Vec<Vec<u8>> = files().filter(is_tar).take(4).cloned().collect();
    let each = all.iter().cloned();
    each.chain([made, all.join(NEXT)]).collect()
}
