//! The names of images in an archive.

use std::collections::{HashMap, HashSet};

use layerlift_store::{Document, Reference};

use crate::format::list::List;
use crate::format::manifest_json::RepoTags;
use crate::layered::Layered;
use crate::plan::{Draft, PlannedImage};
use crate::{Error, Format, Warning};

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
pub(crate) fn settle_names(drafts: &mut [Draft], lists: &mut [List], format: Format) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut taken: HashMap<Reference, String> = HashMap::new();
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
            match taken.get(&name) {
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
                    names.push(name);
                }
            }
        }
        *references = names;
    }
    warnings
}
