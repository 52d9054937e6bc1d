//! Names that a layout or an archive gives an image.
//!
//! A bare word, as `skopeo copy … oci:dir:word` and umoci write it, is a repository with the tag `latest`, as
//! for Podman. Text that cannot be a name (`1.0-RC1`) still finds its image.

use super::documents::Descriptor;
use crate::{Reference, Rules};

/// The names of one image.
#[derive(Debug, Clone, Default)]
pub(super) struct ImageNames {
    pub(super) references: Vec<Reference>,
    /// Names as they are written, where that differs from the reference.
    pub(super) aliases: Vec<String>,
}

impl ImageNames {
    /// The names of a descriptor in `index.json`. containerd writes the whole name into an annotation of its
    /// own, and only the tag into that of the specification.
    pub(super) fn of(descriptor: &Descriptor) -> Self {
        let mut names = ImageNames::default();
        if let Some(name) = descriptor.image_name.as_ref().or(descriptor.ref_name.as_ref()) {
            names.add(name);
        }
        names
    }

    pub(super) fn add(&mut self, name: &str) {
        let reference = Reference::parse(name, Rules::Stored).ok();
        if reference.as_ref().map(Reference::to_string).as_deref() != Some(name)
            && !self.aliases.iter().any(|alias| alias == name)
        {
            self.aliases.push(name.to_owned());
        }
        self.references.extend(reference.filter(|reference| !self.references.contains(reference)));
    }

    pub(super) fn append(&mut self, other: ImageNames) {
        for reference in other.references {
            if !self.references.contains(&reference) {
                self.references.push(reference);
            }
        }
        self.aliases.extend(other.aliases);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.references.is_empty() && self.aliases.is_empty()
    }
}
