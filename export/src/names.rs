//! The names of images in an archive.

use std::collections::{HashMap, HashSet};

use layerlift_store::{Document, Reference};

use crate::draft::{Draft, PlannedImage};
use crate::format::list::List;
use crate::format::manifest_json::RepoTags;
use crate::layered::Layered;
use crate::select::{Selection, WantedIndex};
use crate::{Error, Format, Warning};

/// The names of an index. The first of its images that is in the archive has them: engines that do not know
/// indexes take that one.
pub(crate) struct Shared {
    /// The ids of the images that were chosen, the default choice first.
    images: Vec<String>,
    /// As the store has them.
    as_stored: Vec<Reference>,
    /// As the archive has them.
    names: Vec<Reference>,
}

impl Shared {
    pub(crate) fn of(wanted: &WantedIndex) -> Self {
        let images = wanted.images.iter().map(|key| key.id().to_owned()).collect();
        Shared { images, as_stored: wanted.references.clone(), names: Vec::new() }
    }

    /// Removes an image that becomes another one in the archive.
    pub(crate) fn remove(&mut self, id: &str) {
        self.images.retain(|image| image != id);
    }

    /// The first of its images that is there.
    fn first<'d>(&self, drafts: &'d mut [Draft]) -> Option<&'d mut Draft> {
        let of = |id: &String| drafts.iter().position(|draft| draft.planned.key.id() == id);
        let place = self.images.iter().find_map(of)?;
        drafts.get_mut(place)
    }
}

/// Refuses names that were asked for and that the format cannot hold.
pub(crate) fn check_names(
    asked: &HashSet<Reference>,
    images: &[Layered],
    format: Format,
) -> Result<(), Error> {
    for Layered { wanted, image, .. } in images {
        for name in wanted.references.iter().filter(|name| asked.contains(*name)) {
            if let Err(why) = format.spell(&image.document, name) {
                return Err(Error::NameNotKept { name: name.clone(), format, why });
            }
        }
    }
    Ok(())
}

/// Refuses a name for a container, or for a layer without a record, that another image gets as well.
pub(crate) fn check_distinct(selection: &Selection) -> Result<(), Error> {
    let of_images = selection.images.iter().map(|chosen| (chosen.reference.as_ref(), chosen.image.id()));
    let of_indexes = selection.indexes.iter().map(|chosen| (chosen.reference.as_ref(), ""));
    let mut taken: HashMap<Reference, (String, String)> = HashMap::new();
    for (name, id) in of_images.chain(of_indexes) {
        if let Some(name) = name {
            taken.entry(name.full()).or_insert_with(|| (format!("image {name}"), id.to_owned()));
        }
    }
    let containers = selection.containers.iter();
    let containers = containers.map(|one| (one.reference.as_ref(), one.name(), one.container.key.id()));
    let orphans = selection.orphans.iter();
    let orphans = orphans.map(|one| (one.reference.as_ref(), one.name(), &*one.orphan.id));
    for (name, second, id) in containers.chain(orphans) {
        let Some(name) = name else { continue };
        match taken.get(&name.full()) {
            Some((first, other)) if other != id => {
                let (name, first) = (name.clone(), first.clone());
                return Err(Error::NameTwice { name, first, second });
            }
            Some(_) => {}
            None => _ = taken.insert(name.full(), (second, id.to_owned())),
        }
    }
    Ok(())
}

/// Leaves out names of a graph store that are digests. Docker 1.8 wrote them into an archive, all of which
/// Docker since 1.10 refuses.
pub(crate) fn leave_out_digests(images: &mut [Layered], warnings: &mut Vec<Warning>) {
    const WHY: &str = "Docker since 1.10 refuses an archive with a digest in place of a tag";
    for Layered { wanted, image, .. } in images {
        if matches!(image.document, Document::V1(_)) {
            wanted.references.retain(|name| {
                if name.is_digest() {
                    warnings.push(Warning::NameLeftOut { name: name.clone(), why: WHY });
                }
                !name.is_digest()
            });
        }
    }
}

