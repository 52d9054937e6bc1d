//! The seam between stores and everything else.

use crate::open::StoreKind;
use crate::{Error, Image, ImageKey, LayerKey, LayerTar, Listing, Reference};

/// A place where images are kept. Opened by [`crate::open()`]; all methods only read.
pub trait Store: Send + Sync {
    /// Which engine's.
    fn kind(&self) -> StoreKind;

    /// All images, and what could not be read.
    fn images(&self) -> Result<Listing, Error>;

    /// What a name means: a repository (all its tags), `repository:tag`, `repository@digest`, an id, or a unique prefix of
    /// one. Never empty. The rules are those of [`crate::lookup`].
    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error>;

    /// An image's documents and layers, its parent chain checked.
    fn image(&self, key: &ImageKey) -> Result<Image, Error>;

    /// How the tar of a layer comes about. Opens what is needed to know that, reads no layer bytes.
    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error>;
}

/// An image that a name selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Which image.
    pub image: ImageKey,
    /// The tag to keep for it in an archive; `None` when it was named by its id.
    pub reference: Option<Reference>,
}
