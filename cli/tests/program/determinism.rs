//! The same store and request give the same bytes, whatever the number of threads, the place, or the order
//! of its inodes.

use std::process::Command;

use crate::program::{ended, is_root, output, save};
use crate::store::Store;

#[test]
fn same_bytes() {
    if !is_root("same_bytes", "to unpack stores with devices and foreign owners") {
        return;
    }
    let requests: &[&[&str]] = &[
        &["--format=docker-v1", "base", "app", "notarsplit"],
        &["app", "notarsplit", "base"],
        &["--format=docker-v1", "--all", "--keep-going"],
        &["--all", "--keep-going"],
    ];
    for fixture in ["1.8.2-vfs", "1.8.3-overlay"] {
        let store = Store::unpack(fixture);
        let copy = store.copy_reversed();
        for request in requests {
            let wrote = |command: &mut Command| {
                let file = store.beside("out.tar");
                let (status, said) = ended(&output(command.args(*request).arg("-o").arg(&file)));
                assert!(matches!(status, Some(0 | 1)), "{fixture} {request:?}: status {status:?}: {said}");
                std::fs::read(file).expect("an output")
            };
            let first = wrote(save(&store.root).arg("-j1"));
            assert!(first.len() > 10_000, "{fixture} {request:?}: only {} bytes", first.len());
            for (what, bytes) in [
                ("a second run", wrote(save(&store.root).arg("-j1"))),
                ("eight threads", wrote(save(&store.root).arg("-j8"))),
                ("a copy of the store", wrote(save(&copy.root).arg("-j8"))),
                ("a pipe", output(save(&store.root).args(*request).arg("-j8")).stdout),
                ("a pipe, one thread", output(save(&copy.root).args(*request).arg("-j1")).stdout),
            ] {
                assert!(bytes == first, "{fixture} {request:?}: {what} gives other bytes");
            }
        }
    }
}
