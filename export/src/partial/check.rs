//! Whether what a partial archive requires is there: in stores of engines, as these engines look for it, or
//! in other archives.
//!
//! | engine | looks for |
//! |---|---|
//! | Docker with a graph driver | the stack of layers, by its chain id |
//! | Podman and its like | the layer, by its blob; by its diff id if the blob is not compressed |
//! | containerd, Docker with its store | the blob; without it, the stack lets containers run, and no more |
//! | Docker until 1.9 | the layer of a v1 image, by its id |

use std::collections::{HashMap, HashSet};

use layerlift_archive::{Compression, Options};
use layerlift_store::{Broken, Image, LayerTar, Needs, Requirement, Store, StoreKind};

use super::inventory::{Inventory, Presence, listed};
use super::refusal::{Form, Refusal, refusal};
use crate::{Error, Warning};

/// A layer that an archive requires, and what there is of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckedLayer {
    /// The layer.
    pub required: Requirement,
    /// Whether the archive says that it leaves the layer out.
    pub is_listed: bool,
    /// What there is of it.
    pub presence: Presence,
    /// Where that is: the name of a root. `None` if it is nowhere.
    pub place: Option<String>,
}

/// What [`check`] found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Checked {
    /// Every layer that an archive requires, once.
    pub layers: Vec<CheckedLayer>,
    /// Number of images that were looked at.
    pub images: usize,
    /// What the images need that is not there.
    pub missing: Needs,
    /// Number of things in the archives that cannot be read, so that nobody knows what they need.
    pub unreadable: usize,
    /// Why the engine loads none of it, whatever it has.
    pub refusal: Option<Refusal>,
    /// What some versions of the engine cannot load; its store does not say its version.
    pub warnings: Vec<Warning>,
}

/// A store in which layers are looked up, and its name.
pub struct CheckedRoot<'s> {
    /// What messages call it: its path.
    pub name: String,
    /// The store.
    pub store: &'s dyn Store,
}

impl Checked {
    /// Whether the engine loads it: every layer is there, in whatever form the engine can use, and the
    /// engine takes archives of this form.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unreadable == 0 && self.refusal.is_none()
    }

    /// Number of layers that are missing from an archive without a word in its `requires.json`.
    pub fn unlisted(&self) -> usize {
        self.layers.iter().filter(|layer| !layer.is_listed).count()
    }

    /// Number of layers of which there is just this.
    pub fn count(&self, presence: Presence) -> usize {
        self.layers.iter().filter(|layer| layer.presence == presence).count()
    }
}

/// Looks for all that the images of some archives require: what their own documents name and the archive does
/// not have, whether its `requires.json` lists it or not. Layers of stores that record no digests are read if
/// something is not found without them; no other bytes of layers are. So what is damaged counts as there.
///
/// The roots are one store of an engine, and any number of archives.
///
/// # Errors
///
/// An archive or a store that cannot be listed.
pub fn check(
    archives: &[&dyn Store],
    roots: &[CheckedRoot<'_>],
    options: &Options<'_>,
) -> Result<Checked, Error> {
    let inventories = roots.iter().map(|root| Inventory::of(&root.name, root.store));
    let mut inventories = inventories.collect::<Result<Vec<_>, Error>>()?;
    let engines = || roots.iter().map(|root| root.store.kind()).filter(|kind| !kind.is_archive());
    let of_docker = engines().any(|kind| kind == StoreKind::Docker);
    let mut images = Vec::new();
    let mut unreadable = 0;
    let (mut refused, mut warnings) = (None, Vec::new());
    for archive in archives {
        let listing = archive.images()?;
        let first = images.len();
        let (lacking, broken): (Vec<&Broken>, Vec<&Broken>) =
            listing.broken.iter().partition(|broken| broken.only_lacks_layers(*archive));
        unreadable += broken.len() + listing.lost.len();
        let lacking = lacking.into_iter().filter_map(|broken| broken.key.clone());
        let mut seen = HashSet::new();
        for key in listed(&listing).chain(lacking).filter(|key| seen.insert(key.clone())) {
            match archive.image(&key) {
                Ok(image) => images.push(image),
                Err(_) => unreadable += usize::from(broken.is_empty()),
            }
        }
        let form = Form::of(archive.kind(), &listing, &images[first..]);
        refused = refused.or_else(|| engines().find_map(|engine| refusal(engine, &form)));
        if of_docker && warnings.is_empty() && has_zstd(*archive, &images[first..]) {
            let (compression, engines) = (Compression::Zstd.name(), "Docker before 23");
            warnings.push(Warning::LayersRefused { compression, engines });
        }
    }
    let mut checked = look(&images, &inventories);
    if !checked.missing.is_empty() {
        inventories.iter_mut().try_for_each(|inventory| inventory.hash(options))?;
        checked = look(&images, &inventories);
    }
    Ok(Checked { unreadable, refusal: refused, warnings, ..checked })
}

/// Looks each required layer up in all roots. One of several images is enough to miss it.
fn look(images: &[Image], inventories: &[Inventory<'_>]) -> Checked {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut layers: Vec<CheckedLayer> = Vec::new();
    for image in images {
        let presences: Vec<_> = inventories.iter().map(|root| (root.name, root.presences(image))).collect();
        for (index, layer) in image.layers.iter().enumerate() {
            let Some(required) = layer.required() else { continue };
            let is_listed = layer.left_out.is_some();
            let found = presences.iter().map(|(name, all)| (all[index], *name));
            let found = found.max_by_key(|(presence, _)| *presence);
            let (presence, place) = match found {
                Some((presence, name)) if presence > Presence::Missing => (presence, Some(name.to_owned())),
                _ => (Presence::Missing, None),
            };
            let at = *places.entry(identity(required)).or_insert(layers.len());
            match layers.get_mut(at) {
                Some(known) if known.presence <= presence => {}
                Some(known) => (known.presence, known.place) = (presence, place),
                None => layers.push(CheckedLayer { required: required.clone(), is_listed, presence, place }),
            }
        }
    }
    let missing = layers.iter().filter(|layer| layer.presence < Presence::OtherBlob);
    let missing = Needs::of(missing.map(|layer| &layer.required));
    Checked { images: images.len(), missing, layers, ..Checked::default() }
}

fn identity(required: &Requirement) -> String {
    let digest = required.digest.map_or_else(String::new, |digest| digest.hex());
    format!("{} {digest}", required.name())
}

/// Whether an archive has a layer of its own that is compressed so.
fn has_zstd(archive: &dyn Store, images: &[Image]) -> bool {
    let own = images.iter().flat_map(|image| &image.layers).filter(|layer| layer.lost.is_none());
    let mut opened = own.filter_map(|layer| archive.layer(&layer.key).ok());
    let is_zstd = |tar| matches!(tar, LayerTar::Blob(blob) if blob.compression == Compression::Zstd);
    // docker-v1 has plain layers, which are looked through to be opened.
    archive.kind() != StoreKind::DockerV1Archive && opened.any(is_zstd)
}
