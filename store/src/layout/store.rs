//! The images of a layout or archive behind the [`Store`] trait.

use std::collections::BTreeMap;

use layerlift_archive::{Compression, Digest, FileRange};

use super::image::{self, Loaded};
use super::images::Found;
use crate::archive::Files;
use crate::kind::StoreKind;
use crate::lookup::{self, Catalog, Spelling};
use crate::{
    BlobLayer, Broken, DiffId, Document, Error, Image, ImageKey, ImageSummary, Keyring, Layer, LayerKey,
    LayerTar, Listing, Reference, Selected, Store,
};

/// An OCI image layout or a docker-archive. Its images have no driver; the key of a layer is its file's name and, behind `@`,
/// its diff id.
#[derive(Debug)]
pub(crate) struct LayoutStore {
    keys: Keyring,
    kind: StoreKind,
    files: Files,
    images: Vec<Found>,
    /// Names of listed images: repository, tag or digest, images.
    names: BTreeMap<String, BTreeMap<String, Vec<ImageKey>>>,
}

impl LayoutStore {
    pub(super) fn new(kind: StoreKind, files: Files, images: Vec<Found>) -> Self {
        let keyring = Keyring::new();
        let mut names: BTreeMap<String, BTreeMap<String, Vec<ImageKey>>> = BTreeMap::new();
        for image in &images {
            for reference in &image.names.references {
                let tags = names.entry(reference.repository().to_owned()).or_default();
                let digests = image.digests.iter().map(Digest::to_string);
                for tag in digests.chain([reference.tag_or_digest().to_owned()]) {
                    let keys = tags.entry(tag).or_default();
                    if !keys.iter().any(|key| key.id() == image.id) {
                        keys.push(keyring.image("", &image.id));
                    }
                }
            }
        }
        LayoutStore { keys: keyring, kind, files, images, names }
    }

    fn find(&self, id: &str) -> Result<&Found, Error> {
        let not_found = || Error::not_found(id);
        self.images.iter().find(|image| image.id == id).ok_or_else(not_found)
    }

    /// The first way to an image on which all of it is there; the error is that of the first.
    fn load(&self, image: &Found) -> Result<Loaded, Error> {
        if let Some(error) = &image.trouble {
            return Err(error.clone());
        }
        let mut first = None;
        for way in &image.ways {
            match image::load(&self.files, way) {
                Ok(loaded) => return Ok(loaded),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.unwrap_or_else(|| Error::not_found(&image.id)))
    }

    fn matching(&self, prefix: &str, listed: bool) -> Vec<ImageKey> {
        let matches = |image: &&Found| {
            image.listed == listed
                && (image.id.starts_with(prefix)
                    || image.digests.iter().any(|digest| digest.hex().starts_with(prefix)))
        };
        let mut keys: Vec<_> = self.images.iter().filter(matches).map(|image| self.key(image)).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn key(&self, image: &Found) -> ImageKey {
        self.keys.image("", &image.id)
    }
}

impl Store for LayoutStore {
    fn kind(&self) -> StoreKind {
        self.kind
    }

    fn images(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        for error in self.files.damage() {
            let name = self.files.path().file_name().unwrap_or_default();
            let what = name.to_string_lossy().into_owned();
            listing.broken.push(Broken { what, references: Vec::new(), error });
        }
        for image in self.images.iter().filter(|image| image.listed) {
            let references = image.names.references.clone();
            match self.load(image) {
                Ok(Loaded { config, layers, .. }) => listing.images.push(ImageSummary {
                    key: self.key(image),
                    references,
                    created: config.created,
                    size: None,
                    layers: layers.len(),
                }),
                Err(error) => {
                    listing.broken.push(Broken { what: image.id.clone(), references, error });
                }
            }
        }
        listing.sort();
        Ok(listing)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let written = |image: &&Found| image.names.aliases.iter().any(|alias| alias == name);
        let by_alias: Vec<&Found> = self.images.iter().filter(written).collect();
        if let [image] = by_alias[..] {
            let reference = image.names.references.iter().find(|r| is_implied(r, name)).cloned();
            return Ok(vec![Selected::of_image(self.key(image), reference)]);
        }
        let found = match lookup::resolve(self, Spelling::Qualified, name) {
            // Docker writes familiar names, which a request may spell out.
            Err(not_found @ Error::NotFound { .. }) => lookup::resolve(self, Spelling::Familiar, name)
                .map_err(|error| match error {
                    Error::NotFound { .. } => not_found,
                    error => error,
                }),
            result => result,
        };
        Ok(found?.into_iter().map(Selected::from).collect())
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.keys.check_image(key)?;
        let found = self.find(key.id())?;
        let loaded = self.load(found)?;
        let layer = |(place, diff_id): &(crate::archive::Place, DiffId)| {
            Layer::new(self.keys.layer("", format!("{}@{diff_id}", place.name)), Some(*diff_id))
        };
        let layers = loaded.layers.iter().map(layer).collect();
        let mut manifests: Vec<_> = loaded.manifest.into_iter().collect();
        for way in &found.ways {
            // Others that name the same config; the listing reports those that cannot be read.
            if let Ok(Loaded { manifest: Some(manifest), .. }) = image::load(&self.files, way)
                && manifests.iter().all(|known| known.digest != manifest.digest)
            {
                manifests.push(manifest);
            }
        }
        Ok(Image::new(key.clone(), Document::Config { raw: loaded.raw, manifests }, layers))
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.keys.check_layer(key)?;
        let not_found = || Error::not_found(key.id());
        let (name, diff_id) = key.id().rsplit_once('@').ok_or_else(not_found)?;
        let diff_id: DiffId = diff_id.parse().map_err(|_| not_found())?;
        let place = self.files.try_find(name)?.ok_or_else(not_found)?;
        let compression = Compression::detect(&self.files.first::<6>(&place)?);
        let plain = compression == Compression::None;
        let named = image::blob_digest(&place.name);
        if plain && let Some(named) = named.filter(|named| *named != diff_id.0) {
            let why = format!(
                "it is not compressed in a known way, and its digest {named} is not the diff id {diff_id}"
            );
            return Err(Error::malformed(self.files.join(name), why));
        }
        let digest = named.or(plain.then_some(diff_id.0));
        let stored = FileRange { digest, ..place.range };
        Ok(LayerTar::Blob(BlobLayer { stored, compression, diff_id: Some(diff_id) }))
    }
}

/// Whether a reference is what a bare word was read as.
fn is_implied(reference: &Reference, name: &str) -> bool {
    reference.repository() == name && reference.tag() == Some("latest")
}

impl Catalog for LayoutStore {
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error> {
        Ok(self.names.get(repository).cloned())
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.names.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        let listed = self.matching(prefix, true);
        Ok(if listed.is_empty() { self.matching(prefix, false) } else { listed })
    }
}
