//! Errors of an output speak of the store: its images, its layers and its files.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::path::Path;

use common::{chain, store, threaded};
use layerlift_archive::write_stream;
use layerlift_export::{Format, Options, plan, push, select_all, tree};

/// A docker-archive that names its layers in the wrong order.
#[test]
fn a_damaged_layer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../store/tests/fixtures/cases/layers-swapped/input.tar.xz");
    let store = store(&path);
    for format in [Format::DockerArchive, Format::DockerV1, Format::OciArchive] {
        let options = Options::default().with_format(format);
        let plan = plan(&*store, select_all(&*store, None).unwrap(), &options).unwrap();
        let prepared = plan.prepare(&threaded(1)).unwrap();
        let failed = write_stream(&tree(&prepared), std::io::sink(), &threaded(1)).unwrap_err();
        let text = chain(&prepared.explain(failed.into()));
        for part in ["t/a:1", "input.tar.xz/2.tar", "is damaged: expected sha256:"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("blobs/") && !text.contains("/layer.tar"), "{text}");
    }
    let options = Options::default().with_format(Format::OciArchive);
    let prepared = plan(&*store, select_all(&*store, None).unwrap(), &options).unwrap();
    let prepared = prepared.prepare(&threaded(1)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let layout = layerlift_export::Layout::try_open(dir.path()).unwrap().unwrap();
    let failed = push(prepared.bundle().unwrap(), &layout, &threaded(1)).unwrap_err();
    let text = chain(&prepared.explain(failed));
    assert!(text.contains("t/a:1") && text.contains("input.tar.xz/2.tar"), "{text}");
}
