//! Indexes whose images are exported: what goes along with them, and what cannot.

use std::collections::HashSet;

use layerlift_archive::Digest;
use layerlift_store::{Artifact, Document, Index, IndexTree, LeadsTo, Member, Store};

use crate::artifacts::PlannedArtifact;
use crate::format::list::{Companion, List};
use crate::lines::Lines;
use crate::plan::{Draft, Layered};
use crate::select::WantedIndex;
use crate::{Error, Options, Warning};

/// The indexes that the archive has, and what is left out of them. If only one image of an index is left,
/// the archive has that image and no index.
pub(crate) fn plan(
    store: &dyn Store,
    wanted: Vec<WantedIndex>,
    options: &Options,
    lines: &mut Lines,
) -> Result<(Vec<List>, Vec<Warning>), Error> {
    let mut lists = Vec::new();
    let mut warnings = Vec::new();
    for WantedIndex { index, references, images } in wanted {
        let name = references.first().map_or_else(|| format!("index {}", index.digest), ToString::to_string);
        let tree = store.tree(&index).map_err(|error| Error::from(error).of_image(&name))?;
        tree.iter().for_each(|tree| lines.add_index(store, tree));
        if options.keep_index && tree.is_none() {
            let why = "its images share a name, and no index names them".to_owned();
            return Err(Error::IndexNotKept { name, why });
        }
        let images: Vec<String> = images.iter().map(|image| image.id().to_owned()).collect();
        let companions = tree.as_ref().map_or_else(Vec::new, |tree| {
            companions(tree, &manifests(&index, &images), |count, why| {
                warnings.push(Warning::CompanionsLeftOut { image: name.clone(), count, why });
            })
        });
        if !options.format.holds_indexes() {
            if !companions.is_empty() {
                let why = format!("{} has no place for them", options.format);
                warnings.push(Warning::CompanionsLeftOut { image: name, count: companions.len(), why });
            }
            continue;
        }
        if options.keep_index || images.len() > 1 || !companions.is_empty() {
            lists.push(List {
                index,
                tree,
                keep: options.keep_index,
                images,
                as_stored: references,
                names: Vec::new(),
                companions,
            });
        }
    }
    Ok((lists, warnings))
}

/// The manifests by which an index names some of its images.
fn manifests(index: &Index, images: &[String]) -> HashSet<Digest> {
    let of_one =
        |member: &&Member| member.image.as_ref().is_some_and(|key| images.iter().any(|id| id == key.id()));
    index.members.iter().filter(of_one).map(|member| member.manifest).collect()
}

/// What belongs to images with these manifests, or to the index. What cannot be read is left out.
fn companions(
    tree: &IndexTree,
    manifests: &HashSet<Digest>,
    mut left_out: impl FnMut(usize, String),
) -> Vec<Companion> {
    let mut companions = Vec::new();
    for leaf in tree.leaves() {
        let LeadsTo::Artifact(artifact) = &leaf.leads_to else { continue };
        if leaf.about.is_some_and(|about| !manifests.contains(&about)) {
            continue;
        }
        match &artifact.blobs {
            Ok(_) => companions.extend(
                PlannedArtifact::new((**artifact).clone())
                    .ok()
                    .map(|artifact| Companion { about: leaf.about, artifact }),
            ),
            Err(error) => left_out(1, error.to_string()),
        }
    }
    companions
}

/// What refers to these images, and to their indexes. Incomplete artifacts are left out.
pub(crate) fn referrers(
    store: &dyn Store,
    images: &[Layered],
    lists: &[List],
    warnings: &mut Vec<Warning>,
) -> Vec<Artifact> {
    let manifests = images.iter().flat_map(|layered| match &layered.image.document {
        Document::Config { manifests, .. } => &**manifests,
        Document::V1(_) => &[],
    });
    let indexes = lists.iter().filter_map(|list| list.tree.as_ref().map(|tree| tree.digest));
    let of: Vec<Digest> = manifests.map(|manifest| manifest.digest).chain(indexes).collect();
    let (whole, others): (Vec<Artifact>, Vec<Artifact>) =
        store.referrers(&of).into_iter().partition(|artifact| artifact.blobs.is_ok());
    warnings.extend(others.into_iter().filter_map(|artifact| {
        let why = artifact.blobs.as_ref().err()?.to_string();
        Some(Warning::CompanionsLeftOut { image: artifact.name(), count: 1, why })
    }));
    whole
}

/// Gives the names of each index to the first of its images that is still there: engines that do not know
/// indexes take that one.
pub(crate) fn hand_over(drafts: &mut [Draft], lists: &[List]) {
    for list in lists {
        let has_names = |draft: &Draft| {
            list.has(draft.planned.key.id())
                && list.names.iter().any(|name| draft.planned.references.contains(name))
        };
        if drafts.iter().any(has_names) {
            continue;
        }
        let of = |id: &String| drafts.iter().position(|draft| draft.planned.key.id() == id);
        if let Some(place) = list.images.iter().find_map(of) {
            drafts[place].planned.references.extend(list.names.iter().cloned());
        }
    }
}

/// Warnings for indexes whose images get other manifests than the index names.
///
/// # Errors
///
/// If an index should be kept but cannot be.
pub(crate) fn changes(drafts: &[Draft], lists: &[List]) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    for list in lists {
        let here: Vec<(&Draft, Digest)> = drafts
            .iter()
            .filter(|draft| list.has(draft.planned.key.id()))
            .filter_map(|draft| Some((draft, draft.documents.as_ref()?.manifest()?)))
            .collect();
        let name =
            || list.names.first().map_or_else(|| format!("index {}", list.index.digest), ToString::to_string);
        let other = here.iter().find(|(_, manifest)| !list.names_manifest(*manifest));
        if let Some((draft, manifest)) = other.filter(|_| list.keep) {
            let why = format!("the manifest of {} is {manifest} in the archive", draft.name);
            return Err(Error::IndexNotKept { name: name(), why });
        }
        let now: HashSet<Digest> = here.iter().map(|(_, manifest)| *manifest).collect();
        let ids: Vec<String> = here.iter().map(|(draft, _)| draft.planned.key.id().to_owned()).collect();
        let before = manifests(&list.index, &ids);
        let lost = |one: &&Companion| {
            one.about.is_some_and(|about| before.contains(&about)) && !List::goes_along(one, &now)
        };
        let count = list.companions.iter().filter(lost).count();
        if count > 0 {
            let why = "the manifest that they are about is another one in the archive".to_owned();
            warnings.push(Warning::CompanionsLeftOut { image: name(), count, why });
        }
    }
    Ok(warnings)
}
