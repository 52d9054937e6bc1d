//! Archives and image layouts, as tars: headers, indexes, manifests and configs.

use std::fs;

use super::walk::walk;
use crate::bundle::Bundle;
use crate::corpus;

/// A bundle becomes a tar; anything else is one already.
pub(super) fn run(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let path = dir.path().join("archive.tar");
    let bundle = bytes.first() == Some(&0x1e);
    let written = if bundle {
        fs::write(&path, Bundle::parse(bytes).linked().to_tar())
    } else {
        fs::write(&path, bytes)
    };
    written.expect("the archive is written");
    walk(&path)
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let mut bundles = corpus::archives();
    bundles.push(corpus::index());
    let small = |tar: &Vec<u8>| tar.len() < 100_000;
    let tars: Vec<Vec<u8>> = bundles.iter().map(Bundle::to_tar).filter(small).collect();
    bundles.iter().map(Bundle::to_input).chain(tars).collect()
}
