//! Names that a layout or an archive gives an image.
//!
//! A bare word, as `skopeo copy … oci:dir:word` and umoci write it, is a repository with the tag `latest`, as
//! for Podman. A word that cannot be a repository (`1.0-RC1`) still finds its image. Any other text is a name
//! as it stands, valid or not (`Team/App:1`): which names an output can have is for its format to say.

use std::collections::{HashMap, HashSet};

use super::documents::Descriptor;
use crate::{Reference, Rules};

/// The names of one image.
#[derive(Debug, Clone, Default)]
pub(super) struct ImageNames {
    pub(super) references: Vec<Reference>,
    /// Names as they are written, where that differs from the reference.
    pub(super) aliases: Vec<String>,
    /// Words that are not names of images.
    pub(super) words: Vec<String>,
    /// All references: one image can have tens of thousands.
    known: HashSet<Reference>,
}

impl ImageNames {
    /// The names of a descriptor in `index.json`. containerd writes the whole name into an annotation of its
    /// own, and only the tag into that of the specification.
    pub(super) fn of(descriptor: &Descriptor) -> Self {
        let mut names = ImageNames::default();
        let whole = descriptor.ref_name.as_ref().filter(|name| is_spelling_of(name, descriptor));
        if let Some(name) = whole.or(descriptor.image_name.as_ref()).or(descriptor.ref_name.as_ref()) {
            names.add(name);
        }
        names
    }

    /// Whether a descriptor has a whole name in containerd's spelling alone, so that nothing says how its
    /// writer spelled it.
    pub(super) fn is_only_containerds(descriptor: &Descriptor) -> bool {
        let spelled = descriptor.ref_name.as_ref().is_some_and(|name| is_spelling_of(name, descriptor));
        descriptor.image_name.is_some() && !spelled
    }

    /// Spells names as their writer did.
    pub(super) fn respell(&mut self, spelled: &HashMap<Reference, Reference>) {
        for name in &mut self.references {
            if let Some(other) = spelled.get(name) {
                *name = other.clone();
                self.known.insert(other.clone());
            }
        }
    }

    /// These names, and others that only find the image.
    pub(super) fn of_names(
        names: impl IntoIterator<Item = String>,
        aliases: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut all = ImageNames::default();
        names.into_iter().for_each(|name| all.add(&name));
        all.aliases.extend(aliases);
        all
    }

    pub(super) fn add(&mut self, name: &str) {
        let is_word = !name.contains([':', '/', '@']);
        let parsed = Reference::parse(name, Rules::Stored).ok();
        // Lookup takes names apart, which one that breaks the rules need not survive.
        if parsed.as_ref().map(Reference::to_string).as_deref() != Some(name)
            && !self.aliases.iter().any(|alias| alias == name)
        {
            self.aliases.push(name.to_owned());
        }
        let reference = match parsed {
            None if name.is_empty() => None,
            None if is_word => {
                self.words.push(name.to_owned());
                None
            }
            None => Some(Reference::stored(name)),
            valid => valid,
        };
        self.references.extend(reference.filter(|reference| self.known.insert(reference.clone())));
    }

    pub(super) fn append(&mut self, other: ImageNames) {
        let new = other.references.into_iter().filter(|reference| self.known.insert(reference.clone()));
        self.references.extend(new);
        self.aliases.extend(other.aliases);
        self.words.extend(other.words);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.references.is_empty() && self.aliases.is_empty()
    }
}

/// Whether a name is containerd's name of the same image, spelled in another way: `app:1` for
/// `docker.io/library/app:1`, but not the tag alone.
fn is_spelling_of(name: &str, descriptor: &Descriptor) -> bool {
    let full = |name: &str| Reference::parse(name, Rules::Stored).ok().map(|name| name.full().to_string());
    name.contains([':', '/']) && full(name).is_some_and(|name| descriptor.image_name == Some(name))
}
