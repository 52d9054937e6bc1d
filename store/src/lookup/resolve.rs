//! From a name to images, for each [`super::Spelling`].

use std::collections::{BTreeMap, BTreeSet};

use super::{Catalog, Match, Tags, bad_name};
use crate::reference::{LATEST, Parts, familiar_name, local_name, split_1_8, split_registry, split_request};
use crate::{Error, ImageKey, Reference};

/// Candidates that an error lists.
const LISTED: usize = 20;

/// As Docker 1.8 did (`graph/export.go`, `ImageExport`; `graph/tags.go`, `LookupImage`).
pub(super) fn graph(catalog: &dyn Catalog, name: &str) -> Result<Vec<Match>, Error> {
    let name = local_name(name);
    if let Some(tags) = catalog.tags(name)? {
        return all_tags(catalog, name, &tags);
    }
    let (repository, reference) = split_1_8(name);
    // Docker normalized the repository twice, and so found `library/library/base` too. The reference keeps
    // the spelling of the request; an implied tag (`latest`) is not recorded.
    if let Some(tags) = catalog.tags(local_name(repository))? {
        let wanted = if reference.is_empty() { LATEST } else { reference };
        let found = match tags.get(wanted) {
            Some(keys) => single(catalog, name, keys)?,
            None if is_revision(wanted) => single(catalog, name, &revisions(&tags, wanted))?,
            None => None,
        };
        if let Some(key) = found {
            let reference = (!reference.is_empty()).then(|| Reference::new(repository, reference));
            return Ok(vec![Match { key, reference }]);
        }
    }
    by_id(catalog, name, name)
}

/// As Docker since 1.10, which takes every spelling of a name.
pub(super) fn familiar(catalog: &dyn Catalog, name: &str) -> Result<Vec<Match>, Error> {
    if let Some(prefix) = id_with_algorithm(name) {
        return by_id(catalog, name, prefix);
    }
    let parts = split_request(name).map_err(|why| bad_name(name, why))?;
    let familiar = familiar_name(parts.repository);
    let as_given = (familiar != parts.repository).then_some(parts.repository);
    for repository in [familiar].into_iter().chain(as_given) {
        let selected = in_repository(catalog, name, repository, parts)?;
        if !selected.is_empty() {
            return Ok(selected);
        }
    }
    if parts.repository == name { by_id(catalog, name, name) } else { Ok(Vec::new()) }
}

/// The stored name, or a short one as Podman resolves it: `localhost/` first, then Docker Hub, then any name
/// that ends in it.
pub(super) fn qualified(catalog: &dyn Catalog, name: &str) -> Result<Vec<Match>, Error> {
    if let Some(prefix) = id_with_algorithm(name) {
        return by_id(catalog, name, prefix);
    }
    let parts = split_request(name).map_err(|why| bad_name(name, why))?;
    for repository in spelled_out(parts.repository) {
        let selected = in_repository(catalog, name, &repository, parts)?;
        if !selected.is_empty() {
            return Ok(selected);
        }
    }
    if split_registry(parts.repository).0.is_none() {
        let end = format!("/{}", parts.repository);
        let mut found: Vec<Vec<Match>> = Vec::new();
        for repository in catalog.repositories()?.iter().filter(|stored| stored.ends_with(&end)) {
            found.push(in_repository(catalog, name, repository, parts)?);
        }
        found.retain(|selected| !selected.is_empty());
        let images = |selected: &Vec<Match>| selected.iter().map(|s| s.key.clone()).collect::<BTreeSet<_>>();
        if found.iter().any(|selected| images(selected) != images(&found[0])) {
            return Err(ambiguous(catalog, name, found.iter().flat_map(images).collect())?);
        }
        if let Some(first) = found.into_iter().next() {
            return Ok(first);
        }
    }
    if parts.repository == name { by_id(catalog, name, name) } else { Ok(Vec::new()) }
}

/// Repositories that a name can mean. The first that exists wins.
fn spelled_out(repository: &str) -> Vec<String> {
    let hub = familiar_name(repository);
    let mut names = vec![repository.to_owned()];
    if split_registry(repository).0.is_none() {
        names.push(format!("localhost/{repository}"));
    } else if hub == repository {
        return names;
    }
    if !hub.contains('/') {
        names.push(format!("docker.io/library/{hub}"));
    }
    names.push(format!("docker.io/{hub}"));
    names
}

