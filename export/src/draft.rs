//! An image of a plan.

use layerlift_store::{Image, ImageId, ImageKey, Reference};

use crate::document::salvaged::Declaration;
use crate::format::{Documents, Made, SourceImage};
use crate::layers::Measured;
use crate::{Error, Format, Warning};

/// An image that will be in the archive.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlannedImage {
    /// Which image.
    pub key: ImageKey,
    /// Its names in the archive.
    pub references: Vec<Reference>,
    /// The id that engines show once they have loaded the archive. `None` while it depends on layers that are
    /// not hashed yet, and where the format leaves it to the engine.
    pub image_id: Option<ImageId>,
}

/// An image on its way into the archive.
pub(crate) struct Draft {
    pub(crate) planned: PlannedImage,
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) image: Image,
    /// Where its layers are in [`Plan::layers`], base first.
    pub(crate) layers: Vec<usize>,
    /// Made once, as soon as the digests that they name are known.
    pub(crate) documents: Option<Documents>,
    /// Whether one of the indexes has it.
    pub(crate) of_index: bool,
    /// What is declared of an image whose bytes are not all the recorded ones.
    pub(crate) salvaged: Option<Declaration>,
}

impl Draft {
    /// Its documents, and the places of its layers.
    pub(crate) fn with_layers(&self) -> Option<(&Documents, &[usize])> {
        Some((self.documents.as_ref()?, &self.layers))
    }

    /// Its name, and the places of its layers.
    pub(crate) fn named(&self) -> (&str, &[usize]) {
        (&self.name, &self.layers)
    }

    /// The same image with its documents, or why the format cannot hold it.
    pub(crate) fn with_documents(self, format: Format, layers: Vec<&Measured>) -> Result<Self, Error> {
        let Draft { image, of_index, salvaged, .. } = &self;
        let source = SourceImage { image, layers, of_index: *of_index, salvaged: salvaged.as_ref() };
        let documents = Documents::new(format, &source);
        let documents = documents.map_err(|error| error.of_image(&self.name))?;
        let planned = PlannedImage { image_id: documents.image_id(), ..self.planned };
        Ok(Draft { planned, documents: Some(documents), ..self })
    }

    /// What the format has made of it; `None` before that.
    pub(crate) fn made(&self) -> Option<Made> {
        let PlannedImage { key, references, .. } = &self.planned;
        let documents = self.documents.clone()?;
        Some(Made { id: key.id().to_owned(), names: references.clone(), documents })
    }

    /// The warning for an image that is known by its manifest but gets another one.
    pub(crate) fn other_manifest(&self) -> Option<Warning> {
        let old = self.image.own_manifest()?.digest;
        let new = self.documents.as_ref()?.manifest()?;
        (old != new).then(|| Warning::OtherManifest { image: self.name.clone(), old, new })
    }
}
