//! What is not an image: kept in OCI outputs, left out of the others with a warning.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::path::{Path, PathBuf};

use common::{check_blobs, document, entries, store, threaded, written};
use layerlift_export::{Format, Layout, Options, Warning, plan, push, select_all, tree};
use layerlift_store::Store;
use serde_json::Value;

/// A layout with an image and its signature.
fn signed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/cases/cosign-signature/input.tar.xz")
}

fn options(format: Format) -> Options {
    Options::default().with_format(format)
}

fn all(store: &dyn Store, options: &Options) -> Vec<common::Entry> {
    let plan = plan(store, select_all(store, None).unwrap(), options).unwrap();
    assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
    let len = plan.tar_len();
    let bytes = written(&tree(&plan.prepare(&threaded(2)).unwrap()), 2);
    assert_eq!(len, Some(bytes.len() as u64));
    entries(&bytes)
}

fn lines(index: &Value) -> Vec<Value> {
    index["manifests"].as_array().unwrap().clone()
}

#[test]
fn an_oci_archive_keeps_them_as_they_are() {
    let store = store(&signed());
    let found = store.images().unwrap();
    let line: Value = serde_json::from_str(&found.artifacts[0].line).unwrap();
    for keep_going in [false, true] {
        let entries = all(&*store, &options(Format::OciArchive).with_keep_going(keep_going));
        check_blobs(&entries);
        let listed = lines(&document(&entries, "index.json"));
        assert_eq!((listed.len(), &listed[1]), (2, &line));
        // For docker load, they are not images.
        assert_eq!(document(&entries, "manifest.json").as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_layout_gets_them() {
    let store = store(&signed());
    let dir = tempfile::tempdir().unwrap();
    let selection = || select_all(&*store, None).unwrap();
    let prepared = |selection| {
        plan(&*store, selection, &options(Format::OciArchive)).unwrap().prepare(&threaded(1)).unwrap()
    };
    let mut only_images = selection();
    only_images.artifacts.clear();
    layerlift_archive::write_dir(&tree(&prepared(only_images)), dir.path(), &threaded(1)).unwrap();
    // Twice: what is there is replaced.
    for _ in 0..2 {
        let layout = Layout::try_open(dir.path()).unwrap().unwrap();
        push(prepared(selection()).bundle().unwrap(), &layout, &threaded(1)).unwrap();
        let again = common::store(dir.path()).images().unwrap();
        assert_eq!((again.images.len(), again.artifacts.len(), again.broken.len()), (1, 1, 0));
        assert_eq!(again.artifacts[0].line, store.images().unwrap().artifacts[0].line);
    }
}

#[test]
fn the_other_formats_leave_them_out() {
    let store = store(&signed());
    for format in [Format::DockerArchive, Format::DockerV1] {
        let plan = plan(&*store, select_all(&*store, None).unwrap(), &options(format)).unwrap();
        let [Warning::ArtifactLeftOut { name, artifact, .. }] = plan.warnings() else {
            panic!("{:?}", plan.warnings())
        };
        assert!(name.ends_with(".sig"), "{name}");
        assert_eq!(artifact, "application/vnd.dev.cosign.simplesigning.v1+json");
        assert_eq!((plan.images().len(), plan.left_out().len()), (1, 0));
    }
}
