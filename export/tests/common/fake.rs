//! A fake store of blobs, for what no fixture has: compressed layers, images without layers, names of all
//! kinds, damage.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use layerlift_archive::{Compression, Digest, FileRange};
use layerlift_store::{
    BlobLayer, Broken, DiffId, Document, Error, Image, ImageKey, ImageSummary, Keyring, Layer, LayerKey,
    LayerTar, Listing, Reference, Selected, Store, StoreKind,
};

/// How a layer is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Plain,
    Gzip,
    /// Like [`Kept::Gzip`], with this many zeros behind it.
    Padded(usize),
    /// Like [`Kept::Gzip`], but of another tar than its diff id says; with or without a digest of its own.
    OtherTar {
        digest: bool,
    },
    /// Its bytes do not match its digest.
    Damaged,
    /// It cannot be opened.
    Missing,
}

pub(crate) struct Fake {
    keys: Keyring,
    layers: Vec<(LayerKey, Vec<u8>, Kept)>,
    images: Vec<(Image, Vec<Reference>)>,
    pub(crate) broken: Vec<String>,
}

impl Default for Fake {
    fn default() -> Self {
        Fake { keys: Keyring::new(), layers: Vec::new(), images: Vec::new(), broken: Vec::new() }
    }
}

impl Fake {
    /// Adds a layer with this content, and returns its index.
    pub(crate) fn add_layer(&mut self, content: &str, kept: Kept) -> usize {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, "file", content.as_bytes()).unwrap();
        let id = format!("layer{}", self.layers.len());
        self.layers.push((self.keys.layer("", id), tar.into_inner().unwrap(), kept));
        self.layers.len() - 1
    }

    pub(crate) fn diff_id(&self, layer: usize) -> DiffId {
        DiffId(Digest::of(&self.layers[layer].1))
    }

    /// Adds an image with a config that names its layers, and returns its id.
    pub(crate) fn add_image(&mut self, layers: &[usize], names: &[&str], extra: &str) -> String {
        let diff_ids: Vec<String> = layers.iter().map(|&l| format!("\"{}\"", self.diff_id(l))).collect();
        let raw = format!(
            "{{ \"rootfs\": {{ \"type\": \"layers\", \"diff_ids\": [{}] }}{extra} }}",
            diff_ids.join(", ")
        );
        let raw = raw.into_bytes();
        let key = self.keys.image("", Digest::of(&raw).hex());
        let layer = |&l: &usize| Layer::new(self.layers[l].0.clone(), Some(self.diff_id(l)));
        let layers = layers.iter().map(layer).collect();
        let id = key.id().to_owned();
        let document = Document::Config { raw, manifests: Vec::new() };
        let names = names.iter().map(|name| Reference::stored(name)).collect();
        self.images.push((Image::new(key, document, layers), names));
        id
    }
}

impl Store for Fake {
    fn kind(&self) -> StoreKind {
        StoreKind::OciLayout
    }

    fn images(&self) -> Result<Listing, Error> {
        let images = self.images.iter().map(|(image, references)| {
            ImageSummary::new(image.key.clone(), references.clone(), image.layers.len())
        });
        let broken = self.broken.iter().map(|what| {
            let error = Error::Damaged { path: what.into(), why: "it is empty".to_owned() };
            Broken::new(what, Vec::new(), error)
        });
        let mut listing = Listing::default();
        listing.images = images.collect();
        listing.broken = broken.collect();
        Ok(listing)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let mut found = Vec::new();
        for (image, references) in &self.images {
            let key = &image.key;
            if key.id().starts_with(name) {
                found.push(Selected::of_image(key.clone(), None));
            }
            let named = references.iter().filter(|r| r.to_string() == name || r.repository() == name);
            found.extend(named.map(|r| Selected::of_image(key.clone(), Some(r.clone()))));
        }
        if found.is_empty() {
            return Err(Error::NotFound { name: name.to_owned(), suggestions: Vec::new() });
        }
        Ok(found)
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        let found = self.images.iter().find(|(image, _)| image.key == *key);
        Ok(found.expect("the test asks for its own images").0.clone())
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        let index = key.id().strip_prefix("layer").and_then(|index| index.parse().ok());
        let index: usize = index.expect("a layer of the test");
        let (_, tar, kept) = &self.layers[index];
        let mut stored = tar.clone();
        match kept {
            Kept::Plain => {}
            Kept::Gzip => stored = gzip(tar),
            Kept::Padded(zeros) => stored = [gzip(tar), vec![0; *zeros]].concat(),
            Kept::OtherTar { .. } => stored = gzip(&[&tar[..], &[0; 512]].concat()),
            Kept::Damaged => stored[512] ^= 1,
            Kept::Missing => {
                return Err(Error::Missing {
                    of: "the image".to_owned(),
                    what: "layer",
                    id: key.id().to_owned(),
                    path: "blobs".into(),
                });
            }
        }
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(&stored).unwrap();
        let diff_id = Some(self.diff_id(index));
        let compression = Compression::detect(&stored);
        let digest = match kept {
            Kept::Gzip | Kept::Padded(_) | Kept::OtherTar { digest: true } => Some(Digest::of(&stored)),
            Kept::OtherTar { digest: false } => None,
            Kept::Plain | Kept::Damaged | Kept::Missing => diff_id.map(|id| id.0),
        };
        let stored = FileRange { file: Arc::new(file), offset: 0, len: stored.len() as u64, digest };
        Ok(LayerTar::Blob(BlobLayer::new(stored, compression, diff_id)))
    }
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Level::fast());
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}