/// What a name means in one repository; empty if it has no such tag or digest. A digest finds an image, but
/// only a tag is kept for it.
fn in_repository(
    catalog: &dyn Catalog,
    name: &str,
    repository: &str,
    parts: Parts<'_>,
) -> Result<Vec<Match>, Error> {
    let Some(tags) = catalog.tags(repository)? else { return Ok(Vec::new()) };
    let find = |tag: &str| single(catalog, name, tags.get(tag).map_or(&[], Vec::as_slice));
    match (parts.tag, parts.digest) {
        (tag, Some(digest)) => {
            let Some(key) = find(digest)? else { return Ok(Vec::new()) };
            let same = |tag: &&str| {
                tags.get(*tag).is_some_and(|keys| keys.iter().any(|other| other.id() == key.id()))
            };
            let reference = tag.filter(same).map(|tag| Reference::new(repository, tag));
            Ok(vec![Match { key, reference }])
        }
        (Some(tag), None) => {
            let selected = |key| Match { key, reference: Some(Reference::new(repository, tag)) };
            Ok(find(tag)?.map(selected).into_iter().collect())
        }
        (None, None) => {
            let mut selected = all_tags(catalog, repository, &tags)?;
            let tagged = |s: &Match| s.reference.as_ref().is_some_and(|r| !r.is_digest());
            let mut seen: BTreeSet<ImageKey> =
                selected.iter().filter(|s| tagged(s)).map(|s| s.key.clone()).collect();
            selected.retain(|s| tagged(s) || seen.insert(s.key.clone()));
            for found in &mut selected {
                found.reference = found.reference.take().filter(|reference| !reference.is_digest());
            }
            Ok(selected)
        }
    }
}

fn all_tags(catalog: &dyn Catalog, repository: &str, tags: &Tags) -> Result<Vec<Match>, Error> {
    let mut selected = Vec::new();
    for (tag, keys) in tags {
        let reference = Reference::new(repository, tag);
        if let Some(key) = single(catalog, &reference.to_string(), keys)? {
            selected.push(Match { key, reference: Some(reference) });
        }
    }
    Ok(selected)
}

/// An id or the beginning of one; empty if `prefix` cannot be one.
fn by_id(catalog: &dyn Catalog, name: &str, prefix: &str) -> Result<Vec<Match>, Error> {
    let hex = prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if prefix.is_empty() || prefix.len() > 64 || !hex {
        return Ok(Vec::new());
    }
    let key = single(catalog, name, &catalog.ids(prefix)?)?;
    Ok(key.map(|key| Match { key, reference: None }).into_iter().collect())
}

/// The image that all keys mean: they have one id, and the first partition is preferred.
fn single(catalog: &dyn Catalog, name: &str, keys: &[ImageKey]) -> Result<Option<ImageKey>, Error> {
    match keys {
        [first, others @ ..] if others.iter().any(|key| key.id() != first.id()) => {
            Err(ambiguous(catalog, name, keys.iter().cloned().collect())?)
        }
        keys => Ok(keys.first().cloned()),
    }
}

/// The error that lists what a name can mean, each with its tags.
fn ambiguous(catalog: &dyn Catalog, name: &str, keys: BTreeSet<ImageKey>) -> Result<Error, Error> {
    let mut by_id: Vec<&ImageKey> = keys.iter().collect();
    by_id.sort_by(|a, b| (a.id(), a.partition()).cmp(&(b.id(), b.partition())));
    let several_partitions = by_id.iter().any(|key| key.partition() != by_id[0].partition());
    let mut tags: BTreeMap<&ImageKey, Vec<String>> = BTreeMap::new();
    for repository in catalog.repositories()? {
        for (tag, images) in catalog.tags(&repository)?.unwrap_or_default() {
            for image in images.iter().filter_map(|image| keys.get(image)) {
                tags.entry(image).or_default().push(Reference::new(&repository, &tag).to_string());
            }
        }
    }
    let line = |key: &&ImageKey| {
        let tags = tags.get(*key).map_or("(no tag)".to_owned(), |tags| tags.join(", "));
        let partition = if several_partitions { format!("  ({})", key.partition()) } else { String::new() };
        format!("{}  {tags}{partition}", key.id())
    };
    let mut candidates: Vec<String> = by_id.iter().take(LISTED).map(line).collect();
    if by_id.len() > LISTED {
        candidates.push(format!("and {} more", by_id.len() - LISTED));
    }
    Ok(Error::Ambiguous { name: name.to_owned(), candidates, drivers: several_partitions })
}

/// `sha256:` and an id or the beginning of one.
fn id_with_algorithm(name: &str) -> Option<&str> {
    name.strip_prefix("sha256:").filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether Docker 1.8 looked for this tag among the ids of a repository too (`pkg/stringid`, `IsShortID`).
fn is_revision(reference: &str) -> bool {
    let first = reference.as_bytes().get(..12);
    first.is_some_and(|first| first.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn revisions(tags: &Tags, prefix: &str) -> Vec<ImageKey> {
    tags.values().flatten().filter(|key| key.id().starts_with(prefix)).cloned().collect()
}
