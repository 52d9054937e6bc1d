//! Which engines refuse an archive because of its form, whatever they have.
//!
//! | engine | refuses |
//! |---|---|
//! | Docker since 1.10 | docker-v1 without a layer: it opens every `layer.tar` |
//! | Podman, containerd, Docker with containerd's store | docker-v1, and Podman a part of several images or names |
//! | Docker until 1.9 | a part in any other format than docker-v1 |

use layerlift_store::{Image, Listing, StoreKind};

/// Why an engine loads nothing of an archive, whatever it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Docker since 1.10 opens every `layer.tar` of a docker-v1 archive.
    #[error("Docker since 1.10 cannot load a docker-v1 archive from which layers are left out")]
    PartOfV1,
    /// Podman looks for `manifest.json` or `index.json`.
    #[error("Podman cannot load a docker-v1 archive")]
    V1InPodman,
    /// containerd looks for the same files.
    #[error("containerd, and Docker with its store, cannot load a docker-v1 archive")]
    V1InContainerd,
    /// Podman reads an archive with several entries by its `manifest.json`, which requires all layers.
    #[error("Podman refuses a part with several images or names; join the parts first")]
    SeveralInPart,
    /// Docker until 1.9 looks for `repositories`.
    #[error("Docker until 1.9 loads docker-v1 archives only")]
    OnlyV1,
}

/// What decides whether an engine reads an archive.
pub(super) struct Form {
    kind: StoreKind,
    /// Whether something is left out.
    is_partial: bool,
    /// Entries of `index.json`: one for each name.
    entries: usize,
}

impl Form {
    /// The form of an archive with these images.
    pub(super) fn of(kind: StoreKind, listing: &Listing, images: &[Image]) -> Self {
        let lacks = |image: &Image| image.layers.iter().any(|layer| layer.required().is_some());
        let names = listing.images.iter().map(|image| &image.references);
        let names = names.chain(listing.indexes.iter().map(|index| &index.references));
        // Those of an index are behind its name.
        let broken = listing.broken.iter().filter(|_| listing.indexes.is_empty());
        let names = names.chain(broken.map(|broken| &broken.references));
        let entries = names.map(|names| names.len().max(1)).sum();
        Form { kind, is_partial: images.iter().any(lacks), entries }
    }
}

/// Why an engine with a store of this kind refuses an archive.
pub(super) fn refusal(engine: StoreKind, archive: &Form) -> Option<Refusal> {
    match (engine, archive.kind == StoreKind::DockerV1Archive) {
        (StoreKind::Docker, true) => archive.is_partial.then_some(Refusal::PartOfV1),
        (StoreKind::ContainersStorage, true) => Some(Refusal::V1InPodman),
        (StoreKind::ContainersStorage, false) => {
            (archive.is_partial && archive.entries > 1).then_some(Refusal::SeveralInPart)
        }
        (StoreKind::Containerd, true) => Some(Refusal::V1InContainerd),
        // A whole one may have the documents of both formats, as Docker 1.10 to 24 writes them.
        (StoreKind::DockerGraph, false) => archive.is_partial.then_some(Refusal::OnlyV1),
        _ => None,
    }
}
