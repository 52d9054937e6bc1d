//! The beginning of every search: bytes that real engines wrote, from the fixtures of this checkout.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use layerlift_archive::Compression;

use crate::bundle::Bundle;

/// Larger files are left out: small inputs are searched faster.
const LARGEST: usize = 32 << 10;

/// Files of a tar with their paths, the small ones.
pub type Files = Vec<(String, Vec<u8>)>;

/// The folder of fixtures.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// The files of a fixture, a `.tar.xz`, whose paths `wanted` likes.
///
/// # Panics
///
/// If the checkout lacks it.
pub fn files(fixture: &str, wanted: impl Fn(&str) -> bool) -> Files {
    let path = fixtures().join(fixture);
    let read = || -> io::Result<Files> {
        let mut files = Vec::new();
        let mut archive = tar::Archive::new(Compression::Xz.decompress(fs::File::open(&path)?)?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            if entry.header().entry_type().is_file() && wanted(&name) && entry.size() <= LARGEST as u64 {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                files.push((name, bytes));
            }
        }
        Ok(files)
    };
    read().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of all data roots of Docker until 1.9.
pub fn graphs(wanted: impl Fn(&str) -> bool) -> Files {
    let stores = ["1.7.1-overlay", "1.8.2-vfs", "1.8.3-overlay", "1.8.3-vfs-broken", "1.8.3-vfs-edge"];
    let files = |store: &&str| files(&format!("docker-graph/{store}/store.tar.xz"), &wanted);
    stores.iter().flat_map(files).collect()
}

/// The files of archives that are small enough to be damaged as a whole.
pub fn archives() -> Vec<Bundle> {
    let names = [
        "ctr-1.6-export-gzip",
        "podman-4.3-oci-archive",
        "skopeo-1.9-docker-archive",
        "skopeo-1.9-oci-archive",
        "docker-20.10-save-by-id",
    ];
    let bundle = |name: &&str| {
        let mut files = files(&format!("archives/{name}.tar.xz"), |_| true);
        files.truncate(100);
        Bundle(files)
    };
    names.iter().map(bundle).collect()
}

/// The files of data roots, without those of layers.
pub fn stores() -> Vec<Bundle> {
    let mut bundles = Vec::new();
    let small = files("podman-4.3-small.tar.xz", |path| !path.contains("/diff/"));
    for store in ["vfs", "additional", "manifests", "rootless-native"] {
        let own = small.iter().filter_map(|(path, bytes)| {
            let path = path.strip_prefix(store)?.strip_prefix('/')?;
            Some((path.to_owned(), bytes.clone()))
        });
        bundles.push(Bundle(own.take(100).collect()));
    }
    let docker = files("docker-20.10-vfs.tar.xz", |path| path.starts_with("image/"));
    let (layers, images): (Files, Files) =
        docker.into_iter().partition(|(path, _)| path.contains("/layerdb/"));
    bundles.push(Bundle(images.into_iter().chain(layers).take(60).collect()));
    let graph = files("docker-graph/1.8.3-vfs-edge/store.tar.xz", |path| !path.starts_with("vfs/"));
    bundles.push(Bundle(graph.into_iter().take(60).collect()));
    bundles
}

/// Documents of images: configs, manifests and v1 documents.
pub fn documents() -> Vec<Vec<u8>> {
    let json = |(_, bytes): (String, Vec<u8>)| bytes.trim_ascii_start().starts_with(b"{").then_some(bytes);
    let mut documents: Vec<_> = graphs(|path| path.ends_with("/json")).into_iter().filter_map(json).collect();
    let configs = files("docker-20.10-vfs.tar.xz", |path| path.contains("imagedb/content/"));
    documents.extend(configs.into_iter().filter_map(json));
    documents.extend(archives().into_iter().flat_map(|bundle| bundle.0).filter_map(json));
    documents
}

/// Tar-split metadata, decompressed.
pub fn tar_split() -> Vec<Vec<u8>> {
    let compressed = graphs(|path| path.ends_with("tar-data.json.gz")).into_iter();
    let compressed =
        compressed.chain(files("docker-20.10-vfs.tar.xz", |path| path.ends_with("tar-split.json.gz")));
    let plain = compressed.filter_map(|(_, bytes)| {
        let mut text = Vec::new();
        // One of the broken stores has metadata that break off.
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).ok()?;
        (text.len() <= LARGEST).then_some(text)
    });
    plain.collect()
}
