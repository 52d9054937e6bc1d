//! The beginning of every search: bytes that real engines wrote, from the fixtures of this checkout.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use layerlift_archive::{Compression, Digest};

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

/// A layout with an index of an index, which has an image for each of two platforms and one that is not
/// there. No kept archive has that.
pub fn index() -> Bundle {
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    let mut blob = |kind: &str, text: String| {
        let (hex, size) = (Digest::of(text.as_bytes()).hex(), text.len());
        files.push((format!("blobs/sha256/{hex}"), text.into_bytes()));
        let kind = format!("application/vnd.oci.image.{kind}+json");
        format!(r#""mediaType":"{kind}","digest":"sha256:{hex}","size":{size}"#)
    };
    let index =
        |members: &[String]| format!(r#"{{"schemaVersion":2,"manifests":[{{{}}}]}}"#, members.join("},{"));
    let mut member = |name: &str| {
        let platform = format!(r#""os":"linux","architecture":"{name}""#);
        let config = format!(r#"{{{platform},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#);
        let config = blob("config.v1", config);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{{{config}}},"layers":[]}}"#);
        format!(r#"{},"platform":{{{platform}}}"#, blob("manifest.v1", manifest))
    };
    let mut members = vec![member("amd64"), member("arm64")];
    let absent = format!("sha256:{}", "5".repeat(64));
    members.push(format!(
        r#""mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{absent}","size":9"#
    ));
    let inner = blob("index.v1", index(&members));
    let outer = blob("index.v1", index(&[inner]));
    let name = r#""annotations":{"org.opencontainers.image.ref.name":"team/app:1"}"#;
    files.push(("index.json".to_owned(), index(&[format!("{outer},{name}")]).into_bytes()));
    Bundle(files)
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
    let lists = files("podman-5.8-overlay/store.tar.xz", |path| path.contains("/overlay-images/"));
    let own = lists.into_iter().filter_map(|(path, bytes)| {
        let path = path.strip_prefix("podman-5.8-overlay/")?;
        Some((path.to_owned(), bytes))
    });
    bundles.push(Bundle(own.take(100).collect()));
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

/// Databases of bolt, the small ones.
///
/// # Panics
///
/// If the checkout lacks them.
pub fn bolt() -> Vec<Vec<u8>> {
    let names = [
        "bbolt-1.3.6-compact",
        "bbolt-1.3.6-compact-512",
        "docker-28-history",
        "docker-28-network",
        "docker-28-volumes",
        "podman-4.3-state",
    ];
    let read = |name: &str| -> io::Result<Vec<u8>> {
        let file = fs::File::open(fixtures().join(format!("bolt/{name}.db.xz")))?;
        let mut bytes = Vec::new();
        Compression::Xz.decompress(file)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    names.iter().map(|name| read(name).unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::index;

    #[test]
    fn blobs_of_the_index_have_their_names() {
        assert_eq!(index().linked().0, index().0);
    }
}
