//! Which image goes to which repository, and under which tag.

use std::collections::BTreeMap;

use layerlift_store::Reference;

use super::address::Address;
use super::error::RegistryError;
use crate::bundle::{Bundle, Root};

/// What goes to one repository.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Placed {
    /// The repository, without the registry.
    pub repository: String,
    /// What it gets. The tags of the names are those that it will have there.
    pub bundle: Bundle,
}

/// Divides images among the repositories of a registry. Also returns those that get no repository, because
/// they have no name.
///
/// # Errors
///
/// [`RegistryError::SameName`] where two images would get one name, and [`RegistryError::Name`] where one tag
/// is given for several images, or a name cannot be one in a registry.
pub fn placed(bundle: &Bundle, to: &Address) -> Result<(Vec<Placed>, Vec<Root>), RegistryError> {
    let is_image = |root: &&Root| root.line.is_none();
    if let Some(tag) = to.tag().filter(|_| bundle.roots.iter().filter(is_image).count() > 1) {
        let why = format!("{} images would get the tag {tag}", bundle.roots.iter().filter(is_image).count());
        return Err(RegistryError::Name { name: to.to_string(), why });
    }
    let mut by_repository: BTreeMap<String, Vec<Root>> = BTreeMap::new();
    let mut taken: BTreeMap<(String, String), &Root> = BTreeMap::new();
    let mut without = Vec::new();
    for root in &bundle.roots {
        let mut places: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
        let own = to.tag().filter(|_| is_image(&root)).map(str::to_owned);
        if !to.is_prefix() {
            places.insert(to.repository(None).unwrap_or_default(), Vec::new());
        }
        for name in &root.names {
            let Some(repository) = to.repository(Some(name)) else { continue };
            let tag = own.as_deref().or(name.tag());
            let named = tag.map(|tag| Reference::new(format!("{}/{repository}", to.host()), tag));
            let names = places.entry(repository).or_default();
            names.extend(named.filter(|named| !names.contains(named)));
        }
        if root.names.is_empty()
            && let (Some(tag), Some((repository, names))) =
                (&own, places.first_entry().map(|e| (e.key().clone(), e.into_mut())))
        {
            names.push(Reference::new(format!("{}/{repository}", to.host()), tag.clone()));
        }
        if places.is_empty() {
            without.push(root.clone());
        }
        for (repository, names) in places {
            for name in &names {
                let tag = name.tag().unwrap_or_default().to_owned();
                if let Some(other) = taken.insert((repository.clone(), tag), root)
                    && other.descriptor.digest != root.descriptor.digest
                {
                    let name = name.to_string();
                    return Err(RegistryError::SameName { first: called(other), second: called(root), name });
                }
            }
            by_repository.entry(repository).or_default().push(Root { names, ..root.clone() });
        }
    }
    let placed = by_repository
        .into_iter()
        .map(|(repository, roots)| Placed { bundle: bundle.only(roots), repository });
    Ok((placed.collect(), without))
}

fn called(root: &Root) -> String {
    root.names.first().map_or_else(|| root.descriptor.digest.to_string(), ToString::to_string)
}
