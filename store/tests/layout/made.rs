//! Archives for tests: those that engines wrote, and synthetic tars and directories.

use std::fs;
use std::path::{Path, PathBuf};

use layerlift_archive::{Digest, Hasher};
use layerlift_store::{Error, Image, ImageKey, OpenOptions, Store, open};

/// The archive of an engine as it is in the repository, compressed with xz.
pub(crate) fn compressed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/archives/{name}.tar.xz"))
}

/// The same, decompressed.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    unpacked(&compressed(name))
}

/// A file, decompressed from xz.
pub(crate) fn unpacked(path: &Path) -> Vec<u8> {
    let file = fs::File::open(path).unwrap();
    let mut bytes = Vec::new();
    std::io::copy(&mut liblzma::read::XzDecoder::new(file), &mut bytes).unwrap();
    bytes
}

/// An input that is odd or damaged.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(name)
}

/// A file in its own directory, so that a test sees whether something is left beside it.
pub(crate) fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Opens bytes as an archive.
pub(crate) fn store(bytes: &[u8]) -> Result<Box<dyn Store>, Error> {
    let (_dir, path) = file(bytes);
    open(&path, &OpenOptions::default())
}

/// An error with its causes.
pub(crate) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// The error, whose text must contain all of `parts`.
pub(crate) fn refused<T>(result: Result<T, Error>, parts: &[&str]) {
    let Err(error) = result else { panic!("there is no error of {parts:?}") };
    let text = text(&error);
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// The image, unless one of its layers is lost.
pub(crate) fn whole(store: &dyn Store, key: &ImageKey) -> Result<Image, Error> {
    let image = store.image(key)?;
    match image.layers.iter().find_map(|layer| layer.lost.clone()) {
        Some(error) => Err(error),
        None => Ok(image),
    }
}

/// Reads every layer of every listed image and compares it with its diff id.
pub(crate) fn verify(store: &dyn Store) -> usize {
    let mut count = 0;
    for image in store.images().unwrap().images {
        for layer in store.image(&image.key).unwrap().layers {
            let tar = store.layer(&layer.key).unwrap();
            let mut out = Hasher::default();
            tar.write_to(&mut out).unwrap();
            if let Some(diff_id) = layer.diff_id {
                assert_eq!(out.finish(), diff_id.0, "{}", layer.key.id());
            }
            count += 1;
        }
    }
    count
}

/// A tar that is built entry by entry.
pub(crate) struct Tar(pub(crate) tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Tar(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.append(&header(name, tar::EntryType::Regular, bytes.len() as u64), bytes).unwrap();
        self
    }

    /// A file whose name does not fit into the header's first field.
    pub(crate) fn file_with_long_name(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.0.append_data(&mut header, name, bytes).unwrap();
        self
    }

    pub(crate) fn blob(self, bytes: impl AsRef<[u8]>) -> Self {
        let name = format!("blobs/sha256/{}", Digest::of(bytes.as_ref()).hex());
        self.file(&name, bytes)
    }

    pub(crate) fn link(mut self, name: &str, target: &str, kind: tar::EntryType) -> Self {
        let mut header = header(name, kind, 0);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, &b""[..]).unwrap();
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Writes a name as it is. The builder's own functions refuse some of these names.
pub(crate) fn header(name: &str, kind: tar::EntryType, len: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(len);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// A layer: a tar with one file.
pub(crate) fn layer(content: &str) -> Vec<u8> {
    Tar::new().file("file", content).finish()
}

pub(crate) fn config(layers: &[&[u8]], extra: &str) -> String {
    let ids: Vec<_> = layers.iter().map(|layer| format!("\"{}\"", Digest::of(layer))).collect();
    format!(r#"{{{extra}"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#, ids.join(","))
}

pub(crate) fn descriptor(media_type: &str, bytes: impl AsRef<[u8]>, extra: &str) -> String {
    let bytes = bytes.as_ref();
    let (digest, size) = (Digest::of(bytes), bytes.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{extra}}}"#)
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(crate) fn manifest(config: &str, layers: &[&[u8]]) -> String {
    let layers: Vec<_> = layers.iter().map(|layer| descriptor(LAYER, layer, "")).collect();
    let config = descriptor(CONFIG, config, "");
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","))
}

pub(crate) fn index(descriptors: &[String]) -> String {
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptors.join(","))
}

pub(crate) fn named(name: &str) -> String {
    format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#)
}
