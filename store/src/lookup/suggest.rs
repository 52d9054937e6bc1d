//! Names that are similar to one that was not found: other tags of its repository, the same name in another
//! registry, a typo, an id as other engines spell it.

use super::Catalog;
use crate::reference::{familiar_name, split_1_8};
use crate::{Error, Reference};

/// Names in a message.
const SHOWN: usize = 5;
/// Typos in a name that is still similar.
const TYPOS: usize = 3;

/// The most similar name first; empty if there are none.
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

/// 0 for the same repository, 1 for the same last component, more for a similar one; `None` for another name.
fn rank(asked: &str, stored: &str) -> Option<usize> {
    if asked == stored {
        return Some(0);
    }
    let (asked, stored) = (last_component(asked), last_component(stored));
    let distance = distance(asked, stored);
    let allowed = (asked.chars().count() / 3).clamp(1, TYPOS);
    (distance <= allowed && distance < asked.chars().count()).then_some(1 + distance)
}

/// The last component, without the tag that a name with two of them leaves there.
fn last_component(repository: &str) -> &str {
    let last = repository.rsplit('/').next().unwrap_or(repository);
    last.split(':').next().unwrap_or(last)
}

/// The image whose id stands in the name: in capitals, with too many digits, with its algorithm, or with a
/// tag.
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

/// Insertions, deletions, replacements and swaps of neighbours between two names. Where the lengths alone
/// rule a typo out, their difference is enough.
fn distance(a: &str, b: &str) -> usize {
    let longer = a.chars().count().abs_diff(b.chars().count());
    if longer > TYPOS { longer } else { strsim::osa_distance(a, b) }
}
