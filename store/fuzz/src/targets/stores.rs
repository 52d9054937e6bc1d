//! Data roots of engines, and unpacked layouts.

use super::walk::walk;
use crate::bundle::Bundle;
use crate::corpus;

pub(super) fn run(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    Bundle::parse(bytes).linked().write(dir.path());
    walk(dir.path())
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let all = corpus::stores().into_iter().chain(corpus::archives()).chain([corpus::index()]);
    all.map(|bundle| bundle.to_input()).collect()
}
