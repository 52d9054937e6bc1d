//! What is not an image: kept in OCI outputs, left out of the others with a warning.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::path::{Path, PathBuf};

use common::{check_blobs, document, entries, store, threaded, written};
use layerlift_export::{
    Error, ErrorKind, Format, Layout, Options, Warning, plan, push, select_all, tree, verify_artifacts,
};
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

/// A signature goes along with its image: by cosign's tag, or by its subject. Others do not.
#[test]
fn with_the_image_that_they_are_about() {
    let dir = tempfile::tempdir().unwrap();
    let tar = liblzma::read::XzDecoder::new(std::fs::File::open(signed()).unwrap());
    tar::Archive::new(tar).unpack(dir.path()).unwrap();
    let named = |format: Format| {
        let store = store(dir.path());
        let selection = layerlift_export::select(&*store, &["t/app:1"], None).unwrap();
        let plan = plan(&*store, selection, &options(format)).unwrap();
        let left_out = plan.warnings().to_vec();
        (entries(&written(&tree(&plan.prepare(&threaded(2)).unwrap()), 2)), left_out)
    };
    let signature = store(dir.path()).images().unwrap().artifacts.remove(0);
    let line: Value = serde_json::from_str(&signature.line).unwrap();
    let (archive, warnings) = named(Format::OciArchive);
    check_blobs(&archive);
    assert_eq!((&lines(&document(&archive, "index.json"))[1], warnings.len()), (&line, 0));
    assert_eq!(document(&archive, "manifest.json").as_array().unwrap().len(), 1);
    let (_, warnings) = named(Format::DockerArchive);
    assert!(matches!(&*warnings, [Warning::ArtifactLeftOut { .. }]), "{warnings:?}");

    // Without the tag, and with a subject.
    let path = dir.path().join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let image = index["manifests"][0]["digest"].clone();
    index["manifests"][1].as_object_mut().unwrap().remove("annotations");
    std::fs::write(&path, index.to_string()).unwrap();
    assert_eq!(lines(&document(&named(Format::OciArchive).0, "index.json")).len(), 1);
    let blob = |digest: &str| dir.path().join(digest.replace("sha256:", "blobs/sha256/"));
    let bytes = std::fs::read(blob(line["digest"].as_str().unwrap())).unwrap();
    let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
    manifest["subject"] = serde_json::json!({"mediaType": "x", "digest": image, "size": 1});
    let text = manifest.to_string();
    let digest = layerlift_archive::Digest::of(text.as_bytes()).to_string();
    std::fs::write(blob(&digest), &text).unwrap();
    (index["manifests"][1]["digest"], index["manifests"][1]["size"]) = (digest.into(), text.len().into());
    std::fs::write(&path, index.to_string()).unwrap();
    let (archive, warnings) = named(Format::OciArchive);
    assert_eq!((&lines(&document(&archive, "index.json"))[1], warnings.len()), (&index["manifests"][1], 0));
    // One that is not whole is left out, and the image is saved.
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    std::fs::remove_file(blob(layer)).unwrap();
    let (archive, warnings) = named(Format::OciArchive);
    assert_eq!(lines(&document(&archive, "index.json")).len(), 1);
    assert!(matches!(&*warnings, [Warning::CompanionsLeftOut { .. }]), "{warnings:?}");
}

