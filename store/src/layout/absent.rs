//! What takes the place of a missing blob of a layer.
//!
//! containerd does not fetch a blob whose layer it has unpacked already, whatever the blob's compression. So
//! a healthy namespace may have an image whose manifest names a blob that never came, beside another blob
//! that contains the same tar: its label `containerd.io/uncompressed` is the layer's diff id. (`docker pull`
//! of Docker 26 and 28, the CRI and `ctr images pull` of containerd 2.1.)
//!
//! A label may be missing, as in what an old containerd wrote. On request, all blobs are decompressed to find
//! the tar ([`super::search`]).
//!
//! Where no blob has the layer, what was unpacked of it may still be there: a node that is set to discard the
//! blobs of unpacked layers has nothing else (`discard_unpacked_layers` of the CRI).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use layerlift_archive::Digest;

use crate::diff::DiffLayer;
use crate::{ChainId, DiffId, Error};

/// What a namespace has beside the blobs that its manifests name.
#[derive(Debug, Default)]
pub(crate) struct StandIns {
    /// By diff ids, the blobs that are labelled with them.
    blobs: BTreeMap<DiffId, Vec<Digest>>,
    snapshots: Option<Box<dyn Snapshots>>,
    /// If other blobs are to be decompressed: those that were found, by diff ids.
    search: Option<OnceLock<BTreeMap<DiffId, Digest>>>,
}

/// Layers that are unpacked, and what other namespaces have of them.
pub(crate) trait Snapshots: fmt::Debug + Send + Sync {
    /// What was unpacked as the top of a stack of layers; `None` if nothing was. For messages, the layer is
    /// called `of`.
    fn layer(&self, chain: ChainId, of: &str) -> Result<Option<DiffLayer>, Error>;

    /// What was unpacked according to the records but is missing.
    fn missing(&self) -> Result<Vec<Error>, Error>;

    /// The blobs that other namespaces have labelled with a diff id.
    fn labelled_elsewhere(&self, diff_id: DiffId) -> &[Digest];
}

impl StandIns {
    /// Adds a blob that is labelled with the digest of its tar.
    pub(crate) fn add_blob(&mut self, blob: Digest, diff_id: DiffId) {
        self.blobs.entry(diff_id).or_default().push(blob);
    }

    /// Where layers are unpacked.
    pub(crate) fn set_snapshots(&mut self, snapshots: Box<dyn Snapshots>) {
        self.snapshots = Some(snapshots);
    }

    /// Whether layers may be unpacked.
    pub(super) fn has_snapshots(&self) -> bool {
        self.snapshots.is_some()
    }

    /// What was unpacked of a layer.
    pub(super) fn unpacked(&self, chain: ChainId, of: &str) -> Result<Option<DiffLayer>, Error> {
        self.snapshots.as_ref().map_or(Ok(None), |snapshots| snapshots.layer(chain, of))
    }

    /// What was unpacked but is missing.
    pub(super) fn missing(&self) -> Result<Vec<Error>, Error> {
        self.snapshots.as_ref().map_or(Ok(Vec::new()), |snapshots| snapshots.missing())
    }

    /// From now on, blobs may be found by decompressing all.
    pub(crate) fn set_search(&mut self) {
        self.search = Some(OnceLock::new());
    }

    /// A blob that was found by decompressing, if that is wanted; `all` decompresses, once.
    pub(super) fn found(
        &self,
        diff_id: DiffId,
        all: impl FnOnce() -> Result<BTreeMap<DiffId, Digest>, Error>,
    ) -> Result<Option<Digest>, Error> {
        let Some(search) = &self.search else { return Ok(None) };
        let found = match search.get() {
            Some(found) => found,
            None => {
                let all = all()?;
                search.get_or_init(|| all)
            }
        };
        Ok(found.get(&diff_id).copied())
    }

    /// The blobs that are labelled with this diff id, in the order of the database. Those of other namespaces
    /// come last.
    pub(super) fn labelled(&self, diff_id: DiffId) -> impl Iterator<Item = Digest> {
        let own = self.blobs.get(&diff_id).map_or(&[][..], Vec::as_slice);
        // The others are read only if the namespace's own are not enough.
        let others = self.snapshots.iter().flat_map(move |all| all.labelled_elsewhere(diff_id));
        own.iter().chain(others).copied()
    }
}
