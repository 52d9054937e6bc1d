//! Names that are near one that was not found: other tags of its repository, the same name elsewhere, a slip of the
//! fingers, an id spelled as engines of another time did.

use super::Catalog;
use crate::reference::{familiar_name, split_1_8};
use crate::{Error, Reference};

/// As many as a message can take.
const SHOWN: usize = 5;
/// Slips of the fingers in a name that is still a similar one.
const SLIPS: usize = 3;

/// The nearest first; empty if nothing is.
pub(super) fn near(catalog: &dyn Catalog, name: &str) -> Result<Vec<String>, Error> {
    let mut near = ids(catalog, name)?;
    let (repository, tag) = split_1_8(name);
    let asked = familiar_name(repository).to_lowercase();
    let mut ranked = Vec::new();
    for stored in catalog.repositories()? {
        if let Some(rank) = rank(&asked, familiar_name(&stored)) {
            ranked.push((rank, stored));
        }
    }
    ranked.sort();
    for (rank, stored) in ranked {
        if tag.is_empty() {
            near.push(stored);
        } else {
            let tags = catalog.tags(&stored)?.unwrap_or_default();
            if tags.contains_key(tag) {
                near.push(Reference::new(stored, tag).to_string());
            } else if rank == 0 {
                let mut tags: Vec<_> = tags.into_keys().filter(|tag| !tag.contains(':')).collect();
                tags.sort_by_key(|other| distance(tag, other));
                near.extend(tags.iter().map(|tag| format!("{stored}:{tag}")));
            } else {
                near.push(stored);
            }
        }
        if near.len() >= SHOWN {
            break;
        }
    }
    near.truncate(SHOWN);
    Ok(near)
}

/// 0: the same repository, 1: the same last component, more: a similar one; `None`: another name.
fn rank(asked: &str, stored: &str) -> Option<usize> {
    if asked == stored {
        return Some(0);
    }
    let (asked, stored) = (last_component(asked), last_component(stored));
    let distance = distance(asked, stored);
    let allowed = (asked.chars().count() / 3).clamp(1, SLIPS);
    (distance <= allowed && distance < asked.chars().count()).then_some(1 + distance)
}

/// Without what a second `:` leaves there.
fn last_component(repository: &str) -> &str {
    let last = repository.rsplit('/').next().unwrap_or(repository);
    last.split(':').next().unwrap_or(last)
}

/// An id in capitals, too long, with its algorithm or with a tag.
fn ids(catalog: &dyn Catalog, name: &str) -> Result<Vec<String>, Error> {
    for part in name.split(['@', ':', '/']) {
        let id: String = part.to_lowercase().chars().take(64).collect();
        if id.len() >= 7 && id != name && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            let mut found: Vec<String> =
                catalog.ids(&id)?.into_iter().map(|key| key.id().to_owned()).collect();
            found.dedup();
            if found.len() == 1 {
                return Ok(found);
            }
        }
    }
    Ok(Vec::new())
}

/// Insertions, deletions, replacements and swaps of neighbours between two names. No slip of the fingers makes a
/// name longer by more than [`SLIPS`], so that difference is enough to know of such names.
fn distance(a: &str, b: &str) -> usize {
    let longer = a.chars().count().abs_diff(b.chars().count());
    if longer > SLIPS { longer } else { strsim::osa_distance(a, b) }
}
