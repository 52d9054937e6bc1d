//! Archives that end too early: what is whole remains, and what is lost is reported.

use std::collections::BTreeSet;

use layerlift_store::Listing;

use crate::made::{bytes, compressed, fixture, refused, store, unpacked};

/// Wherever an archive is cut, the images whose files are complete remain.
#[test]
fn anywhere() {
    let whole = bytes("ctr-1.6-export-gzip");
    let images = |len: usize| store(&whole[..len]).and_then(|store| store.images());
    assert_eq!(images(whole.len()).unwrap().images.len(), 1);
    let mut salvaged = 0;
    for len in (1..whole.len()).step_by(509) {
        match images(len) {
            Ok(listing) if !listing.images.is_empty() => salvaged += 1,
            Ok(listing) => assert!(!listing.broken.is_empty(), "{len}"),
            Err(error) => assert!(error.to_string().contains("byte") || len <= 512, "{len}: {error}"),
        }
    }
    assert!(salvaged > 0);
}

/// Wherever an archive is cut, even between two entries, what it has lost is reported. Some programs write no
/// end mark, so the lack of one alone says nothing.
#[test]
fn in_silence() {
    let mut archives: Vec<_> =
        ["ctr-1.6-export", "ctr-1.6-export-gzip", "docker-20.10-save-by-id", "docker-20.10-save"]
            .into_iter()
            .chain(["podman-4.3-docker-archive", "podman-4.3-oci-archive", "skopeo-1.9-oci-archive"])
            .map(compressed)
            .collect();
    archives.push(fixture("cosign-signature").join("input.tar.xz"));
    for archive in archives {
        let whole = unpacked(&archive);
        let all = store(&whole).unwrap().images().unwrap();
        let names = familiar(&all);
        for entry in tar::Archive::new(&whole[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let end = (entry.raw_file_position() + entry.size()) as usize;
            for len in [end, end.next_multiple_of(512)] {
                let Ok(store) = store(&whole[..len]) else { continue };
                let Ok(cut) = store.images() else { continue };
                let same = cut.images.len() == all.images.len() && familiar(&cut) == names;
                let said = !cut.lost.is_empty() || !cut.broken.is_empty();
                assert!(same || said, "{}, cut to {len} bytes", archive.display());
            }
        }
    }
}

/// All names. One document may have `docker.io/bench/many:1.0` where another has `bench/many:1.0`.
fn familiar(listing: &Listing) -> BTreeSet<String> {
    let references = listing.images.iter().flat_map(|image| &image.references);
    references.map(|reference| reference.familiar().to_string()).collect()
}

/// Podman and skopeo write the directories of docker-v1 after the layers and the config, so the image is
/// found by the latter.
#[test]
fn before_its_names() {
    let whole = bytes("skopeo-1.9-docker-archive");
    let store = store(&whole[..whole.len() - 4096]).unwrap();
    let listing = store.images().unwrap();
    assert_eq!(store.kind(), layerlift_store::StoreKind::DockerArchive);
    assert_eq!((listing.images.len(), listing.lost.len()), (1, 1));
    assert!(listing.images[0].key.id().starts_with("dd67daf7d391"));
}

/// What is left of a truncated compressed archive is read like a truncated plain one.
#[test]
fn while_compressed() {
    let whole = zstd::stream::encode_all(&bytes("skopeo-1.9-docker-archive")[..], 1).unwrap();
    refused(
        store(&whole[..whole.len() - 100])
            .and_then(|store| store.images())
            .map(|listing| {
                assert!(listing.images.len() <= 1);
                listing.broken.into_iter().next().map_or(Ok(()), |broken| Err(broken.error))
            })
            .and_then(|result| result),
        &["compressed data end too early"],
    );
}
