//! What `save --container` names: containers, and layers without a record.

use layerlift_export::{ChosenContainer, ChosenOrphan, Selection};
use layerlift_store::{Error as StoreError, Orphan};

use super::row::find;
use crate::error::Error;
use crate::requests::chosen_name;
use crate::sources::{Source, Sources};

/// What begins the name of a layer without a record.
const ORPHAN: &str = "orphan:";

/// Adds the containers and layers that the values of `--container` mean; returns each value with the place of
/// its store.
pub(in crate::commands) fn choose<'a>(
    sources: &Sources,
    values: &'a [String],
    selection: &mut Selection,
) -> Result<Vec<(usize, &'a String)>, Error> {
    let able = sources.able();
    let mut places = Vec::new();
    for value in values {
        let (name, image) = match value.split_once('=') {
            Some((name, image)) => (name, Some(image)),
            None => (value.as_str(), None),
        };
        let reference = image.map(chosen_name).transpose()?;
        let source = match name.strip_prefix(ORPHAN) {
            Some(id) => {
                let (source, orphan) = orphan(sources, id)?;
                selection.orphans.push(ChosenOrphan::new(orphan, reference));
                source
            }
            None => {
                let (source, container) = find(&able, name)?;
                selection.containers.push(ChosenContainer::new(container, reference));
                source
            }
        };
        let place = sources.opened.iter().position(|opened| std::ptr::eq(opened, source));
        places.push((place.unwrap_or_default(), value));
    }
    Ok(places)
}

/// The layer without a record that an id means, and its store.
pub(in crate::commands) fn orphan<'s>(sources: &'s Sources, id: &str) -> Result<(&'s Source, Orphan), Error> {
    let mut found = Vec::new();
    for (source, ability) in sources.able() {
        let meant = ability.orphans()?.into_iter().filter(|orphan| orphan.is_meant(id));
        found.extend(meant.map(|orphan| (source, orphan)));
    }
    if let Some(exact) = found.iter().position(|(_, orphan)| orphan.id == id) {
        found = vec![found.swap_remove(exact)];
    }
    match found.len() {
        0 => Err(Error::NoOrphan(id.to_owned())),
        1 => Ok(found.remove(0)),
        _ => {
            let candidates = found.iter().map(|(_, orphan)| orphan.id.clone()).collect();
            Err(StoreError::Ambiguous { name: id.to_owned(), candidates, drivers: false }.into())
        }
    }
}