/// A repository has its signatures as tags: they go along, or are left out as with everything. By its own
/// name, a signature is saved where the format can hold it.
#[test]
fn of_a_repository_and_by_name() {
    let store = store(&signed());
    let signature = store.images().unwrap().artifacts.remove(0);
    let line: Value = serde_json::from_str(&signature.line).unwrap();
    let planned = |names: &[&str], format| {
        let selection = layerlift_export::select(&*store, names, None).unwrap();
        plan(&*store, selection, &options(format))
    };
    let saved = |names: &[&str], format| {
        let plan = planned(names, format).unwrap();
        let warnings = plan.warnings().to_vec();
        let entries = entries(&written(&tree(&plan.prepare(&threaded(1)).unwrap()), 1));
        check_blobs(&entries);
        (entries, warnings)
    };
    let signature = signature.name();
    for names in [&["t/app"][..], &["t/app", "t/app:1"], &["t/app:1", &signature], &["t/app", &signature]] {
        let (archive, warnings) = saved(names, Format::OciArchive);
        let listed = lines(&document(&archive, "index.json"));
        assert_eq!((listed.len(), &listed[1], warnings.len()), (2, &line, 0), "{names:?}");
        assert_eq!(document(&archive, "manifest.json").as_array().unwrap().len(), 1, "{names:?}");
    }
    let (archive, _) = saved(&[&signature], Format::OciArchive);
    assert_eq!(lines(&document(&archive, "index.json")), [line]);
    for format in [Format::DockerArchive, Format::DockerV1] {
        let (_, warnings) = saved(&["t/app"], format);
        assert!(matches!(&*warnings, [Warning::ArtifactLeftOut { .. }]), "{warnings:?}");
        let error = planned(&[&signature], format).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{format}");
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

/// Every blob of an artifact is compared with its digest.
#[test]
fn they_are_verified() {
    let dir = tempfile::tempdir().unwrap();
    let tar = liblzma::read::XzDecoder::new(std::fs::File::open(signed()).unwrap());
    tar::Archive::new(tar).unpack(dir.path()).unwrap();
    let found = || verify_artifacts(store(dir.path()).images().unwrap().artifacts, &threaded(1));
    assert!(matches!(&*found(), [None]));
    let index = std::fs::read_to_string(dir.path().join("index.json")).unwrap();
    let signature = store(dir.path()).images().unwrap().artifacts.remove(0);
    let mut blobs = signature.blobs.unwrap();
    assert!(index.contains(&blobs.pop().unwrap().content.digest.unwrap().to_string()));
    for blob in blobs {
        let path = dir.path().join("blobs/sha256").join(blob.content.digest.unwrap().hex());
        let whole = std::fs::read(&path).unwrap();
        for (bytes, kind) in [(Some(vec![b'x'; whole.len()]), ErrorKind::Damaged), (None, ErrorKind::Missing)]
        {
            std::fs::remove_file(&path).unwrap();
            if let Some(bytes) = bytes {
                std::fs::write(&path, bytes).unwrap();
            }
            let [Some(error)] = &*found() else { panic!("nothing is wrong with {}", path.display()) };
            assert_eq!(error.kind(), kind, "{error}");
            let _ = std::fs::write(&path, &whole);
        }
    }
}

/// A signature whose layer has a SHA-512 digest cannot be copied, and does not keep its image from being
/// saved.
#[test]
fn one_that_cannot_be_copied() {
    let dir = tempfile::tempdir().unwrap();
    let tar = liblzma::read::XzDecoder::new(std::fs::File::open(signed()).unwrap());
    tar::Archive::new(tar).unpack(dir.path()).unwrap();
    let signature = store(dir.path()).images().unwrap().artifacts.remove(0);
    let (blobs, root) = (dir.path().join("blobs/sha256"), signature.digest);
    let manifest = std::fs::read_to_string(blobs.join(root.hex())).unwrap();
    let layer: Value = serde_json::from_str(&manifest).unwrap();
    let layer = layer["layers"][0]["digest"].as_str().unwrap().to_owned();
    let changed = manifest.replace(&layer, &format!("sha512:{}", "a".repeat(128)));
    let digest = layerlift_archive::Digest::of(changed.as_bytes());
    std::fs::write(blobs.join(digest.hex()), &changed).unwrap();
    let index = dir.path().join("index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    let sizes = [manifest.len(), changed.len()].map(|len| format!("\"size\":{len}"));
    let line = text.replace(&root.to_string(), &digest.to_string()).replace(&sizes[0], &sizes[1]);
    std::fs::write(&index, line).unwrap();

    let store = store(dir.path());
    let plan = plan(&*store, select_all(&*store, None).unwrap(), &options(Format::OciArchive)).unwrap();
    let [Warning::ArtifactNotCopied { why, .. }] = plan.warnings() else { panic!("{:?}", plan.warnings()) };
    assert!(why.contains("SHA-512"), "{why}");
    assert_eq!((plan.images().len(), plan.left_out().len()), (1, 0));
}

/// A name that docker-archive cannot hold: an error if it was requested, else a warning. OCI keeps it.
#[test]
fn names_that_engines_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let tar = liblzma::read::XzDecoder::new(std::fs::File::open(signed()).unwrap());
    tar::Archive::new(tar).unpack(dir.path()).unwrap();
    let index = std::fs::read_to_string(dir.path().join("index.json")).unwrap();
    std::fs::write(dir.path().join("index.json"), index.replace("t/app:1\"", "T/App:1\"")).unwrap();
    let store = store(dir.path());
    let named = || layerlift_export::select(&*store, &["T/App:1"], None).unwrap();
    for format in [Format::DockerArchive, Format::DockerV1] {
        let Err(error) = plan(&*store, named(), &options(format)) else { panic!("{format} has the name") };
        assert!(matches!(error, Error::NameNotKept { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Request);
        let plan = plan(&*store, select_all(&*store, None).unwrap(), &options(format)).unwrap();
        let left_out = |warning: &&Warning| match warning {
            Warning::NameLeftOut { name, .. } => name.to_string() == "T/App:1",
            _ => false,
        };
        assert_eq!(plan.warnings().iter().filter(left_out).count(), 1);
    }
    let kept = plan(&*store, named(), &options(Format::OciArchive)).unwrap();
    assert_eq!(kept.images().next().unwrap().references[0].to_string(), "T/App:1");
}