/// Spells the names as the format has them, each once in the archive. Those of an index are names of its
/// default choice, too.
pub(crate) fn settle_names(
    drafts: &mut [Draft],
    lists: &mut [List],
    shared: &mut [Shared],
    format: Format,
) -> Vec<Warning> {
    shared.iter().for_each(|shared| hand_over_as_stored(drafts, shared));
    let mut warnings = Vec::new();
    let mut taken: HashMap<Reference, String> = HashMap::new();
    let in_full = spelled_in_full(drafts, format);
    let mut tags = RepoTags::default();
    for Draft { planned: PlannedImage { key, references, .. }, image, .. } in drafts {
        let mut names: Vec<Reference> = Vec::new();
        for reference in references.drain(..) {
            let name = match format.spell(&image.document, &reference) {
                Ok(Some(name)) => name,
                Ok(None) => continue,
                Err(why) => {
                    warnings.push(Warning::NameLeftOut { name: reference, why });
                    continue;
                }
            };
            // Engines find `docker.io/foo/bar:1` by the name `foo/bar:1`, not what is stored as `foo/bar:1`.
            let before = in_full.get(&name).filter(|_| reference != reference.full());
            match taken.get(&name).or(before) {
                Some(id) if *id == key.id() => {}
                Some(other) => {
                    let (kept_by, lost_by) = (other.clone(), key.id().to_owned());
                    warnings.push(Warning::NameTaken { name, kept_by, lost_by });
                }
                None => {
                    if format.spells_twice()
                        && let Err(why) = tags.give(&name, &key.id().to_owned())
                    {
                        warnings.push(Warning::NameInIndexOnly { name: name.clone(), why });
                    }
                    taken.insert(name.clone(), key.id().to_owned());
                    let of_it = lists.iter_mut().filter(|list| list.as_stored.contains(&reference));
                    of_it.for_each(|list| list.names.push(name.clone()));
                    let of_it = shared.iter_mut().filter(|shared| shared.as_stored.contains(&reference));
                    of_it.for_each(|shared| shared.names.push(name.clone()));
                    names.push(name);
                }
            }
        }
        *references = names;
    }
    warnings
}

/// The first image of each name, as the format has it, that the store spells in full.
fn spelled_in_full(drafts: &[Draft], format: Format) -> HashMap<Reference, String> {
    let mut all = HashMap::new();
    for Draft { planned: PlannedImage { key, references, .. }, image, .. } in drafts {
        for reference in references.iter().filter(|reference| **reference == reference.full()) {
            if let Ok(Some(name)) = format.spell(&image.document, reference) {
                all.entry(name).or_insert_with(|| key.id().to_owned());
            }
        }
    }
    all
}

/// Gives the names of an index to the first of its images, if the one that had them cannot be read.
fn hand_over_as_stored(drafts: &mut [Draft], shared: &Shared) {
    let is_lost = |name: &&Reference| !drafts.iter().any(|draft| draft.planned.references.contains(name));
    let lost: Vec<Reference> = shared.as_stored.iter().filter(is_lost).cloned().collect();
    if let Some(draft) = shared.first(drafts) {
        draft.planned.references.extend(lost);
    }
}

/// The same with the names as the archive has them, if the image that had them is left out after all.
pub(crate) fn hand_over(drafts: &mut [Draft], shared: &[Shared]) {
    for shared in shared {
        let has_names = |draft: &Draft| {
            shared.images.iter().any(|id| id == draft.planned.key.id())
                && shared.names.iter().any(|name| draft.planned.references.contains(name))
        };
        if drafts.iter().any(has_names) {
            continue;
        }
        if let Some(draft) = shared.first(drafts) {
            draft.planned.references.extend(shared.names.iter().cloned());
        }
    }
}
