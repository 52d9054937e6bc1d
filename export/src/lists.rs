//! Indexes whose images are exported: what goes along with them, and what cannot.

use std::collections::HashSet;

use layerlift_archive::Digest;
use layerlift_store::{
    Artifact, Document, ErrorKind, Image, ImageKey, Index, IndexLine, IndexTree, LeadsTo, Member, Platform,
    Reference, Store,
};

use crate::artifacts::PlannedArtifact;
use crate::draft::{Draft, PlannedImage};
use crate::format::list::{Companion, List};
use crate::layered::Layered;
use crate::left_out::LeftOut;
use crate::lines::Lines;
use crate::select::WantedIndex;
use crate::{Error, Options, Warning};

/// Why attestations are left out with an image that cannot keep its manifest.
pub(crate) const OF_OTHER_MANIFEST: &str = "the manifest that they are about is another one in the archive";

/// The indexes that the archive has. If only one image of an index is left, the archive has that image and no
/// index.
pub(crate) fn plan(
    store: &dyn Store,
    wanted: Vec<WantedIndex>,
    options: &Options,
    lines: &mut Lines,
    left_out: &mut LeftOut,
) -> Result<(Vec<List>, Vec<Warning>), Error> {
    let mut lists = Vec::new();
    let mut warnings = Vec::new();
    for wanted in wanted {
        let name = wanted.name();
        let WantedIndex { index, references, images } = wanted;
        let tree = store.tree(&index).map_err(|error| Error::from(error).of_image(&name))?;
        tree.iter().for_each(|tree| lines.add_index(store, tree));
        if options.keep_index && tree.is_none() {
            let why = "its images share a name, and no index names them".to_owned();
            return Err(Error::IndexNotKept { name, why });
        }
        let images: Vec<String> = images.iter().map(|image| image.id().to_owned()).collect();
        let mut companions = Vec::new();
        if let Some(tree) = &tree {
            for companion in self::companions(tree, &index, &images, &name) {
                companions.extend(left_out.keep_beside(companion)?);
            }
            let count = in_part(tree, &index, &images);
            if count > 0 {
                let why = "the store never had all of it".to_owned();
                warnings.push(Warning::CompanionsLeftOut { image: name.clone(), count, why });
            }
        }
        if !options.format.holds_indexes() {
            if !companions.is_empty() {
                let why = format!("{} has no place for them", options.format);
                warnings.push(Warning::CompanionsLeftOut { image: name, count: companions.len(), why });
            }
            continue;
        }
        let as_archived = options.as_archived && tree.is_some();
        if options.keep_index || as_archived || images.len() > 1 || !companions.is_empty() {
            lists.push(List {
                index,
                tree,
                keep: options.keep_index,
                as_archived,
                images,
                as_stored: references,
                names: Vec::new(),
                companions,
            });
        }
    }
    Ok((lists, warnings))
}

/// Warnings for images of indexes that are for other platforms than the usual one and whose ids are not among
/// the taken ones. Images of which the store lacks something are left out: they could not be exported.
pub(crate) fn other_platforms(
    store: &dyn Store,
    wanted: &[WantedIndex],
    taken: &HashSet<&str>,
) -> Vec<Warning> {
    let is_whole = |key: &ImageKey| store.image(key).is_ok_and(|image: Image| image.first_lost().is_none());
    let warning = |wanted: &WantedIndex| {
        let here = |member: &&Member| {
            member.image.as_ref().is_some_and(|key| !taken.contains(key.id()) && is_whole(key))
        };
        let platforms: Vec<String> = wanted
            .index
            .members
            .iter()
            .filter(here)
            .map(|member| {
                member.platform.as_ref().map_or_else(|| "an unnamed platform".to_owned(), Platform::to_string)
            })
            .collect();
        (!platforms.is_empty()).then(|| Warning::PlatformsLeftOut { image: wanted.name(), platforms })
    };
    wanted.iter().filter_map(warning).collect()
}

/// The manifests by which an index names some of its images.
fn manifests(index: &Index, images: &[String]) -> HashSet<Digest> {
    let of_one =
        |member: &&Member| member.image.as_ref().is_some_and(|key| images.iter().any(|id| id == key.id()));
    index.members.iter().filter(of_one).map(|member| member.manifest).collect()
}

/// What belongs to some images of an index, or to the index itself; or what is wrong with it.
fn companions(
    tree: &IndexTree,
    index: &Index,
    images: &[String],
    name: &str,
) -> Vec<Result<Companion, Error>> {
    let companion = |leaf: &IndexLine| match leaf.leads_to {
        LeadsTo::Artifact(_) | LeadsTo::Unreadable(_) => {
            let artifact = PlannedArtifact::of(leaf.artifact()?, name);
            Some(artifact.map(|artifact| Companion { about: leaf.about, artifact }))
        }
        _ => None,
    };
    beside(tree, index, images).into_iter().filter_map(companion).collect()
}

/// How many of these the store never had as a whole.
fn in_part(tree: &IndexTree, index: &Index, images: &[String]) -> usize {
    let is_part = |leaf: &&IndexLine| matches!(leaf.leads_to, LeadsTo::InPart(_));
    beside(tree, index, images).into_iter().filter(is_part).count()
}

/// The lines of an index that are not images, without those about images that are not among these.
fn beside<'t>(tree: &'t IndexTree, index: &Index, images: &[String]) -> Vec<&'t IndexLine> {
    let chosen = manifests(index, images);
    let is_member = |leaf: &&IndexLine| index.members.iter().any(|member| member.manifest == leaf.digest);
    let belongs = |leaf: &&IndexLine| leaf.about.is_none_or(|about| chosen.contains(&about));
    tree.leaves().into_iter().filter(|leaf| !is_member(leaf) && belongs(leaf)).collect()
}

/// What refers to these images, and to their indexes. Artifacts that lack a blob are left out with a warning.
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
    let lacks = |artifact: &Artifact| {
        artifact.blobs.as_ref().err().filter(|error| error.kind() == ErrorKind::Missing).cloned()
    };
    let mut kept = Vec::new();
    for artifact in store.referrers(&of) {
        match lacks(&artifact) {
            Some(error) => {
                let (image, why) = (artifact.name(), error.to_string());
                warnings.push(Warning::CompanionsLeftOut { image, count: 1, why });
            }
            None => kept.push(artifact),
        }
    }
    kept
}

/// How many entries `index.json` has for images and indexes: one for each name.
pub(crate) fn entries(drafts: &[Draft], lists: &[List]) -> usize {
    let of_draft = |draft: &Draft| {
        let PlannedImage { key, references, .. } = &draft.planned;
        let mut of_lists = lists.iter().filter(|list| list.has(key.id())).peekable();
        match of_lists.peek() {
            None => references.len().max(1),
            Some(_) => {
                let listed: HashSet<&Reference> = of_lists.flat_map(|list| &list.names).collect();
                references.iter().filter(|name| !listed.contains(name)).count()
            }
        }
    };
    let is_there = |list: &&List| drafts.iter().any(|draft| list.has(draft.planned.key.id()));
    let of_lists = lists.iter().filter(is_there).map(|list| list.names.len().max(1));
    drafts.iter().map(of_draft).sum::<usize>() + of_lists.sum::<usize>()
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
            let why = OF_OTHER_MANIFEST.to_owned();
            warnings.push(Warning::CompanionsLeftOut { image: name(), count, why });
        }
    }
    Ok(warnings)
}
